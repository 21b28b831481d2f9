//! Owners who pin pages for devices, in groups.

use super::frame::Frame;
use super::machine::{Machine, Place};
use super::memory::{Area, NoFrame};
use pinfold::pin::{Charge, PinGuard, PinKind, Released};
use pinfold::reclaim::Lru;

/// What a device writes to through a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Anon(usize, usize),
    File(usize, usize),
    /// Nobody reads it any more.
    Nothing,
}

/// One DMA object: its pins and their charge.
#[derive(Debug)]
pub(crate) struct Group<'m> {
    pub(crate) guard: PinGuard<&'m Frame, Vec<&'m Frame>>,
    pub(crate) charge: Charge,
    pub(crate) behind: Vec<Behind>,
}

impl Group<'_> {
    pub(crate) fn has(&self, frame: usize) -> bool {
        self.guard.pages().iter().any(|page| page.index == frame)
    }
}

impl<'m> Machine<'m> {
    /// How many pins the tables know of on a frame.
    pub(crate) fn pins_on(&self, frame: usize) -> usize {
        let pages = self.groups.iter().flat_map(|group| group.guard.pages());
        pages.filter(|page| page.index == frame).count()
    }

    /// Pins the pages of an address space from `first` on, all or none; a page that is not there is
    /// faulted in.
    pub(crate) fn pin(
        &mut self,
        space: usize,
        first: usize,
        count: usize,
        kind: PinKind,
        owner: usize,
    ) -> Result<(), NoFrame> {
        let mut found = Vec::new();
        for page in first..(first + count).min(self.spaces[space].ptes.len()) {
            found.push((space, page, self.fault(space, page, true)?));
        }
        self.pin_frames(&found, kind, owner);
        Ok(())
    }

    pub(crate) fn pin_frames(
        &mut self,
        found: &[(usize, usize, &'m Frame)],
        kind: PinKind,
        owner: usize,
    ) {
        let frames: Vec<&'m Frame> = found.iter().map(|&(_, _, frame)| frame).collect();
        let guard = PinGuard::pin(frames, kind).expect("pages that are mapped can be pinned");
        self.register(guard, found, owner);
        if self.parks_eagerly {
            for &(_, _, frame) in found {
                if matches!(self.places[frame.index], Place::List(_)) {
                    self.isolate(frame);
                    self.park_held(frame).expect("just pinned");
                }
            }
        }
    }

    /// Charges an object that was pinned, or releases it again.
    pub(crate) fn register(
        &mut self,
        mut guard: PinGuard<&'m Frame, Vec<&'m Frame>>,
        found: &[(usize, usize, &'m Frame)],
        owner: usize,
    ) {
        let now = self.fresh();
        let (owner, pages) = (self.owners[owner], found.len() as u64);
        let Ok(charge) = self.ledger.charge(owner, guard.kind(), pages, now) else {
            guard.release().expect("just pinned");
            self.do_duties(found.iter().map(|at| at.2));
            return;
        };
        let behind = |&(space, page, _): &(usize, usize, &Frame)| match self.area(page) {
            Area::Anon => Behind::Anon(space, page),
            Area::File(file, at) => Behind::File(file, at),
        };
        let behind = found.iter().map(behind).collect();
        self.groups.push(Group {
            guard,
            charge,
            behind,
        });
    }

    /// The device writes to all pages of a group.
    pub(crate) fn dma_write(&mut self, group: usize) {
        for at in 0..self.groups[group].behind.len() {
            let value = self.fresh();
            let group = &self.groups[group];
            group.guard.pages()[at].data.set(value);
            match group.behind[at] {
                Behind::Anon(space, page) => self.wrote(space, page, value),
                Behind::File(file, page) => self.files[file][page].truth = value,
                Behind::Nothing => {}
            }
        }
    }

    /// Releases a group, dirty, and does what that leaves to do.
    pub(crate) fn unpin(&mut self, group: usize) {
        let mut group = self.groups.swap_remove(group);
        let pages = group.guard.pages().to_vec();
        group.guard.set_dirty_on_release(true);
        group.guard.release().expect("its pins are held");
        self.ledger.release(group.charge).expect("charged once");
        self.do_duties(pages.into_iter());
    }

    /// Does what the last unpin of each page left to do.
    pub(crate) fn do_duties(&mut self, pages: impl Iterator<Item = &'m Frame>) {
        for page in pages {
            match page.duty.take() {
                Some(Released::Unpark) => {
                    self.parked.retain(|&parked| parked != page.index);
                    assert_eq!(self.places[page.index], Place::Parked);
                    self.places[page.index] = Place::Held;
                    self.place_on(Lru::of(page.flags.get()), page);
                }
                Some(Released::Free) => self.free_at_once(page),
                Some(Released::UnparkAndFree) => {
                    unreachable!("a parked page is held by its parking")
                }
                Some(Released::Done) | None => {}
            }
        }
    }

    /// Parks a frame that is held, if it is pinned still.
    pub(crate) fn park_held(&mut self, frame: &Frame) -> Result<(), ()> {
        assert_eq!(self.places[frame.index], Place::Held);
        if self.config.no_parking || frame.word.as_ref().is_some_and(|word| word.park().is_err()) {
            return Err(());
        }
        self.told.list_operations += 1;
        self.places[frame.index] = Place::Parked;
        self.parked.push_back(frame.index);
        Ok(())
    }

    /// The device goes on, but what it writes there is no longer that address space's.
    pub(crate) fn forget_owner(&mut self, space: usize, page: usize) {
        if self.area(page) == Area::Anon {
            self.forget(Behind::Anon(space, page));
        }
    }

    pub(crate) fn forget_file(&mut self, file: usize, at: usize) {
        self.forget(Behind::File(file, at));
    }

    fn forget(&mut self, gone: Behind) {
        for behind in self.groups.iter_mut().flat_map(|group| &mut group.behind) {
            if *behind == gone {
                *behind = Behind::Nothing;
            }
        }
    }
}
