//! The page tables: one VMA, one entry for each page, and the secondary MMUs that watch.

use super::frame::Frame;
use super::memory::Memory;
use crate::trace::PAGE_SHIFT;
use pinfold::{
    Attempt, Cleared, Entry, FlushMode, NewEntry, NextVma, PageFlags, PageTables, PlainVma,
    PteFlags, Rmap, VmFlags,
};
use std::convert::Infallible;
use std::ops::Range;

/// The one mapping of a page: its VMA, and its entry there.
pub struct Mapping<'m, 'a> {
    pub memory: &'m mut Memory<'a>,
    pub frame: &'a Frame,
    pub next: Next,
}

/// What the walk comes to next.
#[derive(Clone, Copy)]
pub enum Next {
    Vma,
    Entry,
    End,
}

impl Mapping<'_, '_> {
    fn address(&self) -> u64 {
        u64::from(self.frame.page.get()) << PAGE_SHIFT
    }
}

impl Rmap for Mapping<'_, '_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        if !matches!(self.next, Next::Vma) {
            return NextVma::End;
        }
        self.next = Next::Entry;
        NextVma::Found {
            vma: PlainVma {
                flags: vma_flags(self.frame),
                range: 0..1 << 52,
            },
            address: self.address(),
        }
    }
}

pub fn vma_flags(frame: &Frame) -> VmFlags {
    if frame.text.get() {
        VmFlags::EXEC
    } else {
        VmFlags::empty()
    }
}

impl PageTables for Mapping<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let next = std::mem::replace(&mut self.next, Next::End);
        let there = matches!(next, Next::Entry) && self.frame.mapped.get();
        Ok(there.then(|| Entry {
            address: self.address(),
            flags: self.frame.entry.get(),
        }))
    }

    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        let entry = self.frame.entry.get();
        self.frame.entry.set(entry - PteFlags::YOUNG);
        entry.contains(PteFlags::YOUNG)
    }

    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        self.memory.spent += self.memory.costs.unmap;
        Ok(Cleared {
            flags: self.frame.entry.take(),
            deferred: flush == FlushMode::MayDefer,
        })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) {
        if let NewEntry::Restored(entry) = new {
            self.frame.entry.set(entry);
        }
    }

    fn set_page_dirty(&mut self) {
        self.frame.set(PageFlags::DIRTY);
    }

    fn remove_rmap(&mut self, _: &Entry) {
        self.frame.mapped.set(false);
    }

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
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }
}
