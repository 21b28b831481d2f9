//! The suite: pages, passes, and the end at which everything is reclaimed.

use super::checked::{Checked, State};
use super::choices::Choices;
use super::world::Truth;
use super::{Act, ListsBroken, ListsFailure, MAX_PAGES, TestLists, Whereabouts};
use crate::debug::debug_fields;
use crate::flags::{PageFlags, VmFlags};
use crate::pin::{Biased, PinCount, PinKind, Pins, Refined};
use crate::policy::{
    Context, IgnorePins, Operation, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned,
};
use crate::reclaim::{Lru, LruScan, Parking, Place, Progress, ScanControl, ScanFlags, unpark};
use core::fmt;

/// What a suite of lists has run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct ListsTally {
    /// Pages that the embedder made.
    pub pages: u64,
    /// Callbacks.
    pub callbacks: u64,
    /// Calls of fallible methods that were chosen to fail; they have, if the embedder has errors.
    pub failures: u64,
    /// Reverse maps that were found to be locked by somebody else.
    pub contended: u64,
    /// Callbacks that were made to refuse.
    pub refusals: u64,
    /// Pins taken.
    pub pins: u64,
    /// Pages parked.
    pub parked: u64,
    /// Pages written out.
    pub written: u64,
    /// Pages freed.
    pub freed: u64,
}

debug_fields!(ListsTally {
    pages,
    callbacks,
    failures,
    contended,
    refusals,
    pins,
    parked,
    written,
    freed,
});

impl ListsTally {
    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            pages: self.pages.saturating_add(other.pages),
            callbacks: self.callbacks.saturating_add(other.callbacks),
            failures: self.failures.saturating_add(other.failures),
            contended: self.contended.saturating_add(other.contended),
            refusals: self.refusals.saturating_add(other.refusals),
            pins: self.pins.saturating_add(other.pins),
            parked: self.parked.saturating_add(other.parked),
            written: self.written.saturating_add(other.written),
            freed: self.freed.saturating_add(other.freed),
        }
    }
}

impl fmt::Display for ListsTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pages, {} callbacks: {} failures, {} contended, {} refusals, {} pins; {} pages \
             parked, {} written, {} freed",
            self.pages,
            self.callbacks,
            self.failures,
            self.contended,
            self.refusals,
            self.pins,
            self.parked,
            self.written,
            self.freed
        )
    }
}

/// Puts an embedder's lists and page operations through `rounds` rounds: in each, others pin, write
/// to and hold pages, and then a pass or a sweep is run. `lists` must be empty. After the last
/// round everybody lets go, and everything is reclaimed.
///
/// `choices` gives the numbers that decide what happens: a generator, or the bytes of a fuzzer and
/// then zeros. One call makes one small world; a test makes many.
///
/// # Errors
///
/// The first rule that was broken, and where.
pub fn lists_suite<B: TestLists>(
    lists: &mut B,
    choices: &mut dyn FnMut() -> u64,
    rounds: u32,
) -> Result<ListsTally, ListsFailure> {
    let mut checked = Checked {
        lists,
        state: State {
            choices: Choices::new(choices),
            pages: [Truth::new(Whereabouts::Free, 0, true, 0); MAX_PAGES],
            len: 0,
            quiet: false,
            protects: false,
            clock: 0,
            taken: 0,
            write_room: u32::MAX,
            unsubmitted: 0,
            tally: ListsTally::default(),
            round: 0,
            failure: None,
        },
    };
    checked.add_pages();
    checked.check_all("add");
    for round in 0..rounds {
        if checked.state.failure.is_some() {
            break;
        }
        checked.state.round = round;
        checked.round();
    }
    if checked.state.failure.is_none() {
        checked.state.round = rounds;
        checked.wind_up();
    }
    match checked.state.failure {
        None => Ok(checked.state.tally),
        Some(failure) => Err(failure),
    }
}

/// What a scan may do, in the end.
const EVERYTHING: ScanFlags = ScanFlags::MAY_UNMAP
    .union(ScanFlags::MAY_WRITE)
    .union(ScanFlags::IO)
    .union(ScanFlags::FS)
    .union(ScanFlags::BACKGROUND)
    .union(ScanFlags::NODE_DIRTY)
    .union(ScanFlags::IGNORE_REFERENCES);

impl State<'_> {
    /// How many pages a pass may take. At each of the 13 priorities every list is scanned for its
    /// length, and once more for each of the four that turns out to be pinned all over; pages may
    /// come to a list while that lasts.
    pub(super) fn most(&self) -> u32 {
        const PLANS: u32 = Context::DEF_PRIORITY as u32 + 1 + 4;
        let pages = u32::try_from(self.len).unwrap_or(u32::MAX);
        pages.saturating_mul(4).saturating_mul(PLANS)
    }
}

impl<B: TestLists> Checked<'_, '_, B> {
    fn round(&mut self) {
        for _ in 0..self.state.choices.below(8) {
            let id = self.state.choices.index(self.state.len);
            self.act(id);
        }
        if B::MIGRATES && self.state.choices.one_in(4) {
            self.migrate();
        } else if self.state.choices.one_in(5) {
            let budget = self.state.choices.below(20);
            self.sweep(budget);
        } else {
            self.any_pass();
        }
        self.check_all("a round");
    }

    fn sweep(&mut self, budget: u32) {
        let _ = unpark::<_, Refined>(self, budget, |page| {
            Lru::of(crate::PageLike::flags(page).difference(PageFlags::ACTIVE))
        });
    }

    fn any_pass(&mut self) {
        let bits = self.state.choices.bits() & self.state.choices.bits();
        let mut flags = EVERYTHING.symmetric_difference(ScanFlags::from_bits_truncate(bits));
        if self.state.choices.below(2) == 0 {
            flags.remove(ScanFlags::IGNORE_REFERENCES);
        }
        match self.state.choices.below(6) {
            1 => self.under(flags, IgnorePins),
            2 => self.under(flags, SkipPinned),
            3 => self.under(flags, SkipLongterm::<Refined>::new()),
            4 => self.under(flags, SkipOpportunistic::<Biased>::new()),
            _ => self.under(flags, SkipOpportunistic::<Refined>::new()),
        }
    }

    fn under<L: PinPolicy>(&mut self, flags: ScanFlags, policy: L) {
        self.state.protects = protects(&policy);
        let control = ScanControl::new(flags).with_policy(policy);
        let parking = match self.state.choices.below(4) {
            1 => Parking::Rotate,
            2 => Parking::Lazy,
            3 => Parking::Eager,
            _ => Parking::Longterm,
        };
        self.pass(&control.with_parking(parking));
        self.state.protects = false;
    }

    fn pass<L: PinPolicy>(&mut self, control: &ScanControl<L>) {
        let target = match self.state.choices.below(4) {
            0 => u64::MAX,
            more => more.into(),
        };
        let budget = match self.state.choices.below(4) {
            0 => u32::MAX,
            more => more,
        };
        self.state.taken = 0;
        let mut scan = LruScan::new(target);
        // Each step takes a page at least, or goes on to the next priority.
        for _ in 0..self.state.most().saturating_add(100) {
            let progress = scan.step(self, control, budget);
            self.check_batch("a step");
            if progress != Progress::More {
                break;
            }
            if budget < 2 {
                self.check_all("a step");
            }
        }
    }

    /// Nothing is left over from a batch.
    fn check_batch(&mut self, name: &'static str) {
        self.check_between(name);
        let owed = self
            .state
            .known()
            .iter()
            .position(|truth| truth.unflushed > 0);
        if let Some(id) = owed {
            let what = "the TLB flushes of the batch";
            self.state
                .note(name, id, Err(ListsBroken::NotDone { what }));
        }
    }

    /// Everybody lets go. Then everything can be reclaimed, and is.
    fn wind_up(&mut self) {
        self.state.quiet = true;
        for id in 0..self.state.len {
            self.let_go(id);
        }
        self.check_all("everybody lets go");
        self.sweep(u32::MAX);
        // A page may be young, then on an active list, then dirty, then under writeback.
        for _ in 0..24 {
            if self.left().is_none() || self.state.failure.is_some() {
                return;
            }
            for id in 0..self.state.len {
                self.perform(id, Act::EndWriteback);
            }
            self.state.taken = 0;
            let mut scan = LruScan::new(u64::MAX);
            let _ = scan.run(self, &ScanControl::new(EVERYTHING));
            self.check_batch("the last passes");
            self.check_all("the last passes");
        }
        if let Some((id, whereabouts)) = self.left() {
            let held = Err(ListsBroken::NotReclaimed { whereabouts });
            self.state.note("the last passes", id, held);
        }
    }

    /// A page that can be reclaimed, and where it is.
    fn left(&self) -> Option<(usize, Whereabouts)> {
        let pages = || self.state.known().iter().enumerate();
        // Active lists are not scanned while the inactive ones are as long.
        let some_stay = pages().any(|(id, truth)| !truth.is_gone() && self.stays(id));
        let (id, truth) = pages().find(|&(id, truth)| {
            let passed_by = match truth.whereabouts {
                Whereabouts::Listed(Place::List(list)) => list.is_active(),
                _ => false,
            };
            let may_stay = self.stays(id) || some_stay && passed_by;
            !may_stay && truth.whereabouts != Whereabouts::Free
        })?;
        Some((id, truth.whereabouts))
    }

    /// Whether the page cannot be reclaimed, whoever lets go.
    fn stays(&self, id: usize) -> bool {
        let flags = self.lists.see(id).flags;
        let stays = PageFlags::UNEVICTABLE.union(PageFlags::MLOCKED);
        let swapless = flags.contains(PageFlags::SWAP_BACKED) && !self.lists.has_swap();
        flags.intersects(stays) || swapless || self.is_locked(id)
    }

    /// Whether a locked VMA maps the page.
    fn is_locked(&self, id: usize) -> bool {
        let mut entries = (0..super::super::MAX_ENTRIES).map_while(|at| self.lists.entry(id, at));
        entries.any(|entry| entry.vma.contains(VmFlags::LOCKED))
    }

    fn let_go(&mut self, id: usize) {
        let Some(&truth) = self.state.known().get(id) else {
            return;
        };
        for (act, times) in [
            (Act::Unpin(PinKind::Short), truth.short),
            (Act::Unpin(PinKind::Longterm), truth.longterm),
            (Act::Release, truth.holds),
            (Act::Unlock, truth.others.into()),
        ] {
            for _ in 0..times {
                if !self.perform(id, act) {
                    let what = "what was taken can be given back";
                    let held = Err(ListsBroken::NotDone { what });
                    self.state.note("everybody lets go", id, held);
                }
            }
        }
    }
}

/// Whether the policy lets no page with a pin be written out and freed.
fn protects<L: PinPolicy>(policy: &L) -> bool {
    let pin = Pins::Exactly(PinCount {
        total: 1,
        longterm: Some(0),
    });
    let verdict = policy.verdict(Operation::Free, Context::default(), pin);
    policy.mode().reads_pins() && !verdict.proceeds()
}
