//! Runs a case, and writes down what the invariants need.

use super::{
    Answers, BuildPage, Case, Faults, Injected, MAX_ENTRIES, MAX_VMAS, Machine, OneVma, Vmas,
};
use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::invariants::{
    self, Broken, Ending, EntryAt, EntryKind, Snapshot, Walk, WalkCounts, WalkRequest,
};
use crate::pin::{PinKind, PinReading, Pins};
use crate::policy::PinPolicy;
use crate::rmap::try_to_unmap;
use crate::unmap::{FlushDebt, UnmapRequest, try_to_unmap_one};
use crate::vma::PlainVma;
use core::ops::Range;

/// How far a walk goes.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One VMA, which has all entries: [`try_to_unmap_one`].
    OneVma,
    /// All VMAs, among which the entries are shared out: [`try_to_unmap`].
    AllVmas,
}

/// A case that was run: the world before it and after it.
#[derive(Clone)]
pub struct Observed {
    asked: WalkRequest,
    before: Record,
    after: Record,
    ending: Ending,
    pin_appeared: Option<usize>,
    unpinned: bool,
    calls: u32,
    hit: Option<Injected>,
}

debug_fields!(Observed {
    asked,
    before,
    after,
    ending,
    pin_appeared,
    unpinned,
    calls,
    hit,
});

#[derive(Clone, Copy)]
struct Record {
    page: PageFlags,
    refs: i64,
    maps: u32,
    pins: u32,
    longterm: u32,
    entries: [EntryAt; MAX_ENTRIES],
    len: usize,
    books: WalkCounts,
}

debug_fields!(Record {
    page,
    refs,
    maps,
    pins,
    longterm,
    entries,
    len,
    books,
});

impl Record {
    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            page: self.page,
            refs: self.refs,
            maps: self.maps,
            pins: self.pins,
            longterm: self.longterm,
            entries: self.entries.get(..self.len).unwrap_or_default(),
            books: self.books,
        }
    }
}

impl Observed {
    /// The walk, for the functions of [`invariants`].
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            asked: self.asked,
            before: self.before.snapshot(),
            after: self.after.snapshot(),
            ending: self.ending,
            pin_appeared: self.pin_appeared,
        }
    }

    /// Whether the policy's reading saw no pin when the walk began, and none appeared.
    #[must_use]
    pub const fn reads_unpinned(&self) -> bool {
        self.unpinned && self.pin_appeared.is_none()
    }

    /// How many fallible methods were called, until the walk ended.
    #[must_use]
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// The call that failed, if one has.
    #[must_use]
    pub const fn hit(&self) -> Option<Injected> {
        self.hit
    }

    /// How the walk ended.
    #[must_use]
    pub const fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Checks all [invariants of a walk](invariants::walk).
    ///
    /// # Errors
    ///
    /// The first that does not hold.
    pub fn check_all(&self) -> Result<(), Broken> {
        invariants::walk(&self.walk())
    }
}

const FIRST: u64 = 0x10_0000_0000;
const DISTANCE: u64 = 0x1_0000_0000;
const LENGTH: u64 = 0x4000_0000;
const NO_ENTRY: EntryAt = EntryAt {
    address: 0,
    kind: EntryKind::Empty,
    flags: PteFlags::empty(),
    vma: VmFlags::empty(),
};

/// Runs a case on a page of type `P` under a policy; `None` if the representation cannot hold the
/// page, or the page has fewer mappings than entries, or the flags cannot be asked under the policy.
#[must_use]
pub fn observe<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: &L,
    reach: Reach,
) -> Option<Observed> {
    let page = P::build(&case.page)?;
    let request = UnmapRequest::under(case.flags, policy).ok()?;
    let asked = WalkRequest::new(case.flags, policy, request.context());
    let unpinned = !policy.mode().reads_pins() || L::Reading::read(&page) == Pins::None;
    let faults = Faults::at(case.fail);
    let share = Share::new(case, reach)?;
    let mut world = Vmas::new(
        core::array::from_fn(|at| share.vma(case, &page, at)),
        &faults,
    );

    let mut before = share.record(case, &page, &world);
    let mut debt = FlushDebt::none();
    let ending = match reach {
        Reach::OneVma => {
            let [first, ..] = world.vmas();
            let (vma, at) = (first.vma.clone(), first.address);
            let result = try_to_unmap_one(&page, &vma, at, &request, &mut world, &mut debt);
            Ending::of_walk(&result, &debt)
        }
        Reach::AllVmas => {
            let result = try_to_unmap(&page, &request, &mut world, &mut debt);
            Ending::of_all(&result, &debt)
        }
    };
    debt.ignore();
    let (calls, hit) = (faults.calls(), faults.hit());
    let after = share.record(case, &page, &world);
    let pin_appeared = share.find(&world, Machine::pin_appeared);
    if let Some(at) = share.find(&world, Machine::written) {
        // The CPU wrote, whatever the walk made of it.
        if let Some(entry) = before.entries.get_mut(at) {
            entry.flags |= PteFlags::DIRTY.union(PteFlags::YOUNG);
        }
    }

    Some(Observed {
        asked,
        before,
        after,
        ending,
        pin_appeared,
        unpinned,
        calls,
        hit,
    })
}

type World<'a, P> = Vmas<'a, P, MAX_ENTRIES, MAX_VMAS>;

/// Which of a case's entries are in which VMA: the first `each` in the first, and so on.
struct Share {
    total: usize,
    each: usize,
}

impl Share {
    fn new(case: &Case, reach: Reach) -> Option<Self> {
        let len = case.entries().len();
        let most = usize::try_from(case.page.base_pages).unwrap_or(usize::MAX);
        let each = match reach {
            Reach::OneVma => len,
            Reach::AllVmas => len.div_ceil(MAX_VMAS),
        }
        .min(most);
        let vmas = match reach {
            Reach::OneVma => 1,
            Reach::AllVmas => MAX_VMAS,
        };
        let total = len.min(each.saturating_mul(vmas));
        let mapped = u32::try_from(total).ok()? <= case.page.maps;
        mapped.then_some(Self { total, each })
    }

    /// The indices of the entries in VMA `at`.
    fn range(&self, at: usize) -> Range<usize> {
        let start = self.each.saturating_mul(at).min(self.total);
        start..start.saturating_add(self.each).min(self.total)
    }

    fn vma<'a, P: BuildPage>(
        &self,
        case: &Case,
        page: &'a P,
        at: usize,
    ) -> OneVma<'a, P, MAX_ENTRIES> {
        let range = self.range(at);
        let local = |index: usize| {
            let inside = range.contains(&index);
            inside.then(|| index.saturating_sub(range.start))
        };
        let answers = Answers {
            pin_at: case
                .answers
                .pin_at
                .and_then(|(index, kind)| Some((local(index)?, kind))),
            ..case.answers
        };
        let address = base(at);
        let entries = case.entries().get(range.clone()).unwrap_or_default();
        OneVma {
            vma: PlainVma {
                flags: flags(case, at),
                range: address..address.saturating_add(LENGTH),
            },
            address,
            machine: Machine::new(page, address, entries, answers)
                .with_write_at(case.write_at.and_then(local)),
        }
    }

    /// The index, over all VMAs, of the entry that one of the machines names.
    fn find<'a, P: BuildPage>(
        &self,
        world: &World<'a, P>,
        which: impl Fn(&Machine<'a, P, MAX_ENTRIES>) -> Option<usize>,
    ) -> Option<usize> {
        let mut found = world.vmas().iter().enumerate();
        found.find_map(|(at, one)| {
            let index = which(&one.machine)?;
            Some(self.range(at).start.saturating_add(index))
        })
    }

    fn record<P: BuildPage>(&self, case: &Case, page: &P, world: &World<'_, P>) -> Record {
        let mut books = WalkCounts::default();
        let mut entries = [NO_ENTRY; MAX_ENTRIES];
        let mut pins = case.page.pins().total;
        let mut longterm = case.page.longterm;
        for (at, one) in world.vmas().iter().enumerate() {
            books = books.plus(one.machine.told().books());
            let places = entries.get_mut(self.range(at)).unwrap_or_default();
            let found = one.machine.entries().iter().zip(0u64..);
            for (place, (slot, index)) in places.iter_mut().zip(found) {
                let offset = index.checked_shl(page.base_shift()).unwrap_or(0);
                *place = EntryAt {
                    address: base(at).saturating_add(offset),
                    kind: slot.state.kind(),
                    flags: slot.flags,
                    vma: flags(case, at),
                };
            }
            if one.machine.pin_appeared().is_some() {
                let kind = case.answers.pin_at.map(|(_, kind)| kind);
                pins = pins.saturating_add(1);
                longterm = longterm.saturating_add(u32::from(kind == Some(PinKind::Longterm)));
            }
        }
        let held = i64::from(pins).saturating_mul(i64::from(page.refs_per_pin()));
        Record {
            page: page.flags(),
            refs: i64::from(page.ref_count()).saturating_sub(held),
            maps: page.map_count(),
            pins,
            longterm,
            entries,
            len: self.total,
            books,
        }
    }
}

fn base(at: usize) -> u64 {
    let at = u64::try_from(at).unwrap_or(0);
    FIRST.saturating_add(DISTANCE.saturating_mul(at))
}

fn flags(case: &Case, at: usize) -> VmFlags {
    case.vmas.get(at).copied().unwrap_or(VmFlags::empty())
}
