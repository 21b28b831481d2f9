//! A stranger's page type gets the decision: `cargo run --example quickstart`.
//!
//! A tiny machine maps each frame once. We implement `PageLike` for the frame and `PageTables` for
//! its page table, and ask what reclaim may do with four frames.
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_wrap)]

use core::cell::Cell;
use core::convert::Infallible;
use core::error::Error;
use pinfold::{
    Cleared, Entry, FlushMode, NewEntry, PageFlags, PageLike, PageTables, PlainVma, PteFlags,
    UnmapFlags, UnmapRequest, VmFlags, try_to_unmap_one,
};

/// Our own page, of a file. `held`: references beside those of mappings, 1024 for each pin.
struct Frame {
    held: i32,
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
        self.held + self.maps.get() as i32
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
}

/// Our own page table: a frame, its one entry, and whether the walk has yet to come to it.
struct Walk<'a>(&'a Frame, Entry, bool);

impl PageTables for Walk<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let ahead = core::mem::replace(&mut self.2, false);
        Ok(ahead.then_some(self.1))
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        let young = self.1.flags.contains(PteFlags::YOUNG);
        self.1.flags.remove(PteFlags::YOUNG);
        young
    }
    fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        let flags = core::mem::take(&mut self.1.flags);
        let deferred = false;
        Ok(Cleared { flags, deferred })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        println!("our page table gets {new:?}");
    }
    fn set_page_dirty(&mut self) {
        self.0.dirty.set(true);
    }
    fn remove_rmap(&mut self, _: &Entry) {
        self.0.maps.set(self.0.maps.get() - 1);
    }
}

/// No counters, no secondary MMUs, no swap: every default will do.
fn main() -> Result<(), Box<dyn Error>> {
    let (old, young) = (PteFlags::empty(), PteFlags::YOUNG);
    let (plain, locked) = (VmFlags::empty(), VmFlags::LOCKED);
    show("a file page", 2, old, plain)?;
    show("used a moment ago", 2, young, plain)?;
    show("pinned twice for DMA", 2 + 2 * 1024, old, plain)?;
    show("in a locked VMA", 2, old, locked)
}

fn show(what: &str, held: i32, flags: PteFlags, vma: VmFlags) -> Result<(), Box<dyn Error>> {
    let (maps, dirty, address, ahead) = (Cell::new(1), Cell::new(false), 0x1000, true);
    let frame = &Frame { held, maps, dirty };
    let entry = Entry { address, flags };
    let mut walk = Walk(frame, entry, ahead);
    let (flags, range) = (vma, 0x1000..0x2000);
    let vma = PlainVma { flags, range };
    let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
    let walked = try_to_unmap_one(frame, &vma, address, &request, &mut walk)?;
    let left = frame.map_count();
    println!("{what:<20} -> {} ({left} mappings left)", walked.verdict);
    Ok(())
}
