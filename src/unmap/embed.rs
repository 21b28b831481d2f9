//! What an embedder implements: its page tables, and the bookkeeping around them.

use super::tlb::FlushMode;
use crate::flags::PteFlags;
use core::ops::Range;

/// One page-table entry that the walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Entry {
    /// The address in bytes that it maps.
    pub address: u64,
    /// Its bits.
    pub flags: PteFlags,
}

/// What is written into an entry that was cleared.
///
/// Complete on purpose: embedders match on it.
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

/// An entry that was cleared: the bits that it had at that instant, and whether a flush is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cleared {
    /// The bits, as the exchange returned them; the hardware may have changed them since the walk.
    pub flags: PteFlags,
    /// Whether the TLB flush was put off.
    pub deferred: bool,
}

/// Whether a hook did what it was asked.
///
/// Complete on purpose: embedders return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// It did.
    Done,
    /// It cannot, and has changed nothing. The walk puts the entry back and stops.
    Refused,
}

/// Whether the page table of a hugetlb entry is shared with another address space.
///
/// Complete on purpose: embedders return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedTable {
    /// It is not: the walk takes the entry.
    No,
    /// It was, and was taken out of this address space: the walk is over.
    Unshared,
    /// The embedder does not say: the walk stops with the entry in place.
    Unknown,
}

/// The mappings of one page in one VMA: a cursor over their page-table entries.
///
/// # Contract
///
/// - The page-table lock is held from the [`next_entry`](Self::next_entry) that returns an entry to
///   the one after it. The other methods are called for the entry returned last.
/// - A method that returns an error has changed nothing, and may be called again. The driver then
///   undoes what it has done for this entry and stops; what even that could not undo is handed to
///   the caller as [`Owed`](super::Owed).
/// - Nothing here is called for a page that is skipped or refused.
pub trait PageTables {
    /// What can go wrong in the embedder's own code; `Infallible` if nothing can.
    type Error;

    /// Moves on to the next entry that maps the page, or to the end.
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn next_entry(&mut self) -> Result<Option<Entry>, Self::Error>;

    /// Whether the entry was used recently, through the CPU or a secondary MMU; clears that mark
    /// in both (`ptep_clear_flush_young_notify`).
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn test_and_clear_young(&mut self, entry: &Entry) -> Result<bool, Self::Error>;

    /// Clears the entry in one atomic exchange, and flushes the TLB as `flush` says.
    ///
    /// # Errors
    ///
    /// The embedder's own; the entry is untouched.
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Self::Error>;

    /// Writes `new` in place of the entry that was cleared, or over what was installed there since.
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn install(&mut self, entry: &Entry, new: NewEntry) -> Result<(), Self::Error>;

    /// Marks the page dirty.
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn set_page_dirty(&mut self) -> Result<(), Self::Error>;

    /// The mapping is gone for good: takes it off the page's map count, then drops its reference,
    /// in this order. A PMD is one mapping with one reference.
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn remove_rmap(&mut self, entry: &Entry) -> Result<(), Self::Error>;
}

/// The bookkeeping around a walk. An embedder writes `impl Bookkeeping for MyWalk {}` and then what
/// it has.
///
/// A default is right for an embedder that does not have the thing at all. Where one that has it
/// forgets the method, a default would say that something was done that was not; so, where the crate
/// can tell, the walk stops with the entry in place:
///
/// | not implemented | what happens to who has it |
/// | --- | --- |
/// | [`swap_duplicate`](Self::swap_duplicate) | refused: the walk stops ([`SwapSlotRefused`](super::Stop::SwapSlotRefused)) |
/// | [`unshare_pmd`](Self::unshare_pmd) | not known: the walk stops at a hugetlb page ([`SharingUnknown`](super::Stop::SharingUnknown)) |
/// | [`split_huge_pmd`](Self::split_huge_pmd) | a PMD that is found afterwards is an error ([`UnexpectedPmd`](super::decide::Inconsistency::UnexpectedPmd)) |
/// | [`swap_free`](Self::swap_free) | **not noticed**: a slot leaks when a walk is undone. Goes with `swap_duplicate` |
/// | [`widen_for_sharing`](Self::widen_for_sharing) | **not noticed**: secondary MMUs are told too small a range. Goes with `unshare_pmd` |
/// | [`invalidate_begin`](Self::invalidate_begin), [`invalidate`](Self::invalidate), [`invalidate_end`](Self::invalidate_end) | **not noticed**: a secondary MMU keeps access to a page that is freed |
/// | [`mlock_page`](Self::mlock_page), [`set_swap_backed`](Self::set_swap_backed) | the page stays mapped, and reclaim comes to it again |
/// | [`update_hiwater`](Self::update_hiwater), [`count`](Self::count) | wrong statistics |
/// | [`arch_unmap`](Self::arch_unmap) | the architecture has no hook |
///
/// # Contract
///
/// As for [`PageTables`]: a method that returns an error has changed nothing.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait Bookkeeping: PageTables {
    /// Splits the huge mapping of the page at this address into base-page entries, before the walk
    /// begins; with `freeze` into migration entries (`split_huge_pmd_address`).
    ///
    /// Where no huge mapping is, it returns `Ok` and does nothing, which is the default. The walk
    /// must not find a PMD afterwards.
    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Widens the range of a hugetlb page to what un-sharing its page table would touch
    /// (`adjust_range_if_pmd_sharing_possible`). Addresses in bytes. Needed by an embedder whose
    /// [`unshare_pmd`](Self::unshare_pmd) can return [`Unshared`](SharedTable::Unshared).
    fn widen_for_sharing(&mut self, range: Range<u64>) -> Result<Range<u64>, Self::Error> {
        Ok(range)
    }

    /// Tells secondary MMUs that the range, addresses in bytes, begins to be invalidated.
    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Tells secondary MMUs to drop the range at once, while the page-table lock is held.
    fn invalidate(&mut self, range: Range<u64>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Tells secondary MMUs that the invalidation of the range is over.
    fn invalidate_end(&mut self, range: Range<u64>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// If the hugetlb page table at the entry is shared with another address space, takes it out of
    /// this one, flushes the TLB for the range, and returns [`SharedTable::Unshared`]
    /// (`huge_pmd_unshare`). Called for hugetlb pages only.
    ///
    /// [`SharedTable::Unknown`] by default: to clear an entry of a shared table would unmap the page
    /// from the other address spaces too.
    fn unshare_pmd(
        &mut self,
        entry: &Entry,
        range: &Range<u64>,
    ) -> Result<SharedTable, Self::Error> {
        Ok(SharedTable::Unknown)
    }

    /// The page is mapped by a locked VMA: moves it out of reclaim's sight (`mlock_vma_page`).
    fn mlock_page(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A lazily freed page was written to after all: swap is its backing store again.
    fn set_swap_backed(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Resident memory is about to fall: updates its high-water mark (`update_hiwater_rss`).
    fn update_hiwater(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Changes the address space's counters, all or none.
    fn count(&mut self, delta: CounterDelta) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Takes one more reference on the page's swap slot (`swap_duplicate`). Called for pages in the
    /// swap cache only.
    ///
    /// [`Hook::Refused`] by default: a swap entry without a reference on its slot would let the slot
    /// be used again under it. Who implements this implements [`swap_free`](Self::swap_free) too.
    fn swap_duplicate(&mut self, entry: &Entry) -> Result<Hook, Self::Error> {
        Ok(Hook::Refused)
    }

    /// Gives back the reference that [`swap_duplicate`](Self::swap_duplicate) took, because the walk
    /// is undone.
    fn swap_free(&mut self, entry: &Entry) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Asks the architecture before an entry is replaced (`arch_unmap_one`).
    fn arch_unmap(&mut self, entry: &Entry, cleared: PteFlags) -> Result<Hook, Self::Error> {
        Ok(Hook::Done)
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline]
        fn $name(&mut self, $($arg: $type),*) -> Result<$out, Self::Error> {
            (**self).$name($($arg),*)
        }
    )*};
}

impl<W: PageTables + ?Sized> PageTables for &mut W {
    type Error = W::Error;

    forward! {
        next_entry() -> Option<Entry>;
        test_and_clear_young(entry: &Entry) -> bool;
        clear(entry: &Entry, flush: FlushMode) -> Cleared;
        install(entry: &Entry, new: NewEntry) -> ();
        set_page_dirty() -> ();
        remove_rmap(entry: &Entry) -> ();
    }
}

impl<W: Bookkeeping + ?Sized> Bookkeeping for &mut W {
    forward! {
        split_huge_pmd(freeze: bool) -> ();
        widen_for_sharing(range: Range<u64>) -> Range<u64>;
        invalidate_begin(range: Range<u64>) -> ();
        invalidate(range: Range<u64>) -> ();
        invalidate_end(range: Range<u64>) -> ();
        unshare_pmd(entry: &Entry, range: &Range<u64>) -> SharedTable;
        mlock_page() -> ();
        set_swap_backed() -> ();
        update_hiwater() -> ();
        count(delta: CounterDelta) -> ();
        swap_duplicate(entry: &Entry) -> Hook;
        swap_free(entry: &Entry) -> ();
        arch_unmap(entry: &Entry, cleared: PteFlags) -> Hook;
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
