//! The page tables: one VMA, one entry for each page, and the secondary MMUs that watch.

use super::frame::Frame;
use super::memory::Memory;
use crate::trace::PAGE_SHIFT;
use pinfold::{
    Bookkeeping, Cleared, Entry, FlushMode, Hook, InVma, NewEntry, NextVma, PageFlags, PageTables,
    PlainVma, PteFlags, Rmap, VmFlags,
};
use std::convert::Infallible;
use std::ops::Range;

/// The reverse map of one page.
pub struct OneVma<'m, 'a> {
    pub memory: &'m mut Memory<'a>,
    pub frame: &'a Frame,
    pub visited: bool,
}

impl<'a> Rmap for OneVma<'_, 'a> {
    type Vma = PlainVma;
    type Walk<'w>
        = Walk<'w, 'a>
    where
        Self: 'w;
    type Error = Infallible;

    fn next_vma(&mut self) -> NextVma<'_, Self> {
        if std::mem::replace(&mut self.visited, true) {
            return Ok(None);
        }
        let address = u64::from(self.frame.page.get()) << PAGE_SHIFT;
        Ok(Some(InVma {
            vma: PlainVma {
                flags: vma_flags(self.frame),
                range: 0..1 << 52,
            },
            address,
            walk: Walk {
                memory: self.memory,
                frame: self.frame,
                address,
                ahead: true,
            },
        }))
    }
}

pub fn vma_flags(frame: &Frame) -> VmFlags {
    if frame.text.get() {
        VmFlags::EXEC
    } else {
        VmFlags::empty()
    }
}

/// The walk over the one entry of a page.
pub struct Walk<'m, 'a> {
    memory: &'m mut Memory<'a>,
    frame: &'a Frame,
    address: u64,
    ahead: bool,
}

impl PageTables for Walk<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let there = std::mem::replace(&mut self.ahead, false) && self.frame.mapped.get();
        Ok(there.then(|| Entry {
            address: self.address,
            flags: self.frame.entry.get(),
        }))
    }

    fn test_and_clear_young(&mut self, _: &Entry) -> Result<bool, Infallible> {
        let entry = self.frame.entry.get();
        self.frame.entry.set(entry - PteFlags::YOUNG);
        Ok(entry.contains(PteFlags::YOUNG))
    }

    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        self.memory.spent += self.memory.costs.unmap;
        Ok(Cleared {
            flags: self.frame.entry.take(),
            deferred: flush == FlushMode::MayDefer,
        })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) -> Result<(), Infallible> {
        if let NewEntry::Restored(entry) = new {
            self.frame.entry.set(entry);
        }
        Ok(())
    }

    fn set_page_dirty(&mut self) -> Result<(), Infallible> {
        self.frame.set(PageFlags::DIRTY);
        Ok(())
    }

    fn remove_rmap(&mut self, _: &Entry) -> Result<(), Infallible> {
        self.frame.mapped.set(false);
        Ok(())
    }
}

impl Bookkeeping for Walk<'_, '_> {
    /// A device that uses the page has to be stopped before its entry may go.
    fn invalidate_begin(&mut self, _: Range<u64>) -> Result<(), Infallible> {
        let device = self.frame.mirrored_by.get();
        if device != u8::MAX {
            self.memory.counts.notifier_calls += 1;
            self.memory.spent += self.memory.costs.notifier;
            if self.frame.is_pinned() {
                self.memory.counts.revocations += 1;
                self.memory.spent += self.memory.costs.revoke;
            }
        }
        Ok(())
    }

    /// A page has one mapping, and keeps its slot until it is faulted in.
    fn swap_duplicate(&mut self, _: &Entry) -> Result<Hook, Infallible> {
        Ok(Hook::Done)
    }
}
