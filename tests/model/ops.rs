//! The machine's side of reclaim: the operations on one page, and the lists.

use super::events::Injected;
use super::frame::Frame;
use super::machine::{Machine, Place};
use super::memory::{Pte, Slot};
use super::tables::{Reverse, Walk};
use core::num::NonZeroU64;
use pinfold::pin::{Pins, RefsLeft};
use pinfold::reclaim::{
    Lists, Lru, PageOp, PageOps, PageOut, Referenced, Release, Removal, ShrinkError, Watermark,
};
use pinfold::shrinker::{Scan, Shrinker, shrink_slab};
use pinfold::unmap::Owed;
use pinfold::{
    Failure, Hook, PageFlags, PinPolicy, PteFlags, UnmapRequest, Unmapped, VmFlags, try_to_unmap,
};

impl<'m> PageOps for Machine<'m> {
    type Page = &'m Frame;
    type Error = Injected;

    fn update(
        &mut self,
        page: &&'m Frame,
        set: PageFlags,
        clear: PageFlags,
    ) -> Result<(), Injected> {
        self.call(page)?;
        page.set(set, true);
        page.set(clear, false);
        Ok(())
    }

    fn referenced(&mut self, page: &&'m Frame) -> Result<Referenced, Injected> {
        self.call(page)?;
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
        Ok(found)
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'m Frame,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Injected>> {
        self.told.unmap_calls += 1;
        try_to_unmap(*page, request, &mut Reverse::new(self, page))
    }

    fn remove(&mut self, page: &&'m Frame, how: Removal) -> Result<Hook, Injected> {
        self.call(page)?;
        if page.has(PageFlags::DIRTY) {
            return Ok(Hook::Refused);
        }
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => 2,
        };
        if !self.freeze(page, expected) {
            return Ok(Hook::Refused);
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
        Ok(Hook::Done)
    }

    fn flush_tlb(&mut self) -> Result<(), Injected> {
        self.call(&self.frames[0])?;
        self.told.tlb_flushes += 1;
        self.stale.clear();
        self.open_quarantine();
        Ok(())
    }

    fn try_lock(&mut self, page: &&'m Frame) -> Result<Hook, Injected> {
        self.call(page)?;
        if self.locked_by_others[page.index] {
            return Ok(Hook::Refused);
        }
        assert!(!page.locked.replace(true), "locked twice");
        Ok(Hook::Done)
    }

    fn unlock(&mut self, page: &&'m Frame) -> Result<(), Injected> {
        self.call(page)?;
        assert!(page.locked.replace(false), "unlocked twice");
        Ok(())
    }

    fn is_congested(&mut self, _: &&'m Frame) -> bool {
        self.config.congested
    }

    fn wait_for_writeback(&mut self, page: &&'m Frame) -> Result<(), Injected> {
        self.call(page)?;
        assert!(!page.locked.get(), "waiting with the page locked");
        page.set(PageFlags::WRITEBACK, false);
        Ok(())
    }

    fn add_to_swap(&mut self, page: &&'m Frame) -> Result<Hook, Injected> {
        self.call(page)?;
        let free = self.slots.iter().position(Option::is_none);
        let Some(slot) = free.filter(|_| !self.config.out_of_swap) else {
            return Ok(Hook::Refused);
        };
        self.told.swap_allocated += 1;
        page.refs.try_get_ref().expect("the caller holds one");
        page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY, true);
        self.slots[slot] = Some(Slot {
            frame: Some(page.index),
            ..Slot::default()
        });
        Ok(Hook::Done)
    }

    fn free_swap(&mut self, page: &&'m Frame) -> Result<(), Injected> {
        self.call(page)?;
        let slot = self.slot_of(page.index).expect("in the swap cache");
        let unused = self.slots[slot].is_some_and(|slot| slot.entries == 0);
        if unused && !page.has(PageFlags::WRITEBACK) {
            self.slots[slot] = None;
            page.set(PageFlags::SWAP_CACHE, false);
            page.set(PageFlags::DIRTY, true);
            self.put_ref(page);
        }
        Ok(())
    }

    fn is_swap_full(&mut self, _: &&'m Frame) -> bool {
        self.config.swap_full
    }

    fn write_out(&mut self, page: &&'m Frame) -> Result<PageOut, Injected> {
        self.call(page)?;
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
                None => return Ok(PageOut::Keep),
            }
        }
        self.told.written += 1;
        page.set(PageFlags::DIRTY, false);
        page.set(PageFlags::WRITEBACK, self.config.slow_writes);
        page.locked.set(false);
        Ok(PageOut::Success)
    }

    fn release_buffers(&mut self, page: &&'m Frame) -> Result<Hook, Injected> {
        self.call(page)?;
        if self.config.buffers_stay {
            return Ok(Hook::Refused);
        }
        page.set(PageFlags::PRIVATE, false);
        self.put_ref(page);
        Ok(Hook::Done)
    }

    fn put_last(&mut self, page: &&'m Frame) -> Result<Option<RefsLeft>, Injected> {
        self.call(page)?;
        assert!(!page.locked.get());
        let left = page.refs.put_ref().expect("the caller's");
        if left == RefsLeft::Some {
            self.places[page.index] = Place::Loose;
        }
        Ok(Some(left))
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

    fn free(&mut self, page: &'m Frame, release: Release) {
        assert_eq!(self.places[page.index], Place::Held, "freed twice");
        match release {
            Release::Now => {
                assert!(
                    !self.is_stale(page.index, false),
                    "a CPU may still reach it"
                );
                self.give_back(page, Place::Free);
            }
            Release::AfterFlush => self.give_back(page, Place::Quarantined),
        }
    }

    fn failed(&mut self, page: Option<&&'m Frame>, error: ShrinkError<Injected>) {
        self.failed.push(match error {
            ShrinkError::Op { op, .. } => op,
            _ => PageOp::Unmap,
        });
        let Some(page) = page else { return };
        if error.is_locked() {
            assert!(page.locked.replace(false), "it is not locked");
        }
        if let ShrinkError::Unmap { owed, .. } = error {
            self.settle(page, owed);
        }
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

    /// Settles what a walk could not undo; nothing fails meanwhile.
    pub(crate) fn settle(&mut self, frame: &'m Frame, owed: Owed) {
        let events = core::mem::take(&mut self.events);
        let (space, page) = self.last_walk;
        owed.settle(&mut Walk::new(self, frame, space, page))
            .expect("nothing fails");
        self.events = events;
    }
}
