//! The reclaim loop with a device shrinker: `cargo run --example device_shrinker`.
//!
//! A machine of 64 file pages, 48 of which a GPU has pinned for good. Reclaim wants 40. The scan
//! frees what is free and parks what is pinned; the GPU's shrinker stops the hardware and unpins;
//! the pages come back to the list, and the scan takes them.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use core::num::NonZeroU64;
use pinfold::pin::{Owners, PinCount, PinKind, PinLedger, PinWord, Pins, Unpinned};
use pinfold::reclaim::{
    Futility, Lists, Lru, LruScan, PageOps, Referenced, Release, Removal, ScanControl, ScanFlags,
    ShrinkError,
};
use pinfold::shrinker::{Scan, Shrinker, shrink_pages};
use pinfold::{
    Failure, FlushDebt, Hook, Outcome, PageFlags, PageLike, PinPolicy, UnmapRequest, Unmapped,
};
use std::collections::VecDeque;

/// A page of a file that nothing maps, with an exact count of its pins.
struct Page {
    flags: Cell<PageFlags>,
    pins: PinWord,
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        2
    }
    fn map_count(&self) -> u32 {
        0
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.pins.snapshot().pins)
    }
}

/// The GPU: the pages that it has pinned.
struct Gpu<'a> {
    pinned: Vec<&'a Page>,
    /// Pages whose last pin is gone; whoever drops it puts the page back.
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
            if page.pins.unpin(PinKind::Longterm) == Ok(Unpinned::Unpark) {
                self.unparked.push(page);
            }
            freed += 1;
        }
        let scanned = objects.get();
        Scan::Did { scanned, freed }
    }
}

/// The machine: one list, the parked pages, and the GPU with its account.
struct Machine<'a> {
    inactive: VecDeque<&'a Page>,
    active: VecDeque<&'a Page>,
    parked: u64,
    freed: u64,
    gpu: Gpu<'a>,
    ledger: PinLedger<1, 1>,
}

impl<'a> Machine<'a> {
    fn list(&mut self, list: Lru) -> &mut VecDeque<&'a Page> {
        if list.is_active() {
            &mut self.active
        } else {
            &mut self.inactive
        }
    }
}

impl<'a> PageOps for Machine<'a> {
    type Page = &'a Page;
    type Error = Infallible;

    fn update(&mut self, page: &&Page, set: PageFlags, clear: PageFlags) -> Result<(), Infallible> {
        page.flags.set((page.flags.get() | set) - clear);
        Ok(())
    }
    fn referenced(&mut self, _: &&Page) -> Result<Referenced, Infallible> {
        Ok(Referenced::default())
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        _: &&Page,
        _: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Infallible>> {
        // Never called: nothing maps these pages. A machine that maps them calls `try_to_unmap`.
        let (outcome, flush) = (Outcome::Unmapped, FlushDebt::none());
        Ok(Unmapped {
            outcome,
            vmas: 0,
            taken: 0,
            flush,
        })
    }
    fn remove(&mut self, page: &&Page, _: Removal) -> Result<Hook, Infallible> {
        // No pin can come any more, and none is there: the certain answer, whatever the hints said.
        Ok(match page.pins.block() {
            Ok(()) => Hook::Done,
            Err(_) => Hook::Refused,
        })
    }
    fn flush_tlb(&mut self) -> Result<(), Infallible> {
        // Nothing is mapped, so no TLB holds anything.
        Ok(())
    }
}

impl<'a> Lists for Machine<'a> {
    fn take(&mut self, list: Lru) -> Option<&'a Page> {
        self.list(list).pop_back()
    }
    fn put(&mut self, list: Lru, page: &'a Page) {
        self.list(list).push_front(page);
    }
    fn pages(&self, list: Lru) -> u64 {
        match list {
            Lru::InactiveFile => self.inactive.len() as u64,
            Lru::ActiveFile => self.active.len() as u64,
            Lru::InactiveAnon | Lru::ActiveAnon => 0,
        }
    }
    fn free(&mut self, _: &'a Page, _: Release) {
        self.freed += 1;
    }
    fn failed(&mut self, _: Option<&&'a Page>, error: ShrinkError<Infallible>) {
        // Neither an operation nor a walk fails here, so nothing is left to undo.
        eprintln!("{error}");
    }
    fn park(&mut self, page: &'a Page, _: Pins) -> Result<(), &'a Page> {
        page.pins.park().map_err(|_| page)?;
        self.parked += 1;
        Ok(())
    }
    fn pages_parked(&self) -> u64 {
        self.parked
    }
    fn pin_owners(&self) -> Owners {
        Owners::collect(self.ledger.usages())
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let pages: Vec<Page> = (0..64)
        .map(|_| Page {
            flags: Cell::new(PageFlags::PAGE_CACHE),
            pins: PinWord::new(),
        })
        .collect();
    let gpu = Gpu {
        pinned: pages[..48].iter().collect(),
        unparked: Vec::new(),
    };
    let mut ledger = PinLedger::new();
    let owner = ledger.add_owner(7, 64)?;
    let charge = ledger.charge(owner, PinKind::Longterm, 48, 1_000)?;
    for page in &gpu.pinned {
        page.pins.pin(PinKind::Longterm)?;
    }
    let inactive = pages.iter().collect();
    let mut machine = Machine {
        inactive,
        active: VecDeque::new(),
        parked: 0,
        freed: 0,
        gpu,
        ledger,
    };

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
    let shrunk = shrink_pages(&mut machine.gpu, missing);
    machine.ledger.release_pages(&charge, shrunk.pages)?;
    for page in core::mem::take(&mut machine.gpu.unparked) {
        machine.parked -= 1;
        machine.put(Lru::InactiveFile, page);
    }
    println!(
        "gpu:         gave {} pages back, {} are parked still",
        shrunk.pages, machine.parked
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
