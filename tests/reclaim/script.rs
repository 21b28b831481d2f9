//! An embedder without contents or counters: pages that answer as they are told, and a record of
//! every call.

use core::cell::Cell;
use pinfold::pin::{PinCount, Pins, Released};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PageLike, PinPolicy, UnmapError, UnmapFlags,
    UnmapRequest,
};
use std::collections::VecDeque;

/// What the scan called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Update,
    Referenced,
    Unmap,
    Remove,
    TryLock,
    Unlock,
    WaitForWriteback,
    AddToSwap,
    FreeSwap,
    Split,
    WriteOut,
    ReleaseBuffers,
    PutLast,
}

/// The error of the page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// A page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) maps: Cell<u32>,
    pub(crate) refs: Cell<i32>,
    pub(crate) size: Cell<u32>,
    pub(crate) pins: Cell<PinCount>,
    pub(crate) locked: Cell<bool>,
}

impl Page {
    pub(crate) fn new(flags: PageFlags) -> Self {
        Self {
            flags: Cell::new(flags),
            maps: Cell::new(1),
            refs: Cell::new(2),
            size: Cell::new(1),
            pins: Cell::new(PinCount {
                total: 0,
                longterm: Some(0),
            }),
            locked: Cell::new(false),
        }
    }

    /// A clean file page.
    pub(crate) fn file() -> Self {
        Self::new(PageFlags::PAGE_CACHE)
    }

    pub(crate) fn anon() -> Self {
        Self::new(PageFlags::ANON | PageFlags::SWAP_BACKED)
    }

    pub(crate) fn pinned(self, short: u32, longterm: u32) -> Self {
        self.pins.set(PinCount {
            total: short + longterm,
            longterm: Some(longterm),
        });
        self
    }

    pub(crate) fn huge(self, size: u32) -> Self {
        self.size.set(size);
        self.flags.set(self.flags.get() | PageFlags::THP);
        self
    }
}

/// The page, on its active list.
pub(crate) fn active(page: Page) -> Page {
    page.flags.set(page.flags.get() | PageFlags::ACTIVE);
    page
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
    fn base_pages(&self) -> u32 {
        self.size.get()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.pins.get())
    }
}

/// How the embedder answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) referenced: Referenced,
    pub(crate) unmapped: Outcome,
    pub(crate) removed: Attempt,
    /// The first attempt to add a page to swap, and the second.
    pub(crate) swap: [Attempt; 2],
    pub(crate) split: Attempt,
    pub(crate) can_split: bool,
    pub(crate) pmd_mapped: bool,
    pub(crate) written: PageOut,
    /// Waiting for writeback ends it; else it never ends.
    pub(crate) writeback_ends: bool,
    /// While a page is written, somebody pins it.
    pub(crate) pins_written: bool,
    pub(crate) buffers: Attempt,
    pub(crate) left: Option<Released>,
    pub(crate) parks: bool,
    /// The last pin of a page goes just before it is parked.
    pub(crate) unpinned: bool,
    pub(crate) no_swap: bool,
    /// Unmapping ends with an error.
    pub(crate) unmap_fails: bool,
    /// Pages are taken off a list and freed behind the scan's back, as many at each `take`.
    pub(crate) stolen: usize,
    /// What `pages` answers: this much more or less than there is.
    pub(crate) lie: i64,
    pub(crate) watermark: Watermark,
    /// What other shrinkers bring at each priority.
    pub(crate) others: u64,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            referenced: Referenced::default(),
            unmapped: Outcome::Unmapped,
            removed: Attempt::Done,
            swap: [Attempt::Done; 2],
            split: Attempt::Done,
            can_split: true,
            pmd_mapped: false,
            written: PageOut::Success,
            writeback_ends: false,
            pins_written: false,
            buffers: Attempt::Done,
            left: Some(Released::Free),
            parks: true,
            unpinned: false,
            no_swap: false,
            unmap_fails: false,
            stolen: 0,
            lie: 0,
            watermark: Watermark { free: 1, high: 0 },
            others: 0,
        }
    }
}

#[derive(Default)]
pub(crate) struct Script<'p> {
    pub(crate) answers: Answers,
    pub(crate) calls: Vec<Call>,
    pub(crate) lists: [VecDeque<&'p Page>; 4],
    pub(crate) parked: VecDeque<(&'p Page, Pins)>,
    pub(crate) freed: Vec<&'p Page>,
    pub(crate) unmap_flags: UnmapFlags,
    pub(crate) takes: u64,
    pub(crate) failures: u64,
    pub(crate) asked_others: Vec<u8>,
}

impl<'p> Script<'p> {
    pub(crate) fn with(answers: Answers) -> Self {
        Self {
            answers,
            ..Self::default()
        }
    }

    pub(crate) fn list(&mut self, pages: &'p [Page]) {
        for page in pages {
            self.lists[Lru::of(page.flags()) as usize].push_back(page);
        }
    }

    pub(crate) fn called(&self, op: Call) -> usize {
        self.calls.iter().filter(|&&call| call == op).count()
    }

    fn call(&mut self, op: Call) {
        self.calls.push(op);
    }
}

impl<'p> PageOps for Script<'p> {
    type Page = &'p Page;
    type Error = Unreadable;

    fn update(&mut self, page: &&'p Page, set: PageFlags, clear: PageFlags) {
        self.call(Call::Update);
        page.flags.set((page.flags.get() | set).difference(clear));
    }

    fn referenced(&mut self, _: &&'p Page) -> Referenced {
        self.call(Call::Referenced);
        self.answers.referenced
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'p Page,
        request: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Unreadable>> {
        self.call(Call::Unmap);
        if self.answers.unmap_fails {
            return Err(UnmapError::PageTables {
                address: 0,
                source: Unreadable,
            });
        }
        self.unmap_flags = request.flags();
        if self.answers.unmapped == Outcome::Unmapped {
            page.maps.set(0);
        }
        Ok(self.answers.unmapped)
    }

    fn remove(&mut self, _: &&'p Page, _: Removal) -> Attempt {
        self.call(Call::Remove);
        self.answers.removed
    }

    fn flush_tlb(&mut self) {
        panic!("nothing is deferred here");
    }

    fn try_lock(&mut self, page: &&'p Page) -> Attempt {
        self.call(Call::TryLock);
        assert!(!page.locked.replace(true), "locked twice");
        Attempt::Done
    }

    fn unlock(&mut self, page: &&'p Page) {
        self.call(Call::Unlock);
        assert!(page.locked.replace(false), "not locked");
    }

    fn wait_for_writeback(&mut self, page: &&'p Page) {
        self.call(Call::WaitForWriteback);
        if self.answers.writeback_ends {
            page.flags
                .set(page.flags.get().difference(PageFlags::WRITEBACK));
        }
    }

    fn add_to_swap(&mut self, page: &&'p Page) -> Attempt {
        let before = self.called(Call::AddToSwap);
        self.call(Call::AddToSwap);
        let answer = self.answers.swap[before.min(1)];
        if answer == Attempt::Done {
            let cached = PageFlags::SWAP_CACHE | PageFlags::DIRTY;
            page.flags.set(page.flags.get() | cached);
        }
        answer
    }

    fn free_swap(&mut self, _: &&'p Page) {
        self.call(Call::FreeSwap);
    }

    fn is_swap_full(&mut self, _: &&'p Page) -> bool {
        true
    }

    fn can_split(&mut self, _: &&'p Page) -> bool {
        self.answers.can_split
    }

    fn is_pmd_mapped(&mut self, _: &&'p Page) -> bool {
        self.answers.pmd_mapped
    }

    fn split(&mut self, page: &&'p Page) -> Attempt {
        self.call(Call::Split);
        if self.answers.split == Attempt::Done {
            page.flags.set(page.flags.get().difference(PageFlags::THP));
            page.size.set(1);
        }
        self.answers.split
    }

    fn write_out(&mut self, page: &&'p Page) -> PageOut {
        self.call(Call::WriteOut);
        if self.answers.pins_written {
            page.pins.set(PinCount {
                total: 1,
                longterm: Some(1),
            });
        }
        if self.answers.written == PageOut::Success {
            page.flags
                .set(page.flags.get().difference(PageFlags::DIRTY));
            page.locked.set(false);
        }
        self.answers.written
    }

    fn release_buffers(&mut self, page: &&'p Page) -> Attempt {
        self.call(Call::ReleaseBuffers);
        page.flags
            .set(page.flags.get().difference(PageFlags::PRIVATE));
        self.answers.buffers
    }

    fn put_last(&mut self, page: &&'p Page) -> Option<Released> {
        self.call(Call::PutLast);
        assert!(!page.locked.get(), "dropped with its lock");
        self.answers.left
    }

    fn failed(&mut self, page: &&'p Page, _: UnmapError<Unreadable>) {
        assert!(page.locked.get(), "it is the scan's still");
        self.failures += 1;
    }
}

impl<'p> Lists for Script<'p> {
    fn take(&mut self, list: Lru) -> Option<&'p Page> {
        self.takes += 1;
        for _ in 0..self.answers.stolen {
            self.lists[list as usize].pop_front();
        }
        self.lists[list as usize].pop_front()
    }

    fn put(&mut self, list: Lru, page: &'p Page) {
        self.lists[list as usize].push_back(page);
    }

    fn pages(&self, list: Lru) -> u64 {
        let pages = self.lists[list as usize].iter();
        let there: u64 = pages.map(|page| u64::from(page.size.get())).sum();
        there.saturating_add_signed(self.answers.lie)
    }

    fn free(&mut self, page: &'p Page) {
        self.freed.push(page);
    }

    fn park(&mut self, page: &'p Page, pins: Pins) -> Result<(), &'p Page> {
        if self.answers.unpinned {
            page.pins.set(PinCount {
                total: 0,
                longterm: Some(0),
            });
            return Err(page);
        }
        if !self.answers.parks {
            return Err(page);
        }
        self.parked.push_back((page, pins));
        Ok(())
    }

    fn pages_parked(&self) -> u64 {
        self.parked
            .iter()
            .map(|(page, _)| u64::from(page.size.get()))
            .sum()
    }

    fn has_swap(&self) -> bool {
        !self.answers.no_swap
    }

    fn watermark(&self) -> Watermark {
        self.answers.watermark
    }

    fn shrink_others(&mut self, priority: u8) -> u64 {
        self.asked_others.push(priority);
        self.answers.others
    }
}
