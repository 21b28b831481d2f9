//! How far a scan has come round its lists: whose turn it is, and how many pinned pages it met.

use super::lists::Lru;

/// The list whose turn it is, and how many pages are left of its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) list: usize,
    pub(super) left: usize,
}

impl Turn {
    /// The first list is next.
    pub(super) const NONE: Self = Self {
        list: Lru::ALL.len(),
        left: 0,
    };
}

/// Once round a list: its pages come from the old end and go back to the young one.
///
/// Counts pinned pages as they are met, in base pages. This is an estimate: a pin that goes is
/// noticed when its page is met again. It must not end a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lap {
    /// Base pages until every one that was there when the lap began has been met.
    left: u64,
    /// Pinned pages that were met in this lap and stayed on the list.
    met: u64,
    /// As many before this lap began.
    before: u64,
}

impl Lap {
    /// How many pages on the list are pinned: those met in this lap, and those counted before it
    /// that may be among the pages not met yet.
    pub(super) fn pinned(self) -> u64 {
        self.met.saturating_add(self.before.min(self.left))
    }

    /// A lap round a list of `pages` begins.
    pub(super) fn begin(&mut self, pages: u64) {
        *self = Self {
            left: pages,
            met: 0,
            before: self.pinned(),
        };
    }

    /// Whether the next page begins a lap.
    pub(super) const fn is_over(self) -> bool {
        self.left == 0
    }

    /// A page was met.
    pub(super) const fn meet(&mut self, pages: u64, pinned: bool) {
        self.left = self.left.saturating_sub(pages);
        if pinned {
            self.met = self.met.saturating_add(pages);
        }
    }
}
