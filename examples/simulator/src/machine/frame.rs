//! One frame of memory, as the library sees it, and the entry that maps it.

use pinfold::pin::{PIN_BIAS, PinCount, PinWord};
use pinfold::{PageFlags, PageLike, PteFlags};
use std::cell::Cell;

/// No frame, no page.
pub const NONE: u32 = u32::MAX;

/// A frame. Its page is mapped by one entry at most, which is kept here.
#[derive(Debug)]
pub struct Frame {
    pub index: u32,
    /// The page that is in it, or [`NONE`].
    pub page: Cell<u32>,
    pub flags: Cell<PageFlags>,
    pub mapped: Cell<bool>,
    pub entry: Cell<PteFlags>,
    /// Executable text.
    pub text: Cell<bool>,
    /// A device looks at it through a secondary MMU: the workload, or 255.
    pub mirrored_by: Cell<u8>,
    pub pins: PinWord,
}

impl Frame {
    pub fn new(index: u32) -> Self {
        Self {
            index,
            page: Cell::new(NONE),
            flags: Cell::new(PageFlags::empty()),
            mapped: Cell::new(false),
            entry: Cell::new(PteFlags::empty()),
            text: Cell::new(false),
            mirrored_by: Cell::new(u8::MAX),
            pins: PinWord::new(),
        }
    }

    pub fn set(&self, flags: PageFlags) {
        self.flags.set(self.flags.get() | flags);
    }

    pub fn clear(&self, flags: PageFlags) {
        self.flags.set(self.flags.get() - flags);
    }

    pub fn has(&self, flags: PageFlags) -> bool {
        self.flags.get().contains(flags)
    }

    pub fn is_pinned(&self) -> bool {
        self.pins.snapshot().pins.total > 0
    }
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }

    /// As Linux counts: what the page's state explains, and 1024 for each pin.
    fn ref_count(&self) -> i32 {
        let pins = self.pins.snapshot().pins.total;
        let refs = self
            .explained_refs(self.flags(), self.map_count())
            .saturating_add(pins.saturating_mul(PIN_BIAS));
        i32::try_from(refs).unwrap_or(i32::MAX)
    }

    fn map_count(&self) -> u32 {
        u32::from(self.mapped.get())
    }

    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.pins.snapshot().pins)
    }
}
