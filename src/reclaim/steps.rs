//! The steps on the way to a page's fate. Each calls the embedder for one thing.

use super::decide::{self, References, ScanFlags, UnderWriteback};
use super::fate::{Step, set_aside};
use super::ops::{PageOps, PageOut};
use super::{ActivateReason, Fate, KeepReason};
use crate::flags::{PageFlags, UnmapFlags};
use crate::page::PageLike;
use crate::pin::Released;
use crate::policy::{Operation, PinPolicy};
use crate::rmap::Outcome;
use crate::unmap::{Attempt, Stop, UnmapRequest, Verdict};

impl<O: PageOps, L: PinPolicy> Step<'_, '_, O, L> {
    #[inline(always)]
    pub(super) fn count_io(&mut self, page: PageFlags) {
        let (dirty, writeback) = page.counts_as_io();
        let through_device = (dirty || writeback) && page.has_mapping();
        let congested = through_device && self.ops.is_congested(self.page)
            || writeback && page.contains(PageFlags::RECLAIM);
        self.shared.stats.io(dirty, writeback, congested);
    }

    /// The fate of a page under writeback; `None` if it must wait.
    pub(super) fn under_writeback(&mut self, page: PageFlags, may_enter_fs: bool) -> Option<Fate> {
        match decide::under_writeback(page, self.shared.control.flags, may_enter_fs) {
            UnderWriteback::Immediate => self.shared.stats.immediate(),
            UnderWriteback::Mark => {
                self.ops
                    .update(self.page, PageFlags::RECLAIM, PageFlags::empty());
                self.shared.stats.writeback();
            }
            UnderWriteback::Wait => return None,
        }
        Some(Fate::Activated(ActivateReason::Writeback))
    }

    #[inline(always)]
    pub(super) fn references(&mut self, page: PageFlags) -> References {
        let control = self.shared.control;
        if control.flags.contains(ScanFlags::IGNORE_REFERENCES) {
            return References::Reclaim;
        }
        let found = self.ops.referenced(self.page);
        let (references, mark) = decide::references(page, found);
        let marked = page.contains(PageFlags::REFERENCED);
        if mark && !marked {
            self.ops
                .update(self.page, PageFlags::REFERENCED, PageFlags::empty());
        } else if marked && !mark {
            self.ops
                .update(self.page, PageFlags::empty(), PageFlags::REFERENCED);
        }
        references
    }

    /// Gets the page a slot in swap, and splits a huge one if it cannot have one whole.
    #[inline(always)]
    pub(super) fn get_swap(&mut self) -> Result<(), Fate> {
        const CANNOT_SPLIT: Fate = Fate::Activated(ActivateReason::CannotSplit);
        if self.is_huge() {
            if !self.ops.can_split(self.page) {
                return Err(CANNOT_SPLIT);
            }
            if !self.ops.is_pmd_mapped(self.page) && self.ops.split(self.page) == Attempt::Refused {
                return Err(CANNOT_SPLIT);
            }
        }
        if self.ops.add_to_swap(self.page) == Attempt::Done {
            return Ok(());
        }
        if self.is_huge() {
            if self.ops.split(self.page) == Attempt::Refused {
                return Err(CANNOT_SPLIT);
            }
            if self.ops.add_to_swap(self.page) == Attempt::Done {
                return Ok(());
            }
        }
        Err(Fate::Activated(ActivateReason::NoSwap))
    }

    #[inline(always)]
    fn is_huge(&self) -> bool {
        self.page.flags().contains(PageFlags::THP)
    }

    /// A page that was split counts as one page from then on; its tails are scanned by themselves.
    #[inline(always)]
    pub(super) fn settle_split(&mut self) {
        if self.state.pages > 1 && self.state.scans > 0 {
            self.state.pages = self.page.base_pages().clamp(1, self.state.pages);
        }
    }

    #[inline(always)]
    pub(super) fn unmap(&mut self) -> Result<(), Fate> {
        let before = self.page.flags();
        let control = self.shared.control;
        let mut flags = UnmapFlags::for_reclaim(before, control.unmap);
        // Not in `PinMode::Ignore`, where the flags are Linux's own.
        if control.policy.mode().reads_pins() {
            flags |= UnmapFlags::OPPORTUNISTIC;
        }
        let request = UnmapRequest::of(flags, &control.policy, control.context);
        match self.ops.unmap(self.page, &request, self.shared.debt) {
            Ok(Outcome::Unmapped) => Ok(()),
            Ok(
                Outcome::Skipped(pins)
                | Outcome::Refused(pins)
                | Outcome::StillMapped(Verdict::Stopped(Stop::PinAppeared(pins))),
            ) => Err(set_aside(control, pins)),
            Ok(_) => {
                let lazyfree_dirtied = !before.contains(PageFlags::SWAP_BACKED)
                    && self.page.flags().contains(PageFlags::SWAP_BACKED);
                self.shared
                    .stats
                    .unmap_fail(self.state.pages, lazyfree_dirtied);
                Err(Fate::Activated(ActivateReason::StillMapped))
            }
            Err(error) => {
                self.ops.failed(self.page, error);
                Err(Fate::Kept(KeepReason::Failed))
            }
        }
    }

    /// Writes the page out. `Ok` if it is clean and locked afterwards.
    #[inline(always)]
    pub(super) fn write_out(&mut self) -> Result<(), Fate> {
        match self.ops.write_out(self.page) {
            PageOut::Keep => return Err(Fate::Kept(KeepReason::NotWritten)),
            PageOut::Activate => return Err(Fate::Activated(ActivateReason::NotWritten)),
            PageOut::Clean => return Ok(()),
            PageOut::Success => {}
        }
        self.shared.write_room = self.shared.write_room.saturating_sub(1);
        self.shared.stats.pageout(self.state.pages);
        self.state.locked = false;
        let unfinished = PageFlags::WRITEBACK.union(PageFlags::DIRTY);
        if self.page.flags().intersects(unfinished) {
            return Err(Fate::Kept(KeepReason::Writeback));
        }
        if self.ops.try_lock(self.page) == Attempt::Refused {
            return Err(Fate::Kept(KeepReason::LockLost));
        }
        self.state.locked = true;
        if self.page.flags().intersects(unfinished) {
            return Err(Fate::Kept(KeepReason::Writeback));
        }
        // Writing takes long: the pins are read once more.
        self.check_pins(Operation::Free)
    }

    /// Takes an unmapped, clean page out of memory: its buffers, its cache, the page itself.
    #[inline(always)]
    pub(super) fn release(&mut self) -> Result<Fate, Fate> {
        if self.page.flags().contains(PageFlags::PRIVATE) {
            if self.ops.release_buffers(self.page) == Attempt::Refused {
                return Err(Fate::Activated(ActivateReason::Buffers));
            }
            if !self.page.flags().has_mapping() && self.page.ref_count() == 1 {
                self.unlock();
                return match self.ops.put_last(self.page) {
                    Some(Released::Free | Released::UnparkAndFree) => Ok(Fate::Freed),
                    Some(Released::Done | Released::Unpark) => Ok(Fate::Raced),
                    None => Err(Fate::Kept(KeepReason::NoMapping)),
                };
            }
        }
        let Some(how) = decide::leave(self.page.flags()) else {
            return Err(Fate::Kept(KeepReason::NoMapping));
        };
        match self.ops.remove(self.page, how) {
            Attempt::Done => Ok(Fate::Freed),
            Attempt::Refused => Err(Fate::Kept(KeepReason::Held)),
        }
    }

    /// Activates the page, unless it is mlocked.
    #[inline(always)]
    pub(super) fn activate(&mut self, fate: Fate) -> Fate {
        let page = self.page.flags();
        let swap_full = page.contains(PageFlags::SWAP_CACHE) && self.ops.is_swap_full(self.page);
        if page.frees_swap(swap_full) {
            self.ops.free_swap(self.page);
        }
        if page.contains(PageFlags::MLOCKED) {
            return Fate::Kept(KeepReason::Mlocked);
        }
        self.ops
            .update(self.page, PageFlags::ACTIVE, PageFlags::empty());
        fate
    }

    #[inline(always)]
    pub(super) fn unlock(&mut self) {
        if core::mem::replace(&mut self.state.locked, false) {
            self.ops.unlock(self.page);
        }
    }
}
