//! Reading pins out of a page: the raw heuristic, and the refined one without its false positives.

use super::{PIN_BIAS, Pins};
use crate::page::{PageLike, PageSnapshot, unsigned};

/// A way of reading the pins of a page.
///
/// # Contract
///
/// A reading never answers [`Pins::None`] for a page that was pinned during all of it, from the
/// snapshot on. The converse is not asked: an answer of [`Pins::Maybe`] may be wrong.
pub trait PinReading {
    /// Reads the pins of `page`, of which `seen` is a snapshot that was just taken, without
    /// touching it.
    fn read_with<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> Pins;

    /// Reads the pins of `page`, without touching it.
    #[inline]
    fn read<P: PageLike + ?Sized>(page: &P) -> Pins {
        Self::read_with(page, page.snapshot())
    }

    /// What one cheap look has to say for a pin: 0 is as certain as [`Pins::None`], anything else
    /// says nothing yet. For going over many pages, most of which are not pinned: the evidence of
    /// several, or-ed together, is 0 only if that of each is.
    #[inline]
    fn evidence<P: PageLike + ?Sized>(page: &P) -> u32 {
        u32::from(Self::read(page).maybe_pinned())
    }
}

/// Linux's heuristic: any page with 1024 references or more may be pinned.
///
/// `page_maybe_dma_pinned` (`include/linux/mm.h`, 5.8): a page with an exact count is asked for that
/// count alone; otherwise the reference count is compared *unsigned*, so that an overflowed,
/// negative count still reads as pinned.
///
/// "No" is certain. "Yes" is wrong for every page that 1024 ordinary references hold, such as the
/// text of a C library, and for every large page that keeps no exact count: 512 mappings and 512
/// references of the cache are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Biased;

impl PinReading for Biased {
    #[inline]
    fn read_with<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> Pins {
        if let Some(count) = page.exact_pins() {
            return Pins::exactly(count);
        }
        maybe(page, unsigned(seen.refs) / PIN_BIAS)
    }

    #[inline]
    fn evidence<P: PageLike + ?Sized>(page: &P) -> u32 {
        biases(page)
    }
}

/// The refined reading: references that the page's own state explains are subtracted first.
///
/// Mappings, the page or swap cache, private data and the caller's own reference
/// ([`PageLike::explained_refs`]) are no pins, however many there are, so a page that is mapped by
/// ten thousand processes reads as not pinned. Pins come in steps of [`PIN_BIAS`]; what is left is
/// rounded at half a step.
///
/// # Large pages
///
/// A page of more than one base page is refined only if its [`PageLike::snapshot`] holds the
/// mappings. Otherwise it reads as [`Biased`] reads it, since its cache holds one reference for
/// each base page, and all of them go or come with one flag. It should keep an
/// [exact count](PageLike::exact_pins), as every large folio does since Linux 5.18.
///
/// # No false negatives
///
/// "None" is certain below 1024 references, whatever moves, and for a page whose snapshot holds the
/// mappings. For other pages let a pin be held throughout the reading. The
/// [contract](PageLike#contract) keeps `refs >= explained + 1024` true at every instant, so at the
/// instant when the references are read the result is at least 1024, less the amount by which the
/// subtracted number exceeds the true one. The subtracted number is the smaller of two, one read
/// before and one after. The answer is "none" only if both are too large by more than 512: more than
/// 512 explained references must have gone between the first read and the second, *and* more than
/// 512 must have come between the second and the third. A mapping counts for one of them, and so do
/// the cache and private data of a single base page.
///
/// The loom models in `tests/loom/reading.rs` show that the bound is tight: with 512 gone or 512
/// come no pin is missed, with 513 gone and 513 come one is. They also show that reading the
/// mappings only once fails at half the moves. Two separate counters cannot be read without such a
/// bound, however often each is read. A representation that keeps both in one word has none: its
/// [`PageLike::snapshot`] is one load, and holds the mappings.
///
/// Only the cost of a hint depends on the bound: the pins are asked again after the entry is
/// cleared, and a page is freed only by a freeze at its exact count, which a pinned page never has.
///
/// # False positives
///
/// While nothing moves, only from 512 references on that nothing explains, and for a large page as
/// in [`Biased`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Refined;

impl PinReading for Refined {
    #[inline(always)]
    fn read_with<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> Pins {
        if let Some(count) = page.exact_pins() {
            return Pins::exactly(count);
        }
        if unsigned(seen.refs) < PIN_BIAS {
            return Pins::None;
        }
        maybe(page, estimate_of(page, seen))
    }

    #[inline]
    fn evidence<P: PageLike + ?Sized>(page: &P) -> u32 {
        biases(page)
    }
}

impl Refined {
    /// The reference count of a page of which `seen` is a snapshot, and how many of the references
    /// its state explains.
    ///
    /// A snapshot that holds the mappings is enough. Otherwise the counters may move while they are
    /// read: the explained references are read before and after the reference count, and the
    /// smaller number is used, so that mappings that go or come meanwhile do not explain too much.
    ///
    /// A page of more than one base page is not read that way: when it enters or leaves a cache,
    /// all references of that cache move with one flag. Unless its snapshot holds the mappings, no
    /// reference is explained, and the page reads as pinned from 1024 references on. Such a page
    /// should keep an [exact count](PageLike::exact_pins), as every large folio does since Linux
    /// 5.18.
    #[must_use]
    #[inline(always)]
    pub fn counts<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> (i32, u32) {
        if let Some(maps) = seen.maps {
            return (seen.refs, page.explained_refs(seen.flags, maps));
        }
        if page.base_pages() > 1 {
            return (seen.refs, 0);
        }
        let before = page.explained_refs(seen.flags, page.map_count());
        let refs = page.ref_count();
        let after = page.explained_refs(page.flags(), page.map_count());
        (refs, before.min(after))
    }

    /// How many pins of `BIAS` references each a reference count stands for, once the explained
    /// references are subtracted, rounded at half the bias.
    ///
    /// Pure, and generic over the bias so that models can explore a small one. An overflowed count,
    /// or one with more explained references than references (it moved too much to be trusted), is
    /// not refined: it reads as Linux reads it.
    #[must_use]
    #[inline]
    #[allow(clippy::arithmetic_side_effects)] // BIAS is not 0: asserted at compile time
    pub const fn estimate<const BIAS: u32>(refs: i32, explained: u32) -> u32 {
        const { assert!(BIAS >= 2) };
        let all = unsigned(refs);
        match all.checked_sub(explained) {
            // No more than i32::MAX and half of u32::MAX: it cannot wrap.
            Some(unexplained) if refs >= 0 => unexplained.wrapping_add(BIAS / 2) / BIAS,
            _ => all / BIAS,
        }
    }
}

#[inline(always)]
fn estimate_of<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> u32 {
    let (refs, explained) = Refined::counts(page, seen);
    Refined::estimate::<PIN_BIAS>(refs, explained)
}

/// The exact pins, or how many the references are enough for.
#[inline]
fn biases<P: PageLike + ?Sized>(page: &P) -> u32 {
    match page.exact_pins() {
        Some(count) => count.total,
        None => unsigned(page.ref_count()) / PIN_BIAS,
    }
}

#[inline]
fn maybe<P: PageLike + ?Sized>(page: &P, estimate: u32) -> Pins {
    if estimate == 0 {
        return Pins::None;
    }
    Pins::Maybe {
        estimate,
        longterm: page.longterm_pins(),
    }
}
