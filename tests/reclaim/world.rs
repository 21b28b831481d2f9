//! An embedder of pages of mixed kinds, whose pins come and go at any call.

use core::cell::{Cell, RefCell};
use pinfold::pin::PinCount;
use pinfold::reclaim::{Lru, Watermark};
use pinfold::{PageFlags, PageLike};
use std::collections::{HashMap, VecDeque};

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The tail of a huge page that is not split.
    Tail,
    Listed,
    Parked,
    /// In the hands of the scan.
    Held,
    Freed,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) index: usize,
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) mapped: Cell<bool>,
    pub(crate) size: Cell<u32>,
    pub(crate) short: Cell<u32>,
    pub(crate) longterm: Cell<u32>,
    pub(crate) young: Cell<bool>,
    /// Somebody holds a reference; somebody holds the lock.
    pub(crate) held: Cell<bool>,
    pub(crate) busy: Cell<bool>,
    pub(crate) place: Cell<Place>,
    /// Deactivated while the hardest priority was scanned, which need not look at it again.
    pub(crate) late: Cell<bool>,
    pub(crate) locked: Cell<bool>,
    pub(crate) tails: RefCell<Vec<usize>>,
}

impl Page {
    pub(crate) fn new(index: usize, flags: PageFlags) -> Self {
        Self {
            index,
            flags: Cell::new(flags),
            mapped: Cell::new(true),
            size: Cell::new(1),
            short: Cell::new(0),
            longterm: Cell::new(0),
            young: Cell::new(false),
            held: Cell::new(false),
            busy: Cell::new(false),
            place: Cell::new(Place::Listed),
            late: Cell::new(false),
            locked: Cell::new(false),
            tails: RefCell::default(),
        }
    }

    pub(crate) fn pins(&self) -> u32 {
        self.short.get() + self.longterm.get()
    }

    pub(crate) fn set(&self, flags: PageFlags, on: bool) {
        let mut all = self.flags.get();
        all.set(flags, on);
        self.flags.set(all);
    }
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        2 + self.pins() as i32 + i32::from(self.held.get())
    }
    fn map_count(&self) -> u32 {
        u32::from(self.mapped.get())
    }
    fn base_pages(&self) -> u32 {
        self.size.get()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(PinCount {
            total: self.pins(),
            longterm: Some(self.longterm.get()),
        })
    }
}

/// When something happens: at the so-manieth call, or while others are asked at a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum When {
    Call(u32),
    Others(u8),
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    UnpinAll,
    Unpin(usize),
    Pin(usize),
}

pub(crate) struct World<'p> {
    pub(crate) pages: &'p [Page],
    pub(crate) lists: [VecDeque<&'p Page>; 4],
    pub(crate) parked: VecDeque<&'p Page>,
    pub(crate) events: HashMap<When, What>,
    /// Whether the last unpin puts a parked page back; else it waits for a sweep.
    pub(crate) unparks: bool,
    /// Whether the lists can park at all.
    pub(crate) parks: bool,
    pub(crate) swap: bool,
    /// Whether pinned pages may be unmapped and written: nobody reads the pins.
    pub(crate) ignores_pins: bool,
    pub(crate) watermark: Watermark,
    pub(crate) calls: u32,
    pub(crate) takes: u64,
    pub(crate) freed: u64,
    /// The priorities at which others were asked.
    pub(crate) asked: Vec<u8>,
    /// Whether nothing was pinned any more once others had been asked for the last time.
    pub(crate) in_time: bool,
}

impl<'p> World<'p> {
    pub(crate) fn new(pages: &'p [Page]) -> Self {
        let mut world = Self {
            pages,
            lists: Default::default(),
            parked: VecDeque::new(),
            events: HashMap::new(),
            unparks: true,
            parks: true,
            swap: true,
            ignores_pins: false,
            watermark: Watermark { free: 1, high: 0 },
            calls: 0,
            takes: 0,
            freed: 0,
            asked: Vec::new(),
            in_time: false,
        };
        for page in pages {
            if page.place.get() == Place::Listed {
                world.lists[Lru::of(page.flags()) as usize].push_back(page);
            }
        }
        world
    }

    /// Whether no page is pinned.
    pub(crate) fn unpinned(&self) -> bool {
        self.pages.iter().all(|page| page.pins() == 0)
    }

    /// A call: what is to happen at it happens.
    pub(crate) fn call(&mut self) {
        self.calls += 1;
        self.happen(When::Call(self.calls - 1));
    }

    pub(crate) fn happen(&mut self, when: When) {
        match self.events.remove(&when) {
            Some(What::UnpinAll) => self.unpin_all(),
            Some(What::Unpin(index)) => self.unpin(&self.pages[index % self.pages.len()]),
            Some(What::Pin(index)) => {
                let page = &self.pages[index % self.pages.len()];
                // Pins come through page tables.
                if page.mapped.get() && page.place.get() != Place::Tail {
                    page.short.set(page.short.get() + 1);
                    self.in_time = false;
                }
            }
            None => {}
        }
    }

    pub(crate) fn unpin_all(&mut self) {
        for page in self.pages {
            while page.pins() > 0 {
                self.unpin(page);
            }
        }
    }

    fn unpin(&mut self, page: &'p Page) {
        let count = if page.longterm.get() > 0 {
            &page.longterm
        } else {
            &page.short
        };
        count.set(count.get().saturating_sub(1));
        if page.pins() == 0 && self.unparks && page.place.get() == Place::Parked {
            self.parked.retain(|parked| parked.index != page.index);
            self.push(page);
        }
    }

    pub(crate) fn push(&mut self, page: &'p Page) {
        page.place.set(Place::Listed);
        self.lists[Lru::of(page.flags()) as usize].push_back(page);
    }

    /// The pages that a pass which ended as exhausted should have taken: every one on a scanned
    /// inactive list against which nothing stands.
    pub(crate) fn left_behind(&self) -> Vec<&'p Page> {
        let lists = [Lru::InactiveAnon, Lru::InactiveFile];
        lists
            .into_iter()
            .filter(|list| list.is_file() || self.swap)
            .flat_map(|list| self.lists[list as usize].iter().copied())
            .filter(|page| {
                let flags = page.flags();
                let for_flusher = flags.contains(PageFlags::DIRTY) && Lru::of(flags).is_file();
                let used = flags.contains(PageFlags::REFERENCED);
                let others = page.held.get() || page.busy.get();
                !(for_flusher || used || others || page.late.get() || page.pins() > 0)
            })
            .collect()
    }

    /// Dirty file pages are written.
    pub(crate) fn flusher(&self) {
        for page in self.pages {
            if !page.flags().contains(PageFlags::SWAP_BACKED) {
                page.set(PageFlags::DIRTY | PageFlags::RECLAIM, false);
            }
        }
    }

    /// Every page is in one place, and unlocked.
    pub(crate) fn check(&self) {
        let listed = self
            .lists
            .iter()
            .flatten()
            .map(|page| (page, Place::Listed));
        let parked = self.parked.iter().map(|page| (page, Place::Parked));
        let mut seen = vec![false; self.pages.len()];
        for (page, place) in listed.chain(parked) {
            assert_eq!(page.place.get(), place, "{page:?}");
            assert!(!core::mem::replace(&mut seen[page.index], true), "{page:?}");
        }
        for (page, seen) in self.pages.iter().zip(seen) {
            assert!(!page.locked.get(), "{page:?}");
            let elsewhere = matches!(page.place.get(), Place::Freed | Place::Tail);
            assert_eq!(seen, !elsewhere, "{page:?}");
        }
    }
}
