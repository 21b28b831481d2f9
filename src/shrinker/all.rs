//! All shrinkers in turn.

use super::pass::{Ended, shrink_until};
use super::{Deferred, Plan, PriorityError, Shrinker};

/// A shrinker and the scanning that was put off for it.
///
/// `&mut Registered<dyn Shrinker>` names one of any type, for a list of unlike shrinkers.
#[derive(Debug, Clone, Default)]
pub struct Registered<S: ?Sized> {
    /// The scanning that was put off.
    pub deferred: Deferred,
    /// The shrinker.
    pub shrinker: S,
}

impl<S> Registered<S> {
    /// The shrinker, with nothing put off.
    #[must_use]
    pub const fn new(shrinker: S) -> Self {
        Self {
            deferred: Deferred::new(0),
            shrinker,
        }
    }
}

/// Gives each shrinker its turn, until `target` pages have come back.
///
/// With a target of [`u64::MAX`] it asks all of them, as Linux's `shrink_slab` (`mm/vmscan.c`, 5.8)
/// does. With a lower one it ends after the batch that reaches the target. The shrinkers that follow
/// are not asked and nothing is put off for them; begin the next call with them
/// ([`ShrunkAll::asked`] says how many were asked).
///
/// # Errors
///
/// [`PriorityError`]; no shrinker was asked.
///
/// # Examples
///
/// ```
/// use pinfold::shrinker::{Registered, Shrinker, shrink_all};
///
/// let (mut gpu, mut nic) = (Registered::new(()), Registered::new(()));
/// let all: [&mut Registered<dyn Shrinker>; 2] = [&mut gpu, &mut nic];
/// let shrunk = shrink_all(all, 12, 32)?;
/// assert_eq!((shrunk.asked, shrunk.pages), (2, 0));
/// # Ok::<(), pinfold::shrinker::PriorityError>(())
/// ```
pub fn shrink_all<'a, S>(
    shrinkers: impl IntoIterator<Item = &'a mut Registered<S>>,
    priority: u8,
    target: u64,
) -> Result<ShrunkAll, PriorityError>
where
    S: Shrinker + ?Sized + 'a,
{
    Plan::new(0, 0, priority, 0)?;
    let mut all = ShrunkAll::default();
    for Registered { deferred, shrinker } in shrinkers {
        if all.pages >= target {
            break;
        }
        let wanted = target.saturating_sub(all.pages);
        let shrunk = shrink_until(shrinker, deferred, priority, Some(wanted))?;
        all.asked = all.asked.saturating_add(1);
        all.scanned = all.scanned.saturating_add(shrunk.scanned);
        all.freed = all.freed.saturating_add(shrunk.freed);
        all.pages = all.pages.saturating_add(shrunk.pages);
        if matches!(shrunk.ended, Ended::Stopped | Ended::NoProgress) {
            all.stopped = all.stopped.saturating_add(1);
        }
    }
    Ok(all)
}

/// What the turns of several shrinkers came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShrunkAll {
    /// Shrinkers asked, from the first.
    pub asked: usize,
    /// Of these, how many stopped before they had scanned what was planned, or scanned nothing.
    pub stopped: usize,
    /// Objects looked at.
    pub scanned: u64,
    /// Objects freed.
    pub freed: u64,
    /// Pages that came back.
    pub pages: u64,
}
