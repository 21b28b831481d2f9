//! A page whose references and pins are in one word.

use core::sync::atomic::{AtomicU32, Ordering};
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{PageRefs, PinCount, PinKind, Released};
use pinfold::{PageFlags, PageLike};

#[derive(Debug)]
pub(crate) struct CountedPage {
    flags: AtomicU32,
    maps: AtomicU32,
    base_pages: u32,
    count: PageRefs,
}

impl PageLike for CountedPage {
    fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    fn ref_count(&self) -> i32 {
        self.count.snapshot().refs
    }
    fn map_count(&self) -> u32 {
        self.maps.load(Ordering::Acquire)
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.count.snapshot().pins)
    }
    fn base_pages(&self) -> u32 {
        self.base_pages
    }
}

impl TestPage for CountedPage {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::AcqRel);
    }
    fn remove_mapping(&self) {
        self.maps.fetch_sub(1, Ordering::AcqRel);
        assert_eq!(self.count.put_ref(), Ok(Released::Done));
    }
    fn add_pin(&self, kind: PinKind) {
        self.count.pin(kind).unwrap();
    }
}

impl BuildPage for CountedPage {
    fn build(state: &PageState) -> Option<Self> {
        // Room for one more pin.
        let refs = u32::try_from(state.refs(0)?).ok()?;
        let fits = refs <= PageRefs::MAX_REFS
            && state.short < PageRefs::MAX_SHORT_PINS
            && state.longterm < PageRefs::MAX_LONGTERM_PINS;
        if !fits {
            return None;
        }
        // The fields as its table has them.
        let pins = (u64::from(state.short) << 26) | (u64::from(state.longterm) << 44);
        let ever_pinned = u64::from(pins != 0) << 1;
        let count = PageRefs::from_bits(pins | ever_pinned | 1 << 3 | u64::from(refs) << 4);
        Some(Self {
            flags: AtomicU32::new(state.flags.bits()),
            maps: AtomicU32::new(state.maps),
            base_pages: state.base_pages,
            count,
        })
    }

    fn refs_per_pin(&self) -> u32 {
        1
    }
}
