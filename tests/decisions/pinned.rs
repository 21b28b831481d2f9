//! A pinned page keeps every entry, whatever is asked, unless the request is forced or the page is
//! poisoned.
//!
//! What is forced is written down here once more, from the flags alone.

use crate::pages::PlainCells;
use core::convert::Infallible;
use pinfold::conformance::{Answers, Case, MAX_VMAS, Observed, PageState, Reach, observe};
use pinfold::invariants::{self, EntryKind, WalkEnd};
use pinfold::pin::{PinKind, Pins, Refined};
use pinfold::reclaim::{
    Fate, PageOps, Referenced, Removal, ScanControl, ScanFlags, Stats, shrink_page,
};
use pinfold::{
    Attempt, BadFlags, Context, FlushDebt, IgnorePins, Operation, Outcome, PageFlags, PinMode,
    PinPolicy, PinVerdict, PlainPage, PteFlags, SkipLongterm, SkipOpportunistic, SkipPinned,
    UnmapError, UnmapFlags, UnmapRequest, VmFlags,
};

const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);

const KINDS: [PageFlags; 12] = [
    SWAP,
    SWAP.union(PageFlags::THP),
    PageFlags::ANON,
    PageFlags::ANON.union(PageFlags::THP),
    PageFlags::PAGE_CACHE,
    PageFlags::PAGE_CACHE.union(PageFlags::SWAP_BACKED),
    PageFlags::PAGE_CACHE.union(PageFlags::HUGETLB),
    PageFlags::ANON.union(PageFlags::HUGETLB),
    PageFlags::ANON
        .union(PageFlags::ZONE_DEVICE)
        .union(PageFlags::DEVICE_PRIVATE),
    PageFlags::ZONE_DEVICE,
    SWAP.union(PageFlags::KSM),
    PageFlags::ANON.union(PageFlags::SWAP_BACKED),
];

/// What MUNLOCK must not be combined with.
const CHANGES: UnmapFlags = UnmapFlags::MIGRATION
    .union(UnmapFlags::SPLIT_HUGE_PMD)
    .union(UnmapFlags::IGNORE_MLOCK)
    .union(UnmapFlags::SPLIT_FREEZE);

fn is_bad_munlock(flags: UnmapFlags) -> bool {
    flags.contains(UnmapFlags::MUNLOCK) && flags.intersects(CHANGES)
}

fn every_request() -> impl Iterator<Item = UnmapFlags> {
    (0..1 << 10).map(|bits: u32| {
        UnmapFlags::from_bits(bits & 0x1ff | (bits >> 9) << 16).expect("ten bits are known")
    })
}

/// A pinned page of this kind with two entries, one of them a PMD if `pmd`.
fn pinned(flags: UnmapFlags, kind: PageFlags, vma: VmFlags, pmd: bool, pin: PinKind) -> Case {
    let mut entries = [PteFlags::DIRTY; 8];
    if pmd {
        entries[0] |= PteFlags::PMD;
    }
    Case {
        page: PageState {
            flags: kind,
            maps: 2,
            unexplained: 0,
            short: 0,
            longterm: 0,
            base_pages: if kind.is_compound() { 512 } else { 1 },
        },
        flags,
        vmas: [vma; MAX_VMAS],
        entries,
        len: 2,
        answers: Answers::default(),
        write_at: None,
        fail: None,
    }
    .with_pin(pin)
}

/// Calls `check` for all requests, kinds of pages, VMAs, entries, pins and walks.
fn every_case(mut check: impl FnMut(&Case, Reach)) -> u32 {
    let mut cases = 0;
    for flags in every_request() {
        for kind in KINDS {
            for state in [PageFlags::empty(), PageFlags::HWPOISON] {
                for vma in [VmFlags::empty(), VmFlags::LOCKED] {
                    for pmd in [false, true] {
                        for pin in [PinKind::Short, PinKind::Longterm] {
                            let case = pinned(flags, kind | state, vma, pmd, pin);
                            check(&case, Reach::OneVma);
                            check(&case, Reach::AllVmas);
                            cases += 2;
                        }
                    }
                }
            }
        }
    }
    cases
}

/// Whether entries may go although the page is pinned.
fn may_go(flags: UnmapFlags, page: PageFlags) -> bool {
    let other = UnmapFlags::OPPORTUNISTIC
        | UnmapFlags::MUNLOCK
        | UnmapFlags::MIGRATION
        | UnmapFlags::SPLIT_FREEZE;
    let forced = flags.contains(UnmapFlags::IGNORE_MLOCK) && !flags.intersects(other);
    forced || page.contains(PageFlags::HWPOISON)
}

/// The case, run; `None` if the request is refused.
fn run<L: PinPolicy>(case: &Case, policy: &L, reach: Reach) -> Option<Observed> {
    let observed = observe::<PlainCells, L>(case, policy, reach);
    let refused = policy.mode() == PinMode::PerPage && is_bad_munlock(case.flags);
    assert_eq!(observed.is_none(), refused, "{case:?}");
    observed
}

/// Runs a case and asserts that nothing about the page was touched, if nothing may be.
fn keeps_every_entry<L: PinPolicy>(policy: &L, case: &Case, reach: Reach) {
    let Some(observed) = run(case, policy, reach) else {
        return;
    };
    let walk = observed.walk();
    invariants::walk(&walk).unwrap_or_else(|broken| panic!("{broken}: {reach:?}, {case:?}"));
    if !may_go(case.flags, case.page.flags) {
        let what = || format!("{:?}: {reach:?}, {case:?}", walk.ending.how);
        assert!(
            walk.after
                .entries
                .iter()
                .zip(walk.before.entries)
                .all(|(after, before)| after == before && after.kind == EntryKind::Present),
            "an entry went, {}",
            what()
        );
        assert_eq!(walk.after.books.removed, 0, "{}", what());
    }
}

/// The verdicts of the default policy, asked in each VMA.
struct DefaultPerVma;

impl PinPolicy for DefaultPerVma {
    type Reading = Refined;

    fn mode(&self) -> PinMode {
        PinMode::PerVma
    }

    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        <SkipOpportunistic>::new().verdict(operation, context, pins)
    }
}

#[test]
fn a_pinned_page_keeps_every_entry_under_every_request() {
    let (any, longterm) = (<SkipOpportunistic>::new(), <SkipLongterm>::new());
    let cases = every_case(|case, reach| {
        keeps_every_entry(&any, case, reach);
        keeps_every_entry(&DefaultPerVma, case, reach);
        if case.page.longterm > 0 {
            keeps_every_entry(&longterm, case, reach);
        }
    });
    println!("pinned pages: {cases} cases");
}

#[test]
fn bookkeeping_that_takes_entries_is_no_request() {
    for flags in every_request() {
        let wrong = is_bad_munlock(flags);
        let refused = Err(BadFlags::Munlock(flags & CHANGES));
        let expected = if wrong { refused } else { Ok(flags) };
        assert_eq!(UnmapRequest::new(flags).map(|r| r.flags()), expected);
        let longterm = <SkipLongterm>::new();
        let asked = UnmapRequest::under(flags, longterm).map(|r| r.flags());
        assert_eq!(asked, expected);
        // As Linux carries it out.
        let asked = UnmapRequest::under(flags, IgnorePins).map(|r| r.flags());
        assert_eq!(asked, Ok(flags));
        let asked = UnmapRequest::under(flags, SkipPinned).map(|r| r.flags());
        assert_eq!(asked, Ok(flags));
        let scan = ScanControl::new(ScanFlags::MAY_UNMAP).with_unmap_flags(flags);
        assert_eq!(scan.is_err(), flags.contains(UnmapFlags::MUNLOCK));
    }
}

/// Says one thing of every pinned page, in one mode.
struct Says<const MODE: u8>(PinVerdict);

impl<const MODE: u8> PinPolicy for Says<MODE> {
    type Reading = Refined;

    fn mode(&self) -> PinMode {
        [PinMode::Ignore, PinMode::PerVma, PinMode::PerPage][MODE as usize]
    }

    fn verdict(&self, _: Operation, _: Context, pins: Pins) -> PinVerdict {
        assert!(self.mode() != PinMode::Ignore, "asked all the same");
        if pins.maybe_pinned() {
            self.0
        } else {
            PinVerdict::Proceed
        }
    }
}

fn never_unmapped<L: PinPolicy>(policy: &L) {
    every_case(|case, reach| {
        let Some(observed) = run(case, policy, reach) else {
            return;
        };
        let walk = observed.walk();
        assert_eq!(walk.after.books.removed, 0, "{reach:?}, {case:?}");
        assert_eq!(
            walk.before.entries, walk.after.entries,
            "{reach:?}, {case:?}"
        );
        assert_eq!(walk.after.maps, 2, "{reach:?}, {case:?}");
    });
}

#[test]
fn what_a_policy_does_not_let_go_is_never_unmapped() {
    for verdict in [
        PinVerdict::NextVma,
        PinVerdict::SkipPage,
        PinVerdict::Refuse,
    ] {
        never_unmapped(&Says::<1>(verdict));
        never_unmapped(&Says::<2>(verdict));
    }
}

/// Only in each VMA is there a next one that asks.
#[test]
fn next_vma_is_read_as_skip_where_the_page_is_asked_about() {
    let page = PlainPage {
        flags: SWAP,
        refs: 3 + 1024,
        maps: 1,
        pins: None,
        base_pages: 1,
    };
    let said = |verdict| {
        let request = UnmapRequest::new(UnmapFlags::empty()).expect("known");
        let per_vma = request.with_policy(Says::<1>(verdict)).ask(&page).0;
        let per_page = request.with_policy(Says::<2>(verdict)).ask(&page).0;
        (per_vma, per_page)
    };
    let (next, skip) = (PinVerdict::NextVma, PinVerdict::SkipPage);
    assert_eq!(said(next), (next, skip));
    for other in [PinVerdict::Proceed, skip, PinVerdict::Refuse] {
        assert_eq!(said(other), (other, other));
    }
}

#[test]
fn what_a_policy_lets_go_goes_as_without_one() {
    every_case(|case, reach| {
        let bare = run(case, &IgnorePins, reach).expect("not refused");
        let never_asked = Says::<0>(PinVerdict::SkipPage);
        let others = [
            run(case, &never_asked, reach),
            run(case, &Says::<1>(PinVerdict::Proceed), reach),
            run(case, &Says::<2>(PinVerdict::Proceed), reach),
        ];
        for (mode, other) in others.into_iter().enumerate() {
            let Some(other) = other else {
                continue;
            };
            let alike = invariants::alike(&bare.walk(), &other.walk());
            assert_eq!(alike, Ok(()), "mode {mode}, {reach:?}, {case:?}");
        }
    });
}

/// A PMD entry of a page that is not a transparent huge page is where Linux 5.8 halts
/// (`VM_BUG_ON_PAGE(PageHuge(page) || !PageTransCompound(page))` under MIGRATION, `VM_BUG_ON` of a
/// missing PTE elsewhere).
#[test]
fn a_pmd_of_a_page_that_is_not_huge_is_never_taken() {
    let mut migrations = 0;
    every_case(|case, reach| {
        let huge = case.page.flags.contains(PageFlags::THP);
        let case = case.without_pins();
        let split = case.flags.contains(UnmapFlags::SPLIT_HUGE_PMD);
        if huge || split || !case.entries[0].contains(PteFlags::PMD) {
            return;
        }
        let observed = run(&case, &IgnorePins, reach).expect("not refused");
        let walk = observed.walk();
        let entry = walk.after.entries[0];
        assert_eq!(entry.kind, EntryKind::Present, "{reach:?}, {case:?}");
        if case.flags.contains(UnmapFlags::MIGRATION) && walk.after.books.begins > 0 {
            assert_eq!(walk.ending.how, WalkEnd::Failed, "{reach:?}, {case:?}");
            migrations += 1;
        }
    });
    assert!(migrations > 1000, "{migrations}");
}

/// A scan's operations on one page, of which only the question before unmapping matters.
#[derive(Default)]
struct Unmaps {
    verdicts: Vec<PinVerdict>,
    flags: Vec<UnmapFlags>,
}

impl PageOps for Unmaps {
    type Page = PlainPage;
    type Error = Infallible;

    fn update(&mut self, _: &PlainPage, _: PageFlags, _: PageFlags) {}
    fn referenced(&mut self, _: &PlainPage) -> Referenced {
        Referenced::default()
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &PlainPage,
        request: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        self.flags.push(request.flags());
        let (verdict, pins) = request.ask(page);
        self.verdicts.push(verdict);
        Ok(Outcome::Skipped(pins))
    }
    fn remove(&mut self, _: &PlainPage, _: Removal) -> Attempt {
        Attempt::Refused
    }
    fn flush_tlb(&mut self) {}
}

/// What a scan without the hint, whose caller asks for these flags too, asks of the unmap.
fn reclaims<L: PinPolicy>(policy: L, unmap: UnmapFlags) -> Unmaps {
    let page = PlainPage {
        flags: PageFlags::PAGE_CACHE,
        refs: 3 + 1024,
        maps: 1,
        pins: None,
        base_pages: 1,
    };
    let control = ScanControl::new(ScanFlags::MAY_UNMAP | ScanFlags::NO_PIN_HINT)
        .with_policy(policy)
        .with_unmap_flags(unmap)
        .expect("known");
    let mut ops = Unmaps::default();
    let fate = shrink_page(&page, &control, &mut ops, &mut Stats::default());
    assert!(!matches!(fate, Fate::Freed), "{fate:?}");
    ops
}

/// `IGNORE_MLOCK` alone is a forced unmap; reclaim is none, in any mode that reads pins.
#[test]
fn reclaim_is_opportunistic_whatever_its_caller_adds() {
    for unmap in every_request().filter(|flags| !flags.contains(UnmapFlags::MUNLOCK)) {
        let unmap = unmap.difference(UnmapFlags::OPPORTUNISTIC);
        let modes = [
            reclaims(<SkipOpportunistic>::new(), unmap),
            reclaims(DefaultPerVma, unmap),
        ];
        for (mode, ops) in modes.iter().enumerate() {
            let [verdict] = ops.verdicts[..] else {
                panic!("asked {:?}, mode {mode}, {unmap:?}", ops.verdicts);
            };
            assert!(!verdict.proceeds(), "{verdict:?}, mode {mode}, {unmap:?}");
        }
        let bare = reclaims(IgnorePins, unmap);
        assert!(!bare.flags[0].contains(UnmapFlags::OPPORTUNISTIC));
    }
}
