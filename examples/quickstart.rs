//! A stranger's page type gets the decision: `cargo run --example quickstart`.
//!
//! A tiny machine maps each frame once. We implement `PageLike` for the frame and `PageTables` for
//! its page table, and ask what reclaim may do with four frames.
#![allow(clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use core::error::Error;
use pinfold::pin::{PageRefs, PinCount, PinKind};
use pinfold::{
    Cleared, Entry, FlushDebt, FlushMode, NewEntry, PageFlags, PageLike, PageTables, PlainVma,
    PteFlags, UnmapFlags, UnmapRequest, VmFlags, try_to_unmap_one,
};

/// Our own page, of a file, with its references and pins in one word.
struct Frame {
    count: PageRefs,
    maps: Cell<u32>,
    dirty: Cell<bool>,
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        let mut flags = PageFlags::PAGE_CACHE;
        flags.set(PageFlags::DIRTY, self.dirty.get());
        flags
    }
    fn ref_count(&self) -> i32 {
        self.count.snapshot().refs
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.count.snapshot().pins)
    }
}

/// Our own page table: a frame, its one entry, and whether the walk has yet to come to it.
struct Walk<'a> {
    frame: &'a Frame,
    entry: Entry,
    ahead: bool,
}

impl PageTables for Walk<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let ahead = core::mem::replace(&mut self.ahead, false);
        Ok(ahead.then_some(self.entry))
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        let young = self.entry.flags.contains(PteFlags::YOUNG);
        self.entry.flags.remove(PteFlags::YOUNG);
        young
    }
    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        let flags = core::mem::take(&mut self.entry.flags);
        let deferred = flush == FlushMode::MayDefer;
        Ok(Cleared { flags, deferred })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        println!("our page table gets {new:?}");
    }
    fn set_page_dirty(&mut self) {
        self.frame.dirty.set(true);
    }
    fn remove_rmap(&mut self, _: &Entry) {
        self.frame.maps.set(self.frame.maps.get() - 1);
        // The caller of the walk holds a reference too, so this is not the last.
        let _ = self.frame.count.put_ref();
    }
}

/// No counters, no secondary MMUs, no swap: every default will do.
fn main() -> Result<(), Box<dyn Error>> {
    let (old, young) = (PteFlags::empty(), PteFlags::YOUNG);
    let (plain, locked) = (VmFlags::empty(), VmFlags::LOCKED);
    show("a file page", 0, old, plain)?;
    show("used a moment ago", 0, young, plain)?;
    show("pinned twice for DMA", 2, old, plain)?;
    show("in a locked VMA", 0, old, locked)
}

fn show(what: &str, pins: u32, flags: PteFlags, vma: VmFlags) -> Result<(), Box<dyn Error>> {
    let frame = Frame {
        count: PageRefs::new(),
        maps: Cell::new(1),
        dirty: Cell::new(false),
    };
    // One reference for the page cache, one for the mapping, one for us.
    frame.count.unfreeze(3)?;
    for _ in 0..pins {
        frame.count.pin(PinKind::Longterm)?;
    }
    let address = 0x1000;
    let mut walk = Walk {
        frame: &frame,
        entry: Entry { address, flags },
        ahead: true,
    };
    let vma = PlainVma {
        flags: vma,
        range: 0x1000..0x2000,
    };
    let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
    let mut debt = FlushDebt::none();
    let verdict = try_to_unmap_one(&frame, &vma, address, &request, &mut walk, &mut debt)?;
    debt.flush(|| println!("our TLB is flushed, before the frame is free"));
    let left = frame.map_count();
    println!("{what:<20} -> {verdict} ({left} mappings left)");
    Ok(())
}
