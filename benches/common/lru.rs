//! Pages on intrusive lists, as reclaim's benchmarks use them: file pages, pins in a pin word.

use core::cell::Cell;
use core::convert::Infallible;
use pinfold::pin::{PinCount, PinKind, PinWord, Pins};
use pinfold::reclaim::{Lists, Lru, PageOps, Referenced, Release, Removal, ShrinkError};
use pinfold::{
    Failure, FlushDebt, Hook, Outcome, PageFlags, PageLike, PinPolicy, UnmapRequest, Unmapped,
};

const NONE: u32 = u32::MAX;

/// A page of a file, 32 bytes.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) word: PinWord,
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) maps: Cell<u32>,
    /// Entries that the next walk of its references finds young.
    pub(crate) young: Cell<u32>,
    older: Cell<u32>,
    younger: Cell<u32>,
    pub(crate) listed: Cell<bool>,
}

impl Page {
    pub(crate) const fn new(flags: PageFlags) -> Self {
        Self {
            word: PinWord::new(),
            flags: Cell::new(flags),
            maps: Cell::new(0),
            young: Cell::new(0),
            older: Cell::new(NONE),
            younger: Cell::new(NONE),
            listed: Cell::new(false),
        }
    }
}

/// A page of an array, by its index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ref<'a> {
    pub(crate) page: &'a Page,
    pub(crate) index: u32,
}

impl PageLike for Ref<'_> {
    #[inline]
    fn flags(&self) -> PageFlags {
        self.page.flags.get()
    }
    #[inline]
    fn ref_count(&self) -> i32 {
        2 + self.page.maps.get() as i32
    }
    #[inline]
    fn map_count(&self) -> u32 {
        self.page.maps.get()
    }
    #[inline]
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.page.word.snapshot().pins)
    }
}

/// An old end, a young end, and how many pages are between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    oldest: u32,
    youngest: u32,
    pub(crate) pages: u64,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        oldest: NONE,
        youngest: NONE,
        pages: 0,
    };

    #[inline]
    pub(crate) fn push(&mut self, pages: &[Page], index: u32) {
        let page = &pages[index as usize];
        page.older.set(self.youngest);
        page.younger.set(NONE);
        page.listed.set(true);
        if self.youngest == NONE {
            self.oldest = index;
        } else {
            pages[self.youngest as usize].younger.set(index);
        }
        self.youngest = index;
        self.pages += 1;
    }

    /// Takes a page out of the list, wherever it stands.
    #[inline]
    pub(crate) fn unlink(&mut self, pages: &[Page], index: u32) {
        let page = &pages[index as usize];
        let (older, younger) = (page.older.get(), page.younger.get());
        match older {
            NONE => self.oldest = younger,
            older => pages[older as usize].younger.set(younger),
        }
        match younger {
            NONE => self.youngest = older,
            younger => pages[younger as usize].older.set(older),
        }
        page.listed.set(false);
        self.pages -= 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self, pages: &[Page]) -> Option<u32> {
        let oldest = self.oldest;
        if oldest == NONE {
            return None;
        }
        self.unlink(pages, oldest);
        Some(oldest)
    }
}

/// The machine: an array of pages, two lists of file pages, and how many pages are elsewhere.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) pages: &'a [Page],
    pub(crate) inactive: List,
    pub(crate) active: List,
    pub(crate) parked: u64,
    pub(crate) freed: u64,
}

impl<'a> Machine<'a> {
    pub(crate) const fn new(pages: &'a [Page]) -> Self {
        Self {
            pages,
            inactive: List::EMPTY,
            active: List::EMPTY,
            parked: 0,
            freed: 0,
        }
    }

    #[inline]
    pub(crate) fn page(&self, index: u32) -> Ref<'a> {
        let page = &self.pages[index as usize];
        Ref { page, index }
    }

    #[inline]
    fn list(&mut self, list: Lru) -> &mut List {
        if list.is_active() {
            &mut self.active
        } else {
            &mut self.inactive
        }
    }
}

impl<'a> PageOps for Machine<'a> {
    type Page = Ref<'a>;
    type Error = Infallible;

    #[inline]
    fn update(
        &mut self,
        page: &Ref<'a>,
        set: PageFlags,
        clear: PageFlags,
    ) -> Result<(), Infallible> {
        page.page.flags.set((page.page.flags.get() | set) - clear);
        Ok(())
    }
    #[inline]
    fn referenced(&mut self, page: &Ref<'a>) -> Result<Referenced, Infallible> {
        Ok(Referenced {
            entries: page.page.young.get(),
            ..Referenced::default()
        })
    }
    #[inline]
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Ref<'a>,
        _: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Infallible>> {
        page.page.maps.set(0);
        Ok(Unmapped {
            outcome: Outcome::Unmapped,
            vmas: 1,
            taken: 1,
            flush: FlushDebt::none(),
        })
    }
    #[inline]
    fn remove(&mut self, page: &Ref<'a>, _: Removal) -> Result<Hook, Infallible> {
        Ok(match page.page.word.block() {
            Ok(()) => Hook::Done,
            Err(_) => Hook::Refused,
        })
    }
    #[inline]
    fn flush_tlb(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<'a> Lists for Machine<'a> {
    #[inline]
    fn take(&mut self, list: Lru) -> Option<Ref<'a>> {
        let pages = self.pages;
        let index = self.list(list).pop(pages)?;
        Some(self.page(index))
    }
    #[inline]
    fn put(&mut self, list: Lru, page: Ref<'a>) {
        let pages = self.pages;
        self.list(list).push(pages, page.index);
    }
    #[inline]
    fn pages(&self, list: Lru) -> u64 {
        match list {
            Lru::InactiveFile => self.inactive.pages,
            Lru::ActiveFile => self.active.pages,
            Lru::InactiveAnon | Lru::ActiveAnon => 0,
        }
    }
    #[inline]
    fn free(&mut self, _: Ref<'a>, _: Release) {
        self.freed += 1;
    }
    #[inline]
    fn park(&mut self, page: Ref<'a>, _: Pins) -> Result<(), Ref<'a>> {
        page.page.word.park().map_err(|_| page)?;
        self.parked += 1;
        Ok(())
    }
    fn failed(&mut self, _: Option<&Ref<'a>>, error: ShrinkError<Infallible>) {
        unreachable!("nothing fails: {error}");
    }
    fn pages_parked(&self) -> u64 {
        self.parked
    }
}

/// Takes a long-term pin.
pub(crate) fn pin(page: &Page) {
    page.word.pin(PinKind::Longterm).unwrap();
}
