//! How much of a shrinker's objects to scan: the arithmetic of Linux's `do_shrink_slab`.

use crate::policy::Context;
use core::fmt;
use core::num::NonZeroU64;

/// What a turn of a shrinker is to do, in objects.
///
/// Exhaustive: there is nothing else that the arithmetic gives.
///
/// # Examples
///
/// ```
/// use pinfold::shrinker::Plan;
///
/// let plan = Plan::new(4096, 0, 6, Plan::DEFAULT_SEEKS)?;
/// assert_eq!((plan.delta, plan.total), (128, 128));
/// let batch = Plan::next_batch(plan.total, 4096, Plan::BATCH);
/// assert_eq!(batch.map(|objects| objects.get()), Some(128));
/// # Ok::<(), pinfold::shrinker::PriorityError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What this turn adds, from what the shrinker holds and how hard memory is sought.
    pub delta: u64,
    /// How many to scan in this turn, at most. Where it is too little for a batch, none are.
    pub total: u64,
    /// The objects put off so far, and `delta`. What of these is not scanned is put off again, also
    /// where `total` was cut down.
    pub owed: u64,
}

impl Plan {
    /// The cost of bringing an object back, in disk seeks, that a shrinker names if it knows no
    /// better (`DEFAULT_SEEKS`, `include/linux/shrinker.h`, 5.8).
    pub const DEFAULT_SEEKS: u32 = 2;

    /// How many objects are scanned at a time (`SHRINK_BATCH`, `mm/vmscan.c`, 5.8).
    pub const BATCH: u64 = 128;

    /// Plans a turn of a shrinker that holds `freeable` objects, where the scanning of `deferred` was
    /// put off before.
    ///
    /// `priority` says how hard memory is sought, from [`Context::DEF_PRIORITY`] (little) to 0; `seeks`
    /// what an object costs to bring back.
    ///
    /// - `delta` is `(freeable >> priority) * 4 / seeks`; without seeks `freeable / 2`.
    /// - `total` is `deferred + delta`. If `delta` is less than `freeable / 4`, which is when memory is
    ///   not sought hard, at most `freeable / 2`: a cache that could not be scanned for a long time (in
    ///   a context where its filesystem must not be entered) is not emptied at once afterwards. Never
    ///   more than `2 * freeable`.
    ///
    /// `do_shrink_slab` (`mm/vmscan.c`, 5.8). Every result is exact where it fits 64 bits, and
    /// [`u64::MAX`] where not. Linux counts in a signed long; where its sum turns negative it scans
    /// `freeable` and forgets `delta`, here the sum saturates and is cut down as any other.
    ///
    /// # Errors
    ///
    /// [`PriorityError`] for a priority above [`Context::DEF_PRIORITY`].
    pub const fn new(
        freeable: u64,
        deferred: u64,
        priority: u8,
        seeks: u32,
    ) -> Result<Self, PriorityError> {
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
        Ok(Self { delta, total, owed })
    }

    /// How many objects to scan next, of `left` in the plan; `None` ends the turn.
    ///
    /// A batch (0 means [`BATCH`](Self::BATCH)) as long as there is one. What is left is scanned if it
    /// is all that the shrinker holds, so that a small cache is scanned when memory is sought hard, and
    /// only then.
    #[must_use]
    pub const fn next_batch(left: u64, freeable: u64, batch: u64) -> Option<NonZeroU64> {
        let batch = if batch == 0 { Self::BATCH } else { batch };
        if left >= batch || left >= freeable {
            NonZeroU64::new(min(batch, left))
        } else {
            None
        }
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
