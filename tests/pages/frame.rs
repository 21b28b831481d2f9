//! Sixty-four bytes laid out as Linux 5.8 lays out its `struct page`: a flags word; the list, or the
//! device's page map, or (here, standing in for the second tail page) the pin count of a compound
//! page; the mapping, whose low bits say "anonymous" and "KSM"; index; private; map count from -1;
//! reference count; memory cgroup.

use core::mem::offset_of;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{BiasedRefs, PIN_BIAS, PinCount, PinKind};
use pinfold::{PageFlags, PageLike};
use static_assertions::{assert_eq_align, assert_eq_size, const_assert_eq};

#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct FramePage {
    flags: AtomicU64,
    lru_next: AtomicU64,
    lru_prev: AtomicU32,
    hpage_pinned: AtomicU32,
    mapping: AtomicU64,
    index: AtomicU64,
    private: AtomicU64,
    map_count: AtomicI32,
    refs: BiasedRefs,
    memcg: AtomicU64,
}

assert_eq_size!(FramePage, [u8; 64]);
assert_eq_align!(FramePage, CacheLine);
const_assert_eq!(offset_of!(FramePage, mapping), 24);
const_assert_eq!(offset_of!(FramePage, private), 40);
const_assert_eq!(offset_of!(FramePage, map_count), 48);
const_assert_eq!(offset_of!(FramePage, refs), 52);

#[repr(align(64))]
struct CacheLine {
    _bytes: [u8; 64],
}

const MAPPING_ANON: u64 = 1;
const MAPPING_KSM: u64 = 3;
const ADDRESS_SPACE: u64 = 0x1000;
const PGMAP_PUBLIC: u64 = 0x10;
const PGMAP_PRIVATE: u64 = 0x20;

/// The kernel's bit numbers, as far as it has a bit for it.
const PG: [(PageFlags, u32); 15] = [
    (PageFlags::LOCKED, 0),
    (PageFlags::REFERENCED, 1),
    (PageFlags::DIRTY, 3),
    (PageFlags::ACTIVE, 5),
    (PageFlags::PRIVATE, 12),
    (PageFlags::WRITEBACK, 14),
    (PageFlags::SWAP_CACHE, 10),
    (PageFlags::RECLAIM, 17),
    (PageFlags::SWAP_BACKED, 18),
    (PageFlags::UNEVICTABLE, 19),
    (PageFlags::MLOCKED, 20),
    (PageFlags::HWPOISON, 22),
    (PageFlags::THP, 15),
    (PageFlags::HUGETLB, 16),
    (PageFlags::ZONE_DEVICE, 61),
];

fn word(flags: PageFlags) -> u64 {
    PG.iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(0, |word, (_, bit)| word | 1 << bit)
}

impl PageLike for FramePage {
    fn flags(&self) -> PageFlags {
        let word = self.flags.load(Ordering::Acquire);
        let mut flags: PageFlags = PG
            .iter()
            .filter(|(_, bit)| word >> bit & 1 == 1)
            .map(|&(flag, _)| flag)
            .collect();
        let mapping = self.mapping.load(Ordering::Acquire);
        flags.set(PageFlags::ANON, mapping & MAPPING_ANON != 0);
        flags.set(PageFlags::KSM, mapping & MAPPING_KSM == MAPPING_KSM);
        flags.set(PageFlags::PAGE_CACHE, mapping == ADDRESS_SPACE);
        let private = self.lru_next.load(Ordering::Acquire) == PGMAP_PRIVATE;
        flags.set(PageFlags::DEVICE_PRIVATE, private);
        flags
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        u32::try_from(self.map_count.load(Ordering::Acquire) + 1).unwrap()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        self.is_compound().then(|| PinCount {
            total: self.hpage_pinned.load(Ordering::Acquire),
            longterm: None,
        })
    }
    fn base_pages(&self) -> u32 {
        if self.is_compound() { 512 } else { 1 }
    }
}

impl FramePage {
    fn is_compound(&self) -> bool {
        let compound = word(PageFlags::THP | PageFlags::HUGETLB);
        self.flags.load(Ordering::Acquire) & compound != 0
    }
}

impl TestPage for FramePage {
    fn add_flags(&self, flags: PageFlags) {
        assert!(PG.iter().any(|(flag, _)| flags == *flag), "{flags:?}");
        self.flags.fetch_or(word(flags), Ordering::AcqRel);
    }
    fn remove_mapping(&self) {
        self.map_count.fetch_sub(1, Ordering::AcqRel);
        let _ = self.refs.put_ref().unwrap();
    }
    fn add_pin(&self, _: PinKind) {
        if self.is_compound() {
            self.refs.try_get_ref().unwrap();
            self.hpage_pinned.fetch_add(1, Ordering::AcqRel);
        } else {
            self.refs.pin().unwrap();
        }
    }
}

impl BuildPage for FramePage {
    fn build(state: &PageState) -> Option<Self> {
        let flags = state.flags;
        let mapping = if flags.contains(PageFlags::KSM) {
            MAPPING_KSM
        } else if flags.contains(PageFlags::ANON) {
            MAPPING_ANON
        } else if flags.contains(PageFlags::PAGE_CACHE) {
            ADDRESS_SPACE
        } else {
            0
        };
        let lru = if flags.contains(PageFlags::DEVICE_PRIVATE) {
            PGMAP_PRIVATE
        } else if flags.contains(PageFlags::ZONE_DEVICE) {
            PGMAP_PUBLIC
        } else {
            0
        };
        let per_pin = if flags.is_compound() { 1 } else { PIN_BIAS };
        let frame = Self {
            flags: AtomicU64::new(word(flags)),
            lru_next: AtomicU64::new(lru),
            lru_prev: AtomicU32::new(0),
            hpage_pinned: AtomicU32::new(0),
            mapping: AtomicU64::new(mapping),
            index: AtomicU64::new(0),
            private: AtomicU64::new(0),
            map_count: AtomicI32::new(i32::try_from(state.maps).ok()? - 1),
            // The count neither gives nor takes once it has overflowed.
            refs: BiasedRefs::new(state.refs(per_pin).filter(|refs| !refs.is_negative())?),
            memcg: AtomicU64::new(0),
        };
        if frame.is_compound() {
            let pins = state.pins().total;
            frame.hpage_pinned.store(pins, Ordering::Release);
        }
        // A mapping is one of anonymous, KSM and file; a device's page map needs a device.
        let holds = frame.flags() == flags && frame.base_pages() == state.base_pages;
        holds.then_some(frame)
    }

    fn refs_per_pin(&self) -> u32 {
        if self.is_compound() { 1 } else { PIN_BIAS }
    }
}
