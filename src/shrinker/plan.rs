//! How much of a shrinker's objects to scan: the arithmetic of Linux's `do_shrink_slab`.

use crate::policy::Context;
use core::fmt;
use core::num::NonZeroU64;

/// What a turn of a shrinker is to do, in objects.
///
/// Exhaustive: there is nothing else that the arithmetic gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What this turn adds, from what the shrinker holds and how hard memory is sought.
    pub delta: u64,
    /// How many to scan in this turn, at most. Where it is too little for a batch, none are.
    pub total: u64,
    /// What is owed: the work put off so far, and `delta`. What of it is not scanned is put off
    /// again, also where `total` was cut down.
    pub owed: u64,
}

/// How much of `freeable` objects to scan, when the scanning of `deferred` was put off before.
///
/// `priority` says how hard memory is sought, from [`Context::DEF_PRIORITY`] (little) to 0; `seeks`
/// what an object costs to bring back.
///
/// - `delta` is `(freeable >> priority) * 4 / seeks`; without seeks `freeable / 2`.
/// - `total` is `deferred + delta`. If `delta` is less than `freeable / 4`, so that nobody is
///   desperate, at most `freeable / 2`: work that could not be done for a long time (a filesystem
///   that must not be entered) does not empty the cache when it can be. Never more than
///   `2 * freeable`.
///
/// `do_shrink_slab` (`mm/vmscan.c`, 5.8). Every result is exact where it fits 64 bits, and
/// [`u64::MAX`] where not. Linux counts in a signed long; where its sum turns negative it scans
/// `freeable` and forgets `delta`, here the sum saturates and is cut down as any other.
///
/// # Errors
///
/// [`PriorityError`] for a priority above [`Context::DEF_PRIORITY`].
pub const fn plan(
    freeable: u64,
    deferred: u64,
    priority: u8,
    seeks: u32,
) -> Result<Plan, PriorityError> {
    if priority > Context::DEF_PRIORITY {
        return Err(PriorityError(priority));
    }
    let delta = match freeable.checked_shr(priority as u32) {
        Some(share) => share_of(share, freeable, seeks),
        None => return Err(PriorityError(priority)),
    };
    let owed = deferred.saturating_add(delta);
    let mut total = owed;
    if delta < freeable / 4 {
        total = min(total, freeable / 2);
    }
    total = min(total, freeable.saturating_mul(2));
    Ok(Plan { delta, total, owed })
}

/// How many objects to scan next, of `left` in the plan; `None` ends the turn.
///
/// A batch (0 is [`SHRINK_BATCH`](super::SHRINK_BATCH)) as long as there is one, and what is left
/// where that is all the shrinker holds: so a small cache is scanned too when memory is sought
/// hard, and not otherwise.
#[must_use]
pub const fn next_batch(left: u64, freeable: u64, batch: u64) -> Option<NonZeroU64> {
    let batch = if batch == 0 {
        super::SHRINK_BATCH
    } else {
        batch
    };
    if left >= batch || left >= freeable {
        NonZeroU64::new(min(batch, left))
    } else {
        None
    }
}

/// A priority beyond [`Context::DEF_PRIORITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PriorityError(pub u8);

impl fmt::Display for PriorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = Context::DEF_PRIORITY;
        write!(f, "priority {} is not from 0 to {max}", self.0)
    }
}

impl core::error::Error for PriorityError {}

/// `share * 4 / seeks`, exact where it fits, though the product alone may not.
const fn share_of(share: u64, freeable: u64, seeks: u32) -> u64 {
    let seeks = seeks as u64;
    match (share.checked_div(seeks), share.checked_rem(seeks)) {
        (Some(whole), Some(rest)) => {
            let part = match rest.saturating_mul(4).checked_div(seeks) {
                Some(part) => part,
                None => 0,
            };
            whole.saturating_mul(4).saturating_add(part)
        }
        _ => freeable / 2,
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}
