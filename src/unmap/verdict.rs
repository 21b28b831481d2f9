//! The results of a walk through one VMA.

use super::decide::Inconsistency;
use crate::pin::Pins;
use core::fmt;

/// The result of [`try_to_unmap_one`](crate::try_to_unmap_one): what became of the page's mappings
/// in one VMA.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Every entry was handled. With `MUNLOCK`: no entry is in a locked VMA, nothing is touched.
    Done,
    /// A shared hugetlb page table was removed from the address space with all its entries.
    Unshared,
    /// `MUNLOCK`, and the VMA is not locked. Nothing is touched.
    NotLocked,
    /// `MIGRATION`, and the page is device memory that cannot be migrated. Nothing is touched.
    NotMigratable,
    /// The page is pinned; the policy goes on to the next VMA. Nothing is touched.
    NextVma(Pins),
    /// The page is pinned; reclaim takes another one. Nothing is touched.
    SkipPage(Pins),
    /// The page is pinned; what was asked fails. Nothing is touched.
    Refused(Pins),
    /// The walk stopped at an entry, which is in place. Entries before it may be gone.
    Stopped(Stop),
}

impl Verdict {
    /// What Linux returns: `true` to go on to the next VMA, `false` to give the page up.
    #[must_use]
    #[inline]
    pub const fn goes_on(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Stopped(_))
    }

    /// Whether the page was left alone because of its pins, with nothing touched.
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
    /// The entry was young; its young bit is cleared.
    Young,
    /// A pin appeared while the entry was being cleared; the entry was put back.
    PinAppeared(Pins),
    /// The swap slot could not be duplicated; the entry was put back.
    SwapSlotRefused,
    /// The architecture's hook refused; the entry was put back, and the swap slot's reference
    /// dropped.
    ArchRefused,
    /// The page was freed lazily and then written to; the entry was put back, and the page is
    /// swap-backed again.
    LazyfreeRedirtied,
    /// The anonymous page is swap-backed but not in the swap cache, or the reverse. The entry was
    /// left, or put back.
    InconsistentAnon,
    /// [`unshare_pmd`](super::PageTables::unshare_pmd) does not know whether the page table of the
    /// hugetlb page is shared. The entry was left.
    SharingUnknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Unshared => f.write_str("shared page table removed"),
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

/// Input that is inconsistent, or an embedder's method that failed.
///
/// The entry at which it happened is in place; entries before it may be gone.
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
    /// The address is outside the VMA. Nothing is touched.
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
    /// The states of the page and of its entry contradict each other; Linux halts. The entry is in
    /// place.
    Inconsistent {
        /// The contradiction.
        what: Inconsistency,
        /// The address of the entry in bytes.
        address: u64,
    },
    /// A method of [`PageTables`](super::PageTables) failed.
    PageTables {
        /// The address in bytes: of the entry, or where the walk began.
        address: u64,
        /// The embedder's error.
        source: E,
    },
}

impl<E: fmt::Display> fmt::Display for UnmapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadVma { start, end } => {
                write!(f, "VMA {start:#x}..{end:#x} ends before it begins")
            }
            Self::OutsideVma { address } => write!(f, "{address:#x} is outside the VMA"),
            Self::Misaligned { address } => write!(f, "{address:#x} is not page-aligned"),
            Self::NoReference => f.write_str("the page's reference count is zero"),
            Self::Inconsistent { what, address } => write!(f, "{what:?} at {address:#x}"),
            Self::PageTables { address, source } => {
                write!(f, "page tables at {address:#x}: {source}")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for UnmapError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::PageTables { source, .. } => Some(source),
            _ => None,
        }
    }
}
