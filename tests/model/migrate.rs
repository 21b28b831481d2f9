//! Moving a page to another frame.

use super::frame::Frame;
use super::machine::{Machine, Place};
use super::memory::Pte;
use super::tables::Reverse;
use pinfold::pin::{PinKind, Refined};
use pinfold::placement::{PlaceRequest, Placed, Zone, check_pins, place_and_pin};
use pinfold::reclaim::{Lru, LruScan, ScanControl};
use pinfold::{
    Context, FlushDebt, Operation, Outcome, PageFlags, SkipOpportunistic, UnmapFlags, UnmapRequest,
    try_to_unmap,
};

impl Placed for Frame {
    fn zone(&self) -> Zone {
        if self.index % 3 == 0 {
            Zone::Movable
        } else {
            Zone::Normal
        }
    }
}

impl<'m> Machine<'m> {
    /// Pins pages of an address space for long, and moves them out of the movable frames first;
    /// each move is preceded by a scan for a page, as if it had to make room.
    pub(crate) fn place(&mut self, space: usize, first: usize, count: usize) {
        let mut found = Vec::new();
        for page in first..(first + count).min(self.spaces[space].ptes.len()) {
            let Ok(frame) = self.fault(space, page, true) else {
                break;
            };
            frame.refs.try_get_ref().expect("mapped");
            found.push((space, page, frame));
        }
        let object: Vec<&'m Frame> = found.iter().map(|&(.., frame)| frame).collect();
        let request = PlaceRequest::new(PinKind::Longterm);
        self.avoids_movable = true;
        let placed = place_and_pin(object, &request, |page, places| {
            // The caller's references go with the page.
            let old: &'m Frame = page;
            let mut scan = LruScan::new(1);
            let _ = scan.run(self, &ScanControl::new(super::sequence::EVERYTHING));
            let held = found.iter().filter(|at| at.2.index == old.index);
            assert_eq!(held.count(), places);
            for _ in 0..places {
                self.put_ref(old);
            }
            let moved = match self.places[old.index] {
                Place::List(_) => self.migrate(old.index, false),
                _ => None,
            };
            for at in found.iter_mut().filter(|at| at.2.index == old.index) {
                at.2 = moved.unwrap_or(old);
                at.2.refs
                    .try_get_ref()
                    .expect("nothing takes a page of the object");
            }
            *page = moved.unwrap_or(old);
            moved.map(drop).ok_or(())
        });
        self.avoids_movable = false;
        if let Ok(pins) = placed {
            let pages = pins.pages();
            assert!(pages.iter().all(|page| page.zone() == Zone::Normal));
            self.register(pins, &found, 1);
        }
        self.do_duties(found.iter().map(|at| at.2));
        for (.., frame) in found {
            self.put_ref(frame);
        }
    }

    /// Migrates or demotes a frame that is on a list; where it went. Panics if a pinned one moved.
    pub(crate) fn migrate(&mut self, index: usize, demote: bool) -> Option<&'m Frame> {
        let old = &self.frames[index];
        let Place::List(list) = self.places[index] else {
            return None;
        };
        if self.locked_by_others[index] || old.has(PageFlags::WRITEBACK) {
            return None;
        }
        let operation = if demote {
            Operation::Demote
        } else {
            Operation::Migrate
        };
        let policy = SkipOpportunistic::<Refined>::new();
        let allowed = check_pins(old, operation, &policy, Context::default());
        assert_eq!(allowed.is_err(), self.pins_on(index) > 0, "{allowed:?}");
        self.isolate(old);
        old.locked.set(true);
        let mut flags =
            UnmapFlags::MIGRATION | UnmapFlags::IGNORE_MLOCK | UnmapFlags::IGNORE_ACCESS;
        flags.set(UnmapFlags::OPPORTUNISTIC, demote);
        let request = UnmapRequest::new(flags).expect("known flags");
        let pinned = self.pins_on(index) > 0;
        let cleared = self.told.entries_cleared;
        let mut debt = FlushDebt::none();
        let result = try_to_unmap(old, &request, &mut Reverse::new(self, old), &mut debt);
        assert!(debt.is_none(), "nothing is deferred without BATCH_FLUSH");
        let unmapped = match result {
            Ok(outcome) => {
                match outcome {
                    Outcome::Skipped(_) => assert!(demote && pinned),
                    Outcome::Refused(_) => assert!(!demote && pinned),
                    Outcome::Unmapped | Outcome::StillMapped(_) | Outcome::Contended => {
                        assert!(!pinned);
                    }
                    other => panic!("{other:?}"),
                }
                outcome.is_unmapped()
            }
            Err(_) => false,
        };
        if pinned {
            assert_eq!(
                self.told.entries_cleared, cleared,
                "a pinned page was touched"
            );
        }
        let new = if unmapped { self.replace(old) } else { None };
        let to = new.unwrap_or(old);
        self.remap(old, to);
        old.locked.set(false);
        match new {
            Some(new) => {
                self.give_back(old);
                self.place_on(list, new);
            }
            None => self.place_on(Lru::of(old.flags.get()), old),
        }
        new
    }

    /// A new frame with what was in the old one, which is frozen; or nothing has changed.
    fn replace(&mut self, old: &'m Frame) -> Option<&'m Frame> {
        let cache = PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE;
        let cached = old.flags.get().intersects(cache);
        let others = i32::from(cached) + i32::from(old.has(PageFlags::PRIVATE));
        let new = self.alloc()?;
        if !self.freeze(old, 1 + others) {
            self.put_ref(new);
            return None;
        }
        assert_eq!(self.pins_on(old.index), 0, "migrated while pinned");
        new.data.set(old.data.get());
        new.flags.set(old.flags.get());
        for _ in 0..others {
            new.refs.try_get_ref().expect("the caller's is held");
        }
        if let Some(slot) = self.slot_of(old.index) {
            self.slots[slot].as_mut().expect("in use").frame = Some(new.index);
        }
        for cached in self.files.iter_mut().flatten() {
            if cached.frame == Some(old.index) {
                cached.frame = Some(new.index);
            }
        }
        Some(new)
    }

    /// Puts mappings of `to` in the place of the migration entries for `old`.
    fn remap(&mut self, old: &Frame, to: &Frame) {
        for space in 0..self.spaces.len() {
            for page in 0..self.spaces[space].ptes.len() {
                if let Pte::Migration(index, flags) = self.spaces[space].ptes[page] {
                    assert_eq!(index, old.index);
                    self.map(space, page, to, flags);
                    // Migration entries count as resident.
                    self.spaces[space].rss[Self::counter(to)] -= 1;
                }
            }
        }
    }
}
