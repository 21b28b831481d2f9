//! The naive recount.

use super::machine::{Machine, Place};
use super::memory::{Area, Pte};
use pinfold::PageFlags;
use pinfold::reclaim::Lru;

impl Machine<'_> {
    /// Recounts everything from the page tables, the caches and the pins. Panics where a counter,
    /// a list or a content is not what they say.
    pub(crate) fn check(&self) {
        self.check_places();
        self.check_counts();
        self.check_slots();
        self.check_contents();
        self.check_ledger();
    }

    fn check_places(&self) {
        let mut found = vec![Vec::new(); self.frames.len()];
        for list in Lru::ALL {
            for &index in &self.lists[list as usize] {
                found[index].push(Place::List(list));
                let flags = self.frames[index].flags.get();
                assert_eq!(
                    Lru::of(flags),
                    list,
                    "{index} is on the wrong list: {flags:?}"
                );
            }
        }
        for &index in &self.parked {
            found[index].push(Place::Parked);
        }
        for &index in &self.free {
            found[index].push(Place::Free);
        }
        for (index, found) in found.into_iter().enumerate() {
            let place = self.places[index];
            match place {
                Place::Loose => assert_eq!(found, [], "frame {index}"),
                Place::Held => panic!("frame {index} is still held"),
                _ => assert_eq!(found, [place], "frame {index}"),
            }
        }
        assert!(
            self.stale.is_empty() || self.config.defers,
            "nothing is put off"
        );
    }

    fn check_counts(&self) {
        let mut maps = vec![0; self.frames.len()];
        for (at, space) in self.spaces.iter().enumerate() {
            let mut rss = [0; 4];
            for (page, pte) in space.ptes.iter().enumerate() {
                match *pte {
                    Pte::Present(index, _) => {
                        maps[index] += 1;
                        rss[Self::counter(&self.frames[index])] += 1;
                        let known = self.frames[index].rmap.borrow();
                        assert!(known.contains(&(at, page)), "unknown to the reverse map");
                    }
                    Pte::Swap(_) => rss[3] += 1,
                    Pte::Empty => {}
                    other => panic!("{other:?} was left behind"),
                }
            }
            assert_eq!(space.rss, rss, "resident pages of address space {at}");
        }
        for frame in self.frames {
            let index = frame.index;
            assert_eq!(frame.maps.get(), maps[index], "mappings of {frame:?}");
            assert_eq!(frame.rmap.borrow().len(), maps[index] as usize);
            assert!(!frame.locked.get(), "still locked: {frame:?}");
            assert_eq!(frame.duty.get(), None, "a duty was not done");
            let cache = PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE;
            let pins = self.pins_on(index);
            let each = if frame.word.is_some() { 1 } else { 1024 };
            let refs = maps[index]
                + u32::from(frame.flags.get().intersects(cache))
                + u32::from(frame.has(PageFlags::PRIVATE))
                + self.holds[index]
                + pins as u32 * each
                + u32::from(self.places[index] == Place::Parked);
            assert_eq!(frame.refs.get(), refs as i32, "references of {frame:?}");
            let gone = self.places[index] == Place::Free;
            assert_eq!(refs == 0, gone, "{:?}: {frame:?}", self.places[index]);
            if let Some(word) = &frame.word {
                let word = word.snapshot();
                assert_eq!(word.pins.total as usize, pins);
                assert_eq!(word.blocked, gone);
                assert_eq!(word.parked, self.places[index] == Place::Parked);
                assert!(!word.parked || pins > 0, "forgotten on the parked list");
            }
        }
    }

    fn check_slots(&self) {
        let mut entries = vec![0; self.slots.len()];
        for pte in self.spaces.iter().flat_map(|space| &space.ptes) {
            if let Pte::Swap(slot) = *pte {
                entries[slot] += 1;
            }
        }
        for (at, slot) in self.slots.iter().enumerate() {
            match slot {
                None => assert_eq!(entries[at], 0, "slot {at} is free"),
                Some(slot) => {
                    assert_eq!(slot.entries, entries[at], "entries of slot {at}");
                    assert!(
                        slot.entries > 0 || slot.frame.is_some(),
                        "slot {at} is lost"
                    );
                }
            }
        }
        for frame in self.frames {
            let cached = self.slot_of(frame.index).is_some();
            assert_eq!(frame.has(PageFlags::SWAP_CACHE), cached, "{frame:?}");
            let in_file = |file: usize| {
                let mut pages = self.files[file].iter();
                pages.any(|page| page.frame == Some(frame.index))
            };
            assert_eq!(frame.has(PageFlags::PAGE_CACHE), in_file(0) || in_file(1));
        }
    }

    fn check_contents(&self) {
        for space in &self.spaces {
            for (page, pte) in space.ptes.iter().enumerate() {
                let value = match *pte {
                    Pte::Present(index, _) => self.frames[index].data.get(),
                    Pte::Swap(slot) => {
                        let slot = self.slots[slot].expect("in use");
                        match slot.frame {
                            Some(index) => self.frames[index].data.get(),
                            None => slot.data.expect("it was written out"),
                        }
                    }
                    _ => 0,
                };
                match space.area(page) {
                    Area::Anon => {
                        let truth = space.truth[page];
                        assert!(
                            truth.holds(value),
                            "{value} for {truth:?} at {page}: {pte:?}"
                        );
                    }
                    Area::File(file, at) => {
                        let mapped = *pte != Pte::Empty;
                        assert!(!mapped || value == self.files[file][at].truth, "{pte:?}");
                    }
                }
            }
        }
        for page in self.files.iter().flatten() {
            let value = page
                .frame
                .map_or(page.backing, |index| self.frames[index].data.get());
            assert_eq!(value, page.truth, "a write to a file was lost");
        }
    }

    fn check_ledger(&self) {
        self.ledger.check().expect("the books are in order");
        let live: u64 = self.ledger.usages().map(|usage| usage.live()).sum();
        let pins: usize = self
            .groups
            .iter()
            .map(|group| group.guard.pages().len())
            .sum();
        assert_eq!(live, pins as u64, "live pins in the ledger");
    }
}
