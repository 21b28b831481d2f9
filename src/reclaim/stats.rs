//! What a scan did, counted by reason, conserved and mergeable.

use super::active::Refill;
use super::{ActivateReason, Fate, KeepReason};
use crate::debug::debug_fields;

/// What a scan did, in base pages unless it says "events".
///
/// # Conservation
///
/// Every page that is scanned is counted once, when its fate is final, so at any time between two
/// calls `scanned == freed + kept + activated + parked + raced + rescanned`
/// ([`Self::is_conserved`]). A page that was split counts as one; its tails are scanned by
/// themselves. A page that somebody else has locked is not scanned (`lock_busy`). A page that waited
/// for writeback is scanned again, as in Linux (`rescanned`). Counters saturate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Scanned (`sc->nr_scanned`).
    pub scanned: u64,
    /// Of those, scanned again after waiting for writeback.
    pub rescanned: u64,
    /// Freed.
    pub freed: u64,
    /// Freed by whoever held them last.
    pub raced: u64,
    /// Taken off their lists because of their pins.
    pub parked: u64,
    /// Kept, all reasons but a busy lock.
    pub kept: u64,
    /// Activated, all reasons.
    pub activated: u64,
    /// Left alone because somebody else had them locked.
    pub lock_busy: u64,
    /// Dirty file pages met, in events (`nr_dirty`).
    pub dirty: u64,
    /// Dirty file pages not yet under writeback met, in events (`nr_unqueued_dirty`).
    pub unqueued_dirty: u64,
    /// Pages of congested devices met, in events (`nr_congested`).
    pub congested: u64,
    /// Pages under writeback that were marked, in events (`nr_writeback`).
    pub writeback: u64,
    /// Pages that came round again before their writeback ended, in events (`nr_immediate`).
    pub immediate: u64,
    /// Activated, anonymous and shared memory (`nr_activate[0]`).
    pub activate_anon: u64,
    /// Activated, file pages (`nr_activate[1]`).
    pub activate_file: u64,
    /// Kept because of one reference (`nr_ref_keep`).
    pub ref_keep: u64,
    /// Could not be unmapped (`nr_unmap_fail`).
    pub unmap_fail: u64,
    /// Freed lazily and then written to (`nr_lazyfree_fail`).
    pub lazyfree_fail: u64,
    /// Written out (`nr_pageout`).
    pub pageout: u64,
    /// Looked at on active lists (`PGREFILL`): `refilled == deactivated + rotated +
    /// active_pinned + active_parked`. They do not count as scanned.
    pub refilled: u64,
    /// Moved from an active list to an inactive one (`PGDEACTIVATE`).
    pub deactivated: u64,
    /// Put back on their active list, in use.
    pub rotated: u64,
    /// Put back on their active list because of their pins.
    pub active_pinned: u64,
    /// Taken off an active list because of their pins.
    pub active_parked: u64,
    by_keep: [u64; KeepReason::COUNT],
    by_activate: [u64; ActivateReason::COUNT],
}

debug_fields!(Stats {
    scanned,
    rescanned,
    freed,
    raced,
    parked,
    kept,
    activated,
    lock_busy,
    dirty,
    unqueued_dirty,
    congested,
    writeback,
    immediate,
    activate_anon,
    activate_file,
    ref_keep,
    unmap_fail,
    lazyfree_fail,
    pageout,
    refilled,
    deactivated,
    rotated,
    active_pinned,
    active_parked,
    by_keep,
    by_activate,
});

impl Stats {
    /// How many pages were kept for this reason (whatever the pins).
    #[must_use]
    pub fn kept_for(&self, reason: KeepReason) -> u64 {
        self.by_keep.get(reason.index()).copied().unwrap_or(0)
    }

    /// How many pages were activated for this reason.
    #[must_use]
    pub fn activated_for(&self, reason: ActivateReason) -> u64 {
        self.by_activate.get(reason.index()).copied().unwrap_or(0)
    }

    /// Pages that left memory, here or elsewhere (`nr_reclaimed`).
    #[must_use]
    pub const fn reclaimed(&self) -> u64 {
        self.freed.saturating_add(self.raced)
    }

    /// Whether every page that was scanned came to exactly one end, and every end has its reason.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let ends = [
            self.freed,
            self.kept,
            self.activated,
            self.parked,
            self.raced,
        ];
        let aged = [
            self.deactivated,
            self.rotated,
            self.active_pinned,
            self.active_parked,
        ];
        let busy = self.kept_for(KeepReason::LockBusy);
        sum(&aged) == self.refilled
            && sum(&ends).saturating_add(self.rescanned) == self.scanned
            && sum(&self.by_keep) == self.kept.saturating_add(busy)
            && busy == self.lock_busy
            && sum(&self.by_activate) == self.activated
            && self.activate_anon.saturating_add(self.activate_file) == self.activated
    }

    /// Adds what another scan, or another CPU's, did.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.each_mut().into_iter().zip(other.clone().each_mut()) {
            add(mine, *theirs);
        }
        for (mine, &theirs) in self.by_keep.iter_mut().zip(&other.by_keep) {
            add(mine, theirs);
        }
        for (mine, &theirs) in self.by_activate.iter_mut().zip(&other.by_activate) {
            add(mine, theirs);
        }
    }

    fn each_mut(&mut self) -> [&mut u64; 24] {
        [
            &mut self.scanned,
            &mut self.rescanned,
            &mut self.freed,
            &mut self.raced,
            &mut self.parked,
            &mut self.kept,
            &mut self.activated,
            &mut self.lock_busy,
            &mut self.dirty,
            &mut self.unqueued_dirty,
            &mut self.congested,
            &mut self.writeback,
            &mut self.immediate,
            &mut self.activate_anon,
            &mut self.activate_file,
            &mut self.ref_keep,
            &mut self.unmap_fail,
            &mut self.lazyfree_fail,
            &mut self.pageout,
            &mut self.refilled,
            &mut self.deactivated,
            &mut self.rotated,
            &mut self.active_pinned,
            &mut self.active_parked,
        ]
    }

    /// A page waited for its writeback, and is scanned again.
    #[inline]
    pub(super) const fn rescan(&mut self, pages: u32) {
        add(&mut self.scanned, widen(pages));
        add(&mut self.rescanned, widen(pages));
    }

    #[inline]
    pub(super) const fn io(&mut self, dirty: bool, writeback: bool, congested: bool) {
        if dirty || writeback {
            add(&mut self.dirty, 1);
        }
        if dirty && !writeback {
            add(&mut self.unqueued_dirty, 1);
        }
        if congested {
            add(&mut self.congested, 1);
        }
    }

    #[inline]
    pub(super) const fn immediate(&mut self) {
        add(&mut self.immediate, 1);
    }

    #[inline]
    pub(super) const fn writeback(&mut self) {
        add(&mut self.writeback, 1);
    }

    #[inline]
    pub(super) const fn ref_keep(&mut self, pages: u32) {
        add(&mut self.ref_keep, widen(pages));
    }

    #[inline]
    pub(super) const fn unmap_fail(&mut self, pages: u32, lazyfree: bool) {
        add(&mut self.unmap_fail, widen(pages));
        if lazyfree {
            add(&mut self.lazyfree_fail, widen(pages));
        }
    }

    #[inline]
    pub(super) const fn pageout(&mut self, pages: u32) {
        add(&mut self.pageout, widen(pages));
    }

    #[inline]
    pub(super) const fn activate(&mut self, pages: u32, file: bool) {
        let counter = if file {
            &mut self.activate_file
        } else {
            &mut self.activate_anon
        };
        add(counter, widen(pages));
    }

    pub(super) const fn refill(&mut self, refill: Refill, pages: u32) {
        let counter = match refill {
            Refill::Deactivate => &mut self.deactivated,
            Refill::Rotate => &mut self.rotated,
            Refill::Pinned => &mut self.active_pinned,
            Refill::Park => &mut self.active_parked,
        };
        add(counter, widen(pages));
        add(&mut self.refilled, widen(pages));
    }

    /// Counts a page that was not scanned, because its lock could not be had.
    #[inline]
    pub(super) fn lock_busy(&mut self, pages: u32) {
        add(&mut self.lock_busy, widen(pages));
        self.keep(KeepReason::LockBusy, widen(pages));
    }

    #[inline]
    fn keep(&mut self, reason: KeepReason, pages: u64) {
        if let Some(counter) = self.by_keep.get_mut(reason.index()) {
            add(counter, pages);
        }
    }

    /// Counts a page that was scanned, once its fate is final.
    #[inline]
    pub(super) fn count(&mut self, fate: Fate, pages: u32) {
        let pages = widen(pages);
        add(&mut self.scanned, pages);
        match fate {
            Fate::Freed => add(&mut self.freed, pages),
            Fate::Raced => add(&mut self.raced, pages),
            Fate::Parked(_) => add(&mut self.parked, pages),
            Fate::Kept(reason) => {
                add(&mut self.kept, pages);
                self.keep(reason, pages);
            }
            Fate::Activated(reason) => {
                add(&mut self.activated, pages);
                if let Some(counter) = self.by_activate.get_mut(reason.index()) {
                    add(counter, pages);
                }
            }
        }
    }
}

const fn widen(pages: u32) -> u64 {
    // `u64::from` is not const at the MSRV.
    pages as u64
}

const fn add(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}

fn sum(counters: &[u64]) -> u64 {
    counters.iter().fold(0, |sum, &n| sum.saturating_add(n))
}

impl KeepReason {
    const COUNT: usize = 14;

    const fn index(self) -> usize {
        match self {
            Self::Pinned(_) => 0,
            Self::LockBusy => 1,
            Self::Mapped => 2,
            Self::Referenced => 3,
            Self::NoIo => 4,
            Self::SplitFailed => 5,
            Self::Dirty => 6,
            Self::NotWritten => 7,
            Self::Writeback => 8,
            Self::LockLost => 9,
            Self::NoMapping => 10,
            Self::Held => 11,
            Self::Mlocked => 12,
            Self::Failed => 13,
        }
    }
}

impl ActivateReason {
    const COUNT: usize = 9;

    const fn index(self) -> usize {
        match self {
            Self::Unevictable => 0,
            Self::Writeback => 1,
            Self::Referenced => 2,
            Self::CannotSplit => 3,
            Self::NoSwap => 4,
            Self::StillMapped => 5,
            Self::Dirty => 6,
            Self::NotWritten => 7,
            Self::Buffers => 8,
        }
    }
}
