//! Pages with exact counts: the crate's pin word, in which a pin holds one reference; and its count
//! for large pages beside the references.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{LargePageRefs, PinCount, PinKind, PinWord};
use pinfold::{PageFlags, PageLike};

#[derive(Debug)]
pub(crate) struct WordPage {
    flags: AtomicU32,
    refs: AtomicI32,
    maps: AtomicU32,
    base_pages: u32,
    pins: PinWord,
}

impl PageLike for WordPage {
    fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    fn ref_count(&self) -> i32 {
        self.refs.load(Ordering::Acquire)
    }
    fn map_count(&self) -> u32 {
        self.maps.load(Ordering::Acquire)
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.pins.snapshot().pins)
    }
    fn base_pages(&self) -> u32 {
        self.base_pages
    }
}

impl TestPage for WordPage {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::AcqRel);
    }
    fn remove_mapping(&self) {
        self.maps.fetch_sub(1, Ordering::AcqRel);
        self.refs.fetch_sub(1, Ordering::AcqRel);
    }
    fn add_pin(&self, kind: PinKind) {
        self.refs.fetch_add(1, Ordering::AcqRel);
        self.pins.pin(kind).unwrap();
    }
}

impl BuildPage for WordPage {
    fn build(state: &PageState) -> Option<Self> {
        if state.short.max(state.longterm) >= PinWord::MAX_PINS {
            return None;
        }
        // The fields as its table has them.
        let pins = (u64::from(state.short) << 3) | (u64::from(state.longterm) << 34);
        let ever_pinned = u64::from(pins != 0) << 1;
        Some(Self {
            flags: AtomicU32::new(state.flags.bits()),
            refs: AtomicI32::new(state.refs(1)?),
            maps: AtomicU32::new(state.maps),
            base_pages: state.base_pages,
            pins: PinWord::from_bits(pins | ever_pinned),
        })
    }

    fn refs_per_pin(&self) -> u32 {
        1
    }
}

#[derive(Debug)]
pub(crate) struct LargePage {
    flags: AtomicU32,
    maps: AtomicU32,
    refs: LargePageRefs,
}

impl PageLike for LargePage {
    fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        self.maps.load(Ordering::Acquire)
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.refs.exact_pins())
    }
    fn base_pages(&self) -> u32 {
        512
    }
}

impl TestPage for LargePage {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::AcqRel);
    }
    fn remove_mapping(&self) {
        self.maps.fetch_sub(1, Ordering::AcqRel);
        let _ = self.refs.put_ref().unwrap();
    }
    fn add_pin(&self, _: PinKind) {
        self.refs.pin().unwrap();
    }
}

impl BuildPage for LargePage {
    fn build(state: &PageState) -> Option<Self> {
        // It knows neither small pages nor which pins are long-term.
        if state.base_pages != 512 {
            return None;
        }
        // Its count neither gives nor takes once it has overflowed.
        let refs = state.refs(1).filter(|refs| !refs.is_negative())?;
        let refs = LargePageRefs::with_pins(refs, state.pins().total);
        Some(Self {
            flags: AtomicU32::new(state.flags.bits()),
            maps: AtomicU32::new(state.maps),
            refs,
        })
    }

    fn refs_per_pin(&self) -> u32 {
        1
    }
}
