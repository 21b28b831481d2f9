//! The steps on the way to a page's fate: each asks the embedder for one thing.

use super::decide::{self, Leave, References, ScanFlags, UnderWriteback};
use super::fate::Scan;
use super::ops::{PageOps, PageOut, Removal};
use super::park::ParkPolicy;
use super::{ActivateReason, Fate, KeepReason, PageOp, ShrinkError};
use crate::flags::{PageFlags, UnmapFlags};
use crate::page::PageLike;
use crate::pin::RefsLeft;
use crate::policy::{Operation, PinPolicy};
use crate::rmap::{Outcome, Reason};
use crate::unmap::{FlushDebt, Hook, Stop, UnmapRequest, Verdict};

/// Something failed: the error is in the scan.
pub(super) struct Failed;

pub(super) type Step<T> = Result<T, Failed>;

/// What an operation of the embedder's returned; its error goes to the scan.
macro_rules! ask {
    ($scan:ident, $op:ident, $answer:expr) => {
        match $answer {
            Ok(answer) => Ok(answer),
            Err(source) => Err($scan.fail(ShrinkError::op(PageOp::$op, source))),
        }
    };
}

pub(super) use ask;

impl<O: PageOps, L: PinPolicy, K: ParkPolicy> Scan<'_, O, L, K> {
    #[inline]
    pub(super) fn count_io(&mut self, page: PageFlags) {
        let (dirty, writeback) = decide::counts_as(page);
        let through_device = (dirty || writeback) && decide::has_mapping(page);
        let congested = through_device && self.ops.is_congested(self.page)
            || writeback && page.contains(PageFlags::RECLAIM);
        self.stats.io(dirty, writeback, congested);
    }

    pub(super) fn under_writeback(
        &mut self,
        page: PageFlags,
        may_enter_fs: bool,
    ) -> Step<Option<Fate>> {
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
    pub(super) fn references(&mut self, page: PageFlags) -> Step<References> {
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
    pub(super) fn get_swap(&mut self) -> Step<Option<Fate>> {
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
    pub(super) fn split(&mut self) -> Step<Hook> {
        let split = ask!(self, Split, self.ops.split(self.page))?;
        if split == Hook::Done {
            self.pages = self.page.base_pages().min(self.pages).max(1);
        }
        Ok(split)
    }

    #[inline]
    pub(super) fn unmap(&mut self) -> Step<Option<Fate>> {
        let before = self.page.flags();
        let mut flags = decide::unmap_flags(before, self.control.unmap);
        // Not in `Ignore`, where the flags are Linux's own: no pin is asked about.
        if L::MODE.reads_pins() {
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
    pub(super) fn write_out(&mut self) -> Step<Option<Fate>> {
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
    pub(super) fn release(&mut self) -> Step<Fate> {
        if self.page.flags().contains(PageFlags::PRIVATE) {
            let released = ask!(self, ReleaseBuffers, self.ops.release_buffers(self.page))?;
            if released == Hook::Refused {
                return Ok(Fate::Activated(ActivateReason::Buffers));
            }
            if !decide::has_mapping(self.page.flags()) && self.page.ref_count() == 1 {
                self.unlock()?;
                let left = ask!(self, PutLast, self.ops.put_last(self.page))?;
                return Ok(match left {
                    Some(RefsLeft::Last) => Fate::Freed,
                    Some(RefsLeft::Some) => Fate::Raced,
                    None => Fate::Kept(KeepReason::NoMapping),
                });
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
    pub(super) fn activate(&mut self, fate: Fate) -> Step<Fate> {
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
    pub(super) fn update(&mut self, set: PageFlags, clear: PageFlags) -> Step<()> {
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
    pub(super) fn fail(&mut self, error: ShrinkError<O::Error>) -> Failed {
        self.error.get_or_insert(error);
        Failed
    }

    #[inline]
    pub(super) fn unlock(&mut self) -> Step<()> {
        if !self.locked {
            return Ok(());
        }
        ask!(self, Unlock, self.ops.unlock(self.page))?;
        self.locked = false;
        Ok(())
    }
}
