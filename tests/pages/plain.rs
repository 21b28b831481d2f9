//! A plain struct: Linux's biased count, and long-term pins counted apart.

use core::cell::Cell;
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{PIN_BIAS, PinKind};
use pinfold::{PageFlags, PageLike};

#[derive(Debug)]
pub(crate) struct PlainCells {
    flags: Cell<PageFlags>,
    refs: Cell<i32>,
    maps: Cell<u32>,
    longterm: Cell<u32>,
    base_pages: u32,
}

impl PageLike for PlainCells {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
    fn longterm_pins(&self) -> Option<u32> {
        Some(self.longterm.get())
    }
    fn base_pages(&self) -> u32 {
        self.base_pages
    }
}

impl TestPage for PlainCells {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.set(self.flags.get() | flags);
    }
    fn remove_mapping(&self) {
        self.maps.set(self.maps.get() - 1);
        self.refs.set(self.refs.get() - 1);
    }
    fn add_pin(&self, kind: PinKind) {
        self.refs.set(self.refs.get() + PIN_BIAS as i32);
        let longterm = u32::from(kind == PinKind::Longterm);
        self.longterm.set(self.longterm.get() + longterm);
    }
}

impl BuildPage for PlainCells {
    fn build(state: &PageState) -> Option<Self> {
        Some(Self {
            flags: Cell::new(state.flags),
            refs: Cell::new(state.refs(PIN_BIAS)?),
            maps: Cell::new(state.maps),
            longterm: Cell::new(state.longterm),
            base_pages: state.base_pages,
        })
    }
}
