//! The machine's state, and the places where a frame can be.

use super::events::Event;
use super::frame::Frame;
use super::memory::{Area, Cached, Slot, Space};
use super::pins::Group;
use pinfold::PageFlags;
use pinfold::pin::{OwnerId, PinLedger, Released};
use pinfold::placement::{Placed, Zone};
use pinfold::reclaim::Lru;
use pinfold::shrinker::Deferred;
use std::collections::VecDeque;

/// Where a frame is: in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    List(Lru),
    Parked,
    /// In the hands of a scan, or of whoever allocates or migrates it.
    Held,
    /// Off all lists; somebody's last reference will free it.
    Loose,
}

/// How the machine answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Config {
    /// TLB flushes can be put off.
    pub(crate) defers: bool,
    /// Writing out takes until [`Machine::end_writeback`].
    pub(crate) slow_writes: bool,
    /// Private buffers are not released.
    pub(crate) buffers_stay: bool,
    pub(crate) congested: bool,
    /// Swap slots of active pages are to be given back.
    pub(crate) swap_full: bool,
    /// No slot is given out.
    pub(crate) out_of_swap: bool,
    /// Nothing can be parked.
    pub(crate) no_parking: bool,
    /// The device gives back what it has pinned when memory is sought.
    pub(crate) device_shrinks: bool,
    /// How many writes a batch may start, if there is a limit.
    pub(crate) write_limit: Option<u32>,
    /// The high watermark.
    pub(crate) high: u64,
}

/// How often the machine was asked what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Pages taken off, put on, or moved between lists and the parking.
    pub(crate) list_operations: u64,
    pub(crate) references_walked: u64,
    pub(crate) unmap_calls: u64,
    pub(crate) entries_cleared: u64,
    pub(crate) notifier_calls: u64,
    pub(crate) swap_allocated: u64,
    pub(crate) written: u64,
    pub(crate) freed: u64,
    pub(crate) tlb_flushes: u64,
    /// Pages that could not be unmapped because of an error.
    pub(crate) errors: u64,
}

pub(crate) const SPACES: usize = 3;
pub(crate) const OWNERS: usize = 2;

pub(crate) struct Machine<'m> {
    pub(crate) frames: &'m [Frame],
    pub(crate) places: Vec<Place>,
    pub(crate) lists: [VecDeque<usize>; 4],
    pub(crate) parked: VecDeque<usize>,
    pub(crate) free: Vec<usize>,
    pub(crate) spaces: Vec<Space>,
    /// The pages of the file, and those of the shared memory.
    pub(crate) files: [Vec<Cached>; 2],
    pub(crate) slots: Vec<Option<Slot>>,
    /// Entries that a TLB may still hold: address space, page number, frame, dirty.
    pub(crate) stale: Vec<(usize, usize, usize, bool)>,
    pub(crate) groups: Vec<Group<'m>>,
    /// Plain references that somebody holds.
    pub(crate) holds: Vec<u32>,
    /// Frames that somebody else has locked.
    pub(crate) locked_by_others: Vec<bool>,
    pub(crate) ledger: PinLedger<OWNERS, 64>,
    pub(crate) owners: [OwnerId; OWNERS],
    pub(crate) config: Config,
    pub(crate) events: VecDeque<(u32, Event)>,
    pub(crate) told: Told,
    /// No page may be written out while it is pinned.
    pub(crate) guards_pins: bool,
    /// A page is parked when it is pinned.
    pub(crate) parks_eagerly: bool,
    pub(crate) clock: u64,
    /// Frames that are kept movable are given out last.
    pub(crate) avoids_movable: bool,
    /// What the device's shrinker was spared so far.
    pub(crate) deferred: Deferred,
    /// The calls that failed or were refused because of an [event](Event::Fail).
    pub(crate) failed: Vec<&'static str>,
    /// The calls that [`Event::Fail`] spares.
    pub(crate) spared: &'static [&'static str],
    /// Entries whose flush was deferred since the last TLB flush.
    pub(crate) unflushed: u64,
    /// Pages written since the last [`submit`](pinfold::reclaim::PageOps::submit).
    pub(crate) unsubmitted: u64,
    /// How many more writes the batch may start.
    pub(crate) room: u32,
}

impl<'m> Machine<'m> {
    /// `anon` pages of anonymous memory in each address space, a file and a shared memory of `file`
    /// pages each, `swap` slots.
    pub(crate) fn new(frames: &'m [Frame], anon: usize, file: usize, swap: usize) -> Self {
        let mut ledger = PinLedger::with_tag(1);
        let owners = [7, 8].map(|id| ledger.add_owner(id, u64::MAX).expect("room for two"));
        Self {
            frames,
            places: vec![Place::Free; frames.len()],
            lists: Default::default(),
            parked: VecDeque::new(),
            free: (0..frames.len()).rev().collect(),
            spaces: (0..SPACES).map(|_| Space::new(anon, file)).collect(),
            files: [0, 1].map(|_| vec![Cached::default(); file]),
            slots: vec![None; swap],
            stale: Vec::new(),
            groups: Vec::new(),
            holds: vec![0; frames.len()],
            locked_by_others: vec![false; frames.len()],
            ledger,
            owners,
            config: Config::default(),
            events: VecDeque::new(),
            told: Told::default(),
            guards_pins: false,
            parks_eagerly: false,
            clock: 0,
            avoids_movable: false,
            deferred: Deferred::default(),
            failed: Vec::new(),
            spared: &[],
            unflushed: 0,
            unsubmitted: 0,
            room: 0,
        }
    }

    /// A value that was never written before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn area(&self, page: usize) -> Area {
        self.spaces[0].area(page)
    }

    /// A free frame, with one reference: the caller's, which [`Self::place_on`] drops.
    pub(crate) fn alloc(&mut self) -> Option<&'m Frame> {
        let normal = |&index: &usize| self.frames[index].zone() == Zone::Normal;
        let at = match self.free.iter().rposition(normal) {
            Some(at) if self.avoids_movable => at,
            _ => self.free.len().checked_sub(1)?,
        };
        let index = self.free.remove(at);
        let frame = &self.frames[index];
        assert_eq!(self.places[index], Place::Free);
        assert!(!self.is_stale(index, false), "used before its TLB flush");
        if let Some(word) = &frame.word {
            word.unblock().expect("a free frame is blocked");
            word.clear_ever_pinned();
        }
        frame.refs.unfreeze(1).expect("a free frame is frozen");
        frame.data.set(0);
        self.places[index] = Place::Held;
        Some(frame)
    }

    /// Takes a given frame off its list or out of the parking, with a reference.
    pub(crate) fn isolate(&mut self, frame: &Frame) {
        match self.places[frame.index] {
            Place::List(list) => {
                self.lists[list as usize].retain(|&other| other != frame.index);
                frame.refs.try_get_ref().expect("a listed page is alive");
            }
            Place::Parked => self.parked.retain(|&other| other != frame.index),
            other => panic!("cannot isolate what is {other:?}"),
        }
        self.told.list_operations += 1;
        self.places[frame.index] = Place::Held;
    }

    /// Puts a frame that is held on a list, and drops the holder's reference.
    pub(crate) fn place_on(&mut self, list: Lru, frame: &Frame) {
        assert_eq!(self.places[frame.index], Place::Held);
        frame.set(PageFlags::ACTIVE, list.is_active());
        self.lists[list as usize].push_back(frame.index);
        self.told.list_operations += 1;
        self.places[frame.index] = Place::List(list);
        self.put_ref(frame);
    }

    /// Drops a reference, and frees the frame with the last.
    pub(crate) fn put_ref(&mut self, frame: &Frame) {
        if frame.refs.put_ref().expect("a reference is held") == Released::Free {
            self.free_at_once(frame);
        }
    }

    /// Frees a frame without references, outside a scan.
    pub(crate) fn free_at_once(&mut self, frame: &Frame) {
        match self.places[frame.index] {
            Place::List(list) => {
                self.lists[list as usize].retain(|&other| other != frame.index);
            }
            Place::Loose | Place::Held => {}
            other => panic!("{other:?} holds a reference"),
        }
        self.stale.clear();
        self.give_back(frame);
    }

    /// A frame leaves memory.
    pub(crate) fn give_back(&mut self, frame: &Frame) {
        assert_eq!(frame.refs.get(), 0, "freed with references: {frame:?}");
        assert_eq!(frame.maps.get(), 0, "freed while mapped: {frame:?}");
        assert_eq!(self.pins_on(frame.index), 0, "freed while pinned");
        if let Some(word) = &frame.word {
            if !word.snapshot().blocked {
                word.block().expect("not pinned");
            }
        }
        frame.flags.set(PageFlags::empty());
        frame.locked.set(false);
        self.places[frame.index] = Place::Free;
        self.told.freed += 1;
        self.free.push(frame.index);
    }

    /// Whether a TLB may still hold an entry for the frame; a dirty one, if `dirty`.
    pub(crate) fn is_stale(&self, frame: usize, dirty: bool) -> bool {
        let mut stale = self.stale.iter();
        stale.any(|&(_, _, held, wrote)| held == frame && (wrote || !dirty))
    }
}
