//! What a suite counts is what its walks did.

use crate::pages::{FramePage, LargePage, PlainCells, WordPage};
use pinfold::conformance::{
    BuildPage, Case, Fallible, Observed, Reach, Rng, Tally, observe, suite,
};
use pinfold::invariants::{EntryKind, WalkEnd};
use pinfold::pin::{Biased, Refined};
use pinfold::unmap::Verdict;
use pinfold::{IgnorePins, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};

const SEED: u64 = 11;
const CASES: u64 = 300;

fn count(tally: &mut Tally, observed: &Observed) {
    let ending = observed.ending();
    tally.walks += 1;
    let walk = observed.walk();
    let gone = walk.before.entries.iter().zip(walk.after.entries);
    let gone =
        gone.filter(|(old, new)| old.kind == EntryKind::Present && new.kind != EntryKind::Present);
    tally.taken += gone.count() as u64;
    tally.skips += u64::from(ending.how.is_pin_skip());
    tally.stops += u64::from(matches!(ending.how, WalkEnd::InVma(Verdict::Stopped(_))));
    tally.failures += u64::from(ending.how == WalkEnd::Failed);
    tally.contended += u64::from(
        observed
            .hit()
            .is_some_and(|hit| hit.method == Fallible::NextVma),
    );
    tally.pins_appeared += u64::from(observed.walk().pin_appeared.is_some());
}

fn walk<P: BuildPage, L: PinPolicy>(case: &Case, policy: &L, tally: &mut Tally) {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let faulty = case.fail.is_some();
        let runs = [Some(case.without_faults()), faulty.then_some(*case)];
        for case in runs.iter().flatten() {
            if let Some(observed) = observe::<P, L>(case, policy, reach) {
                count(tally, &observed);
            }
        }
    }
}

/// The same cases, walk by walk.
fn counted<P: BuildPage>() -> Tally {
    let mut tally = Tally::default();
    let mut seeds = Rng::new(SEED);
    for _ in 0..CASES {
        let case = Case::random(seeds.next_u64());
        tally.cases += 1;
        if P::build(&case.page).is_none() {
            tally.unrepresentable += 1;
            continue;
        }
        walk::<P, _>(&case, &IgnorePins, &mut tally);
        walk::<P, _>(&case, &SkipPinned, &mut tally);
        walk::<P, _>(&case, &SkipOpportunistic::<Refined>::new(), &mut tally);
        walk::<P, _>(&case, &SkipOpportunistic::<Biased>::new(), &mut tally);
        walk::<P, _>(&case, &SkipLongterm::<Refined>::new(), &mut tally);
        walk::<P, _>(&case, &SkipLongterm::<Biased>::new(), &mut tally);
    }
    tally
}

#[test]
fn a_tally_is_the_sum_of_the_walks() {
    assert_eq!(
        suite::<PlainCells>(SEED, CASES),
        Ok(counted::<PlainCells>())
    );
    assert_eq!(suite::<FramePage>(SEED, CASES), Ok(counted::<FramePage>()));
    assert_eq!(suite::<WordPage>(SEED, CASES), Ok(counted::<WordPage>()));
    assert_eq!(suite::<LargePage>(SEED, CASES), Ok(counted::<LargePage>()));
}

#[test]
fn a_tally_says_all_its_numbers() {
    let mut tally = Tally::default();
    for (at, field) in [
        &mut tally.cases,
        &mut tally.unrepresentable,
        &mut tally.walks,
        &mut tally.taken,
        &mut tally.skips,
        &mut tally.stops,
        &mut tally.failures,
        &mut tally.contended,
        &mut tally.pins_appeared,
    ]
    .into_iter()
    .enumerate()
    {
        *field = 10 + at as u64;
    }
    assert_eq!(
        tally.to_string(),
        "10 cases, 11 unrepresentable, 12 walks: 13 entries taken, 14 skips, 15 stops, \
         16 failures, 17 contended, 18 pins appeared"
    );
}
