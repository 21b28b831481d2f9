//! The loop over the lists: from the gentlest priority to the hardest, in batches, until the target
//! is met; and the budgeted step.

use super::active::{Refill, age_page};
use super::fate::shrink_page;
use super::lap::{Lap, Turn};
use super::lists::{Lists, Lru, Release};
use super::park::ParkPolicy;
use super::stats::Stats;
use super::{Fate, KeepReason, PageOp, ScanControl, ShrinkError};
use crate::debug::debug_fields;
use crate::page::PageLike;
use crate::pin::PinReading;
use crate::policy::{Context, PinPolicy};
use crate::unmap::FlushDebt;

/// How many pages are isolated at a time (`SWAP_CLUSTER_MAX`, `include/linux/swap.h`, 5.8).
pub const SWAP_CLUSTER_MAX: usize = 32;

/// A pass over the lists for a number of pages: priorities 12 to 0, batches of 32.
///
/// At each priority a list is scanned for its length shifted right by it, and the lists take turns,
/// a batch each. The pass ends with the page that meets its target. [`run`](Self::run) goes to the
/// end; [`step`](Self::step) does a bounded part and can be called again, and many small steps do
/// what one large one does.
///
/// Where the node is nearly out of file pages and anonymous ones are left to scan, only these are,
/// at all priorities but the hardest, as in Linux (`file_is_tiny`, `get_scan_count`). Pinned pages
/// do not count as left to scan: parked ones are on no list, those that were met on a list in its
/// latest lap are left out of its length, and a list on which a whole lap met nothing else is done
/// with until others come.
#[must_use = "a TLB flush may be owed when the pass is over"]
pub struct LruScan {
    target: u64,
    others: u64,
    priority: u8,
    plan: Option<[u64; 4]>,
    turn: Turn,
    laps: [Lap; 4],
    /// Lists on which a lap met nothing but pinned pages; whether that changes the plan.
    given_up: [bool; 4],
    replan: bool,
    exhausted: bool,
    stats: Stats,
    flush: FlushDebt,
    errors: u64,
}

debug_fields!(LruScan {
    target,
    others,
    priority,
    plan,
    turn,
    laps,
    given_up,
    replan,
    exhausted,
    stats,
    flush,
    errors,
});

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
    pub fn new(target: u64) -> Self {
        Self {
            target,
            others: 0,
            priority: Context::DEF_PRIORITY,
            plan: None,
            turn: Turn::NONE,
            laps: [Lap::default(); 4],
            given_up: [false; 4],
            replan: false,
            exhausted: false,
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

    /// How many operations of the embedder's failed; [`Lists::failed`] was told of each.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors
    }

    /// The TLB flushes that are owed, because flushing failed; the next batch tries again. Pages
    /// were handed out as [`Release::AfterFlush`].
    pub const fn flush_debt(&self) -> &FlushDebt {
        &self.flush
    }

    /// Takes over the TLB flushes that are owed: a pass that is over settles them no more.
    pub const fn take_flush_debt(&mut self) -> FlushDebt {
        core::mem::replace(&mut self.flush, FlushDebt::none())
    }

    /// How many base pages on a list were pinned, as the pass met them in its latest lap. Parked
    /// ones are on no list.
    #[must_use]
    pub fn pinned_on(&self, list: Lru) -> u64 {
        self.laps.get(list.index()).map_or(0, |lap| lap.pinned())
    }

    /// Scans to the end.
    ///
    /// Bounded: at each of the 13 priorities no list is scanned for more pages than it had when
    /// that priority began. In a pass, this can be so once more for each of the four lists that
    /// turns out to be pinned all over.
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

    /// Scans at most `budget` pages more (one at least; a huge page counts as one). A pass that is
    /// over does nothing more.
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
            if self.exhausted {
                return Progress::Exhausted;
            }
            if self.plan.is_none() {
                self.plan = Some(self.make_plan(lists));
                self.turn = Turn::NONE;
            }
            match self.next_list() {
                Some(list) => {
                    let looked_at = self.batch(list, lists, &control.at(self.priority), budget);
                    budget = budget.saturating_sub(looked_at.max(1));
                }
                None if core::mem::take(&mut self.replan) => self.plan = None,
                None => {
                    let others = lists.shrink_others(self.priority);
                    self.others = self.others.saturating_add(others);
                    self.plan = None;
                    match self.priority.checked_sub(1) {
                        Some(harder) => self.priority = harder,
                        None => self.exhausted = true,
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

    /// The list to scan next: the one whose turn it is, as long as its batch lasts.
    fn next_list(&mut self) -> Option<Lru> {
        if self.turn.left == 0 {
            let after = self.turn.list.saturating_add(1);
            self.turn = Turn {
                list: if after < Lru::ALL.len() { after } else { 0 },
                left: SWAP_CLUSTER_MAX,
            };
        }
        let turn = self.turn.list;
        let list = Lru::ALL
            .into_iter()
            .cycle()
            .skip(turn)
            .take(Lru::ALL.len())
            .find(|&list| self.left(list) > 0)?;
        if list.index() != turn {
            self.turn = Turn {
                list: list.index(),
                left: SWAP_CLUSTER_MAX,
            };
        }
        Some(list)
    }

    /// How many base pages of each list are scanned at this priority.
    fn make_plan<B: Lists>(&self, lists: &B) -> [u64; 4] {
        let left = |list: Lru| lists.pages(list).saturating_sub(self.pinned_on(list));
        let share = |pages: u64| pages.checked_shr(u32::from(self.priority)).unwrap_or(0);
        let file = left(Lru::InactiveFile).saturating_add(left(Lru::ActiveFile));
        let mark = lists.watermark();
        let file_is_tiny = file.saturating_add(mark.free) <= mark.high;
        let anon_only = self.priority > 0
            && lists.has_swap()
            && file_is_tiny
            && share(left(Lru::InactiveAnon)) > 0;
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
            if !scanned || !ages || left(list) == 0 {
                0
            } else if self.priority == 0 {
                // What is not pinned may be behind what is.
                lists.pages(list)
            } else {
                share(left(list))
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
            let over = looked_at >= budget || self.turn.left == 0 || self.left(list) == 0;
            if over || self.reclaimed() >= self.target {
                break;
            }
            if let Some(lap) = self.laps.get_mut(list.index()) {
                if lap.left == 0 {
                    lap.begin(lists.pages(list));
                }
            }
            let Some(page) = lists.take(list) else {
                self.end(list);
                break;
            };
            looked_at = looked_at.saturating_add(1);
            self.turn.left = self.turn.left.saturating_sub(1);
            let pages = page.base_pages().max(1);
            self.spend(list, u64::from(pages));
            let pinned = if list.is_active() {
                self.age(list, page, lists, control)
            } else {
                let (pinned, freed) = self.shrink(list, page, lists, control);
                *slot = freed;
                pinned
            };
            self.met(list, pages, pinned, lists);
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

    /// One page of an inactive list: whether it is pinned and still on the list, and the page if it
    /// was freed.
    fn shrink<B, L, K>(
        &mut self,
        list: Lru,
        page: B::Page,
        lists: &mut B,
        control: &ScanControl<L, K>,
    ) -> (bool, Option<B::Page>)
    where
        B: Lists,
        L: PinPolicy,
        K: ParkPolicy,
    {
        let pages = page.base_pages();
        let fate = match shrink_page(&page, control, lists, &mut self.flush, &mut self.stats) {
            Ok(fate) => fate,
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                lists.failed(Some(&page), error);
                Fate::Kept(KeepReason::Failed)
            }
        };
        match fate {
            Fate::Freed => return (false, Some(page)),
            Fate::Raced => return (false, None),
            Fate::Parked(pins) => {
                if let Err(page) = lists.park(page, pins) {
                    self.stats.not_parked(pins, pages);
                    // Handed back because its last pin went, or because there is no parking?
                    let pinned = L::Reading::read(&page).maybe_pinned();
                    lists.put(list, page);
                    return (pinned, None);
                }
                return (false, None);
            }
            // By its flags: what was done to it may have changed its kind.
            Fate::Kept(_) | Fate::Activated(_) => lists.put(Lru::of(page.flags()), page),
        }
        (matches!(fate, Fate::Kept(KeepReason::Pinned(_))), None)
    }

    /// Counts the page in its list's lap, and ends the scan of a list on which everything is pinned:
    /// without it, other lists may be the ones to scan at this priority. They are planned again,
    /// once for each list, so that a pass is bounded.
    fn met<B: Lists>(&mut self, list: Lru, pages: u32, pinned: bool, lists: &B) {
        let Some(lap) = self.laps.get_mut(list.index()) else {
            return;
        };
        if lap.met(u64::from(pages), pinned) && lap.before > 0 && lap.before >= lists.pages(list) {
            self.end(list);
            if let Some(given_up) = self.given_up.get_mut(list.index()) {
                self.replan |= !core::mem::replace(given_up, true);
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

    fn left(&self, list: Lru) -> u64 {
        self.plan
            .and_then(|plan| plan.get(list.index()).copied())
            .unwrap_or(0)
    }

    fn spend(&mut self, list: Lru, pages: u64) {
        if let Some(left) = self.plan.as_mut().and_then(|p| p.get_mut(list.index())) {
            *left = left.saturating_sub(pages);
        }
    }

    fn end(&mut self, list: Lru) {
        self.spend(list, u64::MAX);
    }
}
