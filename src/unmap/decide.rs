//! The decisions of `try_to_unmap_one`: state in, a named answer out, nothing touched.
//!
//! Facts from `try_to_unmap_one` in `mm/rmap.c`, Linux 5.8, in its order. The driver asks them one
//! after the other; an analysis tool or a simulator may use them alone.

use super::embed::{CounterDelta, NewEntry};
use super::tlb::FlushMode;
use super::verdict::Verdict;
use crate::flags::{PageFlags, PteFlags, UnmapFlags, VmFlags};

/// The gate: the verdict on a page in a VMA that flags and states alone give, before anything is
/// touched; `None` to walk the entries, unless the pins forbid it.
///
/// The pin policy is asked between the gate and the split of a huge mapping: it reads the page's
/// counters, and for most policies once for the page is enough.
#[must_use]
#[inline]
pub const fn gate(flags: UnmapFlags, vma: VmFlags, page: PageFlags) -> Option<Verdict> {
    if flags.contains(UnmapFlags::MUNLOCK) && !vma.contains(VmFlags::LOCKED) {
        return Some(Verdict::NotLocked);
    }
    if flags.contains(UnmapFlags::MIGRATION)
        && page.contains(PageFlags::ZONE_DEVICE)
        && !page.contains(PageFlags::DEVICE_PRIVATE)
    {
        return Some(Verdict::NotMigratable);
    }
    None
}

/// What reclaim asks of a page that is not huge (`shrink_page_list`, `mm/vmscan.c`, 5.8).
pub(super) const PLAIN: UnmapFlags = UnmapFlags::BATCH_FLUSH;

/// Whether every decision is as for the flags [`PLAIN`] in a VMA without flags.
///
/// `OPPORTUNISTIC` makes a difference only beside flags that are not in `PLAIN`.
#[inline(always)]
pub(super) const fn is_plain(flags: UnmapFlags, vma: VmFlags) -> bool {
    flags.difference(UnmapFlags::OPPORTUNISTIC).bits() == PLAIN.bits()
        && !vma.intersects(VmFlags::LOCKED.union(VmFlags::UFFD))
}

/// What is to be done with an entry before it is cleared.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Look {
    /// The VMA is locked: stop, the page stays; if `mlock_page`, it becomes mlocked (compound pages
    /// do not).
    Mlocked {
        /// Whether the page is to be mlocked.
        mlock_page: bool,
    },
    /// MUNLOCK, and this entry says nothing: next entry.
    NextEntry,
    /// Page and entry are inconsistent: an error.
    Wrong(Inconsistency),
    /// Take it.
    Take {
        /// What kind of entry it is.
        kind: TakeKind,
        /// First try to un-share the page table; if that succeeds, the walk is over.
        unshare: bool,
        /// Then test and clear young; if young, stop.
        test_young: bool,
        /// Then clear it, with this flush.
        flush: FlushMode,
    },
}

/// The kinds of entries that are taken in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TakeKind {
    /// A base page's, or a hugetlb page's: [`replace`] says what comes in its place.
    Base,
    /// The PMD of a huge page under MIGRATION: a PMD migration entry comes in its place.
    Pmd,
    /// A device-private page's under MIGRATION: a read-only migration entry comes in its place.
    DevicePrivate,
}

/// A state in which Linux halts. Nothing is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inconsistency {
    /// A PMD where a PTE must be: without MIGRATION, after a split of the huge mapping was asked
    /// for, or for a page that is not a transparent huge page.
    UnexpectedPmd,
    /// A hugetlb page without `RMAP_LOCKED`.
    HugetlbNotRmapLocked,
    /// The walk returned an entry outside the range that secondary MMUs were told of.
    EntryOutsideRange,
}

/// What is to be done with an entry, before it is cleared.
#[inline(always)]
pub const fn look(flags: UnmapFlags, vma: VmFlags, page: PageFlags, entry: PteFlags) -> Look {
    let pmd = entry.contains(PteFlags::PMD);
    let migration = flags.contains(UnmapFlags::MIGRATION);
    if pmd && migration {
        return look_at_pmd(flags, page);
    }
    if !flags.contains(UnmapFlags::IGNORE_MLOCK)
        && (vma.contains(VmFlags::LOCKED) || flags.contains(UnmapFlags::MUNLOCK))
    {
        return look_for_mlock(vma, page);
    }
    if pmd {
        return Look::Wrong(Inconsistency::UnexpectedPmd);
    }
    let hugetlb = page.contains(PageFlags::HUGETLB);
    if hugetlb && !flags.contains(UnmapFlags::RMAP_LOCKED) {
        return Look::Wrong(Inconsistency::HugetlbNotRmapLocked);
    }
    let device = migration && page.contains(PageFlags::ZONE_DEVICE);
    if hugetlb || device {
        return take_special(flags, hugetlb, device);
    }
    take_base(flags, false)
}

// Out of line, so that a walk over base pages is compiled without what these say.

/// A PMD under MIGRATION. Linux does not ask about locked VMAs before it halts.
#[cold]
#[inline(never)]
const fn look_at_pmd(flags: UnmapFlags, page: PageFlags) -> Look {
    if !is_whole(flags, page) {
        return Look::Wrong(Inconsistency::UnexpectedPmd);
    }
    Look::Take {
        kind: TakeKind::Pmd,
        unshare: false,
        test_young: false,
        flush: FlushMode::Now,
    }
}

/// In a locked VMA, or MUNLOCK.
#[cold]
#[inline(never)]
const fn look_for_mlock(vma: VmFlags, page: PageFlags) -> Look {
    if vma.contains(VmFlags::LOCKED) {
        Look::Mlocked {
            mlock_page: !page.is_compound(),
        }
    } else {
        Look::NextEntry
    }
}

/// An entry of a hugetlb page, or of a device-private page under MIGRATION.
#[cold]
#[inline(never)]
const fn take_special(flags: UnmapFlags, hugetlb: bool, device: bool) -> Look {
    if device {
        return Look::Take {
            kind: TakeKind::DevicePrivate,
            unshare: hugetlb,
            test_young: false,
            flush: FlushMode::NotNeeded,
        };
    }
    take_base(flags, hugetlb)
}

#[inline(always)]
const fn take_base(flags: UnmapFlags, hugetlb: bool) -> Look {
    Look::Take {
        kind: TakeKind::Base,
        unshare: hugetlb,
        test_young: !flags.contains(UnmapFlags::IGNORE_ACCESS),
        flush: if flags.contains(UnmapFlags::BATCH_FLUSH) {
            FlushMode::MayDefer
        } else {
            FlushMode::Now
        },
    }
}

/// Marks a branch as rarely taken, so that the compiler does not compute both sides of it.
#[cold]
#[inline(never)]
const fn rare() {}

/// Whether a PMD is migrated as a whole: a transparent huge page's that was not to be split.
#[inline(always)]
const fn is_whole(flags: UnmapFlags, page: PageFlags) -> bool {
    const COMPOUND: PageFlags = PageFlags::THP.union(PageFlags::HUGETLB);
    page.intersection(COMPOUND).bits() == PageFlags::THP.bits()
        && !flags.contains(UnmapFlags::SPLIT_HUGE_PMD)
}

/// What comes in the place of an entry that was cleared.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replacement {
    /// A poison entry.
    Poison,
    /// Nothing: the guest said that it does not use the content.
    Unused,
    /// A migration entry with these bits, if the architecture's hook agrees.
    Migration(PteFlags),
    /// A migration entry with these bits in place of a PMD.
    PmdMigration(PteFlags),
    /// A migration entry with these bits for a page that the CPU cannot address.
    DevicePrivate(PteFlags),
    /// The swap slot with these bits, if it can be duplicated and the architecture's hook agrees.
    Swap(PteFlags),
    /// Nothing: the page was freed lazily and is clean.
    DiscardLazyfree,
    /// The entry itself: the page was freed lazily, and then written to. Mark it swap-backed, stop.
    KeepLazyfree,
    /// The entry itself: an anonymous page is in the swap cache if and only if it is swap-backed,
    /// and this one is not so. Stop.
    InconsistentAnon,
    /// Nothing: the file has the content.
    File,
}

/// What replaces an entry of this kind that was cleared.
///
/// `page` has [`DIRTY`](PageFlags::DIRTY) if the cleared entry was dirty.
#[inline(always)]
pub const fn replace(
    kind: TakeKind,
    flags: UnmapFlags,
    vma: VmFlags,
    page: PageFlags,
    cleared: PteFlags,
) -> Replacement {
    match kind {
        TakeKind::Base => replace_base(flags, vma, page, cleared),
        TakeKind::Pmd => {
            Replacement::PmdMigration(cleared.intersection(PteFlags::MIGRATION_CARRIES))
        }
        TakeKind::DevicePrivate => {
            Replacement::DevicePrivate(cleared.intersection(PteFlags::SWAP_CARRIES))
        }
    }
}

/// What replaces the entry of a base page.
#[inline(always)]
const fn replace_base(
    flags: UnmapFlags,
    vma: VmFlags,
    page: PageFlags,
    cleared: PteFlags,
) -> Replacement {
    if page.contains(PageFlags::HWPOISON) && !flags.contains(UnmapFlags::IGNORE_HWPOISON) {
        rare();
        return Replacement::Poison;
    }
    if cleared.contains(PteFlags::UNUSED) && !vma.contains(VmFlags::UFFD) {
        rare();
        return Replacement::Unused;
    }
    if flags.intersects(UnmapFlags::MIGRATION.union(UnmapFlags::SPLIT_FREEZE)) {
        rare();
        return Replacement::Migration(cleared.intersection(PteFlags::MIGRATION_CARRIES));
    }
    if !page.contains(PageFlags::ANON) {
        return Replacement::File;
    }
    match (
        page.contains(PageFlags::SWAP_BACKED),
        page.contains(PageFlags::SWAP_CACHE),
    ) {
        (true, true) => Replacement::Swap(cleared.intersection(PteFlags::SWAP_CARRIES)),
        (false, false) if page.contains(PageFlags::DIRTY) => Replacement::KeepLazyfree,
        (false, false) => Replacement::DiscardLazyfree,
        (true, false) | (false, true) => Replacement::InconsistentAnon,
    }
}

impl Replacement {
    /// The entry to install, if the cleared one is not left empty.
    #[must_use]
    #[inline]
    pub const fn entry(self) -> Option<NewEntry> {
        match self {
            Self::Poison => Some(NewEntry::Poison),
            Self::Migration(bits) | Self::DevicePrivate(bits) => Some(NewEntry::Migration(bits)),
            Self::PmdMigration(bits) => Some(NewEntry::PmdMigration(bits)),
            Self::Swap(bits) => Some(NewEntry::Swap(bits)),
            Self::Unused
            | Self::DiscardLazyfree
            | Self::File
            | Self::KeepLazyfree
            | Self::InconsistentAnon => None,
        }
    }

    /// Whether a reference on the swap slot must be had first.
    #[must_use]
    #[inline]
    pub const fn needs_slot(self) -> bool {
        matches!(self, Self::Swap(_))
    }

    /// Whether the architecture's hook is asked first.
    #[must_use]
    #[inline]
    pub const fn asks_arch(self) -> bool {
        matches!(self, Self::Swap(_) | Self::Migration(_))
    }

    /// Whether secondary MMUs must drop the address while the page-table lock is held.
    ///
    /// Not for migration and poison entries: the end of the range's invalidation is soon enough for
    /// an entry that keeps whoever touches it waiting, or kills it. Not for file pages: nothing new
    /// can appear at the address before that end.
    #[must_use]
    #[inline]
    pub const fn invalidates(self) -> bool {
        matches!(self, Self::Unused | Self::Swap(_) | Self::DiscardLazyfree)
    }

    /// How the address space's counters change, for a page in this state.
    #[inline]
    #[must_use]
    pub const fn counters(self, page: PageFlags) -> CounterDelta {
        let mut delta = CounterDelta::NONE;
        match self {
            Self::Poison if page.contains(PageFlags::HUGETLB) => delta.hugetlb = -1,
            Self::Poison | Self::Unused | Self::DiscardLazyfree | Self::File => {
                if page.contains(PageFlags::ANON) {
                    delta.anon = -1;
                } else if page.contains(PageFlags::SWAP_BACKED) {
                    delta.shmem = -1;
                } else {
                    delta.file = -1;
                }
            }
            Self::Swap(_) => {
                delta.anon = -1;
                delta.swap_ents = 1;
            }
            Self::Migration(_)
            | Self::PmdMigration(_)
            | Self::DevicePrivate(_)
            | Self::KeepLazyfree
            | Self::InconsistentAnon => {}
        }
        delta
    }
}
