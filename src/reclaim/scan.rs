//! The loop over the lists: from the gentlest priority to the hardest, in batches, until the target
//! is met; and the budgeted step.

use super::active::age_page;
use super::fate::shrink_page;
use super::lists::Release;
use super::lists::{Lists, Lru};
use super::park::ParkPolicy;
use super::stats::Stats;
use super::{Fate, KeepReason, ScanControl};
use crate::page::PageLike;
use crate::policy::{Context, PinPolicy};
use crate::unmap::FlushDebt;

/// How many pages are isolated at a time (`SWAP_CLUSTER_MAX`, `include/linux/swap.h`, 5.8).
pub const SWAP_CLUSTER_MAX: usize = 32;

/// A pass over the lists for a number of pages: priorities 12 to 0, batches of 32.
///
/// At each priority a list is scanned for its length shifted right by it. [`run`](Self::run) goes
/// to the end; [`step`](Self::step) does a bounded part and can be called again.
///
/// Where the node is nearly out of file pages and anonymous ones are left to scan, only these are,
/// as in Linux (`file_is_tiny`, `get_scan_count`). Pinned pages do not count as left to scan: parked
/// ones are on no list, and a list on which everything was pinned, one after the other, is done
/// with for the rest of the pass.
#[derive(Debug)]
pub struct LruScan {
    target: u64,
    others: u64,
    priority: u8,
    plan: Option<[u64; 4]>,
    pinned_in_a_row: [u64; 4],
    all_pinned: [bool; 4],
    stats: Stats,
    flush: FlushDebt,
    errors: u64,
}

/// How a pass, or a step of one, ended.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// The budget is used up; there is more to scan.
    More,
    /// The target is met.
    Reached,
    /// Everything was scanned at the hardest priority, and the target is not met.
    Exhausted,
}

impl LruScan {
    /// A pass for `target` base pages.
    #[must_use]
    pub fn new(target: u64) -> Self {
        Self {
            target,
            others: 0,
            priority: Context::DEF_PRIORITY,
            plan: None,
            pinned_in_a_row: [0; 4],
            all_pinned: [false; 4],
            stats: Stats::default(),
            flush: FlushDebt::none(),
            errors: 0,
        }
    }

    /// The target in base pages.
    #[must_use]
    pub const fn target(&self) -> u64 {
        self.target
    }

    /// Base pages that came back so far, from the lists and from others.
    #[must_use]
    pub const fn reclaimed(&self) -> u64 {
        self.stats.reclaimed().saturating_add(self.others)
    }

    /// The priority that the pass has come to.
    #[must_use]
    pub const fn priority(&self) -> u8 {
        self.priority
    }

    /// What it did so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many operations of the embedder's failed. Their pages are on their lists.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors
    }

    /// The TLB flushes that are owed, because flushing failed; the next batch tries again. Pages
    /// were handed out as [`Release::AfterFlush`].
    pub const fn flush_debt(&self) -> &FlushDebt {
        &self.flush
    }

    /// Whether everything on a list was met in a row and was pinned.
    #[must_use]
    pub fn is_all_pinned(&self, list: Lru) -> bool {
        self.all_pinned.get(list.index()).copied().unwrap_or(false)
    }

    /// Scans to the end.
    ///
    /// Bounded: at each of the 13 priorities no list is scanned for more pages than it had when
    /// that priority began.
    pub fn run<B, L, K>(&mut self, lists: &mut B, control: &ScanControl<L, K>) -> Progress
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        loop {
            match self.step(lists, control, u32::MAX) {
                Progress::More => {}
                end => return end,
            }
        }
    }

    /// Scans at most `budget` pages more (one at least; a huge page counts as one).
    pub fn step<B, L, K>(
        &mut self,
        lists: &mut B,
        control: &ScanControl<L, K>,
        budget: u32,
    ) -> Progress
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        let mut budget = budget.max(1);
        while budget > 0 {
            if self.reclaimed() >= self.target {
                return Progress::Reached;
            }
            let plan = match self.plan {
                Some(plan) => plan,
                None => self.make_plan(lists),
            };
            self.plan = Some(plan);
            let next = Lru::ALL
                .into_iter()
                .find(|list| plan.get(list.index()).is_some_and(|&left| left > 0));
            match next {
                Some(list) => {
                    let looked_at = self.batch(list, lists, control, budget);
                    budget = budget.saturating_sub(looked_at.max(1));
                }
                None => {
                    let others = lists.shrink_others(self.priority);
                    self.others = self.others.saturating_add(others);
                    self.plan = None;
                    match self.priority.checked_sub(1) {
                        Some(harder) => self.priority = harder,
                        None if self.reclaimed() >= self.target => return Progress::Reached,
                        None => {
                            self.plan = Some([0; 4]);
                            return Progress::Exhausted;
                        }
                    }
                }
            }
        }
        if self.reclaimed() >= self.target {
            Progress::Reached
        } else {
            Progress::More
        }
    }

    /// How many base pages of each list are scanned at this priority.
    fn make_plan<B: Lists>(&self, lists: &B) -> [u64; 4] {
        let left = |list: Lru| {
            if self.is_all_pinned(list) {
                0
            } else {
                lists.pages(list)
            }
        };
        let share = |pages: u64| pages.checked_shr(u32::from(self.priority)).unwrap_or(0);
        let file = left(Lru::InactiveFile).saturating_add(left(Lru::ActiveFile));
        let mark = lists.watermark();
        let file_is_tiny = file.saturating_add(mark.free) <= mark.high;
        let anon_only = lists.has_swap() && file_is_tiny && share(left(Lru::InactiveAnon)) > 0;
        Lru::ALL.map(|list| {
            let scanned = if list.is_file() {
                !anon_only
            } else {
                lists.has_swap()
            };
            let ages = match list {
                Lru::ActiveAnon => left(Lru::InactiveAnon) < left(list),
                Lru::ActiveFile => left(Lru::InactiveFile) < left(list),
                Lru::InactiveAnon | Lru::InactiveFile => true,
            };
            if scanned && ages {
                share(left(list))
            } else {
                0
            }
        })
    }

    /// Scans one batch of a list; returns how many pages it looked at.
    fn batch<B, L, K>(
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
            if looked_at >= budget || self.left(list) == 0 {
                break;
            }
            let Some(page) = lists.take(list) else {
                self.end(list);
                break;
            };
            looked_at = looked_at.saturating_add(1);
            self.spend(list, page.base_pages());
            if list.is_active() {
                self.age(list, page, lists, control);
            } else {
                *slot = self.shrink(list, page, lists, control);
            }
        }
        self.release(freed, lists);
        looked_at
    }

    fn age<B, L, K>(&mut self, list: Lru, page: B::Page, lists: &mut B, control: &ScanControl<L, K>)
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        if age_page(list, page, control, lists, &mut self.stats).is_err() {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// One page of an inactive list; hands it back if it was freed.
    fn shrink<B, L, K>(
        &mut self,
        list: Lru,
        page: B::Page,
        lists: &mut B,
        control: &ScanControl<L, K>,
    ) -> Option<B::Page>
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        let pages = page.base_pages();
        let fate = match shrink_page(&page, control, lists, &mut self.flush, &mut self.stats) {
            Ok(fate) => fate,
            Err(_) => {
                self.errors = self.errors.saturating_add(1);
                Fate::Kept(KeepReason::Failed)
            }
        };
        let pinned = matches!(fate, Fate::Parked(_) | Fate::Kept(KeepReason::Pinned(_)));
        match fate {
            Fate::Freed => {
                self.met(list, pinned, pages, lists);
                return Some(page);
            }
            Fate::Raced => {}
            Fate::Kept(_) => lists.put(list, page),
            Fate::Activated(_) => lists.put(Lru::of(page.flags()), page),
            Fate::Parked(pins) => {
                if let Err(page) = lists.park(page, pins) {
                    self.stats.not_parked(pins, pages);
                    lists.put(list, page);
                }
            }
        }
        self.met(list, pinned, pages, lists);
        None
    }

    /// Ends the scan of a list on which everything is pinned.
    fn met<B: Lists>(&mut self, list: Lru, pinned: bool, pages: u32, lists: &B) {
        let Some(row) = self.pinned_in_a_row.get_mut(list.index()) else {
            return;
        };
        *row = if pinned {
            row.saturating_add(u64::from(pages))
        } else {
            0
        };
        if pinned && *row >= lists.pages(list) {
            if let Some(all) = self.all_pinned.get_mut(list.index()) {
                *all = true;
            }
            self.end(list);
        }
    }

    /// Gives freed pages back, once the TLB is flushed.
    fn release<B: Lists>(&mut self, freed: [Option<B::Page>; SWAP_CLUSTER_MAX], lists: &mut B) {
        let debt = core::mem::replace(&mut self.flush, FlushDebt::none());
        let release = match debt.flush(|| lists.flush_tlb()) {
            Ok(()) => Release::Now,
            Err((debt, _)) => {
                self.flush = debt;
                self.errors = self.errors.saturating_add(1);
                Release::AfterFlush
            }
        };
        for page in freed.into_iter().flatten() {
            lists.free(page, release);
        }
    }

    fn left(&self, list: Lru) -> u64 {
        self.plan
            .and_then(|plan| plan.get(list.index()).copied())
            .unwrap_or(0)
    }

    fn spend(&mut self, list: Lru, pages: u32) {
        if let Some(left) = self.plan.as_mut().and_then(|p| p.get_mut(list.index())) {
            *left = left.saturating_sub(u64::from(pages));
        }
    }

    fn end(&mut self, list: Lru) {
        self.spend(list, u32::MAX);
    }
}
