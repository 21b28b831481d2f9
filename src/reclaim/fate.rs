//! The fate of one isolated page, in two halves: up to its unmapping, and after the TLB flush.

use super::decide::{self, Backing, Dirty, References, ScanFlags};
use super::ops::PageOps;
use super::stats::Stats;
use super::{ActivateReason, Fate, KeepReason, ScanControl};
use crate::flags::{PageFlags, UnmapFlags};
use crate::page::PageLike;
use crate::pin::Pins;
use crate::policy::{self, Operation, PinPolicy};
use crate::unmap::{Attempt, FlushDebt};

/// How often a page is scanned that is under writeback each time, before it is kept.
const MAX_SCANS: u32 = 16;

/// Decides the fate of one isolated page and carries it out, as Linux 5.8's `shrink_page_list`
/// (`mm/vmscan.c`) does for each page of its list.
///
/// With a policy that reads pins, they are read right after the page is locked and counted, before
/// any work is spent on it, and again after it is unmapped and the TLB flushed, before it is
/// written out, its buffers are released or it is freed.
///
/// No TLB flush is owed and the page is not locked when it returns. `stats` counts the page. Whoever
/// has many pages uses [`LruScan`](super::LruScan), which flushes once for each batch.
///
/// # Examples
///
/// The embedder is that of the example of [`Lists`](super::Lists):
///
#[doc = include_str!("example_operations.md")]
#[doc = include_str!("example_lists.md")]
/// use pinfold::pin::PinKind;
/// use pinfold::reclaim::{Fate, KeepReason, ScanControl, ScanFlags, Stats, shrink_page};
///
/// frames[7].count.pin(PinKind::Short)?;
/// let control = ScanControl::new(ScanFlags::direct());
/// let mut stats = Stats::default();
/// let fate = shrink_page(&&frames[6], &control, &mut node, &mut stats);
/// assert_eq!(fate, Fate::Freed);
/// let fate = shrink_page(&&frames[7], &control, &mut node, &mut stats);
/// assert!(matches!(fate, Fate::Kept(KeepReason::Pinned(_))));
/// # Ok::<(), pinfold::pin::PinError>(())
/// ```
#[inline]
pub fn shrink_page<O, L>(
    page: &O::Page,
    control: &ScanControl<L>,
    ops: &mut O,
    stats: &mut Stats,
) -> Fate
where
    O: PageOps,
    L: PinPolicy,
{
    let mut debt = FlushDebt::none();
    let mut state = State::new(page);
    let mut shared = Shared {
        control,
        debt: &mut debt,
        stats,
        write_room: ops.write_room(),
    };
    let fate = loop {
        match state.on(page, &mut shared, ops).first_half() {
            FirstHalf::Ended(fate) => break fate,
            FirstHalf::Wait => state.on(page, &mut shared, ops).wait(),
            FirstHalf::Unmapped(unmapped) => {
                shared.debt.flush(|| ops.flush_tlb());
                break state.on(page, &mut shared, ops).second_half(unmapped);
            }
        }
    };
    debt.flush(|| ops.flush_tlb());
    ops.submit();
    state.count(fate, stats);
    fate
}

/// The pins that forbid reclaim of a page, before any work is spent on it. Poisoned pages are not
/// asked about.
#[inline]
pub(super) fn pin_hint<P, L>(page: &P, control: &ScanControl<L>) -> Option<Pins>
where
    P: PageLike,
    L: PinPolicy,
{
    if control.flags.contains(ScanFlags::NO_PIN_HINT) {
        return None;
    }
    let operation = Operation::of(UnmapFlags::OPPORTUNISTIC, page.flags());
    forbidding_pins(page, control, operation)
}

/// The pins of the page, if they forbid the operation. Compiles to nothing under a policy that
/// ignores pins.
#[inline]
fn forbidding_pins<P, L>(page: &P, control: &ScanControl<L>, operation: Operation) -> Option<Pins>
where
    P: PageLike,
    L: PinPolicy,
{
    if !control.policy.mode().reads_pins() {
        return None;
    }
    let (seen, context) = (page.snapshot(), control.context);
    let (verdict, pins) = policy::ask(&control.policy, page, seen, context, operation);
    (!verdict.proceeds()).then_some(pins)
}

/// The fate of a page that its pins protect.
#[inline]
pub(super) fn set_aside<L>(control: &ScanControl<L>, pins: Pins) -> Fate {
    if control.parking.parks_on_scan(pins) {
        Fate::Parked(pins)
    } else {
        Fate::Kept(KeepReason::Pinned(pins))
    }
}

/// What the pages of a batch share.
pub(super) struct Shared<'a, L> {
    pub(super) control: &'a ScanControl<L>,
    pub(super) debt: &'a mut FlushDebt,
    pub(super) stats: &'a mut Stats,
    /// How many more writes may be started, without those that unmapped pages are sure of.
    pub(super) write_room: u32,
}

/// The end of the first half.
pub(super) enum FirstHalf {
    /// The page has its fate and is unlocked.
    Ended(Fate),
    /// The page is under writeback and unlocked: [wait](Step::wait) while no page of the batch is
    /// locked, and begin again.
    Wait,
    /// The page is unmapped and locked. After the TLB flush comes the second half.
    Unmapped(Unmapped),
}

/// What the second half must know from the first.
#[derive(Clone, Copy)]
pub(super) struct Unmapped {
    references: References,
    may_enter_fs: bool,
    /// Whether the page was dirty already, and is sure of being written.
    may_write: bool,
}

/// Where one page is between its list and its fate.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// Base pages for which the page counts; falls to one when it is split.
    pub(super) pages: u32,
    pub(super) locked: bool,
    /// How often it was scanned: locked and looked at.
    pub(super) scans: u32,
    /// The base pages of all scans but the last.
    rescanned: u64,
    /// Whether it is a file page, when its fate is decided.
    file: bool,
}

impl State {
    pub(super) fn new<P: PageLike>(page: &P) -> Self {
        Self {
            pages: page.base_pages(),
            locked: false,
            scans: 0,
            rescanned: 0,
            file: false,
        }
    }

    /// Counts the page, once it is where its fate says.
    #[inline]
    pub(super) fn count(&self, fate: Fate, stats: &mut Stats) {
        if self.scans > 0 {
            stats.scan(self.pages, self.rescanned);
        }
        stats.count(fate, self.pages, self.file);
    }

    #[inline]
    pub(super) fn on<'a, 'b, O: PageOps, L>(
        &'a mut self,
        page: &'a O::Page,
        shared: &'a mut Shared<'b, L>,
        ops: &'a mut O,
    ) -> Step<'a, 'b, O, L> {
        Step {
            page,
            state: self,
            shared,
            ops,
        }
    }
}

/// The work on one page.
pub(super) struct Step<'a, 'b, O: PageOps, L> {
    pub(super) page: &'a O::Page,
    pub(super) state: &'a mut State,
    pub(super) shared: &'a mut Shared<'b, L>,
    pub(super) ops: &'a mut O,
}

impl<O: PageOps, L: PinPolicy> Step<'_, '_, O, L> {
    /// Up to the unmapping of the page.
    #[inline(always)]
    pub(super) fn first_half(mut self) -> FirstHalf {
        match self.select() {
            Ok(unmapped) => FirstHalf::Unmapped(unmapped),
            Err(Some(fate)) => FirstHalf::Ended(self.end(fate)),
            Err(None) => {
                self.unlock();
                FirstHalf::Wait
            }
        }
    }

    /// Waits for the writeback of the page, while no page of the batch is locked.
    #[cold]
    pub(super) fn wait(self) {
        self.ops.wait_for_writeback(self.page);
    }

    /// From the TLB flush on: the page is written out if it must be, and leaves memory.
    #[inline(always)]
    pub(super) fn second_half(mut self, unmapped: Unmapped) -> Fate {
        let fate = match self.leave(unmapped) {
            Ok(fate) | Err(fate) => fate,
        };
        self.end(fate)
    }

    /// The fate that the page's state, pins and references give it, or its unmapping. `Err(None)`
    /// if it must wait for writeback.
    #[inline(always)]
    fn select(&mut self) -> Result<Unmapped, Option<Fate>> {
        if self.ops.try_lock(self.page) == Attempt::Refused {
            return kept(match self.state.scans {
                0 => KeepReason::LockBusy,
                _ => KeepReason::LockLost,
            });
        }
        self.state.locked = true;
        if self.state.scans > 0 {
            let pages = u64::from(self.state.pages);
            self.state.rescanned = self.state.rescanned.saturating_add(pages);
        }
        self.state.scans = self.state.scans.saturating_add(1);
        let control = self.shared.control;
        if let Some(pins) = pin_hint(self.page, control) {
            return Err(Some(set_aside(control, pins)));
        }
        let page = self.page.flags();
        let mapped = self.page.map_count() != 0;
        if let Some(fate) = decide::entrance(page, mapped, control.flags) {
            return Err(Some(fate));
        }
        let may_enter_fs = control.flags.may_enter_fs(page);
        self.count_io(page);
        if page.contains(PageFlags::WRITEBACK) {
            let fate = self.under_writeback(page, may_enter_fs);
            let gives_up = self.state.scans >= MAX_SCANS;
            return Err(fate.or(gives_up.then_some(Fate::Kept(KeepReason::Writeback))));
        }
        let references = self.references(page);
        match references {
            References::Activate => return activated(ActivateReason::Referenced),
            References::Keep => {
                self.shared.stats.ref_keep(self.state.pages);
                return kept(KeepReason::Referenced);
            }
            References::Reclaim | References::ReclaimClean => {}
        }
        self.take(references, may_enter_fs).map_err(Some)
    }

    /// Swap, split and unmapping of a page that is to be reclaimed.
    #[inline(always)]
    fn take(&mut self, references: References, mut may_enter_fs: bool) -> Result<Unmapped, Fate> {
        let control = self.shared.control;
        let page = self.page.flags();
        let backing = decide::backing(page, control.flags);
        // A page that is added to swap is dirty from then on.
        let will_be = match backing {
            Backing::NeedsSwap => page.union(PageFlags::DIRTY),
            _ => page,
        };
        let fs = may_enter_fs || backing == Backing::NeedsSwap;
        let may_write = decide::dirty(will_be, references, control.flags, fs) == Dirty::WriteOut;
        if may_write && self.shared.write_room == 0 {
            return Err(Fate::Kept(KeepReason::WriteLimit));
        }
        match backing {
            Backing::Has => {}
            Backing::NoIo => return Err(Fate::Kept(KeepReason::NoIo)),
            Backing::NeedsSwap => {
                self.get_swap()?;
                may_enter_fs = true;
            }
            Backing::NeedsSplit => {
                if self.ops.split(self.page) == Attempt::Refused {
                    return Err(Fate::Kept(KeepReason::SplitFailed));
                }
            }
        }
        self.settle_split();
        if self.page.map_count() != 0 {
            self.unmap()?;
        }
        if may_write {
            self.shared.write_room = self.shared.write_room.saturating_sub(1);
        }
        Ok(Unmapped {
            references,
            may_enter_fs,
            may_write,
        })
    }

    /// Write-out, buffers and removal of a page that is unmapped.
    #[inline(always)]
    fn leave(&mut self, unmapped: Unmapped) -> Result<Fate, Fate> {
        if unmapped.may_write {
            self.shared.write_room = self.shared.write_room.saturating_add(1);
        }
        // No pin can come through a page table any more.
        self.check_pins(Operation::Free)?;
        match decide::dirty(
            self.page.flags(),
            unmapped.references,
            self.shared.control.flags,
            unmapped.may_enter_fs,
        ) {
            Dirty::Clean => {}
            Dirty::LeaveToFlusher => {
                self.ops
                    .update(self.page, PageFlags::RECLAIM, PageFlags::empty());
                return Err(Fate::Activated(ActivateReason::Dirty));
            }
            Dirty::Keep => return Err(Fate::Kept(KeepReason::Dirty)),
            // Its entries made it dirty, and the others need all the room.
            Dirty::WriteOut if self.shared.write_room == 0 => {
                return Err(Fate::Kept(KeepReason::WriteLimit));
            }
            Dirty::WriteOut => self.write_out()?,
        }
        self.release()
    }

    /// The page's fate, if its pins forbid the operation.
    #[inline(always)]
    pub(super) fn check_pins(&self, operation: Operation) -> Result<(), Fate> {
        match forbidding_pins(self.page, self.shared.control, operation) {
            Some(pins) => Err(set_aside(self.shared.control, pins)),
            None => Ok(()),
        }
    }

    /// Carries an activation out and unlocks the page.
    #[inline(always)]
    fn end(&mut self, fate: Fate) -> Fate {
        let fate = match fate {
            Fate::Activated(_) => self.activate(fate),
            _ => fate,
        };
        self.unlock();
        self.settle_split();
        self.state.file = !self.page.flags().contains(PageFlags::SWAP_BACKED);
        fate
    }
}

const fn kept<T>(reason: KeepReason) -> Result<T, Option<Fate>> {
    Err(Some(Fate::Kept(reason)))
}

const fn activated<T>(reason: ActivateReason) -> Result<T, Option<Fate>> {
    Err(Some(Fate::Activated(reason)))
}
