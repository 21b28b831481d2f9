//! Translates the flags of Linux into those of pinfold, and implements `PageLike` and `Vma`.

use crate::model::{Area, Frame};
use pinfold::pin::{PIN_BIAS, PinCount};
use pinfold::{PageFlags, PageLike, VmFlags, Vma};
use std::cell::Cell;
use std::ops::Range;

/// Bits of `/proc/kpageflags` (`include/uapi/linux/kernel-page-flags.h`).
pub(crate) mod kpf {
    pub(crate) const LOCKED: u64 = 1 << 0;
    pub(crate) const REFERENCED: u64 = 1 << 2;
    pub(crate) const DIRTY: u64 = 1 << 4;
    pub(crate) const LRU: u64 = 1 << 5;
    pub(crate) const ACTIVE: u64 = 1 << 6;
    pub(crate) const WRITEBACK: u64 = 1 << 8;
    pub(crate) const RECLAIM: u64 = 1 << 9;
    pub(crate) const ANON: u64 = 1 << 12;
    pub(crate) const SWAPCACHE: u64 = 1 << 13;
    pub(crate) const SWAPBACKED: u64 = 1 << 14;
    pub(crate) const COMPOUND_HEAD: u64 = 1 << 15;
    pub(crate) const COMPOUND_TAIL: u64 = 1 << 16;
    pub(crate) const HUGE: u64 = 1 << 17;
    pub(crate) const UNEVICTABLE: u64 = 1 << 18;
    pub(crate) const HWPOISON: u64 = 1 << 19;
    pub(crate) const KSM: u64 = 1 << 21;
    pub(crate) const ZERO_PAGE: u64 = 1 << 24;
    /// This and higher bits are for kernel developers.
    pub(crate) const MLOCKED: u64 = 1 << 33;
}

/// Translates `kpageflags` into flags of pinfold.
///
/// [`Imagined::new`] adds THP, because the bit of Linux is not set for every large folio. Linux does
/// not export whether a page is in the page cache: a page on an LRU list that is not anonymous is.
pub(crate) const fn page_flags(word: u64) -> PageFlags {
    const TABLE: [(u64, PageFlags); 13] = [
        (kpf::ANON, PageFlags::ANON),
        (kpf::SWAPBACKED, PageFlags::SWAP_BACKED),
        (kpf::SWAPCACHE, PageFlags::SWAP_CACHE),
        (kpf::DIRTY, PageFlags::DIRTY),
        (kpf::HWPOISON, PageFlags::HWPOISON),
        (kpf::HUGE, PageFlags::HUGETLB),
        (kpf::MLOCKED, PageFlags::MLOCKED),
        (kpf::KSM, PageFlags::KSM),
        (kpf::LOCKED, PageFlags::LOCKED),
        (kpf::UNEVICTABLE, PageFlags::UNEVICTABLE),
        (kpf::WRITEBACK, PageFlags::WRITEBACK),
        (kpf::RECLAIM, PageFlags::RECLAIM),
        (kpf::REFERENCED, PageFlags::REFERENCED),
    ];
    let mut flags = PageFlags::empty();
    let mut at = 0;
    while at < TABLE.len() {
        if word & TABLE[at].0 != 0 {
            flags = flags.union(TABLE[at].1);
        }
        at += 1;
    }
    if word & kpf::ACTIVE != 0 {
        flags = flags.union(PageFlags::ACTIVE);
    }
    if word & kpf::LRU != 0 && word & kpf::ANON == 0 {
        flags = flags.union(PageFlags::PAGE_CACHE);
    }
    flags
}

/// A VMA for pinfold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) flags: VmFlags,
    pub(crate) range: Range<u64>,
}

/// Translates the flags of a VMA.
pub(crate) fn vm_flags(area: &Area) -> VmFlags {
    let mut flags = VmFlags::empty();
    for name in &area.vm_flags {
        flags |= match name.as_str() {
            "lo" => VmFlags::LOCKED,
            "um" | "uw" => VmFlags::UFFD,
            "ex" => VmFlags::EXEC,
            _ => VmFlags::empty(),
        };
    }
    flags
}

impl Vma for Region {
    fn flags(&self) -> VmFlags {
        self.flags
    }

    fn range(&self) -> Range<u64> {
        self.range.clone()
    }
}

/// References and pins on a page beyond those that its exported state explains. Linux exports
/// neither, so they are an assumption of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Holders {
    pub(crate) short: u32,
    pub(crate) longterm: u32,
    /// References that are not pins.
    pub(crate) others: u32,
    /// Whether the page keeps an exact count of its pins beside its references.
    pub(crate) exact: bool,
}

/// A simulated page with the state of a real one.
#[derive(Debug)]
pub(crate) struct Imagined {
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) refs: Cell<i32>,
    pub(crate) maps: Cell<u32>,
    pub(crate) base_pages: Cell<u32>,
    holders: Holders,
}

impl Imagined {
    /// The page with this frame and these holders, isolated from its LRU list.
    pub(crate) fn new(frame: &Frame, holders: Holders) -> Self {
        let mut flags = page_flags(frame.flags);
        if frame.pages > 1 && !flags.contains(PageFlags::HUGETLB) {
            flags |= PageFlags::THP;
        }
        let page = Self {
            flags: Cell::new(flags),
            refs: Cell::new(0),
            maps: Cell::new(frame.maps),
            base_pages: Cell::new(frame.pages),
            holders,
        };
        let pins = holders.short.saturating_add(holders.longterm);
        let refs = page
            .explained_refs(flags, frame.maps)
            .saturating_add(holders.others)
            .saturating_add(pins.saturating_mul(PIN_BIAS));
        page.refs.set(i32::try_from(refs).unwrap_or(i32::MAX));
        page
    }

    /// The references that its present state explains.
    pub(crate) fn explained(&self) -> u32 {
        self.explained_refs(self.flags(), self.map_count())
    }
}

impl PageLike for Imagined {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }

    fn ref_count(&self) -> i32 {
        self.refs.get()
    }

    fn map_count(&self) -> u32 {
        self.maps.get()
    }

    fn exact_pins(&self) -> Option<PinCount> {
        self.holders.exact.then_some(PinCount {
            total: self.holders.short.saturating_add(self.holders.longterm),
            longterm: Some(self.holders.longterm),
        })
    }

    fn longterm_pins(&self) -> Option<u32> {
        let Holders {
            short,
            longterm,
            exact,
            ..
        } = self.holders;
        (exact || short > 0 || longterm > 0).then_some(longterm)
    }

    fn base_pages(&self) -> u32 {
        self.base_pages.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a bit is translated into another flag, dropped, or added.
    #[test]
    fn each_bit_has_one_flag() {
        let expected = [
            (kpf::LOCKED, PageFlags::LOCKED),
            (kpf::REFERENCED, PageFlags::REFERENCED),
            (kpf::DIRTY, PageFlags::DIRTY),
            (kpf::ACTIVE, PageFlags::ACTIVE),
            (kpf::WRITEBACK, PageFlags::WRITEBACK),
            (kpf::RECLAIM, PageFlags::RECLAIM),
            (kpf::ANON, PageFlags::ANON),
            (kpf::SWAPCACHE, PageFlags::SWAP_CACHE),
            (kpf::SWAPBACKED, PageFlags::SWAP_BACKED),
            (kpf::HUGE, PageFlags::HUGETLB),
            (kpf::UNEVICTABLE, PageFlags::UNEVICTABLE),
            (kpf::HWPOISON, PageFlags::HWPOISON),
            (kpf::KSM, PageFlags::KSM),
            (kpf::MLOCKED, PageFlags::MLOCKED),
            (kpf::LRU, PageFlags::PAGE_CACHE),
            (kpf::LRU | kpf::ANON, PageFlags::ANON),
        ];
        for (word, flags) in expected {
            assert_eq!(page_flags(word), flags, "{word:#x}");
        }
        let known = expected.iter().fold(0, |all, (word, _)| all | word);
        assert_eq!(page_flags(!known), PageFlags::empty());
    }

    /// Fails if a pin does not count as its bias, or an unknown count is called exact.
    #[test]
    fn holders_are_in_the_reference_count() {
        let frame = Frame {
            flags: kpf::LRU | kpf::ANON | kpf::SWAPBACKED,
            maps: 1,
            pages: 1,
            pmd: false,
        };
        let free = Imagined::new(&frame, Holders::default());
        assert_eq!(
            (free.ref_count(), free.exact_pins(), free.longterm_pins()),
            (2, None, None)
        );
        let pinned = Imagined::new(
            &frame,
            Holders {
                longterm: 1,
                ..Holders::default()
            },
        );
        assert_eq!((pinned.ref_count(), pinned.exact_pins()), (1026, None));
        assert_eq!(pinned.longterm_pins(), Some(1));
        let known = Imagined::new(
            &frame,
            Holders {
                short: 1,
                exact: true,
                ..Holders::default()
            },
        );
        let count = PinCount {
            total: 1,
            longterm: Some(0),
        };
        assert_eq!(known.exact_pins(), Some(count));
    }
}
