//! What only a walk brings to light: pages that change wrongly, and policies that are wrong.

use crate::liar::{Answer, Liar, Lie, with_lie};
use crate::pages::{CountedPage, FramePage, LargePage, PackedPage, PlainCells, WordPage};
use pinfold::conformance::{
    Answers, BuildPage, Case, CaseOutcome, MAX_ENTRIES, PageState, Reach, Rng, SuiteFailure,
    check_case, observe, suite,
};
use pinfold::invariants::{self, Broken};
use pinfold::pin::{Biased, PinKind, PinReading, Pins};
use pinfold::{
    Context, IgnorePins, Operation, PageFlags, PageLike, PageSnapshot, PinPolicy, PinVerdict,
    PteFlags, SkipOpportunistic, SkipPinned, UnmapFlags, VmFlags,
};

const FIRST: u64 = 0x10_0000_0000;

/// A huge page in swap with three dirty entries.
pub(crate) fn case() -> Case {
    Case {
        page: PageState {
            flags: PageFlags::ANON
                | PageFlags::SWAP_BACKED
                | PageFlags::SWAP_CACHE
                | PageFlags::THP,
            maps: 3,
            unexplained: 0,
            short: 0,
            longterm: 0,
            base_pages: 512,
        },
        flags: UnmapFlags::empty(),
        vmas: [VmFlags::empty(); 3],
        entries: [PteFlags::DIRTY; MAX_ENTRIES],
        len: 3,
        answers: Answers::default(),
        write_at: None,
        fail: None,
    }
}

fn pinned(kind: PinKind) -> Case {
    case().with_pin(kind)
}

fn check<P: BuildPage, L: PinPolicy>(
    lie: Lie,
    case: &Case,
    policy: L,
) -> Result<CaseOutcome, Broken> {
    with_lie(lie, || check_case::<Liar<P>, L>(case, policy))
}

#[test]
fn a_right_page_holds() {
    let policy = <SkipOpportunistic>::new();
    let held = check_case::<PlainCells, _>(&case(), policy);
    assert!(
        matches!(held, Ok(CaseOutcome::Held { taken: 3, .. })),
        "{held:?}"
    );
    let too_many = Case {
        page: PageState {
            unexplained: u32::MAX,
            ..case().page
        },
        ..case()
    };
    let held = check_case::<PlainCells, _>(&too_many, policy);
    assert_eq!(held, Ok(CaseOutcome::Unrepresentable));
}

#[test]
fn every_wrong_change_of_a_page_is_caught() {
    let policy = <SkipOpportunistic>::new();
    let plain = |lie, case: &Case| check::<PlainCells, _>(lie, case, policy);
    let word = |lie, case: &Case| check::<WordPage, _>(lie, case, policy);

    let first = Err(Broken::DirtyLost {
        address: Some(FIRST),
    });
    assert_eq!(plain(Lie::NeverDirty, &case()), first);

    let mut mlocked = case();
    mlocked.page.flags = PageFlags::ANON | PageFlags::DIRTY;
    mlocked.page.base_pages = 1;
    mlocked.vmas = [VmFlags::LOCKED; 3];
    let page = Err(Broken::DirtyLost { address: None });
    assert_eq!(plain(Lie::Overwrites, &mlocked), page);

    let kept = Err(Broken::MapsLost { fell: 0, taken: 3 });
    assert_eq!(plain(Lie::KeepsMapping, &case()), kept);
    let kept = Err(Broken::RefsLost { fell: 0, taken: 3 });
    assert_eq!(plain(Lie::KeepsReference, &case()), kept);

    let appearing = Case {
        answers: Answers {
            pin_at: Some((1, PinKind::Short)),
            ..Answers::default()
        },
        ..case()
    };
    let second = Err(Broken::PinAppearedUnmapped {
        address: FIRST + 0x1000,
    });
    assert_eq!(word(Lie::PinNotCounted, &appearing), second);
    let one_less = Err(Broken::RefsLost { fell: 2, taken: 1 });
    assert_eq!(word(Lie::PinWithoutReference, &appearing), one_less);

    // Wrong from the start, as the truth has it.
    let bias = Lie::Off(Answer::SnapshotRefs, -1024, None);
    let missed = Err(Broken::PinnedUnmapped {
        pins: 1,
        taken: 3,
        address: FIRST,
    });
    let raw = SkipOpportunistic::<Biased>::new();
    let found = check::<PlainCells, _>(bias, &pinned(PinKind::Short), raw);
    assert_eq!(found, missed);
    // Another answer after the walk than before it.
    let moved = Lie::Off(Answer::MapCount, 1, Some(1));
    let touched = Err(Broken::SkipTouched { what: "map count" });
    let skipped = check::<PlainCells, _>(moved, &pinned(PinKind::Short), SkipPinned);
    assert_eq!(skipped, touched);
    let moved = Lie::Off(Answer::BaseShift, 1, Some(2));
    let mismatch = Err(Broken::EntriesMismatch {
        before: 3,
        after: 3,
    });
    assert_eq!(plain(moved, &case()), mismatch);
}

/// That a page without a lie is as the page in it, so that it is the lie that is caught.
fn right<P: BuildPage>() {
    let found = suite::<Liar<P>>(7, 200);
    assert!(found.is_ok(), "{found:?}");
    assert_eq!(found, suite::<P>(7, 200));
}

#[test]
fn the_suite_holds_for_a_page_without_a_lie() {
    right::<PlainCells>();
    right::<PackedPage>();
    right::<FramePage>();
    right::<CountedPage>();
    right::<WordPage>();
    right::<LargePage>();
    right::<CountedPage>();
}

pub(crate) fn failure<P: BuildPage>(lie: Lie) -> SuiteFailure {
    with_lie(lie, || suite::<Liar<P>>(7, 2000)).expect_err("caught")
}

/// That the suite says this of a page with this lie.
macro_rules! caught {
    ($page:ty, $lie:expr, $broken:pat) => {{
        let broken = failure::<$page>($lie).broken;
        assert!(matches!(broken, $broken), "{:?}: {broken:?}", $lie);
    }};
}

#[test]
fn the_suite_catches_wrong_changes() {
    caught!(PlainCells, Lie::NeverDirty, Broken::DirtyLost { .. });
    caught!(
        PlainCells,
        Lie::Overwrites,
        Broken::DirtyLost { address: None }
    );
    caught!(
        PlainCells,
        Lie::KeepsMapping,
        Broken::MapsLost { fell: 0, .. }
    );
    caught!(
        PlainCells,
        Lie::KeepsReference,
        Broken::RefsLost { fell: 0, .. }
    );
    caught!(
        WordPage,
        Lie::PinNotCounted,
        Broken::PinAppearedUnmapped { .. }
    );
    caught!(
        PlainCells,
        Lie::PinWithoutReference,
        Broken::RefsLost { .. }
    );
}

#[test]
fn the_suite_catches_that_one_more_pin_unmaps() {
    // No case has 101 short pins at first: only the one with another pin does.
    caught!(
        PlainCells,
        Lie::CountsTo100,
        Broken::SkipBecameUnmap { taken: 1.. }
    );
    caught!(
        WordPage,
        Lie::CountsTo100,
        Broken::SkipBecameUnmap { taken: 1.. }
    );
}

#[test]
fn the_suite_catches_that_an_unpinned_page_ends_otherwise() {
    // A walk may stop at a pin that is not there: it loses nothing.
    caught!(
        WordPage,
        Lie::SeemsPinned,
        Broken::Unlike {
            what: "how the walk ended"
        }
    );
}

#[test]
fn the_suite_catches_a_page_that_is_built_only_at_times() {
    // The first case of this seed has a fault, so that it is walked twice.
    let seed = (0..)
        .find(|&seed| Case::random(Rng::new(seed).next_u64()).fail.is_some())
        .unwrap();
    // Of one case: six policies, one VMA or all, and each compares two builds.
    let mut missed = 0;
    for build in 0.. {
        match with_lie(Lie::NotBuilt(build), || suite::<Liar<PlainCells>>(seed, 1)) {
            Err(failure) => {
                assert_eq!(failure.broken, Broken::NotRebuilt);
                missed += 1;
            }
            Ok(tally) if tally.unrepresentable == 1 => assert_eq!(build, 0),
            Ok(tally) if build > 100 => {
                assert_eq!((tally.cases, tally.walks), (1, 24));
                break;
            }
            Ok(_) => {}
        }
    }
    assert_eq!(missed, 6 * 2 * 2);
}

#[test]
fn a_failure_tells_the_case_that_makes_it_again() {
    let found = failure::<PlainCells>(Lie::KeepsMapping);
    let mut seeds = Rng::new(7);
    let seed = (0..=found.index).map(|_| seeds.next_u64()).last().unwrap();
    assert_eq!(found.seed, seed);
    let again = check::<PlainCells, _>(
        Lie::KeepsMapping,
        &Case::random(seed).without_faults(),
        IgnorePins,
    );
    assert_eq!(again, Err(found.broken));

    let failure = SuiteFailure {
        index: 4,
        seed: 0xab,
        broken: Broken::NotRebuilt,
    };
    assert_eq!(
        failure.to_string(),
        format!("case 4 (seed 0xab): {}", Broken::NotRebuilt)
    );
    let source = core::error::Error::source(&failure).unwrap();
    assert_eq!(source.downcast_ref(), Some(&Broken::NotRebuilt));
}

/// A policy that skips the page where its function says so.
struct Asks<R>(fn(Pins) -> bool, core::marker::PhantomData<R>);

impl<R: PinReading> Asks<R> {
    const fn stops(when: fn(Pins) -> bool) -> Self {
        Self(when, core::marker::PhantomData)
    }
}

impl<R: PinReading> PinPolicy for Asks<R> {
    type Reading = R;

    fn verdict(&self, _: Operation, _: Context, pins: Pins) -> PinVerdict {
        if (self.0)(pins) {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Proceed
        }
    }
}

/// A reading that sees no pin.
struct Blind;

impl PinReading for Blind {
    fn read_with<P: PageLike + ?Sized>(_: &P, _: PageSnapshot) -> Pins {
        Pins::None
    }
}

/// A reading that sees a pin wherever it looks.
struct Ghosts;

impl PinReading for Ghosts {
    fn read_with<P: PageLike + ?Sized>(_: &P, _: PageSnapshot) -> Pins {
        Pins::Maybe {
            estimate: 1,
            longterm: None,
        }
    }
}

const fn always(_: Pins) -> bool {
    true
}

const fn one_alone(pins: Pins) -> bool {
    matches!(pins, Pins::Exactly(count) if count.total == 1)
}

#[test]
fn a_reading_that_misses_pins_is_caught() {
    let blind = Asks::<Blind>::stops(Pins::maybe_pinned);
    let missed = Broken::PinnedUnmapped {
        pins: 1,
        taken: 3,
        address: FIRST,
    };
    for kind in [PinKind::Short, PinKind::Longterm] {
        let found = check_case::<PlainCells, _>(&pinned(kind), &blind);
        assert_eq!(found, Err(missed));
    }
    // Without pins there is nothing to miss, and it ends as if nobody looked.
    assert!(check_case::<PlainCells, _>(&case(), &blind).is_ok());
    assert_eq!(alike::<WordPage, _>(&blind), Ok(()));
}

#[test]
fn a_policy_that_gives_way_to_more_pins_is_caught() {
    let policy = Asks::<Biased>::stops(one_alone);
    let two = pinned(PinKind::Short).with_pin(PinKind::Short);
    let found = check_case::<WordPage, _>(&two, &policy);
    let unmapped = Broken::PinnedUnmapped {
        pins: 2,
        taken: 3,
        address: FIRST,
    };
    assert_eq!(found, Err(unmapped));

    let run = |case| observe::<WordPage, _>(case, &policy, Reach::OneVma).unwrap();
    let (fewer, more) = (run(&pinned(PinKind::Short)), run(&two));
    let became = Broken::SkipBecameUnmap { taken: 3 };
    let monotone = invariants::monotone(&fewer.walk(), &more.walk());
    assert_eq!(monotone, Err(became));
    assert_eq!(invariants::monotone(&more.walk(), &fewer.walk()), Ok(()));
}

/// Whether the case without pins ends as it does where nobody looks.
fn alike<P: BuildPage, L: PinPolicy>(policy: &L) -> Result<(), Broken> {
    let one = observe::<P, _>(&case(), policy, Reach::AllVmas).unwrap();
    let other = observe::<P, _>(&case(), &IgnorePins, Reach::AllVmas).unwrap();
    invariants::alike(&one.walk(), &other.walk())
}

#[test]
fn a_reading_that_invents_pins_is_caught() {
    let ghosts = Asks::<Ghosts>::stops(Pins::maybe_pinned);
    let unlike = Broken::Unlike {
        what: "how the walk ended",
    };
    assert_eq!(alike::<PlainCells, _>(&ghosts), Err(unlike));
    let right = Asks::<Biased>::stops(Pins::maybe_pinned);
    assert_eq!(alike::<PlainCells, _>(&right), Ok(()));
}

#[test]
fn a_policy_that_stops_without_pins_is_not_asked_and_is_caught_by_its_contract() {
    let always = Asks::<Biased>::stops(always);
    assert_eq!(alike::<PlainCells, _>(&always), Ok(()));
    let operation = Operation::Reclaim;
    let stops = Broken::PolicyStopsUnpinned { operation };
    assert_eq!(invariants::policy(&always), Err(stops));
    let gives_back = invariants::policy(&Asks::<Biased>::stops(one_alone));
    assert!(
        matches!(gives_back, Err(Broken::PolicyGivesBack { .. })),
        "{gives_back:?}"
    );
}
