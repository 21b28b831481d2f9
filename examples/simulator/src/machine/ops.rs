//! What the library asks of the machine: operations on one isolated page, and the lists.

use super::frame::{Frame, NONE};
use super::lists::{self, PARKED};
use super::memory::Memory;
use super::table::NEVER;
use super::walk::{Mapping, Next, vma_flags};
use pinfold::pin::Pins;
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PinPolicy, PteFlags, UnmapError, UnmapRequest,
    try_to_unmap,
};
use std::convert::Infallible;

impl<'a> PageOps for Memory<'a> {
    type Page = &'a Frame;
    type Error = Infallible;

    fn update(&mut self, page: &&'a Frame, set: PageFlags, clear: PageFlags) {
        page.flags.set((page.flags.get() - clear) | set);
    }

    fn referenced(&mut self, page: &&'a Frame) -> Referenced {
        let entry = page.entry.get();
        page.entry.set(entry - PteFlags::YOUNG);
        let young = page.mapped.get() && entry.contains(PteFlags::YOUNG);
        Referenced {
            entries: u32::from(young),
            vma: vma_flags(page),
        }
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'a Frame,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        let frame = *page;
        let mut rmap = Mapping {
            memory: self,
            frame,
            next: Next::Vma,
        };
        try_to_unmap(frame, request, &mut rmap, debt)
    }

    fn remove(&mut self, page: &&'a Frame, _: Removal) -> Attempt {
        if page.has(PageFlags::DIRTY) || page.mapped.get() || page.pins.block().is_err() {
            return Attempt::Refused;
        }
        let entry = &mut self.table.pages[page.page.get() as usize];
        entry.frame = NONE;
        entry.swapped = entry.anon;
        // It wraps after four thousand million evictions; only distances are asked of it.
        entry.evicted = (self.counts.evictions as u32).min(NEVER - 1);
        self.counts.evictions += 1;
        page.page.set(NONE);
        Attempt::Done
    }

    fn flush_tlb(&mut self) {
        self.counts.tlb_flushes += 1;
        self.spent += self.costs.tlb_flush;
    }

    fn try_lock(&mut self, _: &&'a Frame) -> Attempt {
        self.spent += self.costs.scan;
        Attempt::Done
    }

    fn add_to_swap(&mut self, page: &&'a Frame) -> Attempt {
        if self.swap_used == self.swap {
            return Attempt::Refused;
        }
        self.swap_used += 1;
        page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY);
        Attempt::Done
    }

    fn free_swap(&mut self, page: &&'a Frame) {
        self.drop_swap(page);
    }

    fn is_swap_full(&mut self, _: &&'a Frame) -> bool {
        self.swap_used > self.swap / 2
    }

    /// The devices write at once, as zram does; a page that somebody else holds is not written
    /// (`is_page_cache_freeable`, `mm/vmscan.c`).
    fn write_out(&mut self, page: &&'a Frame) -> PageOut {
        if page.is_pinned() {
            return PageOut::Keep;
        }
        page.clear(PageFlags::DIRTY | PageFlags::RECLAIM);
        if page.has(PageFlags::ANON) {
            self.counts.swap_writes += 1;
            self.spent += self.costs.swap_write;
        } else {
            self.counts.file_writes += 1;
            self.spent += self.costs.file_write;
        }
        PageOut::Success
    }

    fn failed(&mut self, _: &&'a Frame, error: UnmapError<Infallible>) {
        unreachable!("no operation fails, and the page table is consistent: {error}");
    }
}

impl<'a> Lists for Memory<'a> {
    fn take(&mut self, list: Lru) -> Option<&'a Frame> {
        self.spent += self.costs.list_op;
        self.lists.take(lists::of(list))
    }

    fn put(&mut self, list: Lru, page: &'a Frame) {
        self.spent += self.costs.list_op;
        self.lists.put(lists::of(list), page);
    }

    fn pages(&self, list: Lru) -> u64 {
        u64::from(self.lists.len(lists::of(list)))
    }

    fn free(&mut self, page: &'a Frame) {
        self.free.push(page.index);
    }

    fn park(&mut self, page: &'a Frame, _: Pins) -> Result<(), &'a Frame> {
        match page.pins.park() {
            Ok(()) => {
                self.spent += self.costs.list_op;
                self.lists.put(PARKED, page);
                Ok(())
            }
            Err(_) => Err(page),
        }
    }

    fn take_parked(&mut self) -> Option<&'a Frame> {
        let page = self.lists.take(PARKED)?;
        // A parked page whose last pin is gone was put back by that unpin.
        let _ = page.pins.unpark();
        Some(page)
    }

    fn pages_parked(&self) -> u64 {
        u64::from(self.lists.len(PARKED))
    }

    fn has_swap(&self) -> bool {
        self.swap > 0
    }

    fn watermark(&self) -> Watermark {
        Watermark {
            free: self.free.len() as u64,
            high: u64::from(self.marks.high),
        }
    }

    fn shrink_others(&mut self, priority: u8) -> u64 {
        self.shrink_devices(priority);
        // What the devices let go is on the lists again and competes there.
        0
    }
}
