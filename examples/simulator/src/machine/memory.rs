//! The memory of the machine: frames, lists, pages, swap, and the account of what things cost.

use super::frame::{Frame, NONE};
use super::lists::FrameLists;
use super::pinners::Pinners;
use super::table::Table;
use crate::costs::Costs;
use pinfold::reclaim::Lru;
use pinfold::{PageFlags, PteFlags};
use std::collections::VecDeque;

/// What was counted, beside the statistics of the scans.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub minor_faults: u64,
    pub major_faults: u64,
    pub refaults: u64,
    pub swap_writes: u64,
    pub file_writes: u64,
    pub notifier_calls: u64,
    pub revocations: u64,
    pub device_stops: u64,
    pub tlb_flushes: u64,
    pub evictions: u64,
}

/// Free frames at which reclaim begins and ends, in pages.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    pub min: u32,
    pub low: u32,
    pub high: u32,
}

impl Marks {
    /// One part in 64, and five and six parts in 256, of the frames (Linux: min, and 5/4 and 3/2 of it).
    pub fn of(frames: u32) -> Self {
        let min = (frames / 64).max(4);
        Self {
            min,
            low: min + min / 4 + 1,
            high: min + min / 2 + 2,
        }
    }
}

/// All that the machine's parts share.
pub struct Memory<'a> {
    pub frames: &'a [Frame],
    pub free: Vec<u32>,
    pub lists: FrameLists<'a>,
    pub table: Table,
    pub marks: Marks,
    pub costs: Costs,
    /// Slots of swap, in pages: all, and those in use.
    pub swap: u32,
    pub swap_used: u32,
    /// Dirty file pages, in the order in which they became so, and when.
    pub dirty: VecDeque<(u32, u64)>,
    pub pinners: Pinners,
    pub counts: Counts,
    /// What the one who acts now has spent, in model units.
    pub spent: u64,
    pub pinned: u32,
}

impl<'a> Memory<'a> {
    pub fn new(frames: &'a [Frame], swap: u32, costs: Costs, pinners: Pinners) -> Self {
        let count = frames.len() as u32;
        Self {
            frames,
            free: (0..count).rev().collect(),
            lists: FrameLists::new(frames),
            table: Table::new(),
            marks: Marks::of(count),
            costs,
            swap,
            swap_used: 0,
            dirty: VecDeque::new(),
            pinners,
            counts: Counts::default(),
            spent: 0,
            pinned: 0,
        }
    }

    pub fn frame(&self, frame: u32) -> &'a Frame {
        &self.frames[frame as usize]
    }

    pub fn frame_of(&self, page: u32) -> Option<&'a Frame> {
        match self.table.pages[page as usize].frame {
            NONE => None,
            frame => Some(self.frame(frame)),
        }
    }

    /// Puts a page into a frame, unmapped and on no list. Its content was read, or it is new.
    pub fn install(&mut self, page: u32, frame: &'a Frame) {
        let entry = &mut self.table.pages[page as usize];
        entry.frame = frame.index;
        frame.page.set(page);
        frame.text.set(entry.text);
        frame.mirrored_by.set(u8::MAX);
        frame.mapped.set(false);
        frame.entry.set(PteFlags::empty());
        let flags = match (entry.anon, entry.swapped) {
            (true, true) => PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE,
            (true, false) => PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::DIRTY,
            (false, _) => PageFlags::PAGE_CACHE,
        };
        frame.flags.set(flags);
    }

    /// Maps a page that is in memory.
    pub fn map(&mut self, frame: &'a Frame, write: bool, now: u64) {
        frame.mapped.set(true);
        frame.entry.set(PteFlags::YOUNG);
        if write {
            self.first_write(frame, now);
        }
    }

    /// The first write since the entry was made read-only: the page is newer than its backing store.
    #[cold]
    pub fn first_write(&mut self, frame: &'a Frame, now: u64) {
        let written = PteFlags::WRITABLE | PteFlags::DIRTY | PteFlags::YOUNG;
        frame.entry.set(frame.entry.get() | written);
        if frame.has(PageFlags::SWAP_CACHE) {
            self.drop_swap(frame);
        } else if frame.has(PageFlags::PAGE_CACHE) && !frame.has(PageFlags::DIRTY) {
            self.dirty.push_back((frame.page.get(), now));
        }
        frame.set(PageFlags::DIRTY);
    }

    /// Gives the slot in swap back: the copy there is out of date, or room is needed.
    pub fn drop_swap(&mut self, frame: &'a Frame) {
        frame.clear(PageFlags::SWAP_CACHE);
        frame.set(PageFlags::DIRTY);
        self.table.pages[frame.page.get() as usize].swapped = false;
        self.swap_used -= 1;
    }

    /// Puts a page on the LRU list of its state.
    pub fn enlist(&mut self, frame: &'a Frame) {
        self.lists.put(Lru::of(frame.flags.get()), frame);
        self.spent += self.costs.list_op;
    }
}
