//! A lean embedder: one address space with counters, one word per page-table entry, and a walk over
//! some of them. The walk's own methods are inherent; the crate's traits forward to them, and the
//! hand-written twin calls them directly.

use crate::common::measured::apart;
use crate::common::pages::Page;
use core::cell::Cell;
use core::convert::Infallible;
use core::ops::Range;
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushMode, NewEntry, PageFlags, PageTables, PteFlags,
    SharedTable,
};

/// A page-table entry: the crate's flags in bits 0 to 6, then these.
pub(crate) type Pte = Cell<u64>;
pub(crate) const PRESENT: u64 = 1 << 7;
pub(crate) const SWAP: u64 = 1 << 8;
pub(crate) const MIGRATION: u64 = 1 << 9;
pub(crate) const PMD_MIGRATION: u64 = 1 << 10;
pub(crate) const POISON: u64 = 1 << 11;

#[inline]
pub(crate) const fn bits_of(pte: u64) -> PteFlags {
    PteFlags::from_bits_truncate(pte as u32)
}

/// An address space's counters, and the flushes that its TLBs were sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Mm {
    pub(crate) anon: Cell<i64>,
    pub(crate) file: Cell<i64>,
    pub(crate) shmem: Cell<i64>,
    pub(crate) swap_ents: Cell<i64>,
    pub(crate) hugetlb: Cell<i64>,
    pub(crate) hiwater: Cell<i64>,
    pub(crate) flushes: Cell<u64>,
    /// References on the swap area's slots, and how many there can be.
    pub(crate) slots: Cell<u64>,
    pub(crate) slot_limit: u64,
    /// Whether TLB flushes can be batched.
    pub(crate) batches: bool,
}

impl Mm {
    pub(crate) fn new(batches: bool, slot_limit: u64) -> Self {
        Self {
            slot_limit,
            batches,
            ..Self::default()
        }
    }

    pub(crate) fn reset(&self) {
        for counter in [&self.anon, &self.file, &self.shmem] {
            counter.set(1_000_000);
        }
        for counter in [&self.swap_ents, &self.hugetlb, &self.hiwater] {
            counter.set(0);
        }
        self.flushes.set(0);
        self.slots.set(0);
    }
}

#[inline]
pub(crate) fn bump(counter: &Cell<i64>, by: i64) {
    counter.set(counter.get().wrapping_add(by));
}

/// A walk over a page's entries in one VMA; `COPY` only makes both walks over it functions of their
/// own.
#[derive(Debug)]
pub(crate) struct Walk<'a, P, const COPY: usize = 0> {
    pub(crate) page: &'a P,
    pub(crate) mm: &'a Mm,
    /// The entries that are left, and the one returned last.
    left: core::slice::Iter<'a, Pte>,
    at: &'a Pte,
    next_address: u64,
}

impl<'a, P, const COPY: usize> Walk<'a, P, COPY> {
    /// A walk over these entries, of which there is at least one; the first maps `address`.
    #[inline]
    pub(crate) fn new(page: &'a P, mm: &'a Mm, ptes: &'a [Pte], address: u64) -> Self {
        Self {
            page,
            mm,
            left: ptes.iter(),
            at: &ptes[0],
            next_address: address,
        }
    }

    /// Moves on to the next entry that is present, as `page_vma_mapped_walk` does.
    #[inline]
    pub(crate) fn advance(&mut self) -> Option<(u64, PteFlags)> {
        for pte in self.left.by_ref() {
            let address = self.next_address;
            self.next_address = address.wrapping_add(4096);
            if pte.get() & PRESENT != 0 {
                self.at = pte;
                return Some((address, bits_of(pte.get())));
            }
        }
        None
    }

    #[inline]
    pub(crate) fn take_young(&self) -> bool {
        let pte = self.at.get();
        let young = u64::from(PteFlags::YOUNG.bits());
        if pte & young != 0 {
            self.at.set(pte & !young);
        }
        pte & young != 0
    }

    /// Clears the entry; returns its bits and whether the flush was put off.
    #[inline]
    pub(crate) fn take(&self, flush: FlushMode) -> (PteFlags, bool) {
        let bits = bits_of(self.at.replace(0));
        let deferred = flush == FlushMode::MayDefer && self.mm.batches;
        if !deferred && flush != FlushMode::NotNeeded {
            self.mm.flushes.set(self.mm.flushes.get().wrapping_add(1));
        }
        (bits, deferred)
    }

    #[inline]
    pub(crate) fn put(&self, kind: u64, bits: PteFlags) {
        self.at.set(kind | u64::from(bits.bits()));
    }

    /// The high-water mark of resident memory, as `update_hiwater_rss` keeps it.
    #[inline]
    pub(crate) fn raise_hiwater(&self) {
        let resident = self
            .mm
            .anon
            .get()
            .wrapping_add(self.mm.file.get())
            .wrapping_add(self.mm.shmem.get());
        if self.mm.hiwater.get() < resident {
            self.mm.hiwater.set(resident);
        }
    }

    #[inline]
    pub(crate) fn take_slot(&self) -> bool {
        let slots = self.mm.slots.get();
        if slots >= self.mm.slot_limit {
            return false;
        }
        self.mm.slots.set(slots + 1);
        true
    }
}

impl<P: Page, const COPY: usize> PageTables for Walk<'_, P, COPY> {
    type Error = Infallible;

    #[inline]
    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        Ok(self
            .advance()
            .map(|(address, flags)| Entry { address, flags }))
    }
    #[inline]
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        self.take_young()
    }
    #[inline]
    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        let (flags, deferred) = self.take(flush);
        Ok(Cleared { flags, deferred })
    }
    #[inline]
    fn install(&mut self, _: &Entry, new: NewEntry) {
        match new {
            NewEntry::Restored(bits) => self.put(PRESENT, bits),
            NewEntry::Swap(bits) => self.put(SWAP, bits),
            NewEntry::Migration(bits) => self.put(MIGRATION, bits),
            NewEntry::PmdMigration(bits) => self.put(PMD_MIGRATION, bits),
            NewEntry::Poison => self.put(POISON, PteFlags::empty()),
        }
    }
    #[inline]
    fn set_page_dirty(&mut self) {
        self.page.mark(PageFlags::DIRTY);
    }
    #[inline]
    fn remove_rmap(&mut self, _: &Entry) {
        self.page.unmap();
    }
    /// No page table is shared, as the hand-written loop takes it.
    #[inline]
    fn unshare_pmd(&mut self, _: &Entry, _: &Range<u64>) -> SharedTable {
        SharedTable::No
    }
    #[inline]
    fn mlock_page(&mut self) {
        apart::<COPY>();
        self.page.mark(PageFlags::MLOCKED);
    }
    #[inline]
    fn set_swap_backed(&mut self) {
        self.page.mark(PageFlags::SWAP_BACKED);
    }
    #[inline]
    fn update_hiwater(&mut self) {
        self.raise_hiwater();
    }
    #[inline(always)]
    fn count(&mut self, delta: CounterDelta) {
        for (counter, by) in [
            (&self.mm.anon, delta.anon),
            (&self.mm.file, delta.file),
            (&self.mm.shmem, delta.shmem),
            (&self.mm.swap_ents, delta.swap_ents),
            (&self.mm.hugetlb, delta.hugetlb),
        ] {
            if by != 0 {
                bump(counter, by.into());
            }
        }
    }
    #[inline]
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        if self.take_slot() {
            Attempt::Done
        } else {
            Attempt::Refused
        }
    }
    #[inline]
    fn swap_free(&mut self, _: &Entry) {
        self.mm.slots.set(self.mm.slots.get() - 1);
    }
}
