//! Eight bytes for each page: references, mappings and flags in one atomic word, so that both
//! counts are read at one instant.
//!
//! | bits | field |
//! | --- | --- |
//! | 0 to 18 | flags |
//! | 19 to 36 | mappings, 18 bits |
//! | 37 to 63 | references, 27 bits |

use core::sync::atomic::{AtomicU64, Ordering};
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{PIN_BIAS, PinKind};
use pinfold::{PageFlags, PageLike, PageSnapshot};
use static_assertions::assert_eq_size;

#[derive(Debug)]
pub(crate) struct PackedPage(AtomicU64);

assert_eq_size!(PackedPage, u64);

const MAP: u64 = 1 << 19;
const REF: u64 = 1 << 37;
const FLAGS: u64 = MAP - 1;
const MAPS: u64 = REF - MAP;

#[derive(Clone, Copy)]
struct Fields {
    flags: PageFlags,
    maps: u32,
    refs: i32,
}

impl PackedPage {
    fn load(&self) -> Fields {
        let word = self.0.load(Ordering::Acquire);
        Fields {
            flags: PageFlags::from_bits_retain((word & FLAGS) as u32),
            maps: ((word & MAPS) / MAP) as u32,
            refs: (word / REF) as i32,
        }
    }
}

fn size(flags: PageFlags) -> u32 {
    if flags.is_compound() { 512 } else { 1 }
}

impl PageLike for PackedPage {
    fn flags(&self) -> PageFlags {
        self.load().flags
    }
    fn ref_count(&self) -> i32 {
        self.load().refs
    }
    fn map_count(&self) -> u32 {
        self.load().maps
    }
    fn base_pages(&self) -> u32 {
        size(self.flags())
    }
    fn snapshot(&self) -> PageSnapshot {
        let Fields { flags, maps, refs } = self.load();
        PageSnapshot {
            flags,
            refs,
            maps: Some(maps),
        }
    }
}

impl TestPage for PackedPage {
    fn add_flags(&self, flags: PageFlags) {
        self.0.fetch_or(u64::from(flags.bits()), Ordering::AcqRel);
    }
    fn remove_mapping(&self) {
        self.0.fetch_sub(MAP + REF, Ordering::AcqRel);
    }
    fn add_pin(&self, _: PinKind) {
        self.0
            .fetch_add(REF * u64::from(PIN_BIAS), Ordering::AcqRel);
    }
}

impl BuildPage for PackedPage {
    fn build(state: &PageState) -> Option<Self> {
        let flags = u64::from(state.flags.bits());
        let maps = u64::from(state.maps);
        let refs = u64::try_from(state.refs(PIN_BIAS)?).ok()?;
        let fits = flags <= FLAGS
            && maps <= MAPS / MAP
            && refs + u64::from(PIN_BIAS) < 1 << 27
            && state.base_pages == size(state.flags);
        fits.then(|| Self(AtomicU64::new(flags | (maps * MAP) | (refs * REF))))
    }
}
