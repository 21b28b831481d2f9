//! The page tables, and the reverse map.

use super::{Fault, Injected, Page, Pager, Pte};
use pinfold::{
    Attempt, Cleared, Entry, FlushMode, NewEntry, NextVma, PageFlags, PageTables, PlainVma,
    PteFlags, Rmap,
};

type Told<T> = Result<T, Injected>;

/// The address of a mapping: each is in an address space of its own.
pub(crate) fn address(at: usize) -> u64 {
    (at as u64 + 1) << 32
}

/// The mappings of one page, each the one entry of an address space.
pub(crate) struct Reverse<'w> {
    pager: &'w mut Pager,
    page: Page,
    next: usize,
    /// The mapping of the VMA that was returned last; `None` once its entry was returned.
    entry: Option<usize>,
    at: usize,
}

impl<'w> Reverse<'w> {
    pub(crate) fn new(pager: &'w mut Pager, page: &Page) -> Self {
        let next = usize::from(pager.is(Fault::RmapSkipsMapping));
        Self {
            pager,
            page: page.clone(),
            next,
            entry: None,
            at: 0,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.pager.is(fault)
    }

    fn present(&self) -> Option<PteFlags> {
        match self.page.mappings[self.at].pte.get() {
            Pte::Present(flags) => Some(flags),
            _ => None,
        }
    }

    fn set(&self, pte: Pte) {
        self.page.mappings[self.at].pte.set(pte);
    }

    fn slot(&self) -> usize {
        self.pager.slot_of(self.page.id).expect("in the swap cache")
    }
}

impl Rmap for Reverse<'_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        let at = self.next;
        let Some(mapping) = self.page.mappings.get(at) else {
            return NextVma::End;
        };
        self.next += 1;
        (self.entry, self.at) = (Some(at), at);
        NextVma::Found {
            vma: PlainVma {
                flags: mapping.vma,
                range: address(at)..address(at) + 0x1000,
            },
            address: address(at),
        }
    }
}

impl PageTables for Reverse<'_> {
    type Error = Injected;

    fn next_entry(&mut self) -> Told<Option<Entry>> {
        let Some(at) = self.entry.take() else {
            return Ok(None);
        };
        let address = address(at);
        Ok(self.present().map(|flags| Entry { address, flags }))
    }

    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        let flags = self.present().expect("found");
        self.set(Pte::Present(flags - PteFlags::YOUNG));
        flags.contains(PteFlags::YOUNG)
    }

    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Told<Cleared> {
        let flags = self.present().expect("found");
        self.set(Pte::Empty);
        let deferred = flush == FlushMode::MayDefer && self.pager.config.defers;
        if deferred || self.is(Fault::ClearForgetsFlush) {
            let mut stale = self.page.stale.get();
            stale[usize::from(flags.contains(PteFlags::DIRTY))] += 1;
            self.page.stale.set(stale);
        }
        Ok(Cleared {
            flags,
            deferred: deferred && !self.is(Fault::DeferredUntold),
        })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) {
        const LOST: PteFlags = PteFlags::SOFT_DIRTY.union(PteFlags::UFFD_WP);
        let but = |lost: bool, bits: PteFlags| if lost { bits - LOST } else { bits };
        self.set(match new {
            NewEntry::Restored(bits) => {
                Pte::Present(but(self.is(Fault::RestoredBitsDropped), bits))
            }
            NewEntry::Swap(bits) => {
                Pte::Swap(self.slot(), but(self.is(Fault::SwapBitsDropped), bits))
            }
            NewEntry::Migration(bits) => {
                Pte::Migration(but(self.is(Fault::MigrationBitsDropped), bits))
            }
            NewEntry::PmdMigration(_) | NewEntry::Poison => panic!("{new:?} was not asked for"),
        });
    }

    fn set_page_dirty(&mut self) {
        self.page
            .set(PageFlags::DIRTY, !self.is(Fault::DirtyBitLost));
    }

    fn remove_rmap(&mut self, _: &Entry) {
        let gone = u32::from(!self.is(Fault::MapCountKept));
        self.page.maps.set(self.page.maps.get() - gone);
        let refs = match self.pager.config.fault {
            Some(Fault::RmapKeepsReference) => 0,
            Some(Fault::RmapDropsTwice) => 2,
            _ => 1,
        };
        let _ = self.page.put_refs(refs);
    }

    fn mlock_page(&mut self) {
        self.page.set(PageFlags::MLOCKED, true);
    }

    fn set_swap_backed(&mut self) {
        self.page.set(PageFlags::SWAP_BACKED, true);
    }

    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        let slot = self.slot();
        let more = u32::from(!self.is(Fault::SlotReused));
        self.pager.slots[slot].as_mut().expect("in use").users += more;
        Attempt::Done
    }

    fn swap_free(&mut self, _: &Entry) {
        let slot = self.slot();
        let users = match self.pager.config.fault {
            Some(Fault::SlotLeaked) => 0,
            Some(Fault::SlotFreedTwice) => 2,
            _ => 1,
        };
        self.pager.put_slot(slot, users);
    }
}
