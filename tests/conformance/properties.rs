//! One property for each invariant, over all representations and policies, named after it.

use crate::pages::{CountedPage, FramePage, LargePage, PackedPage, PlainCells, WordPage};
use crate::strategy::{case, faulty_case};
use pinfold::conformance::{
    BuildPage, Case, Fallible, Injected, Observed, Reach, check_case, check_page, check_readings,
    observe,
};
use pinfold::invariants::{self, Broken, Walk, WalkEnd};
use pinfold::pin::{Biased, PinKind, Refined};
use pinfold::{
    IgnorePins, Outcome, PinMode, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned,
    UnmapFlags,
};
use proptest::prelude::*;

type Check = fn(&Walk<'_>) -> Result<(), Broken>;
type Pair = fn(&Walk<'_>, &Walk<'_>) -> Result<(), Broken>;

/// `$f::<$page, $policy>($policy, ...)` for all policies.
macro_rules! each_policy {
    ($page:ty, $f:ident($($arg:expr),*)) => {{
        $f::<$page, _>(&IgnorePins, $($arg),*)?;
        $f::<$page, _>(&SkipPinned, $($arg),*)?;
        $f::<$page, _>(&SkipOpportunistic::<Refined>::new(), $($arg),*)?;
        $f::<$page, _>(&SkipOpportunistic::<Biased>::new(), $($arg),*)?;
        $f::<$page, _>(&SkipLongterm::<Refined>::new(), $($arg),*)?;
        $f::<$page, _>(&SkipLongterm::<Biased>::new(), $($arg),*)?;
    }};
}

/// The same for all representations.
macro_rules! each {
    ($f:ident($($arg:expr),*)) => {{
        each_policy!(PlainCells, $f($($arg),*));
        each_policy!(PackedPage, $f($($arg),*));
        each_policy!(FramePage, $f($($arg),*));
        each_policy!(WordPage, $f($($arg),*));
        each_policy!(LargePage, $f($($arg),*));
        each_policy!(CountedPage, $f($($arg),*));
    }};
}

fn named<P>(broken: Broken) -> TestCaseError {
    TestCaseError::fail(format!("{}: {broken}", core::any::type_name::<P>()))
}

/// The walk of a case, over one VMA and over all.
fn holds<P: BuildPage, L: PinPolicy>(
    policy: &L,
    case: &Case,
    check: Check,
) -> Result<(), TestCaseError> {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        if let Some(observed) = observe::<P, L>(case, policy, reach) {
            check(&observed.walk()).map_err(named::<P>)?;
        }
    }
    Ok(())
}

/// Two walks, the second with another pin or under another policy.
fn both(one: Option<Observed>, other: Option<Observed>, check: Pair) -> Result<(), TestCaseError> {
    if let (Some(one), Some(other)) = (one, other) {
        check(&one.walk(), &other.walk()).map_err(named::<()>)?;
    }
    Ok(())
}

fn more_pins<P: BuildPage, L: PinPolicy>(policy: &L, case: &Case) -> Result<(), TestCaseError> {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        for kind in [PinKind::Short, PinKind::Longterm] {
            let more = observe::<P, L>(&case.with_pin(kind), policy, reach);
            let fewer = observe::<P, L>(case, policy, reach);
            both(fewer, more, invariants::monotone)?;
        }
    }
    Ok(())
}

fn as_without_policy<P: BuildPage, L: PinPolicy>(
    policy: &L,
    case: &Case,
) -> Result<(), TestCaseError> {
    if refused(policy, case) {
        return Ok(());
    }
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let one =
            observe::<P, L>(&case.without_pins(), policy, reach).filter(Observed::reads_unpinned);
        let other = observe::<P, _>(&case.without_pins(), &IgnorePins, reach);
        both(one, other, invariants::alike)?;
    }
    Ok(())
}

/// Whether the request is refused, whatever the page.
fn refused<L: PinPolicy>(policy: &L, case: &Case) -> bool {
    policy.mode() == PinMode::PerPage
        && case.flags.contains(UnmapFlags::MUNLOCK)
        && case.flags.intersects(UnmapFlags::NOT_WITH_MUNLOCK)
}

/// Munlock bookkeeping, poison handling and forced unmaps go as they go under `IgnorePins`. Requests
/// that are refused whatever the page do not.
fn forced_goes_on<P: BuildPage, L: PinPolicy>(
    policy: &L,
    case: &Case,
) -> Result<(), TestCaseError> {
    use pinfold::Operation;
    let forced = matches!(
        Operation::of(case.flags, case.page.flags),
        Operation::Unmap | Operation::Poison | Operation::Munlock
    );
    // The seed patch hinders these too.
    if !forced || policy.mode() == PinMode::PerVma || refused(policy, case) {
        return Ok(());
    }
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let Some(observed) = observe::<P, L>(case, policy, reach) else {
            continue;
        };
        let how = observed.ending().how;
        prop_assert!(!how.is_pin_skip(), "{how:?}");
        let other = observe::<P, _>(case, &IgnorePins, reach);
        both(Some(observed), other, invariants::alike)?;
    }
    Ok(())
}

/// How a walk ends after this call.
pub(crate) fn ends_as(hit: Injected) -> WalkEnd {
    match hit.method {
        Fallible::NextVma => WalkEnd::InAll(Outcome::Contended),
        _ => WalkEnd::Failed,
    }
}

fn fails_quietly<P: BuildPage, L: PinPolicy>(policy: &L, case: &Case) -> Result<(), TestCaseError> {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let Some(observed) = observe::<P, L>(case, policy, reach) else {
            continue;
        };
        if let Some(hit) = observed.hit() {
            prop_assert_eq!(observed.ending().how, ends_as(hit));
        }
        observed.check_all().map_err(named::<P>)?;
    }
    Ok(())
}

fn one_vma<P: BuildPage, L: PinPolicy + Copy>(
    policy: &L,
    case: &Case,
) -> Result<(), TestCaseError> {
    check_case::<P, L>(case, *policy)
        .map(drop)
        .map_err(named::<P>)
}

fn page<P: BuildPage>(case: &Case) -> Result<(), TestCaseError> {
    if let Some(page) = P::build(&case.page) {
        check_page(&case.page, &page).map_err(named::<P>)?;
        check_readings(&case.page, &page).map_err(named::<P>)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn readings_miss_no_pin_and_pages_keep_their_contract(case in case()) {
        page::<PlainCells>(&case)?;
        page::<PackedPage>(&case)?;
        page::<FramePage>(&case)?;
        page::<WordPage>(&case)?;
        page::<LargePage>(&case)?;
        page::<CountedPage>(&case)?;
    }

    #[test]
    fn a_pinned_page_is_not_unmapped(case in case()) {
        each!(holds(&case, invariants::pinned_stays));
    }

    #[test]
    fn a_pin_that_appears_is_seen(case in case()) {
        each!(holds(&case, invariants::second_look));
    }

    #[test]
    fn a_skip_touches_nothing(case in case()) {
        each!(holds(&case, invariants::skip_touches_nothing));
    }

    #[test]
    fn more_pins_never_unmap(case in case()) {
        each!(more_pins(&case));
    }

    #[test]
    fn without_pins_all_policies_are_alike(case in case()) {
        each!(as_without_policy(&case));
    }

    #[test]
    fn what_must_be_done_is_not_hindered(case in case()) {
        each!(forced_goes_on(&case));
    }

    #[test]
    fn mlocked_vmas_are_left_alone(case in case()) {
        each!(holds(&case, invariants::mlocked_stays));
    }

    #[test]
    fn no_entry_mapping_or_reference_is_lost(case in case()) {
        each!(holds(&case, invariants::nothing_lost));
    }

    #[test]
    fn entries_in_place_keep_their_bits(case in case()) {
        each!(holds(&case, invariants::in_place));
    }

    #[test]
    fn no_dirty_bit_is_lost(case in case()) {
        each!(holds(&case, invariants::dirty_kept));
    }

    #[test]
    fn no_swap_slot_is_lost(case in case()) {
        each!(holds(&case, invariants::slots));
    }

    #[test]
    fn counters_follow_the_entries(case in case()) {
        each!(holds(&case, invariants::counters));
    }

    #[test]
    fn flushes_are_done_or_owed(case in case()) {
        each!(holds(&case, invariants::flushes));
    }

    #[test]
    fn invalidations_that_begin_end(case in case()) {
        each!(holds(&case, invariants::notifier));
    }

    #[test]
    fn one_vma_holds_all(case in faulty_case()) {
        each!(one_vma(&case));
    }

    #[test]
    fn nothing_is_lost_when_a_call_fails(case in faulty_case()) {
        each!(fails_quietly(&case));
    }
}
