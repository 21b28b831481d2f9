//! One batch of a scan: its pages are taken off their list, one after the other, and put where they
//! belong.

use super::active::{Refill, age_page};
use super::fate::decide_page;
use super::lists::{Lists, Lru, Release};
use super::park::ParkPolicy;
use super::scan::{LruScan, SWAP_CLUSTER_MAX};
use super::{Fate, KeepReason, PageOp, ScanControl, ShrinkError};
use crate::page::PageLike;
use crate::pin::PinReading;
use crate::policy::PinPolicy;
use crate::unmap::FlushDebt;

/// What became of one page of an inactive list.
struct Shrunk<P> {
    /// Base pages that it counts for: one from its split on, since its tails are scanned by
    /// themselves.
    pages: u32,
    /// Whether it is pinned and still on the list.
    pinned: bool,
    /// The page, if it was freed.
    freed: Option<P>,
}

impl LruScan {
    /// Scans one batch of a list; returns how many pages it looked at.
    pub(super) fn batch<B, L, K>(
        &mut self,
        list: Lru,
        lists: &mut B,
        control: &ScanControl<L, K>,
        budget: u32,
    ) -> u32
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        let mut freed: [Option<B::Page>; SWAP_CLUSTER_MAX] = [const { None }; SWAP_CLUSTER_MAX];
        let mut looked_at: u32 = 0;
        for slot in &mut freed {
            let over = looked_at >= budget || self.turn.left == 0 || self.left(list) == 0;
            if over || self.reclaimed() >= self.target {
                break;
            }
            if let Some(lap) = self.laps.get_mut(list.index()) {
                if lap.is_over() {
                    lap.begin(lists.pages(list));
                }
            }
            let Some(page) = lists.take(list) else {
                self.end(list);
                break;
            };
            looked_at = looked_at.saturating_add(1);
            self.turn.left = self.turn.left.saturating_sub(1);
            let (pages, pinned) = if list.is_active() {
                (page.base_pages(), self.age(list, page, lists, control))
            } else {
                let shrunk = self.shrink(list, page, lists, control);
                *slot = shrunk.freed;
                (shrunk.pages, shrunk.pinned)
            };
            // A page without a size still counts, so that the scan ends.
            let pages = u64::from(pages.max(1));
            self.spend(list, pages);
            if let Some(lap) = self.laps.get_mut(list.index()) {
                lap.meet(pages, pinned);
            }
        }
        self.release(freed, lists);
        looked_at
    }

    /// One page of an active list; whether it is pinned and still on the list.
    fn age<B, L, K>(
        &mut self,
        list: Lru,
        page: B::Page,
        lists: &mut B,
        control: &ScanControl<L, K>,
    ) -> bool
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        match age_page(list, page, control, lists, &mut self.stats) {
            Ok(refill) => refill == Refill::Pinned,
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                lists.failed(None, error);
                false
            }
        }
    }

    /// One page of an inactive list.
    fn shrink<B, L, K>(
        &mut self,
        list: Lru,
        page: B::Page,
        lists: &mut B,
        control: &ScanControl<L, K>,
    ) -> Shrunk<B::Page>
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        let (decided, pages) = decide_page(&page, control, lists, &mut self.flush, &mut self.stats);
        let fate = match decided {
            Ok(fate) => fate,
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                lists.failed(Some(&page), error);
                Fate::Kept(KeepReason::Failed)
            }
        };
        let shrunk = |pinned, freed| Shrunk {
            pages,
            pinned,
            freed,
        };
        match fate {
            Fate::Freed => shrunk(false, Some(page)),
            Fate::Raced => shrunk(false, None),
            Fate::Parked(pins) => match lists.park(page, pins) {
                Ok(()) => {
                    self.stats.count(fate, pages);
                    shrunk(false, None)
                }
                Err(page) => {
                    let kept = Fate::Kept(KeepReason::Pinned(pins));
                    self.stats.count(kept, pages);
                    // Handed back because its last pin went, or because there is no parking?
                    let pinned = L::Reading::read(&page).maybe_pinned();
                    lists.put(list, page);
                    shrunk(pinned, None)
                }
            },
            // By its flags: what was done to it may have changed its kind.
            Fate::Kept(reason) => {
                lists.put(Lru::of(page.flags()), page);
                shrunk(matches!(reason, KeepReason::Pinned(_)), None)
            }
            Fate::Activated(_) => {
                lists.put(Lru::of(page.flags()), page);
                shrunk(false, None)
            }
        }
    }

    /// Gives freed pages back, once the TLB is flushed.
    fn release<B: Lists>(&mut self, freed: [Option<B::Page>; SWAP_CLUSTER_MAX], lists: &mut B) {
        let debt = core::mem::replace(&mut self.flush, FlushDebt::none());
        let release = match debt.flush(|| lists.flush_tlb()) {
            Ok(()) => Release::Now,
            Err((debt, source)) => {
                self.flush = debt;
                self.errors = self.errors.saturating_add(1);
                lists.failed(None, ShrinkError::op(PageOp::FlushTlb, source));
                Release::AfterFlush
            }
        };
        for page in freed.into_iter().flatten() {
            lists.free(page, release);
        }
    }
}
