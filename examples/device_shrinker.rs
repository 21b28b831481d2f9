//! The reclaim loop with a device shrinker: `cargo run --example device_shrinker`.
//!
//! A machine of 64 file pages, 48 of which a GPU has pinned for good. Reclaim wants 40. The scan
//! frees what is free and parks what is pinned; the GPU's shrinker stops the hardware and unpins;
//! the pages come back to the list, and the scan takes them.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use core::error::Error;
use core::num::NonZeroU64;
use pinfold::pin::{Owners, PageRefs, PinCount, PinKind, PinLedger, Pins, Released};
use pinfold::reclaim::{
    Futility, Link, Lists, Lru, LruScan, PageLists, PageOps, Referenced, Removal, ScanControl,
    ScanFlags,
};
use pinfold::shrinker::{Pass, Scan, Shrinker};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PageLike, PinPolicy, UnmapError, UnmapRequest,
};

/// A page of a file that nothing maps, with its references and pins in one word.
struct Page {
    number: u32,
    flags: Cell<PageFlags>,
    count: PageRefs,
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.count.snapshot().refs
    }
    fn map_count(&self) -> u32 {
        0
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.count.snapshot().pins)
    }
}

/// The GPU: the pages that it has pinned.
struct Gpu<'a> {
    pinned: Vec<&'a Page>,
    /// Pages that were parked and whose last pin is gone, with the reference of that pin.
    unparked: Vec<&'a Page>,
}

impl Shrinker for Gpu<'_> {
    fn count(&mut self) -> Option<u64> {
        Some(self.pinned.len() as u64)
    }
    fn batch(&self) -> u64 {
        8
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        let mut freed = 0;
        while freed < objects.get() {
            let Some(page) = self.pinned.pop() else { break };
            if page.count.unpin(PinKind::Longterm) == Ok(Released::Unpark) {
                self.unparked.push(page);
            }
            freed += 1;
        }
        let scanned = objects.get();
        Scan::Did { scanned, freed }
    }
}

/// The machine: its lists, and the GPU with its account.
struct Machine<'a> {
    pages: &'a [Page],
    lists: PageLists<Vec<Link>>,
    freed: u64,
    gpu: Gpu<'a>,
    ledger: PinLedger<1, 1>,
}

impl<'a> PageOps for Machine<'a> {
    type Page = &'a Page;
    type Error = Infallible;

    fn update(&mut self, page: &&Page, set: PageFlags, clear: PageFlags) {
        page.flags.set((page.flags.get() | set) - clear);
    }
    fn referenced(&mut self, _: &&Page) -> Referenced {
        Referenced::default()
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        _: &&Page,
        _: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        // Never called: nothing maps these pages. A machine that maps them calls `try_to_unmap`.
        Ok(Outcome::Unmapped)
    }
    fn remove(&mut self, page: &&Page, _: Removal) -> Attempt {
        // The certain answer, whatever the hints said: nobody else holds the page, and nobody can
        // any more.
        match page.count.freeze(REFS) {
            Ok(()) => Attempt::Done,
            Err(_) => Attempt::Refused,
        }
    }
    fn flush_tlb(&mut self) {
        // Nothing is mapped, so no TLB holds anything.
    }
}

/// The references of a page that is not pinned: the page cache's, and the list's, which is the
/// scan's once the page is off its list.
const REFS: i32 = 2;

impl<'a> Lists for Machine<'a> {
    fn take(&mut self, list: Lru) -> Option<&'a Page> {
        let number = self.lists.take(list)?;
        Some(&self.pages[number as usize])
    }
    fn put(&mut self, list: Lru, page: &'a Page) {
        let clear = if list.is_active() {
            PageFlags::empty()
        } else {
            PageFlags::ACTIVE
        };
        self.update(&page, PageFlags::ACTIVE - clear, clear);
        if let Err(error) = self.lists.put(list, page.number, 1) {
            unreachable!("a scan puts back what it took: {error}");
        }
    }
    fn pages(&self, list: Lru) -> u64 {
        self.lists.pages(list)
    }
    fn free(&mut self, _: &'a Page) {
        self.freed += 1;
    }
    fn park(&mut self, page: &'a Page, _: Pins) -> Result<(), &'a Page> {
        self.lists.park(page.number, 1).map_err(|_| page)?;
        if page.count.park().is_err() {
            // Its last pin is gone meanwhile.
            let _ = self.lists.remove(page.number);
            return Err(page);
        }
        Ok(())
    }
    fn pages_parked(&self) -> u64 {
        self.lists.pages_parked()
    }
    fn pin_owners(&self) -> Owners {
        Owners::collect(self.ledger.usages())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let page = |number| Page {
        number,
        flags: Cell::new(PageFlags::PAGE_CACHE),
        count: PageRefs::new(),
    };
    let pages: Vec<Page> = (0..64).map(page).collect();
    let gpu = Gpu {
        pinned: pages[..48].iter().collect(),
        unparked: Vec::new(),
    };
    let mut ledger = PinLedger::new();
    let owner = ledger.add_owner(7, 64)?;
    let charge = ledger.charge(owner, PinKind::Longterm, 48, 1_000)?;
    let mut machine = Machine {
        pages: &pages,
        lists: PageLists::new(vec![Link::default(); pages.len()]),
        freed: 0,
        gpu,
        ledger,
    };
    for page in &pages {
        page.count.unfreeze(REFS)?;
        machine.put(Lru::InactiveFile, page);
    }
    for page in &machine.gpu.pinned {
        page.count.pin(PinKind::Longterm)?;
    }

    let control = ScanControl::new(ScanFlags::direct());
    let mut scan = LruScan::new(40);
    let mut futility = Futility::new(1);
    let progress = scan.run(&mut machine, &control);
    println!(
        "first pass:  {progress:?}, {} of {} pages",
        scan.reclaimed(),
        scan.target()
    );
    if let Some(futile) = futility.note(&scan, progress, &machine) {
        println!("verdict:     {futile}");
    }

    let missing = scan.target() - scan.reclaimed();
    let shrunk = Pass::shrink_pages(&mut machine.gpu, missing);
    machine.ledger.release_pages(&charge, shrunk.pages)?;
    for page in core::mem::take(&mut machine.gpu.unparked) {
        machine.lists.remove(page.number)?;
        machine.put(Lru::InactiveFile, page);
        // The pin's reference has kept the page until here.
        let _ = page.count.put_ref()?;
    }
    println!(
        "gpu:         gave {} pages back, {} are parked still",
        shrunk.pages,
        machine.pages_parked()
    );

    let mut scan = LruScan::new(missing);
    let progress = scan.run(&mut machine, &control);
    println!(
        "second pass: {progress:?}, {} of {} pages",
        scan.reclaimed(),
        scan.target()
    );
    println!(
        "scanned:     {} pages, none of the parked ones",
        scan.stats().scanned
    );
    println!(
        "free:        {} pages; still pinned by {}",
        machine.freed,
        machine.pin_owners()
    );
    Ok(())
}
