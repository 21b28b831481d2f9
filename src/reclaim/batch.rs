//! A batch of pages between their list and their fates: unmapped one by one, flushed together.

use super::fate::{FirstHalf, Shared, State, Unmapped, pin_hint};
use super::lap::Met;
use super::lists::{Lists, Lru};
use super::stats::Stats;
use super::{Fate, KeepReason, ScanControl};
use crate::page::PageLike;
use crate::policy::PinPolicy;
use crate::unmap::FlushDebt;

/// How many pages are isolated at a time (`SWAP_CLUSTER_MAX`, `include/linux/swap.h`, 5.8).
pub(super) const SWAP_CLUSTER_MAX: usize = 32;

/// The pages of a batch that are unmapped and locked, and the flushes that are owed for them.
pub(super) struct Batch<P> {
    unmapped: [Option<(P, State, Unmapped)>; SWAP_CLUSTER_MAX],
    len: usize,
    /// Base pages that are unmapped.
    pages: u64,
    /// Base pages that were unmapped, and are on the list again because of their pins.
    pinned: u64,
    list: Lru,
    debt: FlushDebt,
    write_room: u32,
}

impl<P: PageLike> Batch<P> {
    pub(super) fn new<B: Lists<Page = P>>(list: Lru, lists: &mut B) -> Self {
        Self {
            unmapped: [const { None }; SWAP_CLUSTER_MAX],
            len: 0,
            pages: 0,
            pinned: 0,
            list,
            debt: FlushDebt::none(),
            write_room: lists.write_room(),
        }
    }

    /// Base pages that are unmapped: the most that finishing the batch frees.
    pub(super) const fn pages(&self) -> u64 {
        self.pages
    }

    /// Unmaps a page that was taken off the list, or puts it where its fate says.
    pub(super) fn add<B, L>(
        &mut self,
        page: P,
        control: &ScanControl<L>,
        lists: &mut B,
        stats: &mut Stats,
    ) -> Met
    where
        B: Lists<Page = P>,
        L: PinPolicy,
    {
        if self.len >= SWAP_CLUSTER_MAX {
            self.finish_unmapped(control, lists, stats);
        }
        let mut state = State::new(&page);
        loop {
            let mut shared = Shared {
                control,
                debt: &mut self.debt,
                stats,
                write_room: self.write_room,
            };
            let half = state.on(&page, &mut shared, lists).first_half();
            self.write_room = shared.write_room;
            match half {
                FirstHalf::Ended(fate) => {
                    let pinned = settle(self.list, page, state, fate, control, lists, stats);
                    let pages = state.pages;
                    return Met { pages, pinned };
                }
                FirstHalf::Wait => {
                    // No page may be locked meanwhile: its writer may need the lock.
                    self.finish_unmapped(control, lists, stats);
                    lists.wait_for_writeback(&page);
                }
                FirstHalf::Unmapped(unmapped) => {
                    let pages = state.pages;
                    self.pages = self.pages.saturating_add(u64::from(pages));
                    if let Some(slot) = self.unmapped.get_mut(self.len) {
                        *slot = Some((page, state, unmapped));
                        self.len = self.len.saturating_add(1);
                    }
                    return Met {
                        pages,
                        pinned: false,
                    };
                }
            }
        }
    }

    /// Flushes the TLB once, and brings each unmapped page to its fate. Returns how many base pages
    /// of the batch were unmapped and are on the list again because of their pins.
    pub(super) fn finish<B, L>(
        mut self,
        control: &ScanControl<L>,
        lists: &mut B,
        stats: &mut Stats,
    ) -> u64
    where
        B: Lists<Page = P>,
        L: PinPolicy,
    {
        self.finish_unmapped(control, lists, stats);
        self.pinned
    }

    fn finish_unmapped<B, L>(&mut self, control: &ScanControl<L>, lists: &mut B, stats: &mut Stats)
    where
        B: Lists<Page = P>,
        L: PinPolicy,
    {
        // Also where every page was kept: entries of theirs may be gone.
        self.debt.flush(|| lists.flush_tlb());
        if self.len == 0 {
            return;
        }
        for slot in &mut self.unmapped {
            let Some((page, mut state, unmapped)) = slot.take() else {
                break;
            };
            let mut shared = Shared {
                control,
                debt: &mut self.debt,
                stats,
                write_room: self.write_room,
            };
            let fate = state.on(&page, &mut shared, lists).second_half(unmapped);
            self.write_room = shared.write_room;
            if settle(self.list, page, state, fate, control, lists, stats) {
                self.pinned = self.pinned.saturating_add(u64::from(state.pages));
            }
        }
        lists.submit();
        self.len = 0;
        self.pages = 0;
    }
}

/// Puts a page where its fate says and counts it; returns whether it is pinned and on its list again.
fn settle<B, L>(
    list: Lru,
    page: B::Page,
    state: State,
    fate: Fate,
    control: &ScanControl<L>,
    lists: &mut B,
    stats: &mut Stats,
) -> bool
where
    B: Lists,
    L: PinPolicy,
{
    let (fate, pinned) = match fate {
        Fate::Freed => {
            lists.free(page);
            (fate, false)
        }
        Fate::Raced => (fate, false),
        Fate::Parked(pins) => match lists.park(page, pins) {
            Ok(()) => (fate, false),
            Err(page) => {
                // It may be handed back because its last pin was dropped.
                let pinned = pin_hint(&page, control).is_some();
                lists.put(list, page);
                (Fate::Kept(KeepReason::Pinned(pins)), pinned)
            }
        },
        // By its flags: its kind may have changed.
        Fate::Kept(reason) => {
            lists.put(Lru::of(page.flags()), page);
            (fate, matches!(reason, KeepReason::Pinned(_)))
        }
        Fate::Activated(_) => {
            lists.put(Lru::of(page.flags()), page);
            (fate, false)
        }
    };
    state.count(fate, stats);
    pinned
}
