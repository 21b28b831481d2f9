//! When to stop trying: a verdict after a bounded number of passes that did not meet their target.

use super::lists::{Lists, Lru, is_scanned, reclaimable_pages};
use super::scan::{LruScan, Progress};
use core::fmt;

/// Counts passes that did not meet their target.
///
/// Partial success does not reset it. In Linux any page freed on a node resets the background
/// reclaimer's failure count (`kswapd_failures`), so that one page a pass keeps it running for ever
/// on a node that is otherwise pinned. Here only a pass that met its target does.
///
/// # Examples
///
/// ```
/// use pinfold::reclaim::Futility;
///
/// let mut futility = Futility::default();
/// for pass in 1..=Futility::MAX_RECLAIM_RETRIES {
///     let futile = futility.failed_to_reach();
///     assert_eq!(futile, pass == Futility::MAX_RECLAIM_RETRIES);
/// }
/// futility.reached();
/// assert!(!futility.is_futile());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Futility {
    limit: u32,
    failures: u32,
}

impl Futility {
    /// How many passes Linux tries (`MAX_RECLAIM_RETRIES`, `mm/internal.h`, 5.8).
    pub const MAX_RECLAIM_RETRIES: u32 = 16;

    /// Futile after `limit` passes in a row that did not meet their target (one at least).
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            limit: if limit == 0 { 1 } else { limit },
            failures: 0,
        }
    }

    /// How many passes in a row did not meet their target.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it is futile to go on.
    #[must_use]
    pub const fn is_futile(&self) -> bool {
        self.failures >= self.limit
    }

    /// A pass met its target.
    pub const fn reached(&mut self) {
        self.failures = 0;
    }

    /// A pass did not meet its target. Whether it is futile to go on.
    pub const fn failed_to_reach(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.is_futile()
    }

    /// Takes note of how a pass ended, and gives the verdict if it is futile to go on. A pass that
    /// has [more](Progress::More) to scan has not ended.
    pub fn note<B: Lists>(
        &mut self,
        scan: &LruScan,
        progress: Progress,
        lists: &B,
    ) -> Option<Futile> {
        match progress {
            Progress::More => return None,
            Progress::Reached => {
                self.reached();
                return None;
            }
            Progress::Exhausted => {}
        }
        self.failed_to_reach().then(|| {
            let pinned = Lru::ALL
                .into_iter()
                .filter(|&list| is_scanned(list, lists))
                .map(|list| scan.pinned_on(list).min(lists.pages(list)))
                .fold(0, u64::saturating_add);
            Futile {
                passes: self.failures,
                target: scan.target(),
                reclaimed: scan.reclaimed(),
                pinned,
                parked: lists.pages_parked(),
                reclaimable: reclaimable_pages(lists).saturating_sub(pinned),
            }
        })
    }
}

impl Default for Futility {
    fn default() -> Self {
        Self::new(Self::MAX_RECLAIM_RETRIES)
    }
}

/// The verdict that it is futile to go on, for the decision to kill something. In base pages.
///
/// Who holds the pins, how many, and since when is in the embedder's
/// [`PinLedger`](crate::pin::PinLedger).
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Futile {
    /// Passes in a row that did not meet their target.
    pub passes: u32,
    /// The target of the last.
    pub target: u64,
    /// What the last did bring.
    pub reclaimed: u64,
    /// On the lists that are scanned, and pinned when the last pass met them.
    pub pinned: u64,
    /// Parked because of their pins.
    pub parked: u64,
    /// Still on the lists that are scanned, beside the pinned ones.
    pub reclaimable: u64,
}

impl fmt::Display for Futile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "gave up after {} passes: {} of {} pages, {} parked and {} listed pages are pinned",
            self.passes, self.reclaimed, self.target, self.parked, self.pinned
        )
    }
}
