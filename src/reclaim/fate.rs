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
        file: false,
    };
    let outcome = scan.decide();
    let unlocked = scan.unlock();
    let mut outcome = outcome.and_then(|fate| unlocked.map(|()| fate));
    if let Err(error) = &mut outcome {
        error.set_locked(scan.locked);
    }
    scan.settle_split();
    let (pages, scanned, file) = (scan.pages, scan.scanned, scan.file);
    let fate = match &outcome {
        Ok(fate) => *fate,
        Err(_) => Fate::Kept(KeepReason::Failed),
    };
    scan.stats.count(fate, pages, scanned);
    if let Fate::Activated(_) = fate {
        scan.stats.activate(pages, file);
    }
    outcome
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
    /// Whether the page that is being activated is a file's.
    file: bool,
}

type Step<O, T> = Result<T, ShrinkError<<O as PageOps>::Error>>;

fn failed<E>(op: PageOp) -> impl FnOnce(E) -> ShrinkError<E> {
    move |source| ShrinkError::op(op, source)
}

impl<O: PageOps, L: PinPolicy, K: ParkPolicy> Scan<'_, O, L, K> {
    fn decide(&mut self) -> Step<O, Fate> {
        for _ in 0..MAX_WAITS {
            if let Some(fate) = self.attempt()? {
                return Ok(fate);
            }
        }
        Ok(Fate::Kept(KeepReason::Writeback))
    }

    /// `None`: it waited for writeback; try again.
    #[inline]
    fn attempt(&mut self) -> Step<O, Option<Fate>> {
        let lock = self
            .ops
            .try_lock(self.page)
            .map_err(failed(PageOp::TryLock))?;
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
            Entrance::Unevictable => return self.activate(ActivateReason::Unevictable).map(Some),
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
                return self.activate(ActivateReason::Referenced).map(Some);
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
    fn take(&mut self, references: References, mut may_enter_fs: bool) -> Step<O, Fate> {
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
                return self.activate(ActivateReason::Dirty);
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

    #[cold]
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

    #[cold]
    fn under_writeback(&mut self, page: PageFlags, may_enter_fs: bool) -> Step<O, Option<Fate>> {
        match decide::under_writeback(page, self.control.flags, may_enter_fs) {
            UnderWriteback::Immediate => {
                self.stats.immediate();
                self.activate(ActivateReason::Writeback).map(Some)
            }
            UnderWriteback::Mark => {
                self.update(PageFlags::RECLAIM, PageFlags::empty())?;
                self.stats.writeback();
                self.activate(ActivateReason::Writeback).map(Some)
            }
            UnderWriteback::Wait => {
                self.unlock()?;
                self.ops
                    .wait_for_writeback(self.page)
                    .map_err(failed(PageOp::WaitForWriteback))?;
                Ok(None)
            }
        }
    }

    #[inline]
    fn references(&mut self, page: PageFlags) -> Step<O, References> {
        if self.scan_has(ScanFlags::IGNORE_REFERENCES) {
            return Ok(References::Reclaim);
        }
        let found = self
            .ops
            .referenced(self.page)
            .map_err(failed(PageOp::Referenced))?;
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
    fn get_swap(&mut self) -> Step<O, Option<Fate>> {
        if self.is_huge() {
            if !self.ops.can_split(self.page) {
                return self.activate(ActivateReason::CannotSplit).map(Some);
            }
            if !self.ops.is_pmd_mapped(self.page) && self.split()? == Hook::Refused {
                return self.activate(ActivateReason::CannotSplit).map(Some);
            }
        }
        if self.add_to_swap()? == Hook::Done {
            return Ok(None);
        }
        if self.is_huge() {
            if self.split()? == Hook::Refused {
                return self.activate(ActivateReason::CannotSplit).map(Some);
            }
            if self.add_to_swap()? == Hook::Done {
                return Ok(None);
            }
        }
        self.settle_split();
        self.activate(ActivateReason::NoSwap).map(Some)
    }

    fn is_huge(&self) -> bool {
        self.page.flags().contains(PageFlags::THP)
    }

    fn add_to_swap(&mut self) -> Step<O, Hook> {
        self.ops
            .add_to_swap(self.page)
            .map_err(failed(PageOp::AddToSwap))
    }

    fn split(&mut self) -> Step<O, Hook> {
        self.ops.split(self.page).map_err(failed(PageOp::Split))
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
    fn unmap(&mut self) -> Step<O, Option<Fate>> {
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
                return Err(ShrinkError::Unmap {
                    error: failure.error,
                    owed: failure.owed,
                    locked: false,
                });
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
                self.activate(ActivateReason::StillMapped).map(Some)
            }
        }
    }

    fn write_out(&mut self) -> Step<O, Option<Fate>> {
        if self.flush.is_dirty() {
            self.settle_flush()?;
        }
        let out = self
            .ops
            .write_out(self.page)
            .map_err(failed(PageOp::WriteOut))?;
        match out {
            PageOut::Keep => Ok(Some(Fate::Kept(KeepReason::NotWritten))),
            PageOut::Activate => self.activate(ActivateReason::NotWritten).map(Some),
            PageOut::Clean => Ok(None),
            PageOut::Success => {
                self.stats.pageout(self.pages);
                self.locked = false;
                let unfinished = PageFlags::WRITEBACK.union(PageFlags::DIRTY);
                if self.page.flags().intersects(unfinished) {
                    return Ok(Some(Fate::Kept(KeepReason::Writeback)));
                }
                let lock = self
                    .ops
                    .try_lock(self.page)
                    .map_err(failed(PageOp::TryLock))?;
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
    fn release(&mut self) -> Step<O, Fate> {
        if self.page.flags().contains(PageFlags::PRIVATE) {
            let released = self
                .ops
                .release_buffers(self.page)
                .map_err(failed(PageOp::ReleaseBuffers))?;
            if released == Hook::Refused {
                return self.activate(ActivateReason::Buffers);
            }
            if !decide::has_mapping(self.page.flags()) && self.page.ref_count() == 1 {
                self.unlock()?;
                let last = self
                    .ops
                    .put_last(self.page)
                    .map_err(failed(PageOp::PutLast))?;
                return Ok(if last { Fate::Freed } else { Fate::Raced });
            }
        }
        let how = match decide::leave(self.page.flags()) {
            Leave::Lazyfree => Removal::Lazyfree,
            Leave::FromCache => Removal::FromCache,
            Leave::NoMapping => return Ok(Fate::Kept(KeepReason::NoMapping)),
        };
        let removed = self
            .ops
            .remove(self.page, how)
            .map_err(failed(PageOp::Remove))?;
        if removed == Hook::Refused {
            return Ok(Fate::Kept(KeepReason::Held));
        }
        // Out of memory is out of memory: were it kept because its lock could not be given back, a
        // frozen page would be on a list.
        let _ = self.unlock();
        self.locked = false;
        Ok(Fate::Freed)
    }

    fn activate(&mut self, why: ActivateReason) -> Step<O, Fate> {
        let page = self.page.flags();
        let swap_full = page.contains(PageFlags::SWAP_CACHE) && self.ops.is_swap_full(self.page);
        if decide::frees_swap(page, swap_full) {
            self.ops
                .free_swap(self.page)
                .map_err(failed(PageOp::FreeSwap))?;
        }
        if page.contains(PageFlags::MLOCKED) {
            return Ok(Fate::Kept(KeepReason::Mlocked));
        }
        self.update(PageFlags::ACTIVE, PageFlags::empty())?;
        self.file = !self.page.flags().contains(PageFlags::SWAP_BACKED);
        Ok(Fate::Activated(why))
    }

    fn update(&mut self, set: PageFlags, clear: PageFlags) -> Step<O, ()> {
        self.ops
            .update(self.page, set, clear)
            .map_err(failed(PageOp::Update))
    }

    fn settle_flush(&mut self) -> Step<O, ()> {
        let debt = core::mem::replace(self.flush, FlushDebt::none());
        debt.flush(|| self.ops.flush_tlb())
            .map_err(|(debt, source)| {
                self.flush.absorb(debt);
                failed(PageOp::FlushTlb)(source)
            })
    }

    fn unlock(&mut self) -> Step<O, ()> {
        if !self.locked {
            return Ok(());
        }
        self.ops.unlock(self.page).map_err(failed(PageOp::Unlock))?;
        self.locked = false;
        Ok(())
    }
}
