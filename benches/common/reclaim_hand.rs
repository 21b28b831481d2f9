//! The fate of a page, written by hand for one representation and one machine: what a good engineer
//! would write who needs the same decisions, counts and answers for it, and nothing generic.
//!
//! The machine has no swap, splits no huge page and releases no buffers, as our embedder's defaults
//! say; the decisions that lead there are made all the same.

use crate::common::lru::{Machine, Ref};
use pinfold::PageFlags;
use pinfold::reclaim::ScanFlags;

/// What the loop counts, as `reclaim::Stats` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scanned: u64,
    pub(crate) freed: u64,
    pub(crate) kept: u64,
    pub(crate) kept_for: [u64; 7],
    pub(crate) activated: u64,
    pub(crate) activated_for: [u64; 6],
    pub(crate) activate_anon: u64,
    pub(crate) activate_file: u64,
    pub(crate) dirty: u64,
    pub(crate) unqueued_dirty: u64,
    pub(crate) congested: u64,
    pub(crate) writeback: u64,
    pub(crate) immediate: u64,
    pub(crate) ref_keep: u64,
    pub(crate) parked: u64,
}

/// Why a page is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Pinned,
    Mapped,
    Referenced,
    Dirty,
    Held,
    NoMapping,
    Other,
}

/// Why a page is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activate {
    Unevictable,
    Writeback,
    Referenced,
    NoSwap,
    Dirty,
    Buffers,
}

/// A page's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Freed,
    Kept(Keep),
    Activated(Activate),
    Parked,
}

/// Decides, and counts what the page came to.
#[inline]
fn shrink_page(page: Ref<'_>, scan: ScanFlags, counts: &mut Counts) -> Fate {
    counts.scanned = counts.scanned.saturating_add(1);
    let fate = decide(page, scan, counts);
    match fate {
        Fate::Freed => counts.freed = counts.freed.saturating_add(1),
        Fate::Parked => counts.parked = counts.parked.saturating_add(1),
        Fate::Kept(why) => {
            counts.kept = counts.kept.saturating_add(1);
            let n = &mut counts.kept_for[why as usize];
            *n = n.saturating_add(1);
        }
        Fate::Activated(why) => {
            let flags = page.page.flags.get();
            page.page.flags.set(flags | PageFlags::ACTIVE);
            let by_kind = if flags.contains(PageFlags::SWAP_BACKED) {
                &mut counts.activate_anon
            } else {
                &mut counts.activate_file
            };
            *by_kind = by_kind.saturating_add(1);
            counts.activated = counts.activated.saturating_add(1);
            let n = &mut counts.activated_for[why as usize];
            *n = n.saturating_add(1);
        }
    }
    fate
}

#[inline]
fn pins_of(page: Ref<'_>) -> Option<Fate> {
    let pins = page.page.word.snapshot().pins;
    if pins.total == 0 {
        return None;
    }
    Some(match pins.longterm {
        Some(longterm) if longterm > 0 => Fate::Parked,
        _ => Fate::Kept(Keep::Pinned),
    })
}

#[inline]
fn decide(page: Ref<'_>, scan: ScanFlags, counts: &mut Counts) -> Fate {
    let mut flags = page.page.flags.get();
    if !scan.contains(ScanFlags::NO_PIN_HINT) && !flags.contains(PageFlags::HWPOISON) {
        if let Some(fate) = pins_of(page) {
            return fate;
        }
    }
    if flags.contains(PageFlags::UNEVICTABLE) {
        return Fate::Activated(Activate::Unevictable);
    }
    let mapped = page.page.maps.get() > 0;
    if mapped && !scan.contains(ScanFlags::MAY_UNMAP) {
        return Fate::Kept(Keep::Mapped);
    }
    let may_enter_fs = scan.contains(ScanFlags::FS)
        || flags.contains(PageFlags::SWAP_CACHE) && scan.contains(ScanFlags::IO);
    let counted = !flags.intersects(PageFlags::ANON | PageFlags::SWAP_BACKED);
    let dirty = counted && flags.contains(PageFlags::DIRTY);
    let writeback = counted && flags.contains(PageFlags::WRITEBACK);
    if dirty || writeback {
        counts.dirty = counts.dirty.saturating_add(1);
    }
    if dirty && !writeback {
        counts.unqueued_dirty = counts.unqueued_dirty.saturating_add(1);
    }
    if writeback && flags.contains(PageFlags::RECLAIM) {
        counts.congested = counts.congested.saturating_add(1);
    }
    if flags.contains(PageFlags::WRITEBACK) {
        let overrun = ScanFlags::BACKGROUND | ScanFlags::NODE_WRITEBACK;
        if flags.contains(PageFlags::RECLAIM) && scan.contains(overrun) {
            counts.immediate = counts.immediate.saturating_add(1);
        } else {
            page.page.flags.set(flags | PageFlags::RECLAIM);
            counts.writeback = counts.writeback.saturating_add(1);
        }
        return Fate::Activated(Activate::Writeback);
    }
    let mut if_clean = false;
    if !scan.contains(ScanFlags::IGNORE_REFERENCES) {
        let young = page.page.young.get();
        let marked = flags.contains(PageFlags::REFERENCED);
        let swap_backed = flags.contains(PageFlags::SWAP_BACKED);
        let mark = young > 0 && !swap_backed;
        if mark != marked {
            flags.set(PageFlags::REFERENCED, mark);
            page.page.flags.set(flags);
        }
        if young > 0 {
            if swap_backed || marked || young > 1 {
                return Fate::Activated(Activate::Referenced);
            }
            counts.ref_keep = counts.ref_keep.saturating_add(1);
            return Fate::Kept(Keep::Referenced);
        }
        if_clean = marked && !swap_backed;
    }
    if flags.contains(PageFlags::ANON | PageFlags::SWAP_BACKED) {
        if !flags.contains(PageFlags::SWAP_CACHE) {
            return if scan.contains(ScanFlags::IO) {
                Fate::Activated(Activate::NoSwap)
            } else {
                Fate::Kept(Keep::Other)
            };
        }
    } else if flags.contains(PageFlags::THP) {
        return Fate::Kept(Keep::Other);
    }
    if mapped {
        page.page.maps.set(0);
    }
    // The answer, after unmapping.
    if let Some(fate) = pins_of(page) {
        return fate;
    }
    let flags = page.page.flags.get();
    if flags.contains(PageFlags::DIRTY) {
        let overrun = flags.contains(PageFlags::RECLAIM)
            && scan.contains(ScanFlags::BACKGROUND | ScanFlags::NODE_DIRTY);
        if !flags.contains(PageFlags::SWAP_BACKED) && !overrun {
            page.page.flags.set(flags | PageFlags::RECLAIM);
            return Fate::Activated(Activate::Dirty);
        }
        if if_clean || !may_enter_fs || !scan.contains(ScanFlags::MAY_WRITE) {
            return Fate::Kept(Keep::Dirty);
        }
        return Fate::Kept(Keep::Other);
    }
    if flags.contains(PageFlags::PRIVATE) {
        return Fate::Activated(Activate::Buffers);
    }
    let lazyfree = flags.contains(PageFlags::ANON) && !flags.contains(PageFlags::SWAP_BACKED);
    if !lazyfree && !flags.intersects(PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE) {
        return Fate::Kept(Keep::NoMapping);
    }
    if page.page.word.block().is_err() {
        return Fate::Kept(Keep::Held);
    }
    Fate::Freed
}

/// The loop over all pages of the machine's array, in order; what they came to, and the sum of
/// their fates.
#[inline(never)]
pub(crate) fn shrink_all(machine: &Machine<'_>, scan: ScanFlags) -> (Counts, u64) {
    let mut counts = Counts::default();
    let mut fates = 0;
    for index in 0..machine.pages.len() {
        let fate = shrink_page(machine.page(index as u32), scan, &mut counts);
        fates += match fate {
            Fate::Freed => 1,
            Fate::Kept(_) => 2,
            Fate::Activated(_) => 4,
            Fate::Parked => 8,
        };
    }
    (counts, fates)
}
