//! A pager with swap, pins and reclaim: `cargo run --example pager`.
//!
//! Two address spaces use more anonymous memory than there is. Pages that nobody uses go to swap and
//! come back; a device pins some for DMA, and these stay. At the end every page has its content.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::error::Error;
use core::ops::Range;
use pinfold::pin::{PageRefs, PinCount, PinKind, Pins, Released};
use pinfold::reclaim::{
    Futility, Link, Lists, Lru, LruScan, PageLists, PageOps, PageOut, Referenced, Removal,
    ScanControl, ScanFlags,
};
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, NewEntry, NextVma, Outcome, PageFlags, PageLike,
    PageTables, PinPolicy, PlainVma, PteFlags, Rmap, UnmapError, UnmapRequest, VmFlags,
    try_to_unmap,
};

/// An address space, and the number of a page there.
type At = (usize, usize);
const PAGE: usize = 4096;
const ANON: PageFlags = PageFlags::ANON.union(PageFlags::SWAP_BACKED);

/// A frame of memory and the page in it.
pub(crate) struct Page {
    number: u32,
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) count: PageRefs,
    /// Its mappings: address space and page number there.
    pub(crate) mappings: RefCell<Vec<At>>,
    slot: Cell<usize>,
    data: RefCell<[u8; PAGE]>,
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.count.snapshot().refs
    }
    fn map_count(&self) -> u32 {
        self.mappings.borrow().len() as u32
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.count.snapshot().pins)
    }
}

#[derive(Clone, Copy)]
enum Pte {
    Empty,
    Page(u32, PteFlags),
    Swap(usize),
}

/// A slot of swap: free without references. Each swap entry holds one, and the swap cache one.
struct Slot {
    refs: u32,
    /// The page in the swap cache that has this content.
    cached: Option<u32>,
    data: [u8; PAGE],
}

struct Pager<'a> {
    pages: &'a [Page],
    lists: PageLists<Vec<Link>>,
    free: Vec<u32>,
    /// The page tables.
    spaces: Vec<Vec<Pte>>,
    slots: Vec<Slot>,
    flushes: u32,
    written: u32,
    read: u32,
}

/// A cursor over the mappings of one page.
struct Walk<'m, 'a> {
    pager: &'m mut Pager<'a>,
    page: &'a Page,
    /// The VMAs that the walk has not come to.
    vmas: std::vec::IntoIter<At>,
    /// The entry in this VMA, unless the walk has passed it.
    ahead: Option<At>,
}

/// The address space and the page number there of an entry: the halves of its address.
const fn at(entry: &Entry) -> At {
    let (space, page) = (entry.address >> 32, entry.address as u32 >> 12);
    (space as usize, page as usize)
}

const fn address((space, page): At) -> u64 {
    ((space as u64) << 32) | ((page as u64) << 12)
}

impl Rmap for Walk<'_, '_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        let Some(at) = self.vmas.next() else {
            return NextVma::End;
        };
        self.ahead = Some(at);
        let start = address((at.0, 0));
        let range = start..start + (1 << 32);
        let flags = VmFlags::empty();
        let vma = PlainVma { flags, range };
        let address = address(at);
        NextVma::Found { vma, address }
    }
}

impl PageTables for Walk<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        Ok(self.ahead.take().and_then(|at| {
            let flags = *self.pager.flags(at)?;
            let address = address(at);
            Some(Entry { address, flags })
        }))
    }
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        self.pager.test_and_clear_young(at(entry))
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        let deferred = flush == FlushMode::MayDefer;
        self.pager.flushes += u32::from(flush == FlushMode::Now);
        let flags = self.pager.flags(at(entry)).copied().unwrap_or_default();
        *self.pager.pte(at(entry)) = Pte::Empty;
        Ok(Cleared { flags, deferred })
    }
    fn install(&mut self, entry: &Entry, new: NewEntry) {
        *self.pager.pte(at(entry)) = match new {
            NewEntry::Restored(flags) => Pte::Page(self.page.number, flags),
            NewEntry::Swap(_) => Pte::Swap(self.page.slot.get()),
            // This pager neither migrates nor poisons.
            NewEntry::Migration(_) | NewEntry::PmdMigration(_) | NewEntry::Poison => return,
        }
    }
    fn set_page_dirty(&mut self) {
        self.page.flags.set(self.page.flags() | PageFlags::DIRTY);
    }
    fn remove_rmap(&mut self, entry: &Entry) {
        let mut mappings = self.page.mappings.borrow_mut();
        mappings.retain(|&mapping| mapping != at(entry));
        // Not the last one: the caller of the walk holds another.
        let _ = self.page.count.put_ref();
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        self.pager.slots[self.page.slot.get()].refs += 1;
        Attempt::Done
    }
}

impl<'a> PageOps for Pager<'a> {
    type Page = &'a Page;
    type Error = Infallible;

    fn update(&mut self, page: &&'a Page, set: PageFlags, clear: PageFlags) {
        page.flags.set((page.flags() | set) - clear);
    }
    fn referenced(&mut self, page: &&'a Page) -> Referenced {
        let mut found = Referenced::default();
        for &at in &*page.mappings.borrow() {
            found.entries += u32::from(self.test_and_clear_young(at));
        }
        found
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'a Page,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        let mut walk = Walk {
            pager: self,
            page,
            vmas: page.mappings.borrow().clone().into_iter(),
            ahead: None,
        };
        try_to_unmap(*page, request, &mut walk, debt)
    }
    fn remove(&mut self, page: &&'a Page, _: Removal) -> Attempt {
        let expected = page.explained_refs(page.flags(), page.map_count());
        if page.count.freeze(expected as i32).is_err() {
            return Attempt::Refused;
        }
        if page.flags().contains(PageFlags::DIRTY) {
            let _ = page.count.unfreeze(expected as i32);
            return Attempt::Refused;
        }
        let slot = &mut self.slots[page.slot.get()];
        slot.cached = None;
        slot.refs -= 1;
        Attempt::Done
    }
    fn flush_tlb(&mut self) {
        self.flushes += 1;
    }
    fn add_to_swap(&mut self, page: &&'a Page) -> Attempt {
        let Some(free) = self.slots.iter().position(|slot| slot.refs == 0) else {
            return Attempt::Refused;
        };
        self.cache(page, free);
        self.update(page, PageFlags::DIRTY, PageFlags::empty());
        Attempt::Done
    }
    fn write_out(&mut self, page: &&'a Page) -> PageOut {
        self.update(page, PageFlags::empty(), PageFlags::DIRTY);
        self.slots[page.slot.get()].data = *page.data.borrow();
        self.written += 1;
        PageOut::Success
    }
}

impl<'a> Lists for Pager<'a> {
    fn take(&mut self, list: Lru) -> Option<&'a Page> {
        let number = self.lists.take(list)?;
        Some(&self.pages[number as usize])
    }
    fn put(&mut self, list: Lru, page: &'a Page) {
        let mut flags = page.flags();
        flags.set(PageFlags::ACTIVE, list.is_active());
        page.flags.set(flags);
        let put = self.lists.put(list, page.number, 1);
        debug_assert_eq!(put, Ok(()));
    }
    fn pages(&self, list: Lru) -> u64 {
        self.lists.pages(list)
    }
    fn free(&mut self, page: &'a Page) {
        self.free.push(page.number);
    }
    fn park(&mut self, page: &'a Page, _: Pins) -> Result<(), &'a Page> {
        // The reference of the list goes to the parked pages.
        self.lists.park(page.number, 1).map_err(|_| page)?;
        page.count.park().map_err(|_| {
            // Its last pin is gone meanwhile.
            let _ = self.lists.remove(page.number);
            page
        })
    }
    fn pages_parked(&self) -> u64 {
        self.lists.pages_parked()
    }
}

impl Page {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            flags: Cell::new(ANON),
            count: PageRefs::new(),
            mappings: RefCell::default(),
            slot: Cell::new(0),
            data: RefCell::new([0; PAGE]),
        }
    }
}

impl<'a> Pager<'a> {
    fn new(pages: &'a [Page], spaces: usize, size: usize) -> Self {
        let slot = || Slot {
            refs: 0,
            cached: None,
            data: [0; PAGE],
        };
        Self {
            pages,
            lists: PageLists::new(vec![Link::default(); pages.len()]),
            free: (0..pages.len() as u32).collect(),
            spaces: vec![vec![Pte::Empty; size]; spaces],
            slots: (0..spaces * size).map(|_| slot()).collect(),
            flushes: 0,
            written: 0,
            read: 0,
        }
    }

    fn pte(&mut self, at: At) -> &mut Pte {
        &mut self.spaces[at.0][at.1]
    }

    /// The bits of an entry that maps a page.
    fn flags(&mut self, at: At) -> Option<&mut PteFlags> {
        match self.pte(at) {
            Pte::Page(_, flags) => Some(flags),
            Pte::Empty | Pte::Swap(_) => None,
        }
    }

    fn test_and_clear_young(&mut self, at: At) -> bool {
        self.flags(at).is_some_and(|flags| {
            let young = flags.contains(PteFlags::YOUNG);
            flags.remove(PteFlags::YOUNG);
            young
        })
    }

    /// Adds a page to the swap cache, which takes a reference on the page and one on the slot.
    fn cache(&mut self, page: &Page, slot: usize) {
        let taken = page.count.try_get_ref();
        debug_assert_eq!(taken, Ok(()));
        self.slots[slot].refs += 1;
        self.slots[slot].cached = Some(page.number);
        page.slot.set(slot);
        page.flags.set(page.flags() | PageFlags::SWAP_CACHE);
    }

    /// A new page on the inactive list; `None` if all memory is pinned.
    fn allocate(&mut self) -> Option<&'a Page> {
        let control = ScanControl::new(ScanFlags::direct());
        let mut futility = Futility::default();
        while self.free.is_empty() {
            let mut scan = LruScan::new(16);
            let progress = scan.run(self, &control);
            if self.free.is_empty() && futility.note(&scan, progress, self).is_some() {
                return None;
            }
        }
        let page = &self.pages[self.free.pop()? as usize];
        let live = page.count.unfreeze(1);
        debug_assert_eq!(live, Ok(()));
        page.flags.set(ANON);
        *page.data.borrow_mut() = [0; PAGE];
        self.put(Lru::InactiveAnon, page);
        Some(page)
    }

    /// The page at an address, brought into memory if it is not there, and marked used.
    fn touch(&mut self, at: At, used: PteFlags) -> Option<&'a Page> {
        let page = match self.spaces[at.0][at.1] {
            Pte::Page(number, flags) => {
                self.spaces[at.0][at.1] = Pte::Page(number, flags | used);
                return Some(&self.pages[number as usize]);
            }
            Pte::Empty => self.allocate()?,
            Pte::Swap(slot) => {
                let page = match self.slots[slot].cached {
                    Some(number) => &self.pages[number as usize],
                    None => {
                        let page = self.allocate()?;
                        *page.data.borrow_mut() = self.slots[slot].data;
                        self.read += 1;
                        self.cache(page, slot);
                        page
                    }
                };
                self.slots[slot].refs -= 1;
                page
            }
        };
        self.map(at, page, used);
        Some(page)
    }

    /// Whether every reference on a page is one of a mapping, of the swap cache, or of a list, and
    /// every reference on a slot one of a swap entry or of the swap cache.
    fn check(&self) -> Result<(), String> {
        let live = self.pages.iter().filter(|page| page.ref_count() != 0);
        for page in live {
            let explained = page.explained_refs(page.flags(), page.map_count());
            if page.ref_count() != explained as i32 {
                return Err(format!("page {} has a reference too many", page.number));
            }
        }
        for (number, slot) in self.slots.iter().enumerate() {
            let here = |pte: &&Pte| matches!(pte, Pte::Swap(slot) if *slot == number);
            let entries = self.spaces.iter().flatten().filter(here).count();
            if slot.refs as usize != entries + usize::from(slot.cached.is_some()) {
                return Err(format!("slot {number} has a wrong reference count"));
            }
        }
        Ok(())
    }

    fn map(&mut self, at: At, page: &Page, used: PteFlags) {
        let taken = page.count.try_get_ref();
        debug_assert_eq!(taken, Ok(()));
        page.mappings.borrow_mut().push(at);
        self.spaces[at.0][at.1] = Pte::Page(page.number, used);
    }

    /// Pins the page at an address for a device.
    fn pin(&mut self, at: At) -> Result<&'a Page, Box<dyn Error>> {
        let page = self.touch(at, PteFlags::YOUNG).ok_or("out of memory")?;
        page.count.pin(PinKind::Longterm)?;
        Ok(page)
    }

    /// Releases a pin under which the device wrote.
    fn unpin(&mut self, page: &'a Page) -> Result<(), Box<dyn Error>> {
        page.flags.set(page.flags() | PageFlags::DIRTY);
        // A page that is parked or on a list has that place's reference, so no unpin frees it.
        if page.count.unpin(PinKind::Longterm)? == Released::Unpark {
            self.lists.remove(page.number)?;
            self.put(Lru::of(page.flags()), page);
            let _ = page.count.put_ref()?;
        }
        Ok(())
    }
}

/// A program, and what it expects to read in its pages.
struct Program<'a> {
    pager: Pager<'a>,
    expected: Vec<Vec<u8>>,
}

impl Program<'_> {
    fn write(&mut self, at: At, value: u8) -> Result<(), Box<dyn Error>> {
        let used = PteFlags::YOUNG | PteFlags::DIRTY | PteFlags::WRITABLE;
        let page = self.pager.touch(at, used).ok_or("out of memory")?;
        page.data.borrow_mut().fill(value);
        self.expect(at, value);
        Ok(())
    }

    /// Reads and writes, but does not write to the device's buffer.
    fn run(&mut self, rounds: Range<usize>) -> Result<(), Box<dyn Error>> {
        for round in rounds {
            let at = (
                round % self.expected.len(),
                round * 37 % self.expected[0].len(),
            );
            if round % 3 == 0 || (10..22).contains(&at.1) {
                self.verify(at)?;
            } else {
                self.write(at, round as u8)?;
            }
        }
        Ok(())
    }

    /// What is written to one address of a shared page is to be read at all of them.
    fn expect(&mut self, at: At, value: u8) {
        self.expected[at.0][at.1] = value;
        if at.1 < SHARED {
            self.expected[1 - at.0][at.1] = value;
        }
    }

    fn verify(&mut self, at: At) -> Result<(), Box<dyn Error>> {
        let used = PteFlags::YOUNG;
        let page = self.pager.touch(at, used).ok_or("out of memory")?;
        let expected = self.expected[at.0][at.1];
        if page.data.borrow().iter().any(|&byte| byte != expected) {
            return Err(format!("the content of page {at:?} is lost").into());
        }
        Ok(())
    }
}

/// The first pages of both address spaces are the same ones.
const SHARED: usize = 16;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let pages: Vec<Page> = (0..64).map(Page::new).collect();
    let (spaces, size) = (2, 96);
    let mut program = Program {
        pager: Pager::new(&pages, spaces, size),
        expected: vec![vec![0; size]; spaces],
    };
    for page in 0..SHARED {
        program.write((0, page), 1)?;
        let used = PteFlags::YOUNG;
        let shared = program
            .pager
            .touch((0, page), used)
            .ok_or("out of memory")?;
        program.pager.map((1, page), shared, used);
    }
    program.run(0..5_000)?;
    // A device pins twelve pages, and writes to them while memory is short.
    let buffer: Vec<_> = (10..22).map(|page| (1, page)).collect();
    let mut pinned = Vec::new();
    for &at in &buffer {
        program.verify(at)?;
        pinned.push(program.pager.pin(at)?);
    }
    program.run(5_000..10_000)?;
    let parked = program.pager.pages_parked();
    for (page, &at) in pinned.into_iter().zip(&buffer) {
        let value = 0xd0 + at.1 as u8;
        page.data.borrow_mut().fill(value);
        program.expect(at, value);
        program.pager.unpin(page)?;
    }
    let still_parked = program.pager.pages_parked();
    program.run(10_000..15_000)?;
    for at in (0..spaces).flat_map(|space| (0..size).map(move |page| (space, page))) {
        program.verify(at)?;
    }
    program.pager.check()?;
    let Pager {
        flushes,
        written,
        read,
        ..
    } = program.pager;
    println!(
        "{} pages of memory, {} of programs",
        pages.len(),
        spaces * size - SHARED
    );
    println!("{written} pages written to swap, {read} read, {flushes} TLB flushes");
    println!(
        "{parked} of {} pinned pages parked, {still_parked} at the end",
        buffer.len()
    );
    println!("every page has its content");
    Ok(())
}
