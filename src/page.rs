//! What the crate asks of a page.

use crate::flags::PageFlags;
use crate::pin::PinCount;

/// One page (a head page, where pages are compound), as the embedder represents it.
///
/// Three methods are required. The rest is derived, and is overridden where the representation
/// knows more: an exact pin count, which pins are long-term, how large the page is, or how to read
/// everything in one step.
///
/// # Contract
///
/// - A new mapping takes its reference *before* it is counted by [`map_count`](Self::map_count),
///   and a mapping that goes is uncounted *before* its reference is dropped. At no time are there
///   more mappings than references.
/// - The same holds for the other references that [`explained_refs`](Self::explained_refs) derives
///   from the flags: reference first, flag second; on the way out, flag first.
/// - A page of more than one base page keeps an [exact count of pins](Self::exact_pins), or its
///   [`snapshot`](Self::snapshot) holds the mappings. One that does neither reads as pinned from 1024
///   references on, whatever explains them ([`Refined::counts`](crate::pin::Refined::counts)).
/// - While somebody holds a reference on it, a page is split at most: its
///   [`base_pages`](Self::base_pages) never grow.
/// - Implementations over atomics load with `Acquire` and count with `Release` or stronger, so
///   that the reads of one reading happen in the order in which they are written.
/// - The caller of this crate holds a reference of its own on every page that it asks about, which
///   is why a count of zero is refused.
///
/// # Examples
///
/// ```
/// use pinfold::{PageFlags, PageLike};
///
/// struct Frame {
///     flags: PageFlags,
///     refs: i32,
///     maps: u32,
/// }
///
/// impl PageLike for Frame {
///     fn flags(&self) -> PageFlags {
///         self.flags
///     }
///     fn ref_count(&self) -> i32 {
///         self.refs
///     }
///     fn map_count(&self) -> u32 {
///         self.maps
///     }
/// }
///
/// let frame = Frame { flags: PageFlags::ANON | PageFlags::SWAP_BACKED, refs: 2, maps: 1 };
/// let explained = frame.explained_refs(frame.flags(), frame.map_count());
/// assert_eq!(explained, 2, "its mapping's, and the caller's own");
/// ```
pub trait PageLike {
    /// The state of the page.
    fn flags(&self) -> PageFlags;

    /// The reference count, pins included where they are counted in it
    /// ([`PIN_BIAS`](crate::pin::PIN_BIAS) each).
    ///
    /// Signed as in Linux; an overflowed count is negative and reads as pinned.
    fn ref_count(&self) -> i32;

    /// How many page-table entries map the page, over all VMAs.
    fn map_count(&self) -> u32;

    /// The exact count of pins, where the representation keeps one: then only this count is asked.
    ///
    /// Linux 5.8 keeps one for pages of more than two base pages (`hpage_pincount_available`), Linux
    /// since 5.18 for all large folios. The default is `None`: pins are read out of the reference
    /// count.
    fn exact_pins(&self) -> Option<PinCount> {
        None
    }

    /// How many of the pins are long-term (`FOLL_LONGTERM`), where that is known.
    ///
    /// The default is what [`exact_pins`](Self::exact_pins) knows.
    fn longterm_pins(&self) -> Option<u32> {
        self.exact_pins().and_then(|pins| pins.longterm)
    }

    /// How many base pages the page covers.
    fn base_pages(&self) -> u32 {
        1
    }

    /// The size of a base page as a power of two, in bytes: 12 for 4 KiB.
    fn base_shift(&self) -> u32 {
        12
    }

    /// The size of the page in bytes; saturates.
    fn size(&self) -> u64 {
        let base = 1u64.checked_shl(self.base_shift()).unwrap_or(u64::MAX);
        base.saturating_mul(u64::from(self.base_pages()))
    }

    /// How many references a page in the state `flags` with `maps` mappings explains: one for each
    /// mapping, one for each base page in the page cache or the swap cache, one for private data,
    /// and the caller's own. Saturates.
    ///
    /// Linux counts the same ones where it must know that nobody else holds a page
    /// (`expected_page_refs` in `mm/migrate.c`, `is_page_cache_freeable` in `mm/vmscan.c`, 5.8).
    fn explained_refs(&self, flags: PageFlags, maps: u32) -> u32 {
        let cached = flags.intersects(PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE));
        let cache = if cached { self.base_pages() } else { 0 };
        let private = u32::from(flags.contains(PageFlags::PRIVATE));
        // What is constant for most representations first: then only one addition can saturate.
        let others = cache.saturating_add(private).saturating_add(1);
        maps.saturating_add(others)
    }

    /// The state of the page and its reference count, in as few loads as the representation needs:
    /// the first thing that the crate asks of every page.
    ///
    /// The default asks for one after the other and leaves the mappings out. A representation that
    /// holds all three in one word overrides this with a single load: its refined reading is exact
    /// then, whatever moves.
    #[inline]
    fn snapshot(&self) -> PageSnapshot {
        PageSnapshot {
            flags: self.flags(),
            refs: self.ref_count(),
            maps: None,
        }
    }
}

/// One look at a page, as [`PageLike::snapshot`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageSnapshot {
    /// The state of the page.
    pub flags: PageFlags,
    /// The reference count, pins included.
    pub refs: i32,
    /// How many entries map the page, but only if all three were read at one instant.
    pub maps: Option<u32>,
}

/// As Linux compares a reference count: an overflowed one is a very high one.
#[inline]
pub(crate) const fn unsigned(refs: i32) -> u32 {
    u32::from_ne_bytes(refs.to_ne_bytes())
}

macro_rules! forward_page {
    ($($reference:ty),*) => {$(
        impl<P: PageLike + ?Sized> PageLike for $reference {
            fn flags(&self) -> PageFlags {
                (**self).flags()
            }
            fn ref_count(&self) -> i32 {
                (**self).ref_count()
            }
            fn map_count(&self) -> u32 {
                (**self).map_count()
            }
            fn exact_pins(&self) -> Option<PinCount> {
                (**self).exact_pins()
            }
            fn longterm_pins(&self) -> Option<u32> {
                (**self).longterm_pins()
            }
            fn base_pages(&self) -> u32 {
                (**self).base_pages()
            }
            fn base_shift(&self) -> u32 {
                (**self).base_shift()
            }
            fn size(&self) -> u64 {
                (**self).size()
            }
            fn explained_refs(&self, flags: PageFlags, maps: u32) -> u32 {
                (**self).explained_refs(flags, maps)
            }
            fn snapshot(&self) -> PageSnapshot {
                (**self).snapshot()
            }
        }
    )*};
}

forward_page!(&P, &mut P);

/// The obvious [`PageLike`]: plain fields, for simulators and examples that own their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlainPage {
    /// The state of the page.
    pub flags: PageFlags,
    /// The reference count, pins included.
    pub refs: i32,
    /// Mappings of the page.
    pub maps: u32,
    /// The exact count of pins, if one is kept.
    pub pins: Option<PinCount>,
    /// How many base pages the page covers.
    pub base_pages: u32,
}

impl PageLike for PlainPage {
    fn flags(&self) -> PageFlags {
        self.flags
    }

    fn ref_count(&self) -> i32 {
        self.refs
    }

    fn map_count(&self) -> u32 {
        self.maps
    }

    fn exact_pins(&self) -> Option<PinCount> {
        self.pins
    }

    fn base_pages(&self) -> u32 {
        self.base_pages
    }
}
