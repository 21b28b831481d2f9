//! A node whose every call checks what must hold for a batch, and is logged.

use crate::walk::Walk;
use core::cell::Cell;
use pinfold::pin::{PinCount, Pins};
use pinfold::reclaim::{
    Lists, Lru, LruScan, PageOps, PageOut, Parking, Referenced, Removal, ScanControl, ScanFlags,
    Stats,
};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PageLike, PinPolicy, PteFlags, UnmapError,
    UnmapRequest, try_to_unmap,
};
use std::collections::VecDeque;

/// A scan that may do everything.
pub(crate) const EVERYTHING: ScanFlags = ScanFlags::MAY_UNMAP
    .union(ScanFlags::MAY_WRITE)
    .union(ScanFlags::IO)
    .union(ScanFlags::FS);

/// The error of the page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Listed,
    Parked,
    /// In the hands of the scan.
    Held,
    /// Out of its cache; nobody can pin it any more.
    Frozen,
    Freed,
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) maps: Cell<u32>,
    pub(crate) pins: Cell<u32>,
    /// The bits of each of its entries.
    pub(crate) entry: Cell<PteFlags>,
    /// With how many entries left the page tables cannot be read.
    pub(crate) unreadable: Cell<Option<u32>>,
    pub(crate) locked: Cell<bool>,
    pub(crate) place: Cell<Place>,
}

impl Frame {
    fn new(flags: PageFlags) -> Self {
        Self {
            flags: Cell::new(flags),
            maps: Cell::new(1),
            pins: Cell::new(0),
            entry: Cell::new(PteFlags::empty()),
            unreadable: Cell::new(None),
            locked: Cell::new(false),
            place: Cell::new(Place::Listed),
        }
    }

    /// A clean page of a file.
    pub(crate) fn file() -> Self {
        Self::new(PageFlags::PAGE_CACHE)
    }

    /// An anonymous page without swap.
    pub(crate) fn anon() -> Self {
        Self::new(PageFlags::ANON | PageFlags::SWAP_BACKED)
    }

    /// An anonymous page that is in the swap cache already, and clean.
    pub(crate) fn swap_cached() -> Self {
        Self::new(PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE)
    }

    pub(crate) fn with(self, flags: PageFlags) -> Self {
        self.set(flags, true);
        self
    }

    pub(crate) fn set(&self, flags: PageFlags, on: bool) {
        let mut all = self.flags.get();
        all.set(flags, on);
        self.flags.set(all);
    }
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        2 + (self.maps.get() + self.pins.get()) as i32
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(PinCount {
            total: self.pins.get(),
            longterm: Some(0),
        })
    }
}

/// What the scan did, with the index of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    Lock(usize),
    Unlock(usize),
    Swap(usize),
    Unmap(usize),
    Flush,
    Write(usize),
    Submit,
    Remove(usize),
    Free(usize),
    Put(usize),
    Wait(usize),
}

/// When somebody pins a page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// Before the scan goes on after this.
    After(Did),
    /// After so many calls.
    Calls(usize),
}

pub(crate) struct Node<'p> {
    pub(crate) pages: &'p [Frame],
    lists: [VecDeque<&'p Frame>; 4],
    parked: Vec<&'p Frame>,
    /// The lists say that they are this much longer than they are, so that a gentle priority takes
    /// them whole.
    scale: u64,
    /// Whether TLB flushes can be deferred.
    pub(crate) defers: bool,
    /// How many writes a batch may start.
    pub(crate) write_limit: u32,
    /// Writes go on after `write_out`.
    pub(crate) slow_writes: bool,
    /// Whether the policy reads pins.
    pub(crate) guards_pins: bool,
    /// Pages that get a pin, and when.
    pub(crate) pinned: Vec<(When, usize)>,
    pub(crate) log: Vec<Did>,
    pub(crate) errors: u32,
    deferred: u32,
    unsubmitted: u32,
    locks: u32,
    room: u32,
}

impl<'p> Node<'p> {
    pub(crate) fn new(pages: &'p [Frame]) -> Self {
        let mut node = Self {
            pages,
            lists: Default::default(),
            parked: Vec::new(),
            scale: 1,
            defers: true,
            write_limit: u32::MAX,
            slow_writes: false,
            guards_pins: true,
            pinned: Vec::new(),
            log: Vec::new(),
            errors: 0,
            deferred: 0,
            unsubmitted: 0,
            locks: 0,
            room: 0,
        };
        for page in pages {
            node.lists[Lru::of(page.flags()) as usize].push_back(page);
        }
        node
    }

    /// Scans all pages, which are on one list, in one batch.
    pub(crate) fn one_batch(&mut self, parking: Parking) -> Stats {
        assert!(self.pages.len() <= LruScan::BATCH);
        self.scale = 1 << 12;
        let mut scan = LruScan::new(u64::MAX);
        let control = ScanControl::new(EVERYTHING).with_parking(parking);
        let _ = scan.step(self, &control, self.pages.len() as u32);
        self.scale = 1;
        assert_eq!(scan.stats().scanned, self.pages.len() as u64);
        assert!(scan.stats().is_conserved());
        self.check();
        *scan.stats()
    }

    pub(crate) fn count(&self, is: impl Fn(Did) -> bool) -> usize {
        self.log.iter().filter(|&&did| is(did)).count()
    }

    pub(crate) fn flushes(&self) -> usize {
        self.count(|did| did == Did::Flush)
    }

    pub(crate) fn did(&self, what: Did) -> bool {
        self.log.contains(&what)
    }

    fn index(&self, page: &Frame) -> usize {
        let mut pages = self.pages.iter();
        pages.position(|other| core::ptr::eq(other, page)).unwrap()
    }

    /// Something is done; who pins a page now does.
    fn note(&mut self, what: Did) {
        self.log.push(what);
        let calls = self.log.len();
        let (pages, pinned) = (self.pages, &mut self.pinned);
        pinned.retain(|&(when, index)| {
            let now = match when {
                When::After(did) => did == what,
                When::Calls(at) => at == calls,
            };
            let page = &pages[index];
            if now && !matches!(page.place.get(), Place::Frozen | Place::Freed) {
                page.pins.set(page.pins.get() + 1);
            }
            !now
        });
    }

    /// Between two calls: every page is in one place, unlocked, and nothing is owed.
    pub(crate) fn check(&self) {
        let listed = self.lists.iter().flatten().copied();
        let mut seen = vec![0; self.pages.len()];
        for (page, place) in listed
            .map(|page| (page, Place::Listed))
            .chain(self.parked.iter().map(|&page| (page, Place::Parked)))
        {
            assert_eq!(page.place.get(), place, "{page:?}");
            seen[self.index(page)] += 1;
        }
        for (page, seen) in self.pages.iter().zip(seen) {
            assert!(!page.locked.get(), "still locked: {page:?}");
            let freed = page.place.get() == Place::Freed;
            assert_eq!(seen, u32::from(!freed), "{page:?}");
            assert!(!freed || page.pins.get() == 0, "freed while pinned");
        }
        assert_eq!((self.deferred, self.unsubmitted), (0, 0));
    }

    fn unlocked(&self) -> bool {
        self.pages.iter().all(|page| !page.locked.get())
    }

    fn assert_may_leave(&self, page: &Frame) {
        assert!(page.locked.get(), "not locked");
        assert_eq!(self.deferred, 0, "before the TLB flush");
        assert!(page.pins.get() == 0 || !self.guards_pins, "pinned");
    }
}

impl<'p> PageOps for Node<'p> {
    type Page = &'p Frame;
    type Error = Unreadable;

    fn update(&mut self, page: &&'p Frame, set: PageFlags, clear: PageFlags) {
        page.set(set, true);
        page.set(clear, false);
    }

    fn referenced(&mut self, _: &&'p Frame) -> Referenced {
        Referenced::default()
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'p Frame,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Unreadable>> {
        assert!(page.locked.get(), "not locked");
        assert_eq!(self.unsubmitted, 0, "the batch before was not submitted");
        let mut walk = Walk::new(page, self.defers);
        let outcome = try_to_unmap(*page, request, &mut walk, debt);
        self.deferred += walk.deferred;
        self.note(Did::Unmap(self.index(page)));
        outcome
    }

    fn remove(&mut self, page: &&'p Frame, _: Removal) -> Attempt {
        self.assert_may_leave(page);
        let refused = page.pins.get() > 0 || page.flags().contains(PageFlags::DIRTY);
        if !refused {
            page.place.set(Place::Frozen);
        }
        self.note(Did::Remove(self.index(page)));
        if refused {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }

    fn flush_tlb(&mut self) {
        assert!(self.deferred > 0, "no entry is deferred");
        self.deferred = 0;
        self.note(Did::Flush);
    }

    fn try_lock(&mut self, page: &&'p Frame) -> Attempt {
        assert!(!page.locked.replace(true), "locked twice");
        self.locks += 1;
        self.note(Did::Lock(self.index(page)));
        Attempt::Done
    }

    fn unlock(&mut self, page: &&'p Frame) {
        assert!(page.locked.replace(false), "not locked");
        self.note(Did::Unlock(self.index(page)));
    }

    fn wait_for_writeback(&mut self, page: &&'p Frame) {
        assert!(self.unlocked(), "waiting with a page locked");
        page.set(PageFlags::WRITEBACK, false);
        self.note(Did::Wait(self.index(page)));
    }

    fn add_to_swap(&mut self, page: &&'p Frame) -> Attempt {
        page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY, true);
        self.note(Did::Swap(self.index(page)));
        Attempt::Done
    }

    fn write_out(&mut self, page: &&'p Frame) -> PageOut {
        self.assert_may_leave(page);
        self.room = self.room.checked_sub(1).expect("more writes than allowed");
        self.unsubmitted += 1;
        page.set(PageFlags::DIRTY, false);
        page.set(PageFlags::WRITEBACK, self.slow_writes);
        page.locked.set(false);
        self.note(Did::Write(self.index(page)));
        PageOut::Success
    }

    fn write_room(&mut self) -> u32 {
        assert_eq!(self.unsubmitted, 0, "asked in the middle of a batch");
        self.room = self.write_limit;
        self.room
    }

    fn submit(&mut self) {
        assert!(self.unlocked(), "a page of the batch is still locked");
        assert!(self.locks > 0, "there was no batch");
        (self.unsubmitted, self.locks) = (0, 0);
        self.note(Did::Submit);
    }

    fn failed(&mut self, _: &&'p Frame, _: UnmapError<Unreadable>) {
        self.errors += 1;
    }
}

impl<'p> Lists for Node<'p> {
    fn take(&mut self, list: Lru) -> Option<&'p Frame> {
        let page = self.lists[list as usize].pop_front()?;
        assert_eq!(page.place.replace(Place::Held), Place::Listed);
        Some(page)
    }

    fn put(&mut self, list: Lru, page: &'p Frame) {
        assert_eq!(page.place.replace(Place::Listed), Place::Held);
        assert_eq!(Lru::of(page.flags()), list);
        self.lists[list as usize].push_back(page);
        self.note(Did::Put(self.index(page)));
    }

    fn pages(&self, list: Lru) -> u64 {
        self.scale * self.lists[list as usize].len() as u64
    }

    fn free(&mut self, page: &'p Frame) {
        assert_eq!(page.place.replace(Place::Freed), Place::Frozen);
        assert_eq!(self.deferred, 0, "before the TLB flush");
        assert!(!page.locked.get(), "still locked");
        self.note(Did::Free(self.index(page)));
    }

    fn park(&mut self, page: &'p Frame, pins: Pins) -> Result<(), &'p Frame> {
        assert!(pins.maybe_pinned());
        assert_eq!(page.place.replace(Place::Parked), Place::Held);
        self.parked.push(page);
        Ok(())
    }

    fn pages_parked(&self) -> u64 {
        self.parked.len() as u64
    }
}
