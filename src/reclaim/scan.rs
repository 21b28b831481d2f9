//! The loop over the lists: from the gentlest priority to the hardest, in batches, until the target
//! is met; and the budgeted step.

use super::active::age_page;
use super::batch::{Batch, SWAP_CLUSTER_MAX};
use super::lap::{Lap, Turn};
use super::lists::{Lists, Lru, reclaimable_pages};
use super::plan::plan;
use super::stats::Stats;
use super::{KeepReason, ScanControl};
use crate::debug::debug_fields;
use crate::pin::Pins;
use crate::policy::{Context, PinPolicy};

/// A pass over the lists for a number of pages: priorities 12 to 0, batches of 32.
///
/// At each priority a list is scanned for its length shifted right by it, and the lists take turns,
/// a batch each. Then [others](Lists::shrink_others) are asked for memory. The pass ends with the
/// page that meets its target. [`run`](Self::run) goes to the end; [`step`](Self::step) does a
/// bounded part and can be called again, and many small steps do what one large one does.
///
/// # Pinned pages
///
/// Pins may go at any moment of a pass, and what they held is reclaimable again. A pass that met
/// pinned pages on the lists, or parked pages that came back, scans the hardest priority twice: as
/// many pages as are not known to be pinned; and every page on the lists once others were asked
/// for the last time. So a pass that is [`Exhausted`](Progress::Exhausted) has taken what was held
/// by pins that went until then; what later ones held is for the next pass. A list on which
/// everything is pinned costs two looks at each page.
///
/// The number of pinned pages is also used to compare lists: an active list is aged while it is
/// longer than the unpinned part of its inactive list, and where the node is nearly out of unpinned
/// file pages and anonymous ones are left to scan, only these are, at all priorities but the
/// hardest, as in Linux (`file_is_tiny`, `get_scan_count`). Parked pages are on no list and cost
/// nothing.
///
/// # Examples
///
/// 40 pages on a list, of which one is pinned; the embedder is that of the example of [`Lists`]:
///
#[doc = include_str!("example_operations.md")]
#[doc = include_str!("example_lists.md")]
/// use pinfold::pin::PinKind;
/// use pinfold::reclaim::{LruScan, Progress, ScanControl, ScanFlags};
///
/// // A device has pinned page 7.
/// frames[7].count.pin(PinKind::Short)?;
/// let control = ScanControl::new(ScanFlags::direct());
/// let mut scan = LruScan::new(u64::MAX);
/// assert_eq!(scan.run(&mut node, &control), Progress::Exhausted);
/// assert_eq!((scan.reclaimed(), node.free.contains(&7)), (39, false));
/// # Ok::<(), pinfold::pin::PinError>(())
/// ```
pub struct LruScan {
    target: u64,
    others: u64,
    priority: u8,
    plan: Option<[u64; 4]>,
    turn: Turn,
    laps: [Lap; 4],
    /// What had become of pinned pages when the priority began.
    began: Pinned,
    /// Whether the hardest priority is scanned for the second time.
    again: bool,
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
    began,
    again,
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
    /// Everything was scanned at the hardest priority, and the target is not met. Pages that were in
    /// use when the pass met them may be had by the next one: run another until
    /// [`Futility`](super::Futility) says that it is futile.
    Exhausted,
}

/// What became of pinned pages so far, in base pages.
#[derive(Debug, Clone, Copy, Default)]
struct Pinned {
    /// Met by this pass, and put back on their lists.
    stayed: u64,
    /// Met by this pass, and parked.
    taken_off: u64,
    /// Parked now, by whomever.
    parked: u64,
}

impl LruScan {
    /// How many pages are isolated at a time (`SWAP_CLUSTER_MAX`, `include/linux/swap.h`, 5.8).
    pub const BATCH: usize = SWAP_CLUSTER_MAX;

    /// How many base pages a pass over `lists` might still reclaim: what is on the lists that it
    /// would scan. Parked pages are left out (`zone_reclaimable_pages`).
    #[must_use]
    pub fn reclaimable_pages<B: Lists>(lists: &B) -> u64 {
        reclaimable_pages(lists)
    }

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
            began: Pinned::default(),
            again: false,
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

    /// How many base pages on a list were pinned when the pass met them last. Exact, as of then, for
    /// a pass that is [`Exhausted`](Progress::Exhausted); else an estimate. Parked ones are on no
    /// list.
    #[must_use]
    pub fn pinned_on(&self, list: Lru) -> u64 {
        self.laps.get(list.index()).map_or(0, |lap| lap.pinned())
    }

    /// Scans to the end.
    ///
    /// Bounded: at each of the 13 priorities no list is scanned for more pages than it had when that
    /// priority began, shifted right by it. The hardest is scanned twice at most.
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
                self.begin(lists);
            }
            match self.next_list() {
                Some(list) => {
                    let looked_at = self.batch(list, lists, &control.at(self.priority), budget);
                    budget = budget.saturating_sub(looked_at.max(1));
                }
                None => self.end_priority(lists),
            }
        }
        if self.reclaimed() >= self.target {
            Progress::Reached
        } else {
            Progress::More
        }
    }

    /// Scans one batch of a list; returns how many pages it looked at.
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
            let met = if list.is_active() {
                age_page(list, page, control, lists, &mut self.stats)
            } else {
                batch.add(page, control, lists, &mut self.stats)
            };
            // A page without a size still counts, so that the scan ends.
            let pages = u64::from(met.pages.max(1));
            self.spend(list, pages);
            if let Some(lap) = self.laps.get_mut(list.index()) {
                lap.meet(pages, met.pinned);
            }
        }
        let pinned = batch.finish(control, lists, &mut self.stats);
        if let Some(lap) = self.laps.get_mut(list.index()) {
            lap.stay(pinned);
        }
        looked_at
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

    /// Begins a priority. The hardest begins laps of its own, so that after it the count of pinned
    /// pages is what was found in it.
    fn begin<B: Lists>(&mut self, lists: &B) {
        let pinned = |list| self.pinned_on(list);
        let plan = plan(lists, self.priority, self.again, pinned);
        let leaves_out = self.priority == 0 && Lru::ALL.into_iter().any(|list| pinned(list) > 0);
        self.began = self.pinned(lists);
        if leaves_out {
            // Pages that stayed at gentler priorities are to be looked at again, too.
            self.began.stayed = 0;
        }
        if self.priority == 0 {
            for (lap, (list, planned)) in self.laps.iter_mut().zip(Lru::ALL.into_iter().zip(plan)) {
                if self.again && planned == 0 {
                    // It is looked at no more, so nothing is known of it at the end.
                    *lap = Lap::default();
                } else {
                    lap.begin(lists.pages(list));
                }
            }
        }
        self.plan = Some(plan);
        self.turn = Turn::NONE;
    }

    /// Asks others, and goes on to the next priority, if there is one.
    fn end_priority<B: Lists>(&mut self, lists: &mut B) {
        self.plan = None;
        if self.again {
            self.exhausted = true;
            return;
        }
        let others = lists.shrink_others(self.priority);
        self.others = self.others.saturating_add(others);
        match self.priority.checked_sub(1) {
            Some(harder) => self.priority = harder,
            None if self.pins_may_have_gone(lists) => self.again = true,
            None => self.exhausted = true,
        }
    }

    /// Whether a page that was met pinned may be reclaimable now: it stayed on a list, or it was
    /// parked and is so no more.
    fn pins_may_have_gone<B: Lists>(&self, lists: &B) -> bool {
        let (began, now) = (self.began, self.pinned(lists));
        let taken_off = now.taken_off.saturating_sub(began.taken_off);
        now.stayed > began.stayed || now.parked < began.parked.saturating_add(taken_off)
    }

    fn pinned<B: Lists>(&self, lists: &B) -> Pinned {
        let stayed = self.stats.kept_for(KeepReason::Pinned(Pins::None));
        Pinned {
            stayed: stayed.saturating_add(self.stats.active_pinned),
            taken_off: self.stats.parked.saturating_add(self.stats.active_parked),
            parked: lists.pages_parked(),
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
