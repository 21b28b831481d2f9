//! The thin driver: one isolated page, its fate, and the reason.

use super::decide::{self, Backing, Dirty, Entrance, References, ScanFlags};
use super::ops::PageOps;
use super::park::{OnScan, ParkPolicy};
use super::stats::Stats;
use super::steps::{Step, ask};
use super::{ActivateReason, Fate, KeepReason, PageOp, ScanControl, ShrinkError};
use crate::flags::{PageFlags, UnmapFlags};
use crate::page::PageLike;
use crate::pin::Pins;
use crate::policy::{self, Operation, PinPolicy};
use crate::unmap::{FlushDebt, Hook};

/// How often a page whose writeback ended is tried again before it is kept.
const MAX_WAITS: u32 = 16;

/// Decides the fate of one isolated page and carries it out, as Linux 5.8's `shrink_page_list`
/// (`mm/vmscan.c`) does for each page of its list.
///
/// With a policy that reads pins, they are asked about right after the page is locked and counted,
/// before anything is spent on it, and again after it is unmapped, before it is written out, its
/// buffers released or it is freed.
///
/// `flush` takes up the TLB flushes that are put off: a page whose fate is [`Fate::Freed`] is the
/// caller's to give back once they are settled. `stats` counts the page; one whose fate is
/// [`Fate::Parked`] counts as parked, whatever the caller does with it.
///
/// # Errors
///
/// [`ShrinkError`] if an operation of the embedder's failed; the page is unlocked, unless that
/// failed [too](ShrinkError::is_locked), and is kept and counted as [`KeepReason::Failed`] (as
/// [`LockBusy`](KeepReason::LockBusy) where it was the lock that could not be asked for).
#[inline]
pub fn shrink_page<O, L, K>(
    page: &O::Page,
    control: &ScanControl<L, K>,
    ops: &mut O,
    flush: &mut FlushDebt,
    stats: &mut Stats,
) -> Result<Fate, ShrinkError<O::Error>>
where
    O: PageOps,
    L: PinPolicy,
    K: ParkPolicy,
{
    let (fate, pages) = decide_page(page, control, ops, flush, stats);
    if let Ok(fate @ Fate::Parked(_)) = fate {
        stats.count(fate, pages);
    }
    fate
}

/// [`shrink_page`] without counting a page that is to be parked: whether it is, its list says. Also
/// returns how many base pages the page is now.
#[inline]
pub(super) fn decide_page<O, L, K>(
    page: &O::Page,
    control: &ScanControl<L, K>,
    ops: &mut O,
    flush: &mut FlushDebt,
    stats: &mut Stats,
) -> (Result<Fate, ShrinkError<O::Error>>, u32)
where
    O: PageOps,
    L: PinPolicy,
    K: ParkPolicy,
{
    let mut scan = Scan {
        page,
        control,
        ops,
        flush,
        stats,
        pages: page.base_pages(),
        locked: false,
        scanned: false,
        error: None,
    };
    let decided = scan.decide().and_then(|fate| scan.activate(fate));
    let unlocked = scan.unlock();
    let fate = match (decided, unlocked) {
        (Ok(fate), Ok(())) => fate,
        _ => Fate::Kept(KeepReason::Failed),
    };
    let pages = scan.pages;
    if !scan.scanned {
        scan.stats.lock_busy(pages);
    } else if !matches!(fate, Fate::Parked(_)) {
        scan.stats.count(fate, pages);
    }
    if let Fate::Activated(_) = fate {
        let file = !page.flags().contains(PageFlags::SWAP_BACKED);
        scan.stats.activate(pages, file);
    }
    let result = match scan.error {
        None => Ok(fate),
        Some(mut error) => {
            error.set_locked(scan.locked);
            Err(error)
        }
    };
    (result, pages)
}

/// The hint: the pins that make it useless to spend anything on a page. Poisoned pages are never
/// hindered.
#[inline]
pub(super) fn pin_hint<P, L, K>(page: &P, control: &ScanControl<L, K>) -> Option<Pins>
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

/// The pins of the page, if they forbid the operation. Without a policy that reads pins this is
/// nothing.
#[inline]
fn forbidding_pins<P, L, K>(
    page: &P,
    control: &ScanControl<L, K>,
    operation: Operation,
) -> Option<Pins>
where
    P: PageLike,
    L: PinPolicy,
{
    if !L::MODE.reads_pins() {
        return None;
    }
    let context = control.context;
    let (verdict, pins) = policy::ask(&control.policy, page, page.snapshot(), context, |_| {
        operation
    });
    (!verdict.proceeds()).then_some(pins)
}

pub(super) struct Scan<'a, O: PageOps, L, K> {
    pub(super) page: &'a O::Page,
    pub(super) control: &'a ScanControl<L, K>,
    pub(super) ops: &'a mut O,
    pub(super) flush: &'a mut FlushDebt,
    pub(super) stats: &'a mut Stats,
    /// Base pages of the page; one from its split on, since its tails are scanned by themselves.
    pub(super) pages: u32,
    pub(super) locked: bool,
    pub(super) scanned: bool,
    /// The first error. It is large and rare: it waits here, instead of passing through every step.
    pub(super) error: Option<ShrinkError<O::Error>>,
}

impl<O: PageOps, L: PinPolicy, K: ParkPolicy> Scan<'_, O, L, K> {
    #[inline]
    fn decide(&mut self) -> Step<Fate> {
        for _ in 0..MAX_WAITS {
            if let Some(fate) = self.attempt()? {
                return Ok(fate);
            }
        }
        Ok(Fate::Kept(KeepReason::Writeback))
    }

    /// `None`: it waited for writeback; try again.
    #[inline]
    fn attempt(&mut self) -> Step<Option<Fate>> {
        let lock = ask!(self, TryLock, self.ops.try_lock(self.page))?;
        if lock == Hook::Refused {
            let why = if self.scanned {
                KeepReason::LockLost
            } else {
                KeepReason::LockBusy
            };
            return Ok(Some(Fate::Kept(why)));
        }
        self.locked = true;
        if self.scanned {
            self.stats.rescan(self.pages);
        }
        self.scanned = true;
        if let Some(pins) = pin_hint(self.page, self.control) {
            return Ok(Some(self.set_aside(pins)));
        }
        let page = self.page.flags();
        match decide::entrance(page, self.page.map_count() != 0, self.control.flags) {
            Entrance::Unevictable => return Ok(Some(Fate::Activated(ActivateReason::Unevictable))),
            Entrance::Mapped => return Ok(Some(Fate::Kept(KeepReason::Mapped))),
            Entrance::Open => {}
        }
        let may_enter_fs = decide::may_enter_fs(page, self.control.flags);
        self.count_io(page);
        if page.contains(PageFlags::WRITEBACK) {
            return self.under_writeback(page, may_enter_fs);
        }
        let references = self.references(page)?;
        match references {
            References::Activate => {
                return Ok(Some(Fate::Activated(ActivateReason::Referenced)));
            }
            References::Keep => {
                self.stats.ref_keep(self.pages);
                return Ok(Some(Fate::Kept(KeepReason::Referenced)));
            }
            References::Reclaim | References::ReclaimClean => {}
        }
        self.take(references, may_enter_fs).map(Some)
    }

    /// From the decision to reclaim the page on.
    #[inline]
    fn take(&mut self, references: References, mut may_enter_fs: bool) -> Step<Fate> {
        match decide::backing(self.page.flags(), self.control.flags) {
            Backing::Has => {}
            Backing::NoIo => return Ok(Fate::Kept(KeepReason::NoIo)),
            Backing::NeedsSwap => {
                if let Some(fate) = self.get_swap()? {
                    return Ok(fate);
                }
                may_enter_fs = true;
            }
            Backing::NeedsSplit => {
                if self.split()? == Hook::Refused {
                    return Ok(Fate::Kept(KeepReason::SplitFailed));
                }
            }
        }
        if self.page.map_count() != 0 {
            if let Some(fate) = self.unmap()? {
                return Ok(fate);
            }
        }
        // The answer: from here on no pin can come through a page table.
        if let Some(fate) = self.pinned(Operation::Free) {
            return Ok(fate);
        }
        match decide::dirty(
            self.page.flags(),
            references,
            self.control.flags,
            may_enter_fs,
        ) {
            Dirty::Clean => {}
            Dirty::LeaveToFlusher => {
                self.update(PageFlags::RECLAIM, PageFlags::empty())?;
                return Ok(Fate::Activated(ActivateReason::Dirty));
            }
            Dirty::Keep => return Ok(Fate::Kept(KeepReason::Dirty)),
            Dirty::WriteOut => {
                if let Some(fate) = self.write_out()? {
                    return Ok(fate);
                }
            }
        }
        self.release()
    }

    #[inline]
    pub(super) fn scan_has(&self, flag: ScanFlags) -> bool {
        self.control.flags.contains(flag)
    }

    /// What becomes of the page if its pins forbid the operation.
    #[inline]
    pub(super) fn pinned(&self, operation: Operation) -> Option<Fate> {
        forbidding_pins(self.page, self.control, operation).map(|pins| self.set_aside(pins))
    }

    #[inline]
    pub(super) fn set_aside(&self, pins: Pins) -> Fate {
        match self.control.parking.on_scan(pins) {
            OnScan::Rotate => Fate::Kept(KeepReason::Pinned(pins)),
            OnScan::Park => Fate::Parked(pins),
        }
    }
}
