//! How far a scan has come round its lists: whose turn it is, and what a lap has met.

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
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lap {
    /// Base pages until every one that was there when the lap began has been met.
    pub(super) left: u64,
    /// Base pages met in this lap that are pinned and still on the list.
    pinned: u64,
    /// As many in the lap before.
    pub(super) before: u64,
}

impl Lap {
    pub(super) fn pinned(self) -> u64 {
        self.pinned.max(self.before)
    }

    /// The first page of a list of `pages` is about to be taken.
    pub(super) const fn begin(&mut self, pages: u64) {
        self.left = pages;
    }

    /// It was met. Whether that was the last of the lap.
    pub(super) fn met(&mut self, pages: u64, pinned: bool) -> bool {
        self.left = self.left.saturating_sub(pages);
        if pinned {
            self.pinned = self.pinned.saturating_add(pages);
        }
        let over = self.left == 0;
        if over {
            self.before = core::mem::take(&mut self.pinned);
        }
        over
    }
}
