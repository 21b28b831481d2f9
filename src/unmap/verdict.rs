//! What a walk says: how it ended, how far it came, and what it could not undo.

use super::decide::Inconsistency;
use super::embed::{Bookkeeping, CounterDelta, Entry, NewEntry};
use super::tlb::FlushDebt;
use crate::debug::debug_fields;
use crate::flags::{PteFlags, UnmapFlags};
use crate::pin::Pins;
use core::fmt;
use core::ops::Range;

/// How the walk of one page through one VMA ended.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Every entry was dealt with. (Under MUNLOCK: no locked VMA was found here, nothing is
    /// touched.)
    Done,
    /// A shared hugetlb page table was taken out of the address space, and all its entries with it.
    Unshared,
    /// MUNLOCK looks for locked VMAs, and this one is not. Nothing is touched.
    NotLocked,
    /// This device memory cannot be migrated. Nothing is touched.
    NotMigratable,
    /// The page is pinned; go on to the next VMA. Nothing is touched.
    NextVma(Pins),
    /// The page is pinned, and another one will do. Nothing is touched.
    SkipPage(Pins),
    /// The page is pinned, and what was asked cannot be had. Nothing is touched.
    Refused(Pins),
    /// The page stays mapped: the walk stopped at an entry, which is in place. Entries before it may
    /// be gone.
    Stopped(Stop),
}

impl Verdict {
    /// What Linux returns: `true` to go on to the next VMA, `false` to give the page up.
    #[must_use]
    #[inline]
    pub const fn goes_on(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Stopped(_))
    }

    /// Whether nothing about the page and its mappings was touched, because of its pins.
    #[must_use]
    pub const fn is_pin_skip(self) -> bool {
        matches!(
            self,
            Self::NextVma(_) | Self::SkipPage(_) | Self::Refused(_)
        )
    }
}

/// Why a walk stopped at an entry, which is in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The VMA is locked. The page was mlocked, unless it is compound.
    Mlocked,
    /// The entry was young; it no longer is.
    Young,
    /// A pin appeared while the entry was being cleared; it was put back.
    PinAppeared(Pins),
    /// The swap slot could not be duplicated; the entry was put back.
    SwapSlotRefused,
    /// The architecture's hook refused; the entry was put back, the swap slot's reference given
    /// back.
    ArchRefused,
    /// The page was freed lazily and then written to: the entry was put back, the page is
    /// swap-backed again.
    LazyfreeRedirtied,
    /// An anonymous page is swap-backed but not in the swap cache, or the reverse. The entry was
    /// left, or put back.
    InconsistentAnon,
    /// [`unshare_pmd`](super::Bookkeeping::unshare_pmd) does not say whether the page table of a
    /// hugetlb page is shared; the entry was left.
    SharingUnknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Unshared => f.write_str("shared page table taken out"),
            Self::NotLocked => f.write_str("next VMA: not locked"),
            Self::NotMigratable => f.write_str("next VMA: device memory, not migratable"),
            Self::NextVma(pins) => write!(f, "next VMA: {pins}"),
            Self::SkipPage(pins) => write!(f, "page skipped: {pins}"),
            Self::Refused(pins) => write!(f, "refused: {pins}"),
            Self::Stopped(stop) => write!(f, "stopped: {stop}"),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mlocked => "mlocked",
            Self::Young => "used recently",
            Self::PinAppeared(pins) => return write!(f, "a pin appeared, {pins}"),
            Self::SwapSlotRefused => "swap slot refused",
            Self::ArchRefused => "refused by the architecture",
            Self::LazyfreeRedirtied => "freed lazily, then written to",
            Self::InconsistentAnon => "swap-backed and swap cache disagree",
            Self::SharingUnknown => "not known whether the page table is shared",
        })
    }
}

/// A walk that ended with a verdict.
#[must_use = "a TLB flush may be owed before the page is free"]
#[derive(Debug, PartialEq, Eq)]
pub struct Walked {
    /// How it ended.
    pub verdict: Verdict,
    /// How many entries were taken for good.
    pub taken: u32,
    /// The TLB flushes that were put off.
    pub flush: FlushDebt,
}

/// A walk that ended with an error. What was done before it stands; the entry at which it happened
/// is as it was, but for what is `owed`.
#[must_use = "a TLB flush may be owed, and what could not be undone"]
#[derive(Debug, PartialEq, Eq)]
pub struct Failure<E> {
    /// What went wrong.
    pub error: UnmapError<E>,
    /// How many entries were taken for good before it.
    pub taken: u32,
    /// The TLB flushes that were put off.
    pub flush: FlushDebt,
    /// What the driver could not undo, because undoing failed too.
    pub owed: Owed,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} entries)", self.error, self.taken)?;
        if self.owed.is_none() {
            Ok(())
        } else {
            f.write_str("; something is owed")
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Input that cannot be, or an embedder's callback that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnmapError<E> {
    /// The VMA ends before it begins. Nothing is touched.
    BadVma {
        /// Its first address in bytes.
        start: u64,
        /// The address in bytes after its last.
        end: u64,
    },
    /// The address does not lie in the VMA. Nothing is touched.
    OutsideVma {
        /// The address in bytes.
        address: u64,
    },
    /// The address is not a multiple of the base page size. Nothing is touched.
    Misaligned {
        /// The address in bytes.
        address: u64,
    },
    /// The page's reference count is zero, so the caller holds no reference. Nothing is touched.
    NoReference,
    /// `MUNLOCK` was asked together with a flag [that takes or splits
    /// entries](UnmapFlags::NOT_WITH_MUNLOCK). Nothing is touched.
    BadMunlock {
        /// The flags that it cannot be combined with.
        with: UnmapFlags,
    },
    /// The page and its entry cannot be in this state together; Linux halts. The entry is in place.
    Inconsistent {
        /// What is wrong.
        what: Inconsistency,
        /// The address of the entry in bytes.
        address: u64,
    },
    /// A callback failed.
    Callback {
        /// Which one.
        callback: Callback,
        /// The address of the entry in bytes, or the walk's where it concerns no single entry.
        address: u64,
        /// The embedder's error.
        source: E,
    },
}

impl<E: fmt::Display> fmt::Display for UnmapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadVma { start, end } => write!(f, "VMA {start:#x}..{end:#x} ends too early"),
            Self::OutsideVma { address } => write!(f, "{address:#x} is outside the VMA"),
            Self::Misaligned { address } => write!(f, "{address:#x} is not page-aligned"),
            Self::NoReference => f.write_str("the page's reference count is zero"),
            Self::BadMunlock { with } => write!(f, "MUNLOCK cannot be combined with {with:?}"),
            Self::Inconsistent { what, address } => write!(f, "{what:?} at {address:#x}"),
            Self::Callback {
                callback,
                address,
                source,
            } => write!(f, "{callback:?} failed at {address:#x}: {source}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for UnmapError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Callback { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The callbacks of an embedder, by the method of [`PageTables`](super::PageTables),
/// [`Bookkeeping`] or [`Rmap`](crate::Rmap) that each names.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callback {
    NextVma,
    NextEntry,
    TestAndClearYoung,
    Clear,
    Install,
    Restore,
    SetPageDirty,
    RemoveRmap,
    SplitHugePmd,
    WidenForSharing,
    InvalidateBegin,
    Invalidate,
    InvalidateEnd,
    UnsharePmd,
    MlockPage,
    SetSwapBacked,
    UpdateHiwater,
    Count,
    SwapDuplicate,
    SwapFree,
    ArchUnmap,
}

/// What a walk could not undo after a failure, because undoing failed too: nothing is lost as long
/// as the caller [settles](Self::settle) it.
///
/// As with a [`FlushDebt`], nothing notices if it is dropped with the [`Failure`] that holds it.
#[must_use = "entries, swap slots or counters are lost unless this is settled"]
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Owed {
    pub(super) entry: Entry,
    pub(super) restore: Option<PteFlags>,
    pub(super) slot: bool,
    pub(super) counters: CounterDelta,
    pub(super) range: Range<u64>,
    pub(super) invalidate: bool,
    pub(super) invalidate_end: bool,
}

debug_fields!(Owed {
    entry,
    restore,
    slot,
    counters,
    range,
    invalidate,
    invalidate_end,
});

impl Owed {
    /// Whether nothing is owed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.restore.is_none()
            && !self.slot
            && self.counters == CounterDelta::NONE
            && !self.invalidate
            && !self.invalidate_end
    }

    /// The entry that was cleared and must be put back, with its bits.
    #[must_use]
    pub const fn entry(&self) -> Option<(Entry, PteFlags)> {
        match self.restore {
            Some(bits) => Some((self.entry, bits)),
            None => None,
        }
    }

    /// The entry whose swap slot has one reference too many.
    #[must_use]
    pub const fn swap_slot(&self) -> Option<Entry> {
        if self.slot { Some(self.entry) } else { None }
    }

    /// The counter change that must still be made.
    #[must_use]
    pub const fn counters(&self) -> CounterDelta {
        self.counters
    }

    /// Whether the range of a page table that was un-shared must still be invalidated.
    #[must_use]
    pub const fn invalidate(&self) -> bool {
        self.invalidate
    }

    /// Whether the end of the invalidation must still be told.
    #[must_use]
    pub const fn invalidate_end(&self) -> bool {
        self.invalidate_end
    }

    /// Tries again what is owed, through the walk on which it arose, whose cursor has not moved, or
    /// through a new one over the same VMA. After a [`try_to_unmap`](crate::try_to_unmap) that is
    /// the VMA which [`next_vma`](crate::Rmap::next_vma) returned last.
    ///
    /// # Errors
    ///
    /// What is still owed, and the embedder's error.
    pub fn settle<W: Bookkeeping>(mut self, walk: &mut W) -> Result<(), (Self, W::Error)> {
        match self.settle_in_place(walk) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error)),
        }
    }

    fn settle_in_place<W: Bookkeeping>(&mut self, walk: &mut W) -> Result<(), W::Error> {
        if self.counters != CounterDelta::NONE {
            walk.count(self.counters)?;
            self.counters = CounterDelta::NONE;
        }
        if let Some(bits) = self.restore {
            walk.install(&self.entry, NewEntry::Restored(bits))?;
            self.restore = None;
        }
        if self.slot {
            walk.swap_free(&self.entry)?;
            self.slot = false;
        }
        if self.invalidate {
            walk.invalidate(self.range.clone())?;
            self.invalidate = false;
        }
        if self.invalidate_end {
            walk.invalidate_end(self.range.clone())?;
            self.invalidate_end = false;
        }
        Ok(())
    }
}
