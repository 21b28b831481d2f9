//! The pages that both walks are given, a pass over them, and the check that both answer alike.

use crate::common::embed::{Mm, PRESENT, Pte, Walk};
use crate::common::hand::{HandError, HandFailure, HandWalked};
use crate::common::measured::{Measured, Ours, Turn, copies};
use crate::common::pages::State;
use core::cell::Cell;
use core::hint::black_box;
use core::time::Duration;
use pinfold::{
    FlushDebt, PageFlags, PageLike, PlainVma, PteFlags, UnmapError, UnmapFlags, UnmapRequest,
    Verdict, VmFlags,
};
use std::time::Instant;

pub(crate) const BASE: u64 = 0x7000_0000;
/// What Linux 5.8's `shrink_page_list` asks of `try_to_unmap`.
pub(crate) const RECLAIM: UnmapFlags = UnmapFlags::BATCH_FLUSH;
/// So many pages stay in the second-level cache.
pub(crate) const PAGES: usize = 2048;
/// How many sets of pages take turns, so that branches on the state of a page are not predicted
/// better than in reclaim. Odd, so that each set meets each copy of a walk.
const SETS: usize = 63;

type Set = Vec<(State, PteFlags)>;

/// Which pages are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// None.
    Released,
    /// All.
    Pinned,
    /// One in four, in no order; and one in 64 is not, but mapped 2,000 times.
    Mixed,
}

impl Mix {
    pub(crate) const ALL: [Self; 3] = [Self::Pinned, Self::Released, Self::Mixed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Released => "unpinned",
            Self::Pinned => "pinned",
            Self::Mixed => "mixed",
        }
    }
}

/// xorshift64*: the same pages every time.
#[derive(Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        (self.next() >> 33) % n == 0
    }
    fn subset(&mut self, bits: u32, one_in: u64) -> u32 {
        (0..32)
            .filter(|bit| bits >> bit & 1 == 1 && self.one_in(one_in))
            .fold(0, |set, bit| set | 1 << bit)
    }
}

/// A page in a state that is common in reclaim, with the bits of the one entry that maps it.
fn everyday(mix: Mix, rng: &mut Rng) -> (State, PteFlags) {
    let anon = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
    let flags = match (rng.next() >> 33) % 8 {
        0..4 => anon,
        4..7 => PageFlags::PAGE_CACHE,
        _ => PageFlags::PAGE_CACHE | PageFlags::SWAP_BACKED,
    };
    let mut bits = PteFlags::WRITABLE;
    bits.set(PteFlags::YOUNG, rng.one_in(16));
    bits.set(PteFlags::DIRTY, rng.one_in(2));
    let shared = mix == Mix::Mixed && rng.one_in(64);
    let maps = if shared { 2000 } else { 1 };
    let pinned = mix == Mix::Pinned || (mix == Mix::Mixed && rng.one_in(4));
    let pins = if pinned { 1 + rng.next() as i32 % 4 } else { 0 };
    let state = State {
        flags,
        // The mappings', the cache's, the caller's own, and the pins'.
        refs: maps as i32 + 2 + 1024 * pins.abs().max(i32::from(pinned)),
        maps,
    };
    (state, bits)
}

/// A page and an entry of any kind, consistent or not.
fn anything(rng: &mut Rng) -> (State, PteFlags) {
    let state = State {
        flags: PageFlags::from_bits_truncate(rng.subset(PageFlags::all().bits(), 3)),
        refs: match rng.next() >> 61 {
            0 => -5,
            1 => 0,
            2 => 1020 + (rng.next() >> 61) as i32,
            3 => 2048 + 600,
            _ => 3,
        },
        maps: if rng.one_in(4) { 1100 } else { 1 },
    };
    (
        state,
        PteFlags::from_bits_truncate(rng.subset(PteFlags::all().bits(), 3)),
    )
}

/// Pages, each mapped by one entry of one VMA.
#[derive(Debug)]
pub(crate) struct Population<P> {
    /// What the pages are set to, in turn.
    sets: Vec<Set>,
    /// How often a pass was timed.
    timed: Cell<usize>,
    pub(crate) pages: Vec<P>,
    ptes: Vec<Pte>,
    mm: Mm,
    vma: PlainVma,
    request: UnmapRequest,
}

impl<P: Measured> Population<P> {
    pub(crate) fn new(mix: Mix, pages: usize) -> Self {
        let mut rng = Rng(42);
        let mut set = || (0..pages).map(|_| everyday(mix, &mut rng)).collect();
        let sets = (0..SETS).map(|_| set()).collect();
        Self::of(sets, VmFlags::empty(), RECLAIM, Mm::new(true, u64::MAX))
    }

    fn of(sets: Vec<Set>, vma: VmFlags, flags: UnmapFlags, mm: Mm) -> Self {
        let start = &sets[0];
        let bytes = 4096 * start.len() as u64;
        let population = Self {
            pages: start.iter().map(|&(state, _)| P::new(state)).collect(),
            ptes: start.iter().map(|_| Cell::new(0)).collect(),
            mm,
            vma: PlainVma {
                flags: vma,
                range: BASE..BASE + bytes,
            },
            request: UnmapRequest::new(flags).unwrap(),
            timed: Cell::new(0),
            sets,
        };
        population.reset();
        population
    }

    fn set(&self) -> &Set {
        &self.sets[self.timed.get() % self.sets.len()]
    }

    pub(crate) fn reset(&self) {
        for ((&(state, bits), page), pte) in self.set().iter().zip(&self.pages).zip(&self.ptes) {
            page.reset(state);
            pte.set(PRESENT | u64::from(bits.bits()));
        }
        self.mm.reset();
    }

    fn address(&self, index: usize) -> u64 {
        BASE + 4096 * index as u64
    }

    fn walk<const COPY: usize>(&self, index: usize) -> Walk<'_, P, COPY> {
        let pte = core::slice::from_ref(&self.ptes[index]);
        Walk::new(&self.pages[index], &self.mm, pte, self.address(index))
    }

    /// One pass of the crate over all pages; how many walks went through.
    pub(crate) fn pass_ours(&self) -> u32 {
        static TURN: Turn = Turn::new();
        copies!(Self::copy_of_ours)[TURN.next()](self)
    }

    /// One pass of the hand-written twin.
    pub(crate) fn pass_hand(&self) -> u32 {
        static TURN: Turn = Turn::new();
        copies!(Self::copy_of_hand)[TURN.next()](self)
    }

    #[inline(never)]
    fn copy_of_ours<const COPY: usize>(&self) -> u32 {
        let request = black_box(&self.request);
        let mut done = 0;
        let mut debt = FlushDebt::none();
        for (index, page) in self.pages.iter().enumerate() {
            let mut walk = self.walk::<COPY>(index);
            let address = self.address(index);
            let verdict = P::ours(page, &self.vma, address, request, &mut walk, &mut debt);
            done += u32::from(matches!(verdict, Ok(Verdict::Done)));
        }
        debt.ignore();
        done
    }

    #[inline(never)]
    fn copy_of_hand<const COPY: usize>(&self) -> u32 {
        let flags = black_box(self.request.flags());
        let mut done = 0;
        let mut debt = (0, false);
        for (index, page) in self.pages.iter().enumerate() {
            let mut walk = self.walk::<COPY>(index);
            let address = self.address(index);
            let verdict = match P::hand(page, &self.vma, address, flags, &mut walk) {
                Ok(walked) => {
                    debt.0 += walked.deferred;
                    debt.1 |= walked.deferred_dirty;
                    Some(walked.verdict)
                }
                Err(_) => None,
            };
            done += u32::from(verdict == Some(Verdict::Done));
        }
        black_box(debt);
        done
    }

    pub(crate) fn gate_ours(&self) -> usize {
        P::gate_ours(&self.pages, black_box(&self.request))
    }

    pub(crate) fn gate_hand(&self) -> usize {
        P::gate_hand(&self.pages, black_box(self.request.flags()))
    }

    /// The time that one pass takes over pages that were set up anew, from the next set.
    pub(crate) fn timed<T>(&self, pass: impl Fn(&Self) -> T) -> Duration {
        self.timed.set(self.timed.get() + 1);
        self.reset();
        let start = Instant::now();
        black_box(pass(self));
        start.elapsed()
    }

    /// Both walks over all pages give the same answers and leave the same pages, entries and
    /// counters behind; both gates count the same.
    pub(crate) fn check(&self) -> Tally {
        let theirs = Self::of(
            vec![self.set().clone()],
            self.vma.flags,
            self.request.flags(),
            self.mm.clone(),
        );
        self.reset();
        theirs.reset();
        assert_eq!(self.gate_ours(), theirs.gate_hand());
        let mut tally = Tally::default();
        for index in 0..self.pages.len() {
            let address = self.address(index);
            let mut debt = FlushDebt::none();
            let ours = P::ours(
                &self.pages[index],
                &self.vma,
                address,
                &self.request,
                &mut self.walk::<0>(index),
                &mut debt,
            );
            let hand = P::hand(
                &theirs.pages[index],
                &theirs.vma,
                address,
                theirs.request.flags(),
                &mut theirs.walk::<0>(index),
            );
            tally.count(&ours);
            let (was, flags) = (&self.set()[index], self.request.flags());
            assert_eq!(translated(ours, &debt), hand, "{was:?} under {flags:?}");
            assert_eq!(self.pages[index].state(), theirs.pages[index].state());
            assert_eq!(self.ptes[index], theirs.ptes[index], "{was:?}");
        }
        assert_eq!(self.mm, theirs.mm);
        self.reset();
        tally
    }
}

/// How often a check met what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) done: u32,
    pub(crate) skipped: u32,
    pub(crate) stopped: u32,
    pub(crate) other: u32,
    pub(crate) failed: u32,
}

impl Tally {
    fn count(&mut self, ours: &Ours) {
        *match *ours {
            Ok(Verdict::Done) => &mut self.done,
            Ok(verdict) if verdict.is_pin_skip() => &mut self.skipped,
            Ok(Verdict::Stopped(_)) => &mut self.stopped,
            Ok(_) => &mut self.other,
            Err(_) => &mut self.failed,
        } += 1;
    }
}

fn translated(ours: Ours, debt: &FlushDebt) -> Result<HandWalked, HandFailure> {
    let (deferred, deferred_dirty) = (debt.entries(), debt.is_dirty());
    match ours {
        Ok(verdict) => Ok(HandWalked {
            verdict,
            deferred,
            deferred_dirty,
        }),
        Err(error) => Err(HandFailure {
            error: match error {
                UnmapError::BadVma { start, end } => HandError::BadVma { start, end },
                UnmapError::OutsideVma { address } => HandError::OutsideVma { address },
                UnmapError::Misaligned { address } => HandError::Misaligned { address },
                UnmapError::NoReference => HandError::NoReference,
                UnmapError::Inconsistent { what, address } => {
                    HandError::Inconsistent { what, address }
                }
                other => unreachable!("{other:?}"),
            },
            deferred,
            deferred_dirty,
        }),
    }
}

/// The check over everyday pages, and over pages, entries, areas and requests of any kind.
pub(crate) fn check_all<P: Measured>() {
    for mix in Mix::ALL {
        let tally = Population::<P>::new(mix, PAGES).check();
        let some_skipped = tally.skipped > 0;
        assert_eq!(some_skipped, mix != Mix::Released, "{mix:?}: {tally:?}");
        assert_eq!(tally.done > 0, mix != Mix::Pinned, "{mix:?}: {tally:?}");
    }
    let mut rng = Rng(7);
    for _ in 0..512 {
        let start = (0..128).map(|_| anything(&mut rng)).collect();
        let vma = VmFlags::from_bits_truncate(rng.subset(VmFlags::all().bits(), 4));
        let asked = rng.subset(UnmapFlags::all().bits(), 4);
        let mut flags = UnmapFlags::from_bits_truncate(asked);
        if flags.intersects(UnmapFlags::NOT_WITH_MUNLOCK) {
            // Together they are no request.
            flags.remove(UnmapFlags::MUNLOCK);
        }
        let mm = Mm::new(rng.one_in(2), if rng.one_in(4) { 3 } else { u64::MAX });
        Population::<P>::of(vec![start], vma, flags, mm).check();
    }
}

/// How many of these pages are mapped more than once.
pub(crate) fn shared<P: PageLike>(pages: &[P]) -> usize {
    pages.iter().filter(|page| page.map_count() > 1).count()
}
