//! The reverse map of one page: a VMA for each of its entries.

use crate::node::{Frame, Unreadable};
use pinfold::{
    Attempt, Cleared, Entry, FlushMode, NewEntry, NextVma, PageFlags, PageTables, PlainVma,
    PteFlags, Rmap, VmFlags,
};

const ADDRESS: u64 = 0x1000;

pub(crate) struct Walk<'p> {
    page: &'p Frame,
    defers: bool,
    vmas: u32,
    entry: Option<Entry>,
    /// Entries whose flush was deferred.
    pub(crate) deferred: u32,
}

impl<'p> Walk<'p> {
    pub(crate) fn new(page: &'p Frame, defers: bool) -> Self {
        Self {
            page,
            defers,
            vmas: page.maps.get(),
            entry: None,
            deferred: 0,
        }
    }
}

impl Rmap for Walk<'_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        let Some(left) = self.vmas.checked_sub(1) else {
            return NextVma::End;
        };
        self.vmas = left;
        self.entry = Some(Entry {
            address: ADDRESS,
            flags: self.page.entry.get(),
        });
        NextVma::Found {
            vma: PlainVma {
                flags: VmFlags::empty(),
                range: ADDRESS..2 * ADDRESS,
            },
            address: ADDRESS,
        }
    }
}

impl PageTables for Walk<'_> {
    type Error = Unreadable;

    fn next_entry(&mut self) -> Result<Option<Entry>, Unreadable> {
        if self.page.unreadable.get() == Some(self.page.maps.get()) {
            return Err(Unreadable);
        }
        Ok(self.entry.take())
    }
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        entry.flags.contains(PteFlags::YOUNG)
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Unreadable> {
        let deferred = self.defers && flush == FlushMode::MayDefer;
        self.deferred += u32::from(deferred);
        Ok(Cleared {
            flags: entry.flags,
            deferred,
        })
    }
    fn install(&mut self, _: &Entry, _: NewEntry) {}
    fn set_page_dirty(&mut self) {
        self.page.set(PageFlags::DIRTY, true);
    }
    fn remove_rmap(&mut self, _: &Entry) {
        self.page.maps.set(self.page.maps.get() - 1);
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }
}
