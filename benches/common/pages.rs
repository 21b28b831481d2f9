//! Three unlike page representations: plain fields, one packed 8-byte word, and 64 bytes laid out
//! like a kernel's `struct page`.
//!
//! All three keep their flags with the crate's values, so that no translation is measured.

use core::cell::Cell;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use pinfold::{PageFlags, PageLike, PageSnapshot};

/// What a benchmark sets a page to, and compares afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) flags: PageFlags,
    pub(crate) refs: i32,
    pub(crate) maps: u32,
}

/// What a benchmark needs of a page beside [`PageLike`]. What an unmap does to a page are inherent
/// methods below, for the hand-written walk does without traits.
pub(crate) trait Page: PageLike + Sized {
    const NAME: &'static str;
    fn new(state: State) -> Self;
    fn reset(&self, state: State);
    /// Uncounts a mapping, then drops its reference.
    fn unmap(&self);
    fn mark(&self, flags: PageFlags);

    fn state(&self) -> State {
        State {
            flags: self.flags(),
            refs: self.ref_count(),
            maps: self.map_count(),
        }
    }
}

macro_rules! forward_to_inherent {
    () => {
        #[inline]
        fn unmap(&self) {
            self.remove_mapping();
        }
        #[inline]
        fn mark(&self, flags: PageFlags) {
            self.add_flags(flags);
        }
    };
}

/// `PlainPage` with cells: a simulator's page.
#[derive(Debug)]
pub(crate) struct PlainCells {
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) refs: Cell<i32>,
    pub(crate) maps: Cell<u32>,
}

impl PlainCells {
    #[inline]
    pub(crate) fn remove_mapping(&self) {
        self.maps.set(self.maps.get().wrapping_sub(1));
        self.refs.set(self.refs.get().wrapping_sub(1));
    }

    #[inline]
    pub(crate) fn add_flags(&self, flags: PageFlags) {
        self.flags.set(self.flags.get().union(flags));
    }
}

impl PageLike for PlainCells {
    #[inline]
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    #[inline]
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    #[inline]
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
}

impl Page for PlainCells {
    const NAME: &'static str = "plain";

    fn new(state: State) -> Self {
        Self {
            flags: Cell::new(state.flags),
            refs: Cell::new(state.refs),
            maps: Cell::new(state.maps),
        }
    }
    fn reset(&self, state: State) {
        self.flags.set(state.flags);
        self.refs.set(state.refs);
        self.maps.set(state.maps);
    }
    forward_to_inherent!();
}

/// Eight bytes: flags in bits 0 to 19, mappings in 20 to 39, references (signed) in 40 to 63.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Packed(pub(crate) AtomicU64);

pub(crate) const FLAGS_MASK: u32 = (1 << 20) - 1;
pub(crate) const MAPS_SHIFT: u32 = 20;
pub(crate) const REFS_SHIFT: u32 = 40;

impl Packed {
    #[inline]
    pub(crate) fn word(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) const fn flags_of(word: u64) -> PageFlags {
        PageFlags::from_bits_retain(word as u32 & FLAGS_MASK)
    }

    #[inline]
    pub(crate) const fn maps_of(word: u64) -> u32 {
        (word >> MAPS_SHIFT) as u32 & FLAGS_MASK
    }

    #[inline]
    pub(crate) const fn refs_of(word: u64) -> i32 {
        ((word as i64) >> REFS_SHIFT) as i32
    }

    pub(crate) const fn pack(state: State) -> u64 {
        state.flags.bits() as u64
            | (state.maps as u64) << MAPS_SHIFT
            | (state.refs as u64) << REFS_SHIFT
    }

    /// The references that the word explains, one base page to a page.
    #[inline]
    pub(crate) const fn explained_by(word: u64) -> u32 {
        let flags = Self::flags_of(word);
        let cached = flags.intersects(PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE));
        let private = flags.contains(PageFlags::PRIVATE);
        Self::maps_of(word) + cached as u32 + private as u32 + 1
    }

    /// A mapping and its reference go in one step.
    #[inline]
    pub(crate) fn remove_mapping(&self) {
        self.0
            .fetch_sub(1 << MAPS_SHIFT | 1 << REFS_SHIFT, Ordering::Release);
    }

    #[inline]
    pub(crate) fn add_flags(&self, flags: PageFlags) {
        self.0.fetch_or(u64::from(flags.bits()), Ordering::Release);
    }
}

impl PageLike for Packed {
    #[inline]
    fn flags(&self) -> PageFlags {
        Self::flags_of(self.word())
    }
    #[inline]
    fn ref_count(&self) -> i32 {
        Self::refs_of(self.word())
    }
    #[inline]
    fn map_count(&self) -> u32 {
        Self::maps_of(self.word())
    }
    /// One load: all three at the same instant.
    #[inline]
    fn snapshot(&self) -> PageSnapshot {
        let word = self.word();
        PageSnapshot {
            flags: Self::flags_of(word),
            refs: Self::refs_of(word),
            maps: Some(Self::maps_of(word)),
        }
    }
}

impl Page for Packed {
    const NAME: &'static str = "packed";

    fn new(state: State) -> Self {
        Self(AtomicU64::new(Self::pack(state)))
    }
    fn reset(&self, state: State) {
        self.0.store(Self::pack(state), Ordering::Relaxed);
    }
    forward_to_inherent!();
}

/// 64 bytes in the order of Linux 5.8's `struct page` (`include/linux/mm_types.h`). The node and
/// zone are in the upper half of the flags.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct KernelPage {
    pub(crate) flags: AtomicU64,
    pub(crate) lru: [u64; 2],
    pub(crate) mapping: u64,
    pub(crate) index: u64,
    pub(crate) private: u64,
    /// One less than the mappings, as in Linux.
    pub(crate) mapcount: AtomicI32,
    pub(crate) refcount: AtomicI32,
    pub(crate) mem_cgroup: u64,
}

const _: () = assert!(size_of::<KernelPage>() == 64);
const NODE_1: u64 = 1 << 54;

impl KernelPage {
    #[inline]
    pub(crate) fn remove_mapping(&self) {
        self.mapcount.fetch_sub(1, Ordering::Release);
        self.refcount.fetch_sub(1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn add_flags(&self, flags: PageFlags) {
        self.flags
            .fetch_or(u64::from(flags.bits()), Ordering::Release);
    }
}

impl PageLike for KernelPage {
    #[inline]
    fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire) as u32)
    }
    #[inline]
    fn ref_count(&self) -> i32 {
        self.refcount.load(Ordering::Acquire)
    }
    #[inline]
    fn map_count(&self) -> u32 {
        self.mapcount.load(Ordering::Acquire).wrapping_add(1) as u32
    }
}

impl Page for KernelPage {
    const NAME: &'static str = "kernel";

    fn new(state: State) -> Self {
        let page = Self::default();
        page.reset(state);
        page
    }
    fn reset(&self, state: State) {
        self.flags
            .store(NODE_1 | u64::from(state.flags.bits()), Ordering::Relaxed);
        self.mapcount
            .store(state.maps as i32 - 1, Ordering::Relaxed);
        self.refcount.store(state.refs, Ordering::Relaxed);
    }
    forward_to_inherent!();
}
