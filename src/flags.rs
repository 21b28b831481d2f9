//! The flag sets: what a caller asks for, and the state of pages, VMAs and entries.
//!
//! [`UnmapFlags`] has the values of Linux 5.8's `enum ttu_flags`, so a port passes them through
//! unchanged. The other sets are this crate's own: an embedder translates its words into them,
//! best in one `const fn`.

use bitflags::bitflags;
use core::fmt;
use static_assertions::const_assert_eq;

bitflags! {
    /// What the caller of [`try_to_unmap`](crate::try_to_unmap) asks for.
    ///
    /// The low nine bits are Linux 5.8's TTU flags (`include/linux/rmap.h`, `enum ttu_flags`), value
    /// for value; bits from 16 on are this crate's own.
    ///
    /// The set is complete on purpose: a bit that it does not name is refused with [`BadFlags`]
    /// when an [`UnmapRequest`](crate::UnmapRequest) is made, because a flag that is silently
    /// dropped is a wrong unmap.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct UnmapFlags: u32 {
        /// Install migration entries: the page is being moved.
        const MIGRATION = 0x1;
        /// Only look for locked VMAs, to settle whether the page stays mlocked; not together with
        /// [`NOT_WITH_MUNLOCK`](Self::NOT_WITH_MUNLOCK).
        const MUNLOCK = 0x2;
        /// Split a huge PMD mapping first.
        const SPLIT_HUGE_PMD = 0x4;
        /// Unmap from locked VMAs too.
        const IGNORE_MLOCK = 0x8;
        /// Unmap entries that were used recently too.
        const IGNORE_ACCESS = 0x10;
        /// Do not install poison entries for a poisoned page.
        const IGNORE_HWPOISON = 0x20;
        /// TLB flushes may be batched; the caller settles the debt.
        const BATCH_FLUSH = 0x40;
        /// The caller holds the reverse-map lock.
        const RMAP_LOCKED = 0x80;
        /// Freeze the entries: the huge page is being split.
        const SPLIT_FREEZE = 0x100;
        /// The unmap is opportunistic: it may give up on a page that is costly to take.
        ///
        /// This crate's answer to "is there a more appropriate TTU flag?", the open question of the
        /// 2020 patch. Reclaim is opportunistic by nature, with or without the bit; the bit tells
        /// demotion from migration and a proactive unmap from a forced one: see
        /// [`Operation::of`](crate::Operation::of).
        const OPPORTUNISTIC = 1 << 16;
    }
}

const_assert_eq!(UnmapFlags::MIGRATION.bits(), 0x1);
const_assert_eq!(UnmapFlags::MUNLOCK.bits(), 0x2);
const_assert_eq!(UnmapFlags::SPLIT_HUGE_PMD.bits(), 0x4);
const_assert_eq!(UnmapFlags::IGNORE_MLOCK.bits(), 0x8);
const_assert_eq!(UnmapFlags::IGNORE_ACCESS.bits(), 0x10);
const_assert_eq!(UnmapFlags::IGNORE_HWPOISON.bits(), 0x20);
const_assert_eq!(UnmapFlags::BATCH_FLUSH.bits(), 0x40);
const_assert_eq!(UnmapFlags::RMAP_LOCKED.bits(), 0x80);
const_assert_eq!(UnmapFlags::SPLIT_FREEZE.bits(), 0x100);
const_assert_eq!(UnmapFlags::LINUX.bits(), 0x1ff);
const_assert_eq!(UnmapFlags::all().bits(), 0x1_01ff);

impl UnmapFlags {
    /// The bits that Linux 5.8 defines.
    pub const LINUX: Self = Self::from_bits_truncate(0x1ff);

    /// The flags with which reclaim unmaps a page in this state, in addition to `extra`.
    #[must_use]
    #[inline]
    pub const fn for_reclaim(page: PageFlags, extra: Self) -> Self {
        let flags = extra.union(Self::BATCH_FLUSH);
        if page.contains(PageFlags::THP) {
            flags.union(Self::SPLIT_HUGE_PMD)
        } else {
            flags
        }
    }

    /// The flags that take or split entries, which `MUNLOCK` does not.
    ///
    /// A request with `MUNLOCK` and one of these is inconsistent:
    /// [`UnmapRequest::under`](crate::UnmapRequest::under).
    pub const NOT_WITH_MUNLOCK: Self = Self::MIGRATION
        .union(Self::SPLIT_HUGE_PMD)
        .union(Self::IGNORE_MLOCK)
        .union(Self::SPLIT_FREEZE);

    /// Whether `MUNLOCK` is asked together with a flag that takes or splits entries.
    #[inline]
    pub(crate) const fn is_bad_munlock(self) -> bool {
        self.contains(Self::MUNLOCK) && self.intersects(Self::NOT_WITH_MUNLOCK)
    }

    /// Whether no unknown bit is set, which [`from_bits_retain`](Self::from_bits_retain) allows.
    ///
    /// # Errors
    ///
    /// [`BadFlags::Unknown`] with the bits that this version does not know.
    #[inline]
    pub const fn check(self) -> Result<Self, BadFlags> {
        match self.bits() & !Self::all().bits() {
            0 => Ok(self),
            unknown => Err(BadFlags::Unknown(unknown)),
        }
    }
}

impl TryFrom<u32> for UnmapFlags {
    type Error = BadFlags;

    fn try_from(bits: u32) -> Result<Self, BadFlags> {
        Self::from_bits_retain(bits).check()
    }
}

/// Why flags cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadFlags {
    /// Bits that this version of the crate does not know.
    Unknown(u32),
    /// `MUNLOCK` takes no entry, and was asked together with these flags, which do or split one.
    Munlock(UnmapFlags),
}

impl fmt::Display for BadFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(bits) => write!(f, "unknown unmap flag bits {bits:#x}"),
            Self::Munlock(with) => {
                write!(f, "MUNLOCK takes no entries, but was asked with {with:?}")
            }
        }
    }
}

impl core::error::Error for BadFlags {}

bitflags! {
    /// The state of one page, as far as reclaim asks for it.
    ///
    /// Whether a page is mapped is not a flag here: it is
    /// [`map_count`](crate::PageLike::map_count)` > 0`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PageFlags: u32 {
        /// Anonymous memory: no file behind it.
        const ANON = 1 << 0;
        /// Swap is its backing store; clear on an anonymous page that was freed lazily
        /// (`MADV_FREE`).
        const SWAP_BACKED = 1 << 1;
        /// Has a slot in swap and is in the swap cache.
        const SWAP_CACHE = 1 << 2;
        /// Newer than its backing store.
        const DIRTY = 1 << 3;
        /// The hardware found an uncorrectable error in it.
        const HWPOISON = 1 << 4;
        /// A page of hugetlbfs.
        const HUGETLB = 1 << 5;
        /// A transparent huge page.
        const THP = 1 << 6;
        /// Device memory that the memory map describes (`ZONE_DEVICE`).
        const ZONE_DEVICE = 1 << 7;
        /// Device memory that the CPU cannot address; always with `ZONE_DEVICE`.
        const DEVICE_PRIVATE = 1 << 8;
        /// Mapped by a locked VMA and so kept out of reclaim.
        const MLOCKED = 1 << 9;
        /// Shared by same-page merging (KSM).
        const KSM = 1 << 10;
        /// The page lock is held.
        const LOCKED = 1 << 11;
        /// Not to be reclaimed at all: a locked VMA or its file says so (`page_evictable`).
        const UNEVICTABLE = 1 << 12;
        /// Being written to its backing store.
        const WRITEBACK = 1 << 13;
        /// To be reclaimed as soon as its writeback ends.
        const RECLAIM = 1 << 14;
        /// Was found referenced by an earlier scan.
        const REFERENCED = 1 << 15;
        /// Has private data (file-system buffers) that holds a reference.
        const PRIVATE = 1 << 16;
        /// In the page cache of a file.
        const PAGE_CACHE = 1 << 17;
        /// On an active list.
        const ACTIVE = 1 << 18;
    }
}

impl PageFlags {
    /// Whether the page consists of several base pages under one head.
    #[must_use]
    pub const fn is_compound(self) -> bool {
        self.intersects(Self::THP.union(Self::HUGETLB))
    }

    /// Whether the page is in the page cache or the swap cache.
    #[must_use]
    #[inline]
    pub const fn has_mapping(self) -> bool {
        self.intersects(Self::PAGE_CACHE.union(Self::SWAP_CACHE))
    }

    /// Whether the page counts as dirty, and as under writeback, in the statistics of reclaim: only
    /// file pages do.
    #[must_use]
    #[inline]
    pub const fn counts_as_io(self) -> (bool, bool) {
        if self.intersects(Self::ANON.union(Self::SWAP_BACKED)) {
            return (false, false);
        }
        (self.contains(Self::DIRTY), self.contains(Self::WRITEBACK))
    }

    /// Whether the swap slot of a page that is being activated is to be freed.
    #[must_use]
    #[inline]
    pub const fn frees_swap(self, swap_full: bool) -> bool {
        self.contains(Self::SWAP_CACHE) && (swap_full || self.contains(Self::MLOCKED))
    }

    /// Whether the page is anonymous and is swap-backed but not in the swap cache, or the reverse.
    #[inline]
    pub(crate) const fn is_inconsistent_anon(self) -> bool {
        self.contains(Self::ANON)
            && self.contains(Self::SWAP_BACKED) != self.contains(Self::SWAP_CACHE)
    }
}

bitflags! {
    /// The state of one VMA.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct VmFlags: u32 {
        /// Locked in memory (`VM_LOCKED`).
        const LOCKED = 1 << 0;
        /// A userfaultfd is armed on it.
        const UFFD = 1 << 1;
        /// Executable (`VM_EXEC`).
        const EXEC = 1 << 2;
        /// The stack of a program that `exec` is still setting up: its entries cannot be found by
        /// the fault path, so migration entries must not be put there.
        const TEMPORARY_STACK = 1 << 3;
    }
}

bitflags! {
    /// The state of one page-table entry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PteFlags: u32 {
        /// Used since the bit was last cleared.
        const YOUNG = 1 << 0;
        /// Written through since the entry was installed.
        const DIRTY = 1 << 1;
        /// Writes are allowed.
        const WRITABLE = 1 << 2;
        /// Soft-dirty tracking saw a write.
        const SOFT_DIRTY = 1 << 3;
        /// Write-protected for userfaultfd.
        const UFFD_WP = 1 << 4;
        /// The guest said that it does not use the content (s390 `pte_unused`).
        const UNUSED = 1 << 5;
        /// A PMD that maps the whole huge page.
        const PMD = 1 << 6;
    }
}

impl PteFlags {
    /// The bits that a migration entry keeps.
    pub const MIGRATION_CARRIES: Self = Self::WRITABLE.union(Self::SOFT_DIRTY).union(Self::UFFD_WP);
    /// The bits that a swap entry, and the migration entry of a device-private page, keep.
    pub const SWAP_CARRIES: Self = Self::SOFT_DIRTY.union(Self::UFFD_WP);
}
