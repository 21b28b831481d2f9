//! The machine's side of reclaim: the operations on one page, and the lists.

use super::events::Injected;
use super::frame::Frame;
use super::machine::{Machine, Place};
use super::memory::{Pte, Slot};
use super::tables::Reverse;
use core::num::NonZeroU64;
use pinfold::pin::{Pins, Released};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::shrinker::{Scan, Shrinker, shrink_slab};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PinPolicy, PteFlags, UnmapError, UnmapRequest, VmFlags,
    try_to_unmap,
};

impl<'m> PageOps for Machine<'m> {
    type Page = &'m Frame;
    type Error = Injected;

    fn update(&mut self, page: &&'m Frame, set: PageFlags, clear: PageFlags) {
        self.call(page);
        page.set(set, true);
        page.set(clear, false);
    }

    fn referenced(&mut self, page: &&'m Frame) -> Referenced {
        self.call(page);
        self.told.references_walked += 1;
        let mut found = Referenced::default();
        for &(space, at) in page.rmap.borrow().iter() {
            let (vma, _, _) = self.spaces[space].vma(at);
            let space = &mut self.spaces[space];
            if let Pte::Present(_, flags) = &mut space.ptes[at] {
                found.entries += u32::from(flags.contains(PteFlags::YOUNG));
                flags.remove(PteFlags::YOUNG);
            }
            if space.locked[vma] {
                found.vma |= VmFlags::LOCKED;
            }
        }
        found
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'m Frame,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Injected>> {
        self.told.unmap_calls += 1;
        try_to_unmap(*page, request, &mut Reverse::new(self, page), debt)
    }

    fn remove(&mut self, page: &&'m Frame, how: Removal) -> Attempt {
        if self.refuses(page, "remove") {
            return Attempt::Refused;
        }
        if page.has(PageFlags::DIRTY) {
            return Attempt::Refused;
        }
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => 2,
        };
        if !self.freeze(page, expected) {
            return Attempt::Refused;
        }
        if how == Removal::FromCache {
            if let Some(slot) = self.slot_of(page.index) {
                let used = self.slots[slot].as_mut().expect("in use");
                used.frame = None;
                assert!(used.entries == 0 || used.data.is_some(), "never written");
                if used.entries == 0 {
                    self.slots[slot] = None;
                }
            }
            for cached in self.files.iter_mut().flatten() {
                if cached.frame == Some(page.index) {
                    cached.frame = None;
                }
            }
        }
        Attempt::Done
    }

    fn flush_tlb(&mut self) {
        self.call(&self.frames[0]);
        assert!(self.unflushed > 0, "no entry is deferred");
        self.told.tlb_flushes += 1;
        self.unflushed = 0;
        self.stale.clear();
    }

    fn try_lock(&mut self, page: &&'m Frame) -> Attempt {
        if self.refuses(page, "try_lock") {
            return Attempt::Refused;
        }
        if self.locked_by_others[page.index] {
            return Attempt::Refused;
        }
        assert!(!page.locked.replace(true), "locked twice");
        Attempt::Done
    }

    fn unlock(&mut self, page: &&'m Frame) {
        self.call(page);
        assert!(page.locked.replace(false), "unlocked twice");
    }

    fn is_congested(&mut self, _: &&'m Frame) -> bool {
        self.config.congested
    }

    fn wait_for_writeback(&mut self, page: &&'m Frame) {
        self.call(page);
        let mut frames = self.frames.iter();
        assert!(
            frames.all(|frame| !frame.locked.get()),
            "waiting with a page locked"
        );
        page.set(PageFlags::WRITEBACK, false);
    }

    fn add_to_swap(&mut self, page: &&'m Frame) -> Attempt {
        if self.refuses(page, "add_to_swap") {
            return Attempt::Refused;
        }
        let free = self.slots.iter().position(Option::is_none);
        let Some(slot) = free.filter(|_| !self.config.out_of_swap) else {
            return Attempt::Refused;
        };
        self.told.swap_allocated += 1;
        page.refs.try_get_ref().expect("the caller holds one");
        page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY, true);
        self.slots[slot] = Some(Slot {
            frame: Some(page.index),
            ..Slot::default()
        });
        Attempt::Done
    }

    fn free_swap(&mut self, page: &&'m Frame) {
        self.call(page);
        let slot = self.slot_of(page.index).expect("in the swap cache");
        let unused = self.slots[slot].is_some_and(|slot| slot.entries == 0);
        if unused && !page.has(PageFlags::WRITEBACK) {
            self.slots[slot] = None;
            page.set(PageFlags::SWAP_CACHE, false);
            page.set(PageFlags::DIRTY, true);
            self.put_ref(page);
        }
    }

    fn is_swap_full(&mut self, _: &&'m Frame) -> bool {
        self.config.swap_full
    }

    fn write_out(&mut self, page: &&'m Frame) -> PageOut {
        if self.refuses(page, "write_out") {
            return PageOut::Keep;
        }
        self.room = self.room.checked_sub(1).expect("more writes than allowed");
        assert!(page.locked.get(), "written without its lock");
        assert!(
            !self.is_stale(page.index, true),
            "a CPU may still write to it"
        );
        assert!(
            !(self.guards_pins && self.pins_on(page.index) > 0),
            "written while pinned"
        );
        let data = page.data.get();
        if let Some(slot) = self.slot_of(page.index) {
            self.slots[slot].as_mut().expect("in use").data = Some(data);
        } else {
            let mut cached = self.files.iter_mut().flatten();
            match cached.find(|cached| cached.frame == Some(page.index)) {
                Some(cached) => cached.backing = data,
                None => return PageOut::Keep,
            }
        }
        self.told.written += 1;
        self.unsubmitted += 1;
        page.set(PageFlags::DIRTY, false);
        page.set(PageFlags::WRITEBACK, self.config.slow_writes);
        page.locked.set(false);
        PageOut::Success
    }

    fn release_buffers(&mut self, page: &&'m Frame) -> Attempt {
        if self.refuses(page, "release_buffers") {
            return Attempt::Refused;
        }
        if self.config.buffers_stay {
            return Attempt::Refused;
        }
        page.set(PageFlags::PRIVATE, false);
        self.put_ref(page);
        Attempt::Done
    }

    fn put_last(&mut self, page: &&'m Frame) -> Option<Released> {
        if self.refuses(page, "put_last") {
            return None;
        }
        assert!(!page.locked.get());
        let left = page.refs.put_ref().expect("the caller's");
        if left == Released::Done {
            self.places[page.index] = Place::Loose;
        }
        Some(left)
    }

    fn write_room(&mut self) -> u32 {
        self.room = self.config.write_limit.unwrap_or(u32::MAX);
        self.room
    }

    fn submit(&mut self) {
        self.unsubmitted = 0;
    }

    fn failed(&mut self, page: &&'m Frame, error: UnmapError<Injected>) {
        assert!(page.locked.get());
        assert!(matches!(error, UnmapError::PageTables { .. }), "{error}");
        self.told.errors += 1;
    }
}

impl<'m> Lists for Machine<'m> {
    fn take(&mut self, list: Lru) -> Option<&'m Frame> {
        let frame = &self.frames[*self.lists[list as usize].front()?];
        self.isolate(frame);
        Some(frame)
    }

    fn put(&mut self, list: Lru, page: &'m Frame) {
        self.place_on(list, page);
    }

    fn pages(&self, list: Lru) -> u64 {
        self.lists[list as usize].len() as u64
    }

    fn free(&mut self, page: &'m Frame) {
        assert_eq!(self.places[page.index], Place::Held, "freed twice");
        assert!(
            !self.is_stale(page.index, false),
            "a CPU may still reach it"
        );
        self.give_back(page);
    }

    fn park(&mut self, page: &'m Frame, pins: Pins) -> Result<(), &'m Frame> {
        assert!(pins.maybe_pinned());
        self.park_held(page).map_err(|()| page)
    }

    fn take_parked(&mut self) -> Option<&'m Frame> {
        let frame = &self.frames[*self.parked.front()?];
        if let Some(word) = &frame.word {
            word.unpark().expect("parked");
        }
        self.isolate(frame);
        Some(frame)
    }

    fn pages_parked(&self) -> u64 {
        self.parked.len() as u64
    }

    fn has_swap(&self) -> bool {
        !self.config.out_of_swap
    }

    fn shrink_others(&mut self, priority: u8) -> u64 {
        if !self.config.device_shrinks {
            return 0;
        }
        let freed = self.told.freed;
        let mut deferred = core::mem::take(&mut self.deferred);
        let shrunk = shrink_slab(&mut Device(self), &mut deferred, priority);
        assert!(shrunk.is_ok(), "{priority} is a priority");
        self.deferred = deferred;
        // What it gave back is on the lists again; only what nobody else had is free.
        self.told.freed - freed
    }

    fn watermark(&self) -> Watermark {
        Watermark {
            free: self.free.len() as u64,
            high: self.config.high,
        }
    }
}

/// The device behind all groups, which can be stopped: the oldest objects go first.
struct Device<'w, 'm>(&'w mut Machine<'m>);

impl Shrinker for Device<'_, '_> {
    fn count(&mut self) -> Option<u64> {
        Some(self.0.groups.len() as u64)
    }

    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        let freed = (objects.get() as usize).min(self.0.groups.len());
        for _ in 0..freed {
            self.0.unpin(0);
        }
        Scan::Did {
            scanned: objects.get(),
            freed: freed as u64,
        }
    }

    fn batch(&self) -> u64 {
        1
    }
}

impl<'m> Machine<'m> {
    /// Pins are blocked and the count is frozen, or nothing has changed.
    pub(crate) fn freeze(&self, frame: &Frame, expected: i32) -> bool {
        if frame
            .word
            .as_ref()
            .is_some_and(|word| word.block().is_err())
        {
            return false;
        }
        let frozen = frame.refs.freeze(expected).is_ok();
        if let Some(word) = frame.word.as_ref().filter(|_| !frozen) {
            word.unblock().expect("just blocked");
        }
        frozen
    }
}
