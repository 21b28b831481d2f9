//! What readings of pins and policies must hold to.

use super::{Broken, Walk};
use crate::pin::{PIN_BIAS, PinCount, Pins};
#[cfg(doc)]
use crate::policy::PinMode;
use crate::policy::{Context, Operation, PinPolicy, PinVerdict, Requester};

/// A reading never misses a pin, and is exact where it says so.
///
/// `truth` is what is held, long-term pins apart, while nothing moves.
///
/// # Errors
///
/// [`Broken::PinMissed`], [`Broken::PinMiscounted`].
pub fn reading(truth: PinCount, read: Pins) -> Result<(), Broken> {
    let longterm = truth.longterm.unwrap_or(0);
    if (truth.total > 0 && !read.maybe_pinned()) || (longterm > 0 && !read.maybe_longterm()) {
        return Err(Broken::PinMissed { truth, read });
    }
    let exact = match read {
        Pins::None => true,
        Pins::Maybe { longterm, .. } => longterm.is_none() || longterm == truth.longterm,
        Pins::Exactly(count) => {
            let known = count.longterm.is_none() || count.longterm == truth.longterm;
            count.total == truth.total && known
        }
    };
    if exact {
        Ok(())
    } else {
        Err(Broken::PinMiscounted { truth, read })
    }
}

/// The refined reading of a page without pins sees none in fewer than half a bias of unexplained
/// references.
///
/// `(refs, explained)` are the [counts](crate::pin::Refined::counts) of the page, while nothing moves. An overflowed count is read as pinned, and is
/// exempt.
///
/// # Errors
///
/// [`Broken::PinMissed`], [`Broken::PinMiscounted`], and [`Broken::PinInvented`].
pub fn refined_reading(
    truth: PinCount,
    (refs, explained): (i32, u32),
    read: Pins,
) -> Result<(), Broken> {
    reading(truth, read)?;
    let unexplained = i64::from(refs).saturating_sub(i64::from(explained));
    let explained = refs >= 0 && unexplained < i64::from(PIN_BIAS / 2);
    if truth.total == 0 && explained && read.maybe_pinned() {
        return Err(Broken::PinInvented { unexplained, read });
    }
    Ok(())
}

/// More pins never turn a skip into an unmap: two walks that began alike, but for the pins.
///
/// # Errors
///
/// [`Broken::SkipBecameUnmap`].
pub fn monotone(fewer: &Walk<'_>, more: &Walk<'_>) -> Result<(), Broken> {
    let taken = super::walk::gone(more);
    if fewer.ending.how.is_pin_skip() && taken != 0 {
        return Err(Broken::SkipBecameUnmap { taken });
    }
    Ok(())
}

const OPERATIONS: [Operation; 8] = [
    Operation::Reclaim,
    Operation::Unmap,
    Operation::Migrate,
    Operation::Demote,
    Operation::Split,
    Operation::Munlock,
    Operation::Poison,
    Operation::Free,
];

const REQUESTERS: [Requester; 5] = [
    Requester::Direct,
    Requester::Background,
    Requester::Proactive,
    Requester::Cgroup,
    Requester::Compaction,
];

const COUNTS: [u32; 5] = [1, 2, 3, PIN_BIAS, u32::MAX];
const LONGTERM: [Option<u32>; 5] = [None, Some(0), Some(1), Some(2), Some(u32::MAX)];

/// The contract of a [`PinPolicy`], over all operations, contexts and kinds of readings.
///
/// Without pins it lets everything go on. More pins (a higher count or estimate, more of them
/// long-term, known as before) never make it let go on what fewer made it stop. It says "next VMA"
/// only in [`PinMode::PerVma`], and lets everything go on in [`PinMode::Ignore`].
///
/// # Errors
///
/// [`Broken::PolicyStopsUnpinned`], [`Broken::PolicyGivesBack`], [`Broken::PolicyNextVma`],
/// [`Broken::PolicyUnread`].
///
/// # Examples
///
/// ```
/// use pinfold::invariants;
///
/// assert!(invariants::policy(&pinfold::SkipPinned).is_ok());
/// ```
pub fn policy<L: PinPolicy>(policy: &L) -> Result<(), Broken> {
    for operation in OPERATIONS {
        for requester in REQUESTERS {
            for priority in 0..=Context::DEF_PRIORITY {
                in_context(
                    policy,
                    operation,
                    Context {
                        requester,
                        priority,
                    },
                )?;
            }
        }
    }
    Ok(())
}

fn in_context<L: PinPolicy>(
    policy: &L,
    operation: Operation,
    context: Context,
) -> Result<(), Broken> {
    let stops = |pins| !policy.verdict(operation, context, pins).proceeds();
    if stops(Pins::None) {
        return Err(Broken::PolicyStopsUnpinned { operation });
    }
    for fewer in pinned() {
        let verdict = policy.verdict(operation, context, fewer);
        if verdict.proceeds() {
            continue;
        }
        if !policy.mode().reads_pins() {
            return Err(Broken::PolicyUnread { operation });
        }
        if verdict == PinVerdict::NextVma && !policy.mode().is_per_vma() {
            return Err(Broken::PolicyNextVma { operation });
        }
        let given_back = pinned().find(|&more| at_least(more, fewer) && !stops(more));
        if let Some(more) = given_back {
            return Err(Broken::PolicyGivesBack {
                operation,
                fewer,
                more,
            });
        }
    }
    Ok(())
}

/// Readings of a page that may be pinned.
fn pinned() -> impl Iterator<Item = Pins> {
    COUNTS.into_iter().flat_map(|count| {
        LONGTERM
            .into_iter()
            .filter(move |longterm| longterm.is_none_or(|n| n <= count))
            .flat_map(move |longterm| {
                [
                    Pins::Maybe {
                        estimate: count,
                        longterm,
                    },
                    Pins::Exactly(PinCount {
                        total: count,
                        longterm,
                    }),
                ]
            })
    })
}

/// Whether `more` is a reading of the same kind with no fewer pins of any sort than `fewer`.
fn at_least(more: Pins, fewer: Pins) -> bool {
    let (more, fewer) = match (more, fewer) {
        (Pins::Exactly(more), Pins::Exactly(fewer)) => {
            ((more.total, more.longterm), (fewer.total, fewer.longterm))
        }
        (
            Pins::Maybe {
                estimate: many,
                longterm: long,
            },
            Pins::Maybe { estimate, longterm },
        ) => ((many, long), (estimate, longterm)),
        _ => return false,
    };
    let longterm = match (more.1, fewer.1) {
        (Some(more), Some(fewer)) => more >= fewer,
        (None, None) => true,
        _ => false,
    };
    more.0 >= fewer.0 && longterm
}
