//! A small pager: what an embedder writes for reclaim, with a fault if a test asks for one.

mod acts;
mod lists;
mod ops;
mod tables;

use core::cell::Cell;
use pinfold::conformance::{Stale, Whereabouts};
use pinfold::pin::{PIN_BIAS, PinCount, PinKind};
use pinfold::reclaim::{Lru, Place};
use pinfold::{Attempt, PageFlags, PageLike, PteFlags, VmFlags};
use std::collections::VecDeque;
use std::rc::Rc;

/// What one pager does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    PutKeepsReference,
    PutTwice,
    PutOnWrongList,
    PutLeavesActive,
    PutLocks,
    TakesYoungest,
    TakesNothing,
    MiscountsList,
    MiscountsParked,
    ParkedAndListed,
    UnparkedLost,
    ParksUnpinned,
    RefusedParkLocks,
    FreeForgets,
    LockIgnoresOthers,
    LockNotTaken,
    LockKept,
    LockHoldsOne,
    LockKeptInBatch,
    WriteKeepsLock,
    WriteLost,
    WriteHidden,
    WriteNotSubmitted,
    WaitDoesNotWait,
    RemoveIgnoresCount,
    RemoveIgnoresDirty,
    RemoveStaysInCache,
    RefusedRemoveFreezes,
    UpdateForgetsClear,
    YoungKept,
    YoungMiscounted,
    SwapCacheClean,
    SwapCacheWithoutReference,
    SwapKeptTooLong,
    SlotLeaked,
    SlotReused,
    SlotFreedTwice,
    BuffersDropTwice,
    PutLastAlwaysLast,
    MapCountKept,
    RmapKeepsReference,
    RmapDropsTwice,
    RmapSkipsMapping,
    DirtyBitLost,
    SwapBitsDropped,
    MigrationBitsDropped,
    MigrationEntryForgotten,
    RestoredBitsDropped,
    ClearForgetsFlush,
    DeferredUntold,
    FlushForgotten,
    FlushForgottenInBatch,
    PinMissedInWalk,
    MappingUncounted,
    EndlessList,
    LongtermPinMissed,
    PinWithoutReference,
    DmaWriteNotDirty,
    OwnUnmapIgnoresPins,
    OwnUnmapForgetsDebt,
}

/// How a pager is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) fault: Option<Fault>,
    /// Pins have counts of their own; else they are in the references.
    pub(crate) exact: bool,
    /// TLB flushes are batched.
    pub(crate) defers: bool,
    /// Writes are queued, and writeback goes on after the write has begun.
    pub(crate) slow: bool,
}

/// A callback that was made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injected;

/// What stands in one page-table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pte {
    Empty,
    Present(PteFlags),
    Swap(usize, PteFlags),
    Migration(PteFlags),
}

#[derive(Debug)]
pub(crate) struct Mapping {
    vma: VmFlags,
    pte: Cell<Pte>,
}

/// One page, in memory or not.
#[derive(Debug)]
pub(crate) struct Frame {
    id: usize,
    exact: bool,
    /// Pins that come during a walk are not told of.
    hides_pins: bool,
    flags: Cell<PageFlags>,
    refs: Cell<i32>,
    maps: Cell<u32>,
    short: Cell<u32>,
    longterm: Cell<u32>,
    /// Pins that the page does not tell of.
    hidden: Cell<u32>,
    locked: Cell<bool>,
    writing: Cell<bool>,
    dma_wrote: Cell<bool>,
    data: Cell<u64>,
    /// What its file has.
    file: Cell<u64>,
    mappings: Vec<Mapping>,
    /// Entries that a TLB may still hold, by whether they are dirty.
    stale: Cell<[u32; 2]>,
}

#[derive(Debug, Clone)]
pub(crate) struct Page(Rc<Frame>);

impl core::ops::Deref for Page {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0
    }
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        let total = self.short.get() + self.longterm.get() - self.hidden.get();
        self.exact.then_some(PinCount {
            total,
            longterm: Some(self.longterm.get().saturating_sub(self.hidden.get())),
        })
    }
}

impl Frame {
    fn has(&self, flags: PageFlags) -> bool {
        self.flags.get().contains(flags)
    }

    fn set(&self, flags: PageFlags, on: bool) {
        let mut all = self.flags.get();
        all.set(flags, on);
        self.flags.set(all);
    }

    fn get_refs(&self, more: i32) {
        self.refs.set(self.refs.get() + more);
    }

    /// Drops references; whether the last is gone.
    fn put_refs(&self, less: i32) -> bool {
        self.refs.set(self.refs.get() - less);
        self.refs.get() == 0
    }

    fn per_pin(&self) -> i32 {
        if self.exact { 1 } else { PIN_BIAS as i32 }
    }

    fn pins(&self, kind: PinKind) -> &Cell<u32> {
        match kind {
            PinKind::Short => &self.short,
            PinKind::Longterm => &self.longterm,
        }
    }

    fn is_pinned(&self) -> bool {
        self.short.get() + self.longterm.get() > 0
    }

    fn pin(&self, kind: PinKind) -> Attempt {
        if self.refs.get() <= 0 {
            return Attempt::Refused;
        }
        self.get_refs(self.per_pin());
        self.pins(kind).set(self.pins(kind).get() + 1);
        Attempt::Done
    }

    fn cached(&self) -> bool {
        let caches = PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE;
        self.flags.get().intersects(caches)
    }

    fn stale(&self) -> Stale {
        match self.stale.get() {
            [0, 0] => Stale::No,
            [_, 0] => Stale::Clean,
            _ => Stale::Dirty,
        }
    }
}

/// A swap slot in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// Swap entries that name it.
    users: u32,
    /// The page in the swap cache.
    cached: Option<usize>,
    data: u64,
}

/// The embedder.
#[derive(Debug)]
pub(crate) struct Pager {
    config: Config,
    pages: Vec<Page>,
    lists: [VecDeque<usize>; 4],
    parked: VecDeque<usize>,
    free: Vec<usize>,
    /// Pages whose write waits for the end of the batch.
    queue: Vec<usize>,
    /// Off all lists, until its last reference goes.
    elsewhere: Vec<usize>,
    slots: Vec<Option<Slot>>,
    /// Pages were taken.
    scanned: bool,
}

impl Pager {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            pages: Vec::new(),
            lists: Default::default(),
            parked: VecDeque::new(),
            free: Vec::new(),
            queue: Vec::new(),
            elsewhere: Vec::new(),
            slots: vec![None; 16],
            scanned: false,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.config.fault == Some(fault)
    }

    fn whereabouts(&self, id: usize) -> Whereabouts {
        let list = Lru::ALL
            .into_iter()
            .find(|&list| self.lists[list as usize].contains(&id));
        match list {
            Some(list) => Whereabouts::Listed(Place::List(list)),
            None if self.parked.contains(&id) => Whereabouts::Listed(Place::Parked),
            None if self.free.contains(&id) => Whereabouts::Free,
            None if self.elsewhere.contains(&id) => Whereabouts::Elsewhere,
            None => Whereabouts::Isolated,
        }
    }

    fn slot_of(&self, id: usize) -> Option<usize> {
        let cached = |slot: &Option<Slot>| slot.is_some_and(|slot| slot.cached == Some(id));
        self.slots.iter().position(cached)
    }

    /// One user of the slot less.
    fn put_slot(&mut self, at: usize, users: u32) {
        let slot = self.slots[at].as_mut().expect("a slot in use");
        slot.users = slot.users.saturating_sub(users);
        if slot.users == 0 && slot.cached.is_none() {
            self.slots[at] = None;
        }
    }

    /// Frees a page whose last reference went.
    fn last_is_gone(&mut self, id: usize) {
        self.elsewhere.retain(|&other| other != id);
        self.parked.retain(|&other| other != id);
        for list in &mut self.lists {
            list.retain(|&other| other != id);
        }
        self.free.push(id);
    }
}
