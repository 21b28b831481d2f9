//! The fate of a file page, written by hand for one representation: what a good engineer would
//! write who needs the same decisions, counts and answers, and nothing generic.

use crate::common::lru::{Machine, Ref};
use pinfold::PageFlags;

/// What the loop counts, as `reclaim::Stats` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scanned: u64,
    pub(crate) freed: u64,
    pub(crate) kept: u64,
    pub(crate) kept_pinned: u64,
    pub(crate) kept_referenced: u64,
    pub(crate) kept_held: u64,
    pub(crate) activated: u64,
    pub(crate) activated_referenced: u64,
    pub(crate) activated_dirty: u64,
    pub(crate) dirty: u64,
    pub(crate) unqueued_dirty: u64,
    pub(crate) writeback: u64,
    pub(crate) parked: u64,
}

/// A page's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Freed,
    Kept,
    Activated,
    Parked,
}

/// The direct reclaimer's decisions for one page, with the default policies.
#[inline]
pub(crate) fn shrink_page(page: Ref<'_>, may_unmap: bool, counts: &mut Counts) -> Fate {
    counts.scanned += 1;
    let pins = page.page.word.snapshot().pins;
    if pins.total > 0 {
        if pins.longterm.is_some_and(|longterm| longterm > 0) {
            counts.parked += 1;
            return Fate::Parked;
        }
        return kept_pinned(counts);
    }
    let flags = page.page.flags.get();
    if flags.contains(PageFlags::UNEVICTABLE) {
        return activated(page, counts);
    }
    if page.page.maps.get() > 0 && !may_unmap {
        counts.kept += 1;
        return Fate::Kept;
    }
    let file = !flags.intersects(PageFlags::ANON | PageFlags::SWAP_BACKED);
    let (dirty, writeback) = (
        file && flags.contains(PageFlags::DIRTY),
        file && flags.contains(PageFlags::WRITEBACK),
    );
    counts.dirty += u64::from(dirty || writeback);
    counts.unqueued_dirty += u64::from(dirty && !writeback);
    if flags.contains(PageFlags::WRITEBACK) {
        page.page.flags.set(flags | PageFlags::RECLAIM);
        counts.writeback += 1;
        return activated(page, counts);
    }
    let young = page.page.young.get();
    let marked = flags.contains(PageFlags::REFERENCED);
    if young > 0 {
        page.page.flags.set(flags | PageFlags::REFERENCED);
        if marked || young > 1 {
            counts.activated_referenced += 1;
            return activated(page, counts);
        }
        counts.kept += 1;
        counts.kept_referenced += 1;
        return Fate::Kept;
    }
    if marked {
        page.page.flags.set(flags - PageFlags::REFERENCED);
    }
    if page.page.maps.get() > 0 {
        page.page.maps.set(0);
    }
    // The answer, after unmapping.
    if page.page.word.snapshot().pins.total > 0 {
        return kept_pinned(counts);
    }
    let flags = page.page.flags.get();
    if flags.contains(PageFlags::DIRTY) {
        page.page.flags.set(flags | PageFlags::RECLAIM);
        counts.activated_dirty += 1;
        return activated(page, counts);
    }
    if page.page.word.block().is_err() {
        counts.kept += 1;
        counts.kept_held += 1;
        return Fate::Kept;
    }
    counts.freed += 1;
    Fate::Freed
}

#[cold]
fn kept_pinned(counts: &mut Counts) -> Fate {
    counts.kept += 1;
    counts.kept_pinned += 1;
    Fate::Kept
}

#[inline]
fn activated(page: Ref<'_>, counts: &mut Counts) -> Fate {
    page.page
        .flags
        .set(page.page.flags.get() | PageFlags::ACTIVE);
    counts.activated += 1;
    Fate::Activated
}

/// The loop over all pages of the machine's array, in order.
#[inline(never)]
pub(crate) fn shrink_all(machine: &Machine<'_>, may_unmap: bool) -> Counts {
    let mut counts = Counts::default();
    for index in 0..machine.pages.len() {
        let fate = shrink_page(machine.page(index as u32), may_unmap, &mut counts);
        core::hint::black_box(fate);
    }
    counts
}
