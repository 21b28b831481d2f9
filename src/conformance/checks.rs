//! The suite: what it checks, and what it counts.

use super::{BuildPage, Case, PageState, Reach, Rng, observe};
use crate::debug::debug_fields;
use crate::invariants::{self, Broken, WalkEnd};
use crate::page::PageLike;
use crate::pin::{Biased, PinKind, PinReading, Refined};
use crate::policy::{IgnorePins, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};
use crate::rmap::Outcome;
use crate::unmap::Verdict;
use core::fmt;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CaseOutcome {
    /// The representation cannot hold the page.
    Unrepresentable,
    /// It was run, and every invariant held.
    Held {
        /// How the walk ended.
        how: WalkEnd,
        /// How many entries it took.
        taken: u32,
        /// Whether a pin appeared while an entry was being cleared.
        pin_appeared: bool,
    },
}

/// Runs one case over one VMA under one policy, and checks all
/// [invariants of a walk](invariants::walk).
///
/// # Errors
///
/// The first invariant that does not hold.
pub fn check_case<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: L,
) -> Result<CaseOutcome, Broken> {
    check_reach::<P, L>(case, &policy, Reach::OneVma)
}

fn check_reach<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: &L,
    reach: Reach,
) -> Result<CaseOutcome, Broken> {
    let Some(observed) = observe::<P, L>(case, policy, reach) else {
        return Ok(CaseOutcome::Unrepresentable);
    };
    observed.check_all()?;
    Ok(CaseOutcome::Held {
        how: observed.ending().how,
        taken: invariants::gone(&observed.walk()),
        pin_appeared: observed.walk().pin_appeared.is_some(),
    })
}

/// What a suite has run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Cases that were made.
    pub cases: u64,
    /// Cases whose page the representation cannot hold.
    pub unrepresentable: u64,
    /// Walks that were run.
    pub walks: u64,
    /// Entries that they took.
    pub taken: u64,
    /// Walks that skipped or refused the page because of its pins.
    pub skips: u64,
    /// Walks that stopped at an entry.
    pub stops: u64,
    /// Walks that ended with an error.
    pub failures: u64,
    /// Walks that found the reverse map locked by somebody else.
    pub contended: u64,
    /// Walks during which a pin appeared.
    pub pins_appeared: u64,
}

debug_fields!(Tally {
    cases,
    unrepresentable,
    walks,
    taken,
    skips,
    stops,
    failures,
    contended,
    pins_appeared,
});

impl Tally {
    fn add(&mut self, what: CaseOutcome) {
        let CaseOutcome::Held {
            how,
            taken,
            pin_appeared,
        } = what
        else {
            return;
        };
        let count = |counter: &mut u64, by: u32| *counter = counter.saturating_add(by.into());
        count(&mut self.walks, 1);
        count(&mut self.taken, taken);
        count(&mut self.skips, how.is_pin_skip().into());
        let stopped = matches!(how, WalkEnd::InVma(Verdict::Stopped(_)));
        count(&mut self.stops, stopped.into());
        count(&mut self.failures, (how == WalkEnd::Failed).into());
        let contended = how == WalkEnd::InAll(Outcome::Contended);
        count(&mut self.contended, contended.into());
        count(&mut self.pins_appeared, pin_appeared.into());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cases,
            unrepresentable,
            walks,
            ..
        } = self;
        write!(
            f,
            "{cases} cases, {unrepresentable} unrepresentable, {walks} walks: {} entries taken, {} \
             skips, {} stops, {} failures, {} contended, {} pins appeared",
            self.taken, self.skips, self.stops, self.failures, self.contended, self.pins_appeared
        )
    }
}

/// The case at which a suite failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SuiteFailure {
    /// Which case it was, counted from 0.
    pub index: u64,
    /// The seed that makes it again: [`Case::random`].
    pub seed: u64,
    /// What broke.
    pub broken: Broken,
}

impl fmt::Display for SuiteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            seed,
            broken,
        } = self;
        write!(f, "case {index} (seed {seed:#x}): {broken}")
    }
}

impl core::error::Error for SuiteFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.broken)
    }
}

/// Puts a page representation through `cases` random cases.
///
/// Of each: the page's own contract, the readings, and under all policies of the crate, over one
/// VMA and over several, with faults and without: the invariants of the walk, that without pins they
/// end alike, and that more pins never unmap what fewer kept.
///
/// # Errors
///
/// The first case at which something broke.
pub fn suite<P: BuildPage>(seed: u64, cases: u64) -> Result<Tally, SuiteFailure> {
    let mut tally = Tally::default();
    let mut seeds = Rng::new(seed);
    for index in 0..cases {
        let seed = seeds.next_u64();
        one_case::<P>(&Case::random(seed), &mut tally).map_err(|broken| SuiteFailure {
            index,
            seed,
            broken,
        })?;
    }
    Ok(tally)
}

fn one_case<P: BuildPage>(case: &Case, tally: &mut Tally) -> Result<(), Broken> {
    tally.cases = tally.cases.saturating_add(1);
    let Some(page) = P::build(&case.page) else {
        tally.unrepresentable = tally.unrepresentable.saturating_add(1);
        return Ok(());
    };
    check_page(&case.page, &page)?;
    check_readings(&case.page, &page)?;
    under::<P, _>(case, &IgnorePins, tally)?;
    under::<P, _>(case, &SkipPinned, tally)?;
    under::<P, _>(case, &SkipOpportunistic::<Refined>::new(), tally)?;
    under::<P, _>(case, &SkipOpportunistic::<Biased>::new(), tally)?;
    under::<P, _>(case, &SkipLongterm::<Refined>::new(), tally)?;
    under::<P, _>(case, &SkipLongterm::<Biased>::new(), tally)
}

fn under<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: &L,
    tally: &mut Tally,
) -> Result<(), Broken> {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let quiet = case.without_faults();
        tally.add(check_reach::<P, L>(&quiet, policy, reach)?);
        if *case != quiet {
            tally.add(check_reach::<P, L>(case, policy, reach)?);
        }
        check_monotone::<P, L>(&quiet, policy, reach)?;
        check_alike::<P, L>(&quiet, policy, reach)?;
    }
    Ok(())
}

/// One more pin, of either kind, unmaps nothing that was skipped without it.
fn check_monotone<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: &L,
    reach: Reach,
) -> Result<(), Broken> {
    let Some(fewer) = observe::<P, L>(case, policy, reach) else {
        return Ok(());
    };
    for kind in [PinKind::Short, PinKind::Longterm] {
        if let Some(more) = observe::<P, L>(&case.with_pin(kind), policy, reach) {
            invariants::monotone(&fewer.walk(), &more.walk())?;
        }
    }
    Ok(())
}

/// Where the policy's reading sees no pin, it ends as the policy does that never looks, unless the
/// request is refused whatever the page.
fn check_alike<P: BuildPage, L: PinPolicy>(
    case: &Case,
    policy: &L,
    reach: Reach,
) -> Result<(), Broken> {
    if policy.mode().asks_again() && case.flags.is_bad_munlock() {
        return Ok(());
    }
    let case = case.without_pins();
    let one = observe::<P, L>(&case, policy, reach);
    let other = observe::<P, IgnorePins>(&case, &IgnorePins, reach);
    match (one, other) {
        (Some(one), Some(other)) if one.reads_unpinned() => {
            invariants::alike(&one.walk(), &other.walk())
        }
        (Some(_), None) | (None, Some(_)) => Err(Broken::NotRebuilt),
        _ => Ok(()),
    }
}

/// A page says of itself what it was built with, and so does a reference to it.
///
/// # Errors
///
/// [`Broken::PageDisagrees`].
pub fn check_page<P: BuildPage>(state: &PageState, page: &P) -> Result<(), Broken> {
    let refs = state.refs(page.refs_per_pin());
    let seen = page.snapshot();
    let built: [(&'static str, i64, i64); 11] = [
        (
            "flags",
            state.flags.bits().into(),
            page.flags().bits().into(),
        ),
        ("map_count", state.maps.into(), page.map_count().into()),
        (
            "ref_count",
            refs.map_or(i64::MAX, i64::from),
            page.ref_count().into(),
        ),
        (
            "base_pages",
            state.base_pages.into(),
            page.base_pages().into(),
        ),
        (
            "size",
            bytes(
                1u64.checked_shl(page.base_shift())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(state.base_pages.into()),
            ),
            bytes(page.size()),
        ),
        (
            "explained_refs",
            state.explained().into(),
            page.explained_refs(state.flags, state.maps).into(),
        ),
        (
            "snapshot().flags",
            state.flags.bits().into(),
            seen.flags.bits().into(),
        ),
        ("snapshot().refs", page.ref_count().into(), seen.refs.into()),
        (
            "snapshot().maps",
            state.maps.into(),
            seen.maps.unwrap_or(state.maps).into(),
        ),
        (
            "exact_pins",
            state.pins().total.into(),
            page.exact_pins()
                .map_or(state.pins().total, |pins| pins.total)
                .into(),
        ),
        (
            "longterm_pins",
            state.longterm.into(),
            page.longterm_pins().unwrap_or(state.longterm).into(),
        ),
    ];
    agree(&built)?;
    let (one, two) = (observed(page), observed(&page));
    for ((what, expected), (_, found)) in one.into_iter().zip(two) {
        agree(&[(what, expected, found)])?;
    }
    Ok(())
}

fn agree(values: &[(&'static str, i64, i64)]) -> Result<(), Broken> {
    match values.iter().find(|(_, expected, found)| expected != found) {
        None => Ok(()),
        Some(&(what, expected, found)) => Err(Broken::PageDisagrees {
            what,
            expected,
            found,
        }),
    }
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// All that a page says, as numbers; -1 for what it does not know.
fn observed<P: PageLike + ?Sized>(page: &P) -> [(&'static str, i64); 13] {
    let seen = page.snapshot();
    let exact = page.exact_pins();
    let known = |n: Option<u32>| n.map_or(-1, i64::from);
    [
        ("&page: flags", page.flags().bits().into()),
        ("&page: ref_count", page.ref_count().into()),
        ("&page: map_count", page.map_count().into()),
        ("&page: exact_pins", known(exact.map(|pins| pins.total))),
        (
            "&page: exact_pins, long-term",
            known(exact.and_then(|pins| pins.longterm)),
        ),
        ("&page: longterm_pins", known(page.longterm_pins())),
        ("&page: base_pages", page.base_pages().into()),
        ("&page: base_shift", page.base_shift().into()),
        ("&page: size", bytes(page.size())),
        (
            "&page: explained_refs",
            page.explained_refs(page.flags(), page.map_count()).into(),
        ),
        ("&page: snapshot, flags", seen.flags.bits().into()),
        ("&page: snapshot, refs", seen.refs.into()),
        ("&page: snapshot, maps", known(seen.maps)),
    ]
}

/// No reading misses a pin, and the refined one invents none below half a bias.
///
/// # Errors
///
/// [`Broken::PinMissed`], [`Broken::PinMiscounted`], [`Broken::PinInvented`].
pub fn check_readings<P: BuildPage>(state: &PageState, page: &P) -> Result<(), Broken> {
    let counts = Refined::counts(page, page.snapshot());
    invariants::reading(state.pins(), Biased::read(page))?;
    invariants::refined_reading(state.pins(), counts, Refined::read(page))
}
