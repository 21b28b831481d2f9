//! Address spaces, faults, and what a program does to its memory.

use super::frame::Frame;
use super::machine::Machine;
use pinfold::reclaim::Lru;
use pinfold::{PageFlags, PteFlags};

/// What a page number of an address space stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    Anon,
    /// The file (0) or the shared memory (1), and the page in it.
    File(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pte {
    Empty,
    Present(usize, PteFlags),
    Swap(usize),
    Migration(usize, PteFlags),
    Poison,
}

/// What a page must read as. Memory that was freed lazily may read as zero, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) value: u64,
    pub(crate) or_zero: bool,
}

impl Truth {
    pub(crate) fn holds(self, value: u64) -> bool {
        value == self.value || self.or_zero && value == 0
    }
}

/// One address space: anonymous memory, then the file, then the shared memory; a VMA each.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) ptes: Vec<Pte>,
    pub(crate) truth: Vec<Truth>,
    pub(crate) locked: [bool; 3],
    /// Resident: anonymous, file, shared memory; and swap entries.
    pub(crate) rss: [i64; 4],
    pub(crate) file: usize,
}

impl Space {
    pub(crate) fn new(anon: usize, file: usize) -> Self {
        Self {
            ptes: vec![Pte::Empty; anon + 2 * file],
            truth: vec![Truth::default(); anon],
            locked: [false; 3],
            rss: [0; 4],
            file,
        }
    }

    pub(crate) fn area(&self, page: usize) -> Area {
        match page.checked_sub(self.truth.len()) {
            None => Area::Anon,
            Some(at) => Area::File(at / self.file, at % self.file),
        }
    }

    /// Which of the three VMAs, and its first and last page number.
    pub(crate) fn vma(&self, page: usize) -> (usize, usize, usize) {
        let anon = self.truth.len();
        match self.area(page) {
            Area::Anon => (0, 0, anon),
            Area::File(which, _) => {
                let start = anon + which * self.file;
                (1 + which, start, start + self.file)
            }
        }
    }
}

/// A page of a file: where it is cached, what its backing store has, and what it must read as.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cached {
    pub(crate) frame: Option<usize>,
    pub(crate) backing: u64,
    pub(crate) truth: u64,
}

/// A swap slot in use: entries that name it, the swap cache, and what was written there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot {
    pub(crate) entries: u32,
    pub(crate) frame: Option<usize>,
    pub(crate) data: Option<u64>,
}

/// No frame is free.
#[derive(Debug)]
pub(crate) struct NoFrame;

impl<'m> Machine<'m> {
    /// What a program reads there. Panics if it is not what was last written.
    pub(crate) fn read(&mut self, space: usize, page: usize) -> Result<u64, NoFrame> {
        let frame = self.fault(space, page, false)?;
        let value = frame.data.get();
        match self.area(page) {
            Area::Anon => {
                let truth = &mut self.spaces[space].truth[page];
                assert!(truth.holds(value), "read {value}, not {truth:?}");
                truth.value = value;
            }
            Area::File(file, at) => assert_eq!(value, self.files[file][at].truth, "lost write"),
        }
        Ok(value)
    }

    pub(crate) fn write(&mut self, space: usize, page: usize) -> Result<(), NoFrame> {
        let frame = self.fault(space, page, true)?;
        let value = self.fresh();
        frame.data.set(value);
        self.wrote(space, page, value);
        Ok(())
    }

    /// From now on, that must be read there.
    pub(crate) fn wrote(&mut self, space: usize, page: usize, value: u64) {
        match self.area(page) {
            Area::Anon => {
                self.spaces[space].truth[page] = Truth {
                    value,
                    or_zero: false,
                };
            }
            Area::File(file, at) => self.files[file][at].truth = value,
        }
    }

    /// The frame there, mapped, young, and writable and dirty if it is to be written to.
    pub(crate) fn fault(
        &mut self,
        space: usize,
        page: usize,
        write: bool,
    ) -> Result<&'m Frame, NoFrame> {
        let frame = match self.spaces[space].ptes[page] {
            Pte::Present(frame, _) => &self.frames[frame],
            Pte::Empty => self.fault_in(space, page)?,
            Pte::Swap(slot) => self.swap_in(space, page, slot)?,
            other => panic!("a fault on {other:?}"),
        };
        let frame = if write && self.area(page) == Area::Anon {
            self.make_private(space, page, frame)?
        } else {
            frame
        };
        if let Pte::Present(_, flags) = &mut self.spaces[space].ptes[page] {
            flags.insert(PteFlags::YOUNG);
            if write {
                flags.insert(PteFlags::DIRTY | PteFlags::WRITABLE);
            }
        }
        Ok(frame)
    }

    fn fault_in(&mut self, space: usize, page: usize) -> Result<&'m Frame, NoFrame> {
        match self.area(page) {
            Area::Anon => {
                let frame = self.alloc().ok_or(NoFrame)?;
                frame.set(PageFlags::ANON | PageFlags::SWAP_BACKED, true);
                let truth = &mut self.spaces[space].truth[page];
                assert!(truth.holds(0), "{truth:?} was dropped");
                *truth = Truth::default();
                self.map(space, page, frame, PteFlags::WRITABLE);
                self.place_on(Lru::InactiveAnon, frame);
                Ok(frame)
            }
            Area::File(file, at) => {
                let frame = self.cached(file, at)?;
                self.map(space, page, frame, PteFlags::WRITABLE);
                Ok(frame)
            }
        }
    }

    /// The frame that caches a page of a file.
    fn cached(&mut self, file: usize, at: usize) -> Result<&'m Frame, NoFrame> {
        if let Some(frame) = self.files[file][at].frame {
            return Ok(&self.frames[frame]);
        }
        let frame = self.alloc().ok_or(NoFrame)?;
        frame.data.set(self.files[file][at].backing);
        frame.refs.try_get_ref().expect("the caller's is held");
        frame.set(PageFlags::PAGE_CACHE, true);
        frame.set(PageFlags::SWAP_BACKED, file == 1);
        self.files[file][at].frame = Some(frame.index);
        self.place_on(Lru::of(frame.flags.get()), frame);
        Ok(frame)
    }

    fn swap_in(&mut self, space: usize, page: usize, slot: usize) -> Result<&'m Frame, NoFrame> {
        let found = self.slots[slot].expect("an entry names it");
        let frame = match found.frame {
            Some(frame) => &self.frames[frame],
            None => {
                let frame = self.alloc().ok_or(NoFrame)?;
                frame.data.set(found.data.expect("it was written out"));
                frame.refs.try_get_ref().expect("the caller's is held");
                let cached = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
                frame.set(cached, true);
                self.slots[slot].as_mut().expect("in use").frame = Some(frame.index);
                self.place_on(Lru::InactiveAnon, frame);
                frame
            }
        };
        self.map(space, page, frame, PteFlags::empty());
        self.spaces[space].rss[3] -= 1;
        self.put_slot(slot);
        Ok(frame)
    }

    /// Copies on write, unless nobody else has the page.
    fn make_private(
        &mut self,
        space: usize,
        page: usize,
        frame: &'m Frame,
    ) -> Result<&'m Frame, NoFrame> {
        let entries = self
            .slot_of(frame.index)
            .map_or(0, |slot| self.slots[slot].expect("in use").entries);
        if frame.maps.get() == 1 && entries == 0 {
            return Ok(frame);
        }
        let copy = self.alloc().ok_or(NoFrame)?;
        copy.data.set(frame.data.get());
        copy.set(PageFlags::ANON | PageFlags::SWAP_BACKED, true);
        self.unmap_entry(space, page);
        self.map(space, page, copy, PteFlags::WRITABLE);
        self.place_on(Lru::InactiveAnon, copy);
        Ok(copy)
    }

    /// Maps a frame on which the caller holds a reference.
    pub(crate) fn map(&mut self, space: usize, page: usize, frame: &Frame, flags: PteFlags) {
        frame.refs.try_get_ref().expect("it is alive");
        frame.maps.set(frame.maps.get() + 1);
        frame.rmap.borrow_mut().push((space, page));
        self.spaces[space].ptes[page] = Pte::Present(frame.index, flags);
        self.spaces[space].rss[Self::counter(frame)] += 1;
    }

    /// The resident counter for the frame: anonymous, file, shared memory.
    pub(crate) fn counter(frame: &Frame) -> usize {
        if frame.has(PageFlags::ANON) {
            0
        } else if frame.has(PageFlags::SWAP_BACKED) {
            2
        } else {
            1
        }
    }

    /// Empties an entry, as `munmap` does: a dirty one makes a page dirty that is stored elsewhere.
    pub(crate) fn unmap_entry(&mut self, space: usize, page: usize) {
        match core::mem::replace(&mut self.spaces[space].ptes[page], Pte::Empty) {
            Pte::Present(index, flags) => {
                let frame = &self.frames[index];
                let stored = PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE;
                if flags.contains(PteFlags::DIRTY) && frame.flags.get().intersects(stored) {
                    frame.set(PageFlags::DIRTY, true);
                }
                self.spaces[space].rss[Self::counter(frame)] -= 1;
                self.forget_owner(space, page);
                frame.rmap.borrow_mut().retain(|&at| at != (space, page));
                frame.maps.set(frame.maps.get() - 1);
                self.put_ref(frame);
            }
            Pte::Swap(slot) => {
                self.spaces[space].rss[3] -= 1;
                self.forget_owner(space, page);
                self.put_slot(slot);
            }
            Pte::Empty => {}
            other => panic!("cannot unmap {other:?}"),
        }
    }

    pub(crate) fn munmap(&mut self, space: usize, page: usize) {
        self.unmap_entry(space, page);
        if self.area(page) == Area::Anon {
            self.spaces[space].truth[page] = Truth::default();
        }
    }

    /// `to` gets what it has not yet of the anonymous memory of `from`. Pinned pages are copied.
    pub(crate) fn fork(&mut self, from: usize, to: usize) {
        for page in 0..self.spaces[from].truth.len() {
            if from == to || self.spaces[to].ptes[page] != Pte::Empty {
                continue;
            }
            match self.spaces[from].ptes[page] {
                Pte::Present(index, flags) if self.pins_on(index) == 0 => {
                    let shared = flags.difference(PteFlags::WRITABLE);
                    self.spaces[from].ptes[page] = Pte::Present(index, shared);
                    // Dirty too, as Linux's: the first writer takes a copy, and his entry with him.
                    let copied = shared.difference(PteFlags::YOUNG);
                    self.map(to, page, &self.frames[index], copied);
                }
                Pte::Present(index, _) => {
                    let Some(copy) = self.alloc() else { continue };
                    copy.data.set(self.frames[index].data.get());
                    copy.set(PageFlags::ANON | PageFlags::SWAP_BACKED, true);
                    self.map(to, page, copy, PteFlags::WRITABLE | PteFlags::DIRTY);
                    self.place_on(Lru::InactiveAnon, copy);
                }
                Pte::Swap(slot) => {
                    let used = self.slots[slot].as_mut().expect("in use");
                    if used
                        .frame
                        .is_some_and(|frame| self.frames[frame].reads_pinned())
                    {
                        continue;
                    }
                    used.entries += 1;
                    self.spaces[to].ptes[page] = Pte::Swap(slot);
                    self.spaces[to].rss[3] += 1;
                }
                _ => continue,
            }
            self.spaces[to].truth[page] = self.spaces[from].truth[page];
        }
    }

    /// `MADV_FREE`.
    pub(crate) fn free_lazily(&mut self, space: usize, page: usize) {
        let Pte::Present(index, flags) = self.spaces[space].ptes[page] else {
            return;
        };
        let frame = &self.frames[index];
        let listed = matches!(self.places[index], super::Place::List(_));
        let simple = frame.has(PageFlags::ANON)
            && !frame.has(PageFlags::SWAP_CACHE)
            && frame.maps.get() == 1
            && self.pins_on(index) == 0;
        if !listed || !simple {
            return;
        }
        frame.set(PageFlags::SWAP_BACKED | PageFlags::DIRTY, false);
        let clean = flags.difference(PteFlags::YOUNG | PteFlags::DIRTY);
        self.spaces[space].ptes[page] = Pte::Present(index, clean);
        self.spaces[space].truth[page].or_zero = true;
        self.isolate(frame);
        self.place_on(Lru::InactiveFile, frame);
    }

    /// Cuts a page off a file: out of all page tables and the cache, whoever holds it.
    pub(crate) fn truncate(&mut self, file: usize, at: usize) {
        let page = self.spaces[0].truth.len() + file * self.spaces[0].file + at;
        for space in 0..self.spaces.len() {
            self.unmap_entry(space, page);
        }
        self.forget_file(file, at);
        let cached = core::mem::take(&mut self.files[file][at]);
        if let Some(index) = cached.frame {
            let frame = &self.frames[index];
            frame.set(
                PageFlags::PAGE_CACHE | PageFlags::DIRTY | PageFlags::WRITEBACK,
                false,
            );
            self.put_ref(frame);
        }
    }

    pub(crate) fn slot_of(&self, frame: usize) -> Option<usize> {
        let mut slots = self.slots.iter();
        slots.position(|slot| slot.is_some_and(|slot| slot.frame == Some(frame)))
    }

    /// An entry that named the slot is gone.
    pub(crate) fn put_slot(&mut self, slot: usize) {
        let used = self.slots[slot].as_mut().expect("in use");
        used.entries -= 1;
        if used.entries == 0 && used.frame.is_none() {
            self.slots[slot] = None;
        }
    }

    /// Writes every dirty page of the file and the shared memory to its backing store.
    pub(crate) fn flush_files(&mut self) {
        for file in 0..self.files.len() {
            for at in 0..self.files[file].len() {
                let Some(index) = self.files[file][at].frame else {
                    continue;
                };
                let frame = &self.frames[index];
                for &(space, page) in frame.rmap.borrow().iter() {
                    if let Pte::Present(_, flags) = &mut self.spaces[space].ptes[page] {
                        flags.remove(PteFlags::DIRTY);
                    }
                }
                frame.set(PageFlags::DIRTY, false);
                self.files[file][at].backing = frame.data.get();
            }
        }
    }

    /// Nobody has used the frame of late.
    pub(crate) fn make_old(&mut self, frame: &Frame) {
        for &(space, page) in frame.rmap.borrow().iter() {
            if let Pte::Present(_, flags) = &mut self.spaces[space].ptes[page] {
                flags.remove(PteFlags::YOUNG);
            }
        }
    }

    /// Every writeback that is under way ends.
    pub(crate) fn end_writeback(&mut self) {
        for frame in self.frames {
            frame.set(PageFlags::WRITEBACK, false);
        }
    }
}
