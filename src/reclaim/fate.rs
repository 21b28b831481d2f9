//! The thin driver: one isolated page, its fate, and the reason.

use super::decide::{self, Backing, Dirty, Entrance, Leave, References, ScanFlags, UnderWriteback};
use super::ops::{PageOps, PageOut, Removal};
use super::park::{OnScan, ParkPolicy};
use super::stats::Stats;
use super::{ActivateReason, Fate, KeepReason, PageOp, ScanControl, ShrinkError};
use crate::flags::{PageFlags, UnmapFlags};
use crate::page::PageLike;
use crate::pin::{PinReading, Pins};
use crate::policy::{Operation, PinPolicy, PinVerdict};
use crate::rmap::{Outcome, Reason};
use crate::unmap::{FlushDebt, Hook, Stop, UnmapRequest, Verdict};

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
/// caller's to give back once they are settled. `stats` counts the page.
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
    scan.settle_split();
    let fate = match (decided, unlocked) {
        (Ok(fate), Ok(())) => fate,
        _ => Fate::Kept(KeepReason::Failed),
    };
    scan.stats.count(fate, scan.pages, scan.scanned);
    if let Fate::Activated(_) = fate {
        let file = !page.flags().contains(PageFlags::SWAP_BACKED);
        scan.stats.activate(scan.pages, file);
    }
    match scan.error {
        None => Ok(fate),
        Some(mut error) => {
            error.set_locked(scan.locked);
            Err(error)
        }
    }
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
    if !L::READS_PINS {
        return None;
    }
    let pins = L::Reading::read(page);
    match control.policy.verdict(operation, control.context, pins) {
        PinVerdict::Proceed => None,
        PinVerdict::NextVma | PinVerdict::SkipPage | PinVerdict::Refuse => Some(pins),
    }
}

struct Scan<'a, O: PageOps, L, K> {
    page: &'a O::Page,
    control: &'a ScanControl<L, K>,
    ops: &'a mut O,
    flush: &'a mut FlushDebt,
    stats: &'a mut Stats,
    /// Base pages for which the page counts; falls to one when it is split.
    pages: u32,
    locked: bool,
    scanned: bool,
    /// The first error. It is large and rare: it waits here, instead of passing through every step.
    error: Option<ShrinkError<O::Error>>,
}

/// Something failed: the error is in the scan.
struct Failed;

type Step<T> = Result<T, Failed>;

/// What an operation of the embedder's returned; its error goes to the scan.
macro_rules! ask {
    ($scan:ident, $op:ident, $answer:expr) => {
        match $answer {
            Ok(answer) => Ok(answer),
            Err(source) => Err($scan.fail(ShrinkError::op(PageOp::$op, source))),
        }
    };
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
        self.stats.scan(self.pages, self.scanned);
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
        self.settle_split();
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
    fn scan_has(&self, flag: ScanFlags) -> bool {
        self.control.flags.contains(flag)
    }

    /// What becomes of the page if its pins forbid the operation.
    #[inline]
    fn pinned(&self, operation: Operation) -> Option<Fate> {
        forbidding_pins(self.page, self.control, operation).map(|pins| self.set_aside(pins))
    }

    #[inline]
    fn set_aside(&self, pins: Pins) -> Fate {
        match self.control.parking.on_scan(pins) {
            OnScan::Rotate => Fate::Kept(KeepReason::Pinned(pins)),
            OnScan::Park => Fate::Parked(pins),
        }
    }

    #[inline]
    fn count_io(&mut self, page: PageFlags) {
        let (dirty, writeback) = decide::counts_as(page);
        let through_device = (dirty || writeback) && decide::has_mapping(page);
        let congested = through_device && self.ops.is_congested(self.page)
            || writeback && page.contains(PageFlags::RECLAIM);
        self.stats.io(dirty, writeback, congested);
    }

    fn under_writeback(&mut self, page: PageFlags, may_enter_fs: bool) -> Step<Option<Fate>> {
        match decide::under_writeback(page, self.control.flags, may_enter_fs) {
            UnderWriteback::Immediate => {
                self.stats.immediate();
                Ok(Some(Fate::Activated(ActivateReason::Writeback)))
            }
            UnderWriteback::Mark => {
                self.update(PageFlags::RECLAIM, PageFlags::empty())?;
                self.stats.writeback();
                Ok(Some(Fate::Activated(ActivateReason::Writeback)))
            }
            UnderWriteback::Wait => {
                self.unlock()?;
                ask!(
                    self,
                    WaitForWriteback,
                    self.ops.wait_for_writeback(self.page)
                )?;
                Ok(None)
            }
        }
    }

    #[inline]
    fn references(&mut self, page: PageFlags) -> Step<References> {
        if self.scan_has(ScanFlags::IGNORE_REFERENCES) {
            return Ok(References::Reclaim);
        }
        let found = ask!(self, Referenced, self.ops.referenced(self.page))?;
        let (references, mark) = decide::references(page, found);
        let marked = page.contains(PageFlags::REFERENCED);
        if mark && !marked {
            self.update(PageFlags::REFERENCED, PageFlags::empty())?;
        } else if marked && !mark {
            self.update(PageFlags::empty(), PageFlags::REFERENCED)?;
        }
        Ok(references)
    }

    /// Gets the page a slot in swap, splitting it if a huge one cannot be had.
    #[inline]
    fn get_swap(&mut self) -> Step<Option<Fate>> {
        if self.is_huge() {
            if !self.ops.can_split(self.page) {
                return Ok(Some(Fate::Activated(ActivateReason::CannotSplit)));
            }
            if !self.ops.is_pmd_mapped(self.page) && self.split()? == Hook::Refused {
                return Ok(Some(Fate::Activated(ActivateReason::CannotSplit)));
            }
        }
        if self.add_to_swap()? == Hook::Done {
            return Ok(None);
        }
        if self.is_huge() {
            if self.split()? == Hook::Refused {
                return Ok(Some(Fate::Activated(ActivateReason::CannotSplit)));
            }
            if self.add_to_swap()? == Hook::Done {
                return Ok(None);
            }
        }
        self.settle_split();
        Ok(Some(Fate::Activated(ActivateReason::NoSwap)))
    }

    #[inline]
    fn is_huge(&self) -> bool {
        self.page.flags().contains(PageFlags::THP)
    }

    #[inline]
    fn add_to_swap(&mut self) -> Step<Hook> {
        ask!(self, AddToSwap, self.ops.add_to_swap(self.page))
    }

    #[inline]
    fn split(&mut self) -> Step<Hook> {
        ask!(self, Split, self.ops.split(self.page))
    }

    /// A page that was split counts as one page from then on; its tails come by themselves.
    #[inline]
    fn settle_split(&mut self) {
        if self.pages > 1 && self.scanned {
            let pages = self.page.base_pages().clamp(1, self.pages);
            self.stats.unscan(self.pages.saturating_sub(pages));
            self.pages = pages;
        }
    }

    #[inline]
    fn unmap(&mut self) -> Step<Option<Fate>> {
        let before = self.page.flags();
        let mut flags = decide::unmap_flags(before, self.control.unmap);
        if L::SECOND_LOOK {
            flags |= UnmapFlags::OPPORTUNISTIC;
        }
        let request = UnmapRequest::of(flags, &self.control.policy, self.control.context);
        let unmapped = match self.ops.unmap(self.page, &request) {
            Ok(unmapped) => unmapped,
            Err(failure) => {
                self.flush.absorb(failure.flush);
                return Err(self.fail(ShrinkError::Unmap {
                    error: failure.error,
                    owed: failure.owed,
                    locked: false,
                }));
            }
        };
        self.flush.absorb(unmapped.flush);
        match unmapped.outcome {
            Outcome::Unmapped => Ok(None),
            Outcome::Skipped(pins)
            | Outcome::Refused(pins)
            | Outcome::StillMapped(Reason::InVma(Verdict::Stopped(Stop::PinAppeared(pins)))) => {
                Ok(Some(self.set_aside(pins)))
            }
            Outcome::StillMapped(_) => {
                let lazyfree_dirtied = !before.contains(PageFlags::SWAP_BACKED)
                    && self.page.flags().contains(PageFlags::SWAP_BACKED);
                self.stats.unmap_fail(self.pages, lazyfree_dirtied);
                Ok(Some(Fate::Activated(ActivateReason::StillMapped)))
            }
        }
    }

    #[inline]
    fn write_out(&mut self) -> Step<Option<Fate>> {
        if self.flush.is_dirty() {
            self.settle_flush()?;
        }
        let out = ask!(self, WriteOut, self.ops.write_out(self.page))?;
        match out {
            PageOut::Keep => Ok(Some(Fate::Kept(KeepReason::NotWritten))),
            PageOut::Activate => Ok(Some(Fate::Activated(ActivateReason::NotWritten))),
            PageOut::Clean => Ok(None),
            PageOut::Success => {
                self.stats.pageout(self.pages);
                self.locked = false;
                let unfinished = PageFlags::WRITEBACK.union(PageFlags::DIRTY);
                if self.page.flags().intersects(unfinished) {
                    return Ok(Some(Fate::Kept(KeepReason::Writeback)));
                }
                let lock = ask!(self, TryLock, self.ops.try_lock(self.page))?;
                if lock == Hook::Refused {
                    return Ok(Some(Fate::Kept(KeepReason::LockLost)));
                }
                self.locked = true;
                if self.page.flags().intersects(unfinished) {
                    return Ok(Some(Fate::Kept(KeepReason::Writeback)));
                }
                // Writing takes long: the pins are asked once more.
                Ok(self.pinned(Operation::Free))
            }
        }
    }

    /// The page is unmapped and clean: its buffers, its cache, and the page itself.
    #[inline]
    fn release(&mut self) -> Step<Fate> {
        if self.page.flags().contains(PageFlags::PRIVATE) {
            let released = ask!(self, ReleaseBuffers, self.ops.release_buffers(self.page))?;
            if released == Hook::Refused {
                return Ok(Fate::Activated(ActivateReason::Buffers));
            }
            if !decide::has_mapping(self.page.flags()) && self.page.ref_count() == 1 {
                self.unlock()?;
                let last = ask!(self, PutLast, self.ops.put_last(self.page))?;
                return Ok(if last { Fate::Freed } else { Fate::Raced });
            }
        }
        let how = match decide::leave(self.page.flags()) {
            Leave::Lazyfree => Removal::Lazyfree,
            Leave::FromCache => Removal::FromCache,
            Leave::NoMapping => return Ok(Fate::Kept(KeepReason::NoMapping)),
        };
        let removed = ask!(self, Remove, self.ops.remove(self.page, how))?;
        if removed == Hook::Refused {
            return Ok(Fate::Kept(KeepReason::Held));
        }
        // Out of memory is out of memory: were it kept because its lock could not be given back, a
        // frozen page would be on a list.
        if self.locked {
            let _ = self.ops.unlock(self.page);
            self.locked = false;
        }
        Ok(Fate::Freed)
    }

    /// Carries an activation out: whatever the reason, it is done here.
    #[inline]
    fn activate(&mut self, fate: Fate) -> Step<Fate> {
        if !matches!(fate, Fate::Activated(_)) {
            return Ok(fate);
        }
        let page = self.page.flags();
        let swap_full = page.contains(PageFlags::SWAP_CACHE) && self.ops.is_swap_full(self.page);
        if decide::frees_swap(page, swap_full) {
            ask!(self, FreeSwap, self.ops.free_swap(self.page))?;
        }
        if page.contains(PageFlags::MLOCKED) {
            return Ok(Fate::Kept(KeepReason::Mlocked));
        }
        self.update(PageFlags::ACTIVE, PageFlags::empty())?;
        Ok(fate)
    }

    #[inline]
    fn update(&mut self, set: PageFlags, clear: PageFlags) -> Step<()> {
        ask!(self, Update, self.ops.update(self.page, set, clear))
    }

    fn settle_flush(&mut self) -> Step<()> {
        let debt = core::mem::replace(self.flush, FlushDebt::none());
        match debt.flush(|| self.ops.flush_tlb()) {
            Ok(()) => Ok(()),
            Err((debt, source)) => {
                self.flush.absorb(debt);
                Err(self.fail(ShrinkError::op(PageOp::FlushTlb, source)))
            }
        }
    }

    #[cold]
    fn fail(&mut self, error: ShrinkError<O::Error>) -> Failed {
        self.error.get_or_insert(error);
        Failed
    }

    #[inline]
    fn unlock(&mut self) -> Step<()> {
        if !self.locked {
            return Ok(());
        }
        ask!(self, Unlock, self.ops.unlock(self.page))?;
        self.locked = false;
        Ok(())
    }
}
