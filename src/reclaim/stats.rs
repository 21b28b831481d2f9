//! What a scan did, counted by reason.

use super::{ActivateReason, Fate, KeepReason};
use crate::debug::debug_fields;
use core::fmt;

/// The counters of a scan, in base pages unless a counter says "events".
///
/// # Conservation
///
/// A page is counted once, when its fate is final, so between two calls
/// `scanned == freed + kept + activated + parked + raced + rescanned` and
/// `refilled == deactivated + rotated + active_pinned + active_parked`
/// ([`is_conserved`](Self::is_conserved)). A page that somebody else has locked is not scanned
/// (`lock_busy`). A page that waited for writeback is scanned again, as in Linux (`rescanned`).
/// Counters saturate.
///
/// # Examples
///
/// ```
/// use pinfold::reclaim::{KeepReason, Stats};
///
/// let mut of_one_cpu = Stats::default();
/// of_one_cpu.scanned = 3;
/// of_one_cpu.freed = 3;
/// let mut all = Stats::default();
/// all.merge(&of_one_cpu);
/// assert!(all.is_conserved());
/// assert_eq!(all.kept_for(KeepReason::Dirty), 0);
/// assert!(all.iter().any(|(name, pages)| name == "freed" && pages == 3));
/// assert_eq!(all.to_string(), "scanned 3, freed 3");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Scanned on inactive lists (`sc->nr_scanned`).
    pub scanned: u64,
    /// Of those, scanned again after waiting for writeback.
    pub rescanned: u64,
    /// Freed.
    pub freed: u64,
    /// Freed by whoever dropped the last reference.
    pub raced: u64,
    /// Parked because of their pins.
    pub parked: u64,
    /// Kept, for all reasons but a busy lock.
    pub kept: u64,
    /// Activated, for all reasons.
    pub activated: u64,
    /// Not scanned because somebody else had them locked.
    pub lock_busy: u64,
    /// Dirty file pages found, in events (`nr_dirty`).
    pub dirty: u64,
    /// Dirty file pages found that were not yet under writeback, in events (`nr_unqueued_dirty`).
    pub unqueued_dirty: u64,
    /// Pages of congested devices found, in events (`nr_congested`).
    pub congested: u64,
    /// Pages under writeback that were marked for reclaim, in events (`nr_writeback`).
    pub writeback: u64,
    /// Pages found a second time before their writeback ended, in events (`nr_immediate`).
    pub immediate: u64,
    /// Activated, anonymous pages and shared memory (`nr_activate[0]`).
    pub activate_anon: u64,
    /// Activated, file pages (`nr_activate[1]`).
    pub activate_file: u64,
    /// Kept because of one reference (`nr_ref_keep`).
    pub ref_keep: u64,
    /// Not unmapped (`nr_unmap_fail`).
    pub unmap_fail: u64,
    /// Not unmapped because they were written to after they were lazily freed (`nr_lazyfree_fail`).
    pub lazyfree_fail: u64,
    /// Written out (`nr_pageout`).
    pub pageout: u64,
    /// Scanned on active lists (`PGREFILL`); they do not count as scanned.
    pub refilled: u64,
    /// Moved from an active list to an inactive one (`PGDEACTIVATE`).
    pub deactivated: u64,
    /// Put back on their active list because they are in use.
    pub rotated: u64,
    /// Put back on their active list because of their pins.
    pub active_pinned: u64,
    /// Parked from an active list because of their pins.
    pub active_parked: u64,
    by_keep: [u64; KeepReason::COUNT],
    by_activate: [u64; ActivateReason::COUNT],
}

/// The plain counters with their names, in the order of their fields.
macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        debug_fields!(Stats { $($field,)* by_keep, by_activate });

        impl Stats {
            const NAMES: [&'static str; 24] = [$(stringify!($field)),*];

            const fn plain(&self) -> [u64; 24] {
                [$(self.$field),*]
            }

            fn plain_mut(&mut self) -> [&mut u64; 24] {
                [$(&mut self.$field),*]
            }
        }
    };
}

counters!(
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
);

impl Stats {
    /// How many pages were kept for this reason, whatever the pins.
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

    /// All counters with their names: the fields, then the reasons for keeping and for activating.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let plain = Self::NAMES.into_iter().zip(self.plain());
        let kept = KeepReason::NAMES.into_iter().zip(self.by_keep);
        let activated = ActivateReason::NAMES.into_iter().zip(self.by_activate);
        plain.chain(kept).chain(activated)
    }

    /// Whether every scanned page has exactly one fate, and every fate its reason.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let fates = [
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
            && sum(&fates).saturating_add(self.rescanned) == self.scanned
            && sum(&self.by_keep) == self.kept.saturating_add(busy)
            && busy == self.lock_busy
            && sum(&self.by_activate) == self.activated
            && self.activate_anon.saturating_add(self.activate_file) == self.activated
    }

    /// Adds the counters of another scan, such as another CPU's.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.plain_mut().into_iter().zip(other.plain()) {
            add(mine, theirs);
        }
        for (mine, &theirs) in self.by_keep.iter_mut().zip(&other.by_keep) {
            add(mine, theirs);
        }
        for (mine, &theirs) in self.by_activate.iter_mut().zip(&other.by_activate) {
            add(mine, theirs);
        }
    }

    /// Counts the scans of a page that has come to its fate; `rescanned` base pages were of all
    /// scans but the last.
    #[inline]
    pub(super) fn scan(&mut self, pages: u32, rescanned: u64) {
        add(
            &mut self.scanned,
            rescanned.saturating_add(u64::from(pages)),
        );
        add(&mut self.rescanned, rescanned);
    }

    /// Counts the fate of a page from an inactive list; `file` if it is a file page.
    #[inline]
    pub(super) fn count(&mut self, fate: Fate, pages: u32, file: bool) {
        let pages = u64::from(pages);
        match fate {
            Fate::Freed => add(&mut self.freed, pages),
            Fate::Raced => add(&mut self.raced, pages),
            Fate::Parked(_) => add(&mut self.parked, pages),
            Fate::Kept(reason) => {
                add(
                    match reason {
                        KeepReason::LockBusy => &mut self.lock_busy,
                        _ => &mut self.kept,
                    },
                    pages,
                );
                if let Some(counter) = self.by_keep.get_mut(reason.index()) {
                    add(counter, pages);
                }
            }
            Fate::Activated(reason) => {
                add(&mut self.activated, pages);
                add(
                    if file {
                        &mut self.activate_file
                    } else {
                        &mut self.activate_anon
                    },
                    pages,
                );
                if let Some(counter) = self.by_activate.get_mut(reason.index()) {
                    add(counter, pages);
                }
            }
        }
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
    pub(super) fn ref_keep(&mut self, pages: u32) {
        add(&mut self.ref_keep, u64::from(pages));
    }

    #[inline]
    pub(super) fn unmap_fail(&mut self, pages: u32, lazyfree: bool) {
        add(&mut self.unmap_fail, u64::from(pages));
        if lazyfree {
            add(&mut self.lazyfree_fail, u64::from(pages));
        }
    }

    #[inline]
    pub(super) fn pageout(&mut self, pages: u32) {
        add(&mut self.pageout, u64::from(pages));
    }

    /// Counts a page from an active list, by the counter that `end` chooses.
    pub(super) fn refill(&mut self, end: fn(&mut Self) -> &mut u64, pages: u32) {
        add(&mut self.refilled, u64::from(pages));
        add(end(self), u64::from(pages));
    }
}

/// The counters that are not zero, by name.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, n) in self.iter().filter(|&(_, n)| n != 0) {
            write!(f, "{separator}{name} {n}")?;
            separator = ", ";
        }
        if separator.is_empty() {
            f.write_str("nothing scanned")?;
        }
        Ok(())
    }
}

const fn add(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}

fn sum(counters: &[u64]) -> u64 {
    counters.iter().fold(0, |sum, &n| sum.saturating_add(n))
}

impl KeepReason {
    const COUNT: usize = 15;

    const NAMES: [&'static str; Self::COUNT] = [
        "kept: pinned",
        "kept: lock busy",
        "kept: mapped",
        "kept: referenced",
        "kept: no I/O",
        "kept: split failed",
        "kept: dirty",
        "kept: not written",
        "kept: writeback",
        "kept: lock lost",
        "kept: no mapping",
        "kept: held",
        "kept: mlocked",
        "kept: failed",
        "kept: write limit",
    ];

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
            Self::WriteLimit => 14,
        }
    }
}

impl ActivateReason {
    const COUNT: usize = 9;

    const NAMES: [&'static str; Self::COUNT] = [
        "activated: unevictable",
        "activated: writeback",
        "activated: referenced",
        "activated: cannot split",
        "activated: no swap",
        "activated: still mapped",
        "activated: dirty",
        "activated: not written",
        "activated: buffers",
    ];

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
