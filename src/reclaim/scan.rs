//! The loop over the lists: from the gentlest priority to the hardest, in batches, until the target
//! is met; and the budgeted step.

use super::ScanControl;
use super::active::age_page;
use super::batch::{Batch, SWAP_CLUSTER_MAX};
use super::lap::{Lap, Turn};
use super::lists::{Lists, Lru};
use super::stats::Stats;
use crate::debug::debug_fields;
use crate::page::PageLike;
use crate::policy::{Context, PinPolicy};

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
    #[must_use]
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
    pub fn run<B, L>(&mut self, lists: &mut B, control: &ScanControl<L>) -> Progress
    where
        B: Lists,
        L: PinPolicy,
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
    pub fn step<B, L>(&mut self, lists: &mut B, control: &ScanControl<L>, budget: u32) -> Progress
    where
        B: Lists,
        L: PinPolicy,
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
    ///
    /// The pages of an inactive list are unmapped one after the other, and stay locked; then the TLB
    /// is flushed once, and each page is written out, freed or kept.
    fn batch<B, L>(
        &mut self,
        list: Lru,
        lists: &mut B,
        control: &ScanControl<L>,
        budget: u32,
    ) -> u32
    where
        B: Lists,
        L: PinPolicy,
    {
        let mut batch = Batch::new(list, lists);
        let mut looked_at: u32 = 0;
        while looked_at < budget && self.turn.left > 0 && self.left(list) > 0 {
            if self.reclaimed().saturating_add(batch.pages()) >= self.target {
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
                age_page(list, page, control, lists, &mut self.stats)
            } else {
                batch.add(page, control, lists, &mut self.stats)
            };
            self.met(list, pages, pinned, lists);
        }
        batch.finish(control, lists, &mut self.stats);
        looked_at
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
