//! The pin path: objects pinned all or nothing, released, revoked by a device's shrinker, or lost
//! with the program that held them.

use super::Machine;
use super::frame::Frame;
use super::lists::PARKED;
use super::memory::Memory;
use super::oom::Killed;
use super::pinners::{Act, Place};
use crate::error::Error;
use pinfold::PageFlags;
use pinfold::pin::{PinKind, Released};
use pinfold::shrinker::{Deferred, Scan, Shrinker, shrink_slab};
use std::num::NonZeroU64;

impl<'a> Machine<'a> {
    /// What is due in the calendar.
    pub(super) fn act(&mut self, owner: u8, slot: u32, act: Act) -> Result<(), Error> {
        if self.memory.pinners.owners[owner as usize].killed {
            return Ok(());
        }
        match act {
            Act::Pin => self.pin(owner, slot)?,
            Act::Release { turn } => {
                let held = &self.memory.pinners.owners[owner as usize].slots[slot as usize];
                if held.turn == turn && !held.held.is_empty() {
                    self.memory.spent = 0;
                    let released = self.memory.release(owner, slot);
                    self.memory.pinners.counts.released_pages += released;
                    self.clock += std::mem::take(&mut self.memory.spent);
                    self.memory.pinners.pin_later(owner, slot, self.now);
                }
            }
        }
        Ok(())
    }

    /// Pins all pages of a slot's object, or none.
    fn pin(&mut self, owner: u8, slot: u32) -> Result<(), Error> {
        let used = self.footprint.len();
        let pages: Vec<u32> = match self.memory.pinners.place(owner, slot, used) {
            Place::Pages(range) => {
                self.footprint[range.start as usize..range.end as usize].to_vec()
            }
            Place::Own(range) => range
                .map(|object| match self.memory.table.find(object) {
                    Some(page) => page,
                    None => self.memory.table.insert(object, true, false),
                })
                .collect(),
        };
        let kind = self.memory.pinners.kind(owner);
        let count = pages.len() as u64;
        let pinners = &mut self.memory.pinners;
        let id = pinners.owners[owner as usize].id;
        let Ok(charge) = pinners.ledger.charge(id, kind, count, self.now) else {
            pinners.counts.refused += u64::from(count > 0);
            pinners.pin_later(owner, slot, self.now);
            return Ok(());
        };
        pinners.owners[owner as usize].slots[slot as usize].charge = Some(charge);
        for page in pages {
            self.touch_for_pin(page)?;
            if !self.pin_page(owner, slot, page) {
                // A kill in the middle of it took the owner, or a counter is at its end.
                self.memory.release(owner, slot);
                self.memory.pinners.counts.refused += 1;
                self.memory.pinners.pin_later(owner, slot, self.now);
                return Ok(());
            }
        }
        let pinners = &mut self.memory.pinners;
        pinners.counts.objects += 1;
        pinners.counts.pages += count;
        let it = &mut pinners.owners[owner as usize];
        if it.slots[slot as usize].revocable {
            it.revocable.insert(slot);
            it.revocable_pages += count;
        }
        it.slots[slot as usize].turn += 1;
        self.memory.pinners.release_later(owner, slot, self.now);
        Ok(())
    }

    /// As `get_user_pages` does: faults the page in for writing, if need be.
    fn touch_for_pin(&mut self, page: u32) -> Result<(), Error> {
        self.touch(page, true)
    }

    fn pin_page(&mut self, owner: u8, slot: u32, page: u32) -> bool {
        let memory = &mut self.memory;
        if memory.pinners.owners[owner as usize].killed {
            return false;
        }
        let Some(frame) = memory.frame_of(page) else {
            return false;
        };
        let first = !frame.is_pinned();
        let kind = memory.pinners.kind(owner);
        if frame.pins.pin(kind).is_err() {
            return false;
        }
        let it = &mut memory.pinners.owners[owner as usize];
        it.slots[slot as usize].held.push(page);
        if it.workload.notifier {
            frame.mirrored_by.set(owner);
        }
        if first {
            memory.pinned += 1;
            if self.control.parking().parks_on_pin(kind) {
                memory.park_at_pin(frame);
            }
        }
        true
    }

    /// Kills the program that has most pages pinned, if anybody has any; which.
    pub(super) fn kill(&mut self) -> Option<Killed> {
        let usages = self.memory.pinners.ledger.usages();
        let most = usages.max_by_key(|usage| usage.live())?;
        if most.live() == 0 {
            return None;
        }
        let owner = most.id as u8;
        self.memory.spent += self.memory.costs.oom_kill;
        self.memory.pinners.owners[owner as usize].killed = true;
        let slots = self.memory.pinners.owners[owner as usize].slots.len() as u32;
        let pages = (0..slots)
            .map(|slot| self.memory.release(owner, slot))
            .sum();
        let workload = self.memory.pinners.owners[owner as usize]
            .workload
            .name
            .clone();
        Some(Killed {
            workload,
            request: self.now,
            pinned: pages,
        })
    }
}

impl<'a> Memory<'a> {
    /// Takes a page that is pinned now off its list, at the cost of the pin path.
    pub(super) fn park_at_pin(&mut self, frame: &'a Frame) {
        if frame.pins.park().is_err() {
            return;
        }
        if self.lists.remove(frame) {
            self.pinners.counts.pin_list_ops += 1;
            self.spent += self.costs.list_op;
        }
        self.lists.put(PARKED, frame);
    }

    /// Releases what a slot holds; how many pages that were.
    pub(super) fn release(&mut self, owner: u8, slot: u32) -> u64 {
        let kind = self.pinners.kind(owner);
        let it = &mut self.pinners.owners[owner as usize];
        let dirty = it.workload.device_writes;
        let slot_of = &mut it.slots[slot as usize];
        let pages = std::mem::take(&mut slot_of.held);
        let charge = slot_of.charge.take();
        slot_of.turn += 1;
        if it.revocable.remove(&slot) {
            it.revocable_pages -= pages.len() as u64;
        }
        if let Some(charge) = charge {
            // It is this ledger's own.
            let _ = self.pinners.ledger.release(charge);
        }
        for &page in &pages {
            let Some(frame) = self.frame_of(page) else {
                debug_assert!(false, "a pinned page left memory");
                continue;
            };
            if dirty {
                self.device_wrote(frame);
            }
            self.unpin(frame, kind);
        }
        pages.len() as u64
    }

    /// Releases one pin; a parked page whose last it was goes back to the list of its state.
    pub(super) fn unpin(&mut self, frame: &'a Frame, kind: PinKind) {
        let unpinned = frame.pins.unpin(kind);
        if unpinned.is_ok() && !frame.is_pinned() {
            self.pinned -= 1;
            frame.mirrored_by.set(u8::MAX);
        }
        if unpinned == Ok(Released::Unpark) && self.lists.remove(frame) {
            self.pinners.counts.unpin_list_ops += 1;
            self.enlist(frame);
        }
    }

    /// The device wrote to the page: it is dirty before its pin goes.
    fn device_wrote(&mut self, frame: &'a Frame) {
        if frame.has(PageFlags::SWAP_CACHE) {
            self.drop_swap(frame);
        } else if frame.has(PageFlags::PAGE_CACHE) && !frame.has(PageFlags::DIRTY) {
            self.dirty.push_back((frame.page.get(), 0));
        }
        frame.set(PageFlags::DIRTY);
    }

    /// Gives each device's shrinker its turn.
    pub(super) fn shrink_devices(&mut self, priority: u8) {
        for owner in 0..self.pinners.owners.len() {
            let it = &mut self.pinners.owners[owner];
            if it.revocable_pages == 0 {
                continue;
            }
            let mut deferred: Deferred = std::mem::take(&mut it.deferred);
            let mut device = Device {
                memory: self,
                owner: owner as u8,
            };
            // The priority comes from a scan, so it is in range.
            let _ = shrink_slab(&mut device, &mut deferred, priority);
            self.pinners.owners[owner].deferred = deferred;
        }
    }
}

/// A device whose hardware can be stopped, so that it lets buffers go.
struct Device<'m, 'a> {
    memory: &'m mut Memory<'a>,
    owner: u8,
}

impl Shrinker for Device<'_, '_> {
    fn count(&mut self) -> Option<u64> {
        Some(self.memory.pinners.owners[self.owner as usize].revocable_pages)
    }

    fn scan(&mut self, pages: NonZeroU64) -> Scan {
        let mut freed = 0;
        while freed < pages.get() {
            let it = &self.memory.pinners.owners[self.owner as usize];
            let Some(&slot) = it.revocable.first() else {
                break;
            };
            if freed == 0 {
                self.memory.counts.device_stops += 1;
                self.memory.spent += self.memory.costs.device_stop;
            }
            freed += self.memory.release(self.owner, slot);
            self.memory.pinners.pin_again(self.owner, slot);
        }
        self.memory.pinners.counts.revoked_pages += freed;
        Scan::Did {
            scanned: freed.max(1),
            freed,
        }
    }
}
