//! What an embedder implements: a cursor over the page-table entries of one page.

use super::tlb::FlushMode;
use crate::flags::PteFlags;
use core::ops::Range;

/// A page-table entry that maps the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Entry {
    /// The virtual address in bytes.
    pub address: u64,
    /// Its bits.
    pub flags: PteFlags,
}

/// What is written into an entry that was cleared.
///
/// Exhaustive: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewEntry {
    /// The entry that [`PageTables::clear`] took, with the bits that it had then.
    Restored(PteFlags),
    /// The page's swap slot, with these bits.
    Swap(PteFlags),
    /// A migration entry for the base page, with these bits.
    Migration(PteFlags),
    /// A migration entry for the whole huge page, in place of its PMD.
    PmdMigration(PteFlags),
    /// A poison entry: whoever touches the address is killed.
    Poison,
}

/// The result of [`PageTables::clear`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cleared {
    /// The bits that the exchange returned; the hardware may have changed them since
    /// [`next_entry`](PageTables::next_entry).
    pub flags: PteFlags,
    /// Whether the TLB flush was deferred; only with [`FlushMode::MayDefer`].
    pub deferred: bool,
}

/// The embedder's answer to a request that it may decline.
///
/// Exhaustive: embedders return it.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// It is done.
    Done,
    /// It cannot be done now, and nothing has changed.
    Refused,
}

/// The result of [`PageTables::unshare_pmd`]: whether the page table of a hugetlb entry is shared
/// with another address space.
///
/// Exhaustive: embedders return it.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedTable {
    /// It is not shared. The walk takes the entry.
    No,
    /// It was shared, and is removed from this address space. The walk is over.
    Unshared,
    /// The embedder does not know. The walk stops with the entry in place.
    Unknown,
}

/// The mappings of one page in one VMA: a cursor over the page-table entries.
///
/// Six methods are required. The others are for swap, huge pages, secondary MMUs (KVM, an IOMMU)
/// and counters. A default is right for an embedder that does not have the thing. Where one that
/// has it forgets the method, the crate keeps the entry in place if it can tell:
///
/// | not implemented | what happens |
/// | --- | --- |
/// | `swap_duplicate` | pages in the swap cache stay mapped ([`SwapSlotRefused`](super::Stop::SwapSlotRefused)) |
/// | `unshare_pmd` | hugetlb pages stay mapped ([`SharingUnknown`](super::Stop::SharingUnknown)) |
/// | `split_huge_pmd` | a PMD that the walk finds is an error and stays |
/// | `mlock_page`, `set_swap_backed` | the page stays mapped; reclaim comes to it again |
/// | `swap_free` | **not noticed**: a slot leaks when the architecture refuses |
/// | `widen_for_sharing`, `invalidate_begin`, `invalidate`, `invalidate_end` | **not noticed**: a secondary MMU keeps access to a page that is freed |
/// | `update_hiwater`, `count` | **not noticed**: wrong statistics |
///
/// # Contract
///
/// - From the call of [`next_entry`](Self::next_entry) that returns an entry to the next call, the
///   page-table lock of that entry is held. The other methods are called for that entry.
/// - Methods that return an error have changed nothing. The walk stops there.
/// - After [`clear`](Self::clear) has succeeded there is no way back for the embedder: the methods
///   that follow cannot fail, except for the two that return [`Attempt`]. If one of these refuses,
///   the walk puts the entry back.
/// - Nothing is called for a page that is skipped or refused.
///
/// | method | locks held | may fail | when it returns |
/// | --- | --- | --- | --- |
/// | `next_entry` | takes the page-table lock | yes | the entry is locked |
/// | `test_and_clear_young` | page table | no | the entry is old, in all MMUs |
/// | `clear` | page table | yes | the entry is empty, its bits are returned |
/// | `swap_duplicate`, `arch_unmap` | page table | may refuse | the slot has one reference more |
/// | `install` | page table | no | the new entry is visible |
/// | `set_page_dirty`, `set_swap_backed`, `mlock_page` | page table | no | the page has the flag |
/// | `count`, `update_hiwater` | page table | no | the counters are changed |
/// | `invalidate` | page table | no | no secondary MMU maps the range |
/// | `remove_rmap` | page table | no | the map count is one lower, then a reference is dropped |
/// | `split_huge_pmd`, `invalidate_begin` | none | yes | |
/// | `widen_for_sharing`, `invalidate_end` | none | no | |
///
/// # Examples
///
/// One page mapped by one entry:
///
/// ```
/// use core::convert::Infallible;
/// use pinfold::{Cleared, Entry, FlushMode, NewEntry, PageTables, PteFlags};
///
/// struct OneEntry {
///     address: u64,
///     pte: Option<PteFlags>,
///     page_dirty: bool,
///     visited: bool,
/// }
///
/// impl PageTables for OneEntry {
///     type Error = Infallible;
///
///     fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
///         let first = !core::mem::replace(&mut self.visited, true);
///         let pte = self.pte.filter(|_| first);
///         Ok(pte.map(|flags| Entry { address: self.address, flags }))
///     }
///
///     fn test_and_clear_young(&mut self, _: &Entry) -> bool {
///         let young = self.pte.is_some_and(|pte| pte.contains(PteFlags::YOUNG));
///         self.pte = self.pte.map(|pte| pte.difference(PteFlags::YOUNG));
///         young
///     }
///
///     fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
///         // A real embedder also flushes the TLB here.
///         let flags = self.pte.take().unwrap_or_default();
///         Ok(Cleared { flags, deferred: false })
///     }
///
///     fn install(&mut self, _: &Entry, new: NewEntry) {
///         if let NewEntry::Restored(flags) = new {
///             self.pte = Some(flags);
///         }
///     }
///
///     fn set_page_dirty(&mut self) {
///         self.page_dirty = true;
///     }
///
///     fn remove_rmap(&mut self, _: &Entry) {}
/// }
/// ```
#[allow(unused_variables)]
pub trait PageTables {
    /// The embedder's error; [`Infallible`](core::convert::Infallible) if it has none.
    type Error;

    /// Moves to the next entry that maps the page, and locks its page table; `None` at the end.
    ///
    /// # Errors
    ///
    /// The embedder's own: the entries cannot be read. The walk stops.
    fn next_entry(&mut self) -> Result<Option<Entry>, Self::Error>;

    /// Tests and clears the young bit of the entry, in the CPU's page table and in secondary MMUs
    /// (`ptep_clear_flush_young_notify`).
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool;

    /// Clears the entry in one atomic exchange, and flushes the TLB as `flush` says.
    ///
    /// # Errors
    ///
    /// The embedder's own; the entry is untouched. The walk stops.
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Self::Error>;

    /// Writes `new` in place of the entry that was cleared.
    ///
    /// It cannot fail: the page table exists.
    fn install(&mut self, entry: &Entry, new: NewEntry);

    /// Marks the page dirty.
    fn set_page_dirty(&mut self);

    /// Removes the reverse mapping of the entry, which is gone for good: decrements the page's map
    /// count, then drops the mapping's reference, in this order. A PMD is one mapping with one
    /// reference.
    fn remove_rmap(&mut self, entry: &Entry);

    /// Takes one more reference on the page's swap slot, for the swap entry that is installed next.
    ///
    /// The default refuses: an anonymous page in the swap cache stays mapped.
    fn swap_duplicate(&mut self, entry: &Entry) -> Attempt {
        Attempt::Refused
    }

    /// Drops the reference that [`swap_duplicate`](Self::swap_duplicate) took. Called only if
    /// [`arch_unmap`](Self::arch_unmap) refuses: an embedder with the default of that one needs no
    /// method here. The suites of the feature `test-utils` make it refuse.
    fn swap_free(&mut self, entry: &Entry) {}

    /// Asks the architecture before an entry is replaced by a swap or migration entry
    /// (`arch_unmap_one`). The default agrees.
    fn arch_unmap(&mut self, entry: &Entry, cleared: PteFlags) -> Attempt {
        Attempt::Done
    }

    /// Splits the huge mapping of the page at this address into base-page entries, before the walk
    /// begins; with `freeze` into migration entries (`split_huge_pmd_address`).
    ///
    /// The default does nothing: a PMD that the walk then finds is an
    /// [inconsistency](crate::unmap::decide::Inconsistency), and stays.
    ///
    /// # Errors
    ///
    /// The embedder's own; the mapping is as it was.
    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Widens the range of a hugetlb page to what un-sharing its page table would touch
    /// (`adjust_range_if_pmd_sharing_possible`). Addresses in bytes.
    fn widen_for_sharing(&mut self, range: Range<u64>) -> Range<u64> {
        range
    }

    /// If the hugetlb page table at the entry is shared with another address space: removes it from
    /// this one, flushes the TLB for the range, and returns [`SharedTable::Unshared`]
    /// (`huge_pmd_unshare`). Called for hugetlb pages only.
    ///
    /// The default is [`SharedTable::Unknown`]: clearing an entry of a shared table would unmap the
    /// page from the other address spaces too.
    fn unshare_pmd(&mut self, entry: &Entry, range: &Range<u64>) -> SharedTable {
        SharedTable::Unknown
    }

    /// Tells secondary MMUs that the invalidation of the range begins. Addresses in bytes.
    ///
    /// # Errors
    ///
    /// The embedder's own. The walk does not begin.
    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Tells secondary MMUs to drop the range at once.
    fn invalidate(&mut self, range: Range<u64>) {}

    /// Tells secondary MMUs that the invalidation of the range is over. Called once for each
    /// successful [`invalidate_begin`](Self::invalidate_begin), however the walk ends.
    fn invalidate_end(&mut self, range: Range<u64>) {}

    /// Marks the page mlocked, because a locked VMA maps it, and moves it to the unevictable list
    /// (`mlock_vma_page`). The default does nothing; the page stays mapped either way.
    fn mlock_page(&mut self) {}

    /// Marks a lazily freed page swap-backed again, because it was written to after it was freed.
    /// The default does nothing: the page is dirty, so it is not discarded, and stays in memory. An
    /// embedder with lazily freed pages implements it.
    fn set_swap_backed(&mut self) {}

    /// Updates the high-water mark of resident memory, which is about to fall
    /// (`update_hiwater_rss`).
    fn update_hiwater(&mut self) {}

    /// Changes the counters of the address space.
    fn count(&mut self, delta: CounterDelta) {}
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline]
        fn $name(&mut self, $($arg: $type),*) -> $out {
            (**self).$name($($arg),*)
        }
    )*};
}

impl<W: PageTables + ?Sized> PageTables for &mut W {
    type Error = W::Error;

    forward! {
        next_entry() -> Result<Option<Entry>, Self::Error>;
        test_and_clear_young(entry: &Entry) -> bool;
        clear(entry: &Entry, flush: FlushMode) -> Result<Cleared, Self::Error>;
        install(entry: &Entry, new: NewEntry) -> ();
        set_page_dirty() -> ();
        remove_rmap(entry: &Entry) -> ();
        swap_duplicate(entry: &Entry) -> Attempt;
        swap_free(entry: &Entry) -> ();
        arch_unmap(entry: &Entry, cleared: PteFlags) -> Attempt;
        split_huge_pmd(freeze: bool) -> Result<(), Self::Error>;
        widen_for_sharing(range: Range<u64>) -> Range<u64>;
        unshare_pmd(entry: &Entry, range: &Range<u64>) -> SharedTable;
        invalidate_begin(range: Range<u64>) -> Result<(), Self::Error>;
        invalidate(range: Range<u64>) -> ();
        invalidate_end(range: Range<u64>) -> ();
        mlock_page() -> ();
        set_swap_backed() -> ();
        update_hiwater() -> ();
        count(delta: CounterDelta) -> ();
    }
}

/// A change of an address space's counters, in entries; `hugetlb` in huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CounterDelta {
    /// Resident anonymous entries (`MM_ANONPAGES`).
    pub anon: i32,
    /// Resident file entries (`MM_FILEPAGES`).
    pub file: i32,
    /// Resident shared-memory entries (`MM_SHMEMPAGES`).
    pub shmem: i32,
    /// Swap entries (`MM_SWAPENTS`).
    pub swap_ents: i32,
    /// Huge pages of hugetlbfs.
    pub hugetlb: i32,
}

impl CounterDelta {
    /// No change.
    pub const NONE: Self = Self {
        anon: 0,
        file: 0,
        shmem: 0,
        swap_ents: 0,
        hugetlb: 0,
    };

    /// The change that undoes this one.
    #[must_use]
    pub const fn undone(self) -> Self {
        Self::NONE.plus_signed(self, -1)
    }

    /// Both changes together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        self.plus_signed(other, 1)
    }

    const fn plus_signed(self, other: Self, sign: i32) -> Self {
        Self {
            anon: self.anon.saturating_add(other.anon.saturating_mul(sign)),
            file: self.file.saturating_add(other.file.saturating_mul(sign)),
            shmem: self.shmem.saturating_add(other.shmem.saturating_mul(sign)),
            swap_ents: self
                .swap_ents
                .saturating_add(other.swap_ents.saturating_mul(sign)),
            hugetlb: self
                .hugetlb
                .saturating_add(other.hugetlb.saturating_mul(sign)),
        }
    }
}
