//! The decisions about one isolated page: state in, a named answer out, nothing touched.
//!
//! Facts from `shrink_page_list` and `page_check_references` in `mm/vmscan.c`, Linux 5.8, in the
//! order in which the [driver](super::shrink_page) asks them.

use super::ops::Removal;
use super::{ActivateReason, Fate, KeepReason};
use crate::flags::{PageFlags, VmFlags};
use bitflags::bitflags;
use static_assertions::assert_not_impl_any;

bitflags! {
    /// What a scan may do, and what its node is like. [`direct`](Self::direct),
    /// [`background`](Self::background) and [`proactive`](Self::proactive) say what Linux's reclaimers
    /// may do.
    ///
    /// There is no default: a scan without [`MAY_UNMAP`](Self::MAY_UNMAP) takes no mapped page, and
    /// one without [`IO`](Self::IO) takes no anonymous page that is not in the swap cache.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct ScanFlags: u32 {
        /// Mapped pages may be unmapped (`may_unmap`).
        const MAY_UNMAP = 1 << 0;
        /// Dirty pages may be written out (`may_writepage`).
        const MAY_WRITE = 1 << 1;
        /// I/O may be started (`__GFP_IO`).
        const IO = 1 << 2;
        /// The filesystem may be entered (`__GFP_FS`).
        const FS = 1 << 3;
        /// The background reclaimer scans (`current_is_kswapd`).
        const BACKGROUND = 1 << 4;
        /// Dirty throttling works for this scan, so it need not wait for writeback itself
        /// (`writeback_throttling_sane`).
        const SANE_THROTTLING = 1 << 5;
        /// References are not asked about.
        const IGNORE_REFERENCES = 1 << 6;
        /// The node has too many pages under writeback (`PGDAT_WRITEBACK`).
        const NODE_WRITEBACK = 1 << 7;
        /// The node is full of dirty pages (`PGDAT_DIRTY`).
        const NODE_DIRTY = 1 << 8;
        /// Pins are first asked about when the page is being unmapped, as with the 2020 patch, and
        /// not at the front.
        const NO_PIN_HINT = 1 << 16;
    }
}

// A scan that may do nothing runs over all lists and takes nothing.
assert_not_impl_any!(ScanFlags: Default);

impl ScanFlags {
    /// What a caller that waits for memory may do, if it may start I/O and enter the filesystem
    /// (`try_to_free_pages` with `GFP_KERNEL`, `mm/vmscan.c`, 5.8): everything, and it leaves
    /// waiting for writeback to dirty throttling.
    #[must_use]
    pub const fn direct() -> Self {
        Self::MAY_UNMAP
            .union(Self::MAY_WRITE)
            .union(Self::IO)
            .union(Self::FS)
            .union(Self::SANE_THROTTLING)
    }

    /// What the background reclaimer may do (`balance_pgdat`, `mm/vmscan.c`, 5.8): as
    /// [`direct`](Self::direct), as [`BACKGROUND`](Self::BACKGROUND).
    #[must_use]
    pub const fn background() -> Self {
        Self::direct().union(Self::BACKGROUND)
    }

    /// What reclaim ahead of need may do (`memory.reclaim`, `mm/memcontrol.c`, since 5.19): the same
    /// as [`direct`](Self::direct).
    #[must_use]
    pub const fn proactive() -> Self {
        Self::direct()
    }

    /// Whether the scan may enter the filesystem for a page in this state: swap needs no filesystem.
    #[must_use]
    #[inline]
    pub const fn may_enter_fs(self, page: PageFlags) -> bool {
        self.contains(Self::FS) || (page.contains(PageFlags::SWAP_CACHE) && self.contains(Self::IO))
    }
}

/// How a page was used of late (`page_referenced`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Referenced {
    /// Page-table entries that were found young, and no longer are.
    pub entries: u32,
    /// The flags of the VMAs that map it.
    pub vma: VmFlags,
}

/// What a page's references say.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum References {
    /// Nothing against reclaim.
    Reclaim,
    /// Reclaim it if it is clean.
    ReclaimClean,
    /// Keep it on its list, once.
    Keep,
    /// It is in use: activate it.
    Activate,
}

/// What the references say about a page that had the flags `page` before the referenced mark was
/// taken off, and whether the mark is to be set again.
#[inline]
pub const fn references(page: PageFlags, found: Referenced) -> (References, bool) {
    if found.vma.contains(VmFlags::LOCKED) {
        return (References::Reclaim, false);
    }
    let marked = page.contains(PageFlags::REFERENCED);
    let swap_backed = page.contains(PageFlags::SWAP_BACKED);
    if found.entries == 0 {
        return if marked && !swap_backed {
            (References::ReclaimClean, false)
        } else {
            (References::Reclaim, false)
        };
    }
    if swap_backed {
        return (References::Activate, false);
    }
    if marked || found.entries > 1 || found.vma.contains(VmFlags::EXEC) {
        (References::Activate, true)
    } else {
        (References::Keep, true)
    }
}

/// The fate of a page that is ruled out before anything else is asked; `None` if it is not.
#[must_use]
#[inline]
pub const fn entrance(page: PageFlags, mapped: bool, scan: ScanFlags) -> Option<Fate> {
    if page.contains(PageFlags::UNEVICTABLE) {
        Some(Fate::Activated(ActivateReason::Unevictable))
    } else if mapped && !scan.contains(ScanFlags::MAY_UNMAP) {
        Some(Fate::Kept(KeepReason::Mapped))
    } else {
        None
    }
}

/// What to do with a page under writeback.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnderWriteback {
    /// It came round again before its writeback ended: count it, activate.
    Immediate,
    /// Mark it for reclaim when its writeback ends, activate.
    Mark,
    /// Wait for its writeback, then try the page again.
    Wait,
}

/// What to do with a page under writeback.
#[inline]
pub const fn under_writeback(
    page: PageFlags,
    scan: ScanFlags,
    may_enter_fs: bool,
) -> UnderWriteback {
    let marked = page.contains(PageFlags::RECLAIM);
    if marked && scan.contains(ScanFlags::BACKGROUND.union(ScanFlags::NODE_WRITEBACK)) {
        UnderWriteback::Immediate
    } else if scan.contains(ScanFlags::SANE_THROTTLING) || !marked || !may_enter_fs {
        UnderWriteback::Mark
    } else {
        UnderWriteback::Wait
    }
}

/// What a page needs before it can leave memory.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backing {
    /// Nothing: it has its backing store.
    Has,
    /// A slot in swap.
    NeedsSwap,
    /// A slot in swap, which may not be had without I/O: keep.
    NoIo,
    /// It must be split.
    NeedsSplit,
}

/// What a page needs before it can leave memory.
#[inline]
pub const fn backing(page: PageFlags, scan: ScanFlags) -> Backing {
    if page.contains(PageFlags::ANON.union(PageFlags::SWAP_BACKED)) {
        if page.contains(PageFlags::SWAP_CACHE) {
            Backing::Has
        } else if scan.contains(ScanFlags::IO) {
            Backing::NeedsSwap
        } else {
            Backing::NoIo
        }
    } else if page.contains(PageFlags::THP) {
        Backing::NeedsSplit
    } else {
        Backing::Has
    }
}

/// What to do with a page, as far as it is dirty.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dirty {
    /// It is clean: go on.
    Clean,
    /// Leave it to the flusher: mark it for reclaim when it is written, activate.
    LeaveToFlusher,
    /// It was to be reclaimed only if clean, or may not be written by this scan: keep.
    Keep,
    /// Write it out.
    WriteOut,
}

/// What to do with a page, as far as it is dirty.
#[inline]
pub const fn dirty(
    page: PageFlags,
    references: References,
    scan: ScanFlags,
    may_enter_fs: bool,
) -> Dirty {
    if !page.contains(PageFlags::DIRTY) {
        return Dirty::Clean;
    }
    let overrun = scan.contains(ScanFlags::BACKGROUND.union(ScanFlags::NODE_DIRTY))
        && page.contains(PageFlags::RECLAIM);
    if !page.contains(PageFlags::SWAP_BACKED) && !overrun {
        Dirty::LeaveToFlusher
    } else if matches!(references, References::ReclaimClean)
        || !may_enter_fs
        || !scan.contains(ScanFlags::MAY_WRITE)
    {
        Dirty::Keep
    } else {
        Dirty::WriteOut
    }
}

/// How a page that nothing maps leaves memory; `None` if it is in no cache, so that it is kept.
#[must_use]
#[inline]
pub const fn leave(page: PageFlags) -> Option<Removal> {
    if page.contains(PageFlags::ANON) && !page.contains(PageFlags::SWAP_BACKED) {
        Some(Removal::Lazyfree)
    } else if page.has_mapping() {
        Some(Removal::FromCache)
    } else {
        None
    }
}
