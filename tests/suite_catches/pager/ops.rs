//! The operations on one page.

use super::tables::Reverse;
use super::{Fault, Injected, Page, Pager, Pte, Slot};
use pinfold::pin::Released;
use pinfold::reclaim::{PageOps, PageOut, Referenced, Removal};
use pinfold::unmap::UnmapError;
use pinfold::{
    Attempt, FlushDebt, IgnorePins, Outcome, PageFlags, PageLike, PinPolicy, PteFlags,
    UnmapRequest, VmFlags, try_to_unmap,
};

impl PageOps for Pager {
    type Page = Page;
    type Error = Injected;

    fn update(&mut self, page: &Page, set: PageFlags, clear: PageFlags) {
        page.set(set, true);
        if !self.is(Fault::UpdateForgetsClear) {
            page.set(clear, false);
        }
    }

    fn referenced(&mut self, page: &Page) -> Referenced {
        let mut found = Referenced::default();
        for mapping in &page.mappings {
            if let Pte::Present(flags) = mapping.pte.get() {
                if mapping.vma.contains(VmFlags::LOCKED) {
                    found.vma |= VmFlags::LOCKED;
                }
                let young = flags.contains(PteFlags::YOUNG);
                found.entries += u32::from(young);
                if !self.is(Fault::YoungKept) {
                    mapping.pte.set(Pte::Present(flags - PteFlags::YOUNG));
                }
            }
        }
        if self.is(Fault::YoungMiscounted) {
            found.entries = found.entries.min(1);
        }
        found
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Page,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Injected>> {
        if self.is(Fault::OwnUnmapForgetsDebt) {
            let mut own = FlushDebt::none();
            let unmapped = try_to_unmap(page, request, &mut Reverse::new(self, page), &mut own);
            own.ignore();
            return unmapped;
        }
        if self.is(Fault::OwnUnmapIgnoresPins) {
            let request = UnmapRequest::new(request.flags()).expect("known flags");
            let request = request.with_policy(IgnorePins);
            return try_to_unmap(page, &request, &mut Reverse::new(self, page), debt);
        }
        try_to_unmap(page, request, &mut Reverse::new(self, page), debt)
    }

    fn remove(&mut self, page: &Page, how: Removal) -> Attempt {
        if page.has(PageFlags::DIRTY) && !self.is(Fault::RemoveIgnoresDirty) {
            return Attempt::Refused;
        }
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => 2,
        };
        if page.ref_count() != expected && !self.is(Fault::RemoveIgnoresCount) {
            if self.is(Fault::RefusedRemoveFreezes) {
                page.refs.set(0);
            }
            return Attempt::Refused;
        }
        page.refs.set(0);
        if how == Removal::FromCache && !self.is(Fault::RemoveStaysInCache) {
            page.set(PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE, false);
            if let Some(at) = self.slot_of(page.id) {
                self.slots[at].as_mut().expect("in use").cached = None;
                self.put_slot(at, 0);
            }
        }
        Attempt::Done
    }

    fn flush_tlb(&mut self) {
        // As if there were never more than one page to flush.
        let last = match self.config.fault {
            Some(Fault::FlushForgotten) => return,
            Some(Fault::FlushForgottenInBatch) => 1,
            _ => usize::MAX,
        };
        let stale = |page: &&Page| page.stale.get() != [0, 0];
        for page in self.pages.iter().filter(stale).take(last) {
            page.stale.set([0, 0]);
        }
    }

    fn try_lock(&mut self, page: &Page) -> Attempt {
        if page.locked.get() && !self.is(Fault::LockIgnoresOthers) {
            return Attempt::Refused;
        }
        if self.is(Fault::LockHoldsOne) {
            for other in &self.pages {
                other.locked.set(false);
            }
        }
        page.locked.set(!self.is(Fault::LockNotTaken));
        Attempt::Done
    }

    fn unlock(&mut self, page: &Page) {
        let in_batch =
            |pager: &Self| pager.pages.iter().filter(|page| page.locked.get()).count() > 1;
        let kept = self.is(Fault::LockKept) || self.is(Fault::LockKeptInBatch) && in_batch(self);
        page.locked.set(kept);
    }

    fn wait_for_writeback(&mut self, page: &Page) {
        if !self.is(Fault::WaitDoesNotWait) {
            page.writing.set(false);
            page.set(PageFlags::WRITEBACK, false);
        }
    }

    fn add_to_swap(&mut self, page: &Page) -> Attempt {
        let Some(at) = self.slots.iter().position(Option::is_none) else {
            return Attempt::Refused;
        };
        self.slots[at] = Some(Slot {
            users: 0,
            cached: Some(page.id),
            data: 0,
        });
        page.get_refs(i32::from(!self.is(Fault::SwapCacheWithoutReference)));
        page.set(PageFlags::SWAP_CACHE, true);
        page.set(PageFlags::DIRTY, !self.is(Fault::SwapCacheClean));
        Attempt::Done
    }

    fn free_swap(&mut self, page: &Page) {
        let Some(at) = self.slot_of(page.id) else {
            return;
        };
        let users = self.slots[at].expect("in use").users;
        if users > 0 || page.has(PageFlags::WRITEBACK) {
            return;
        }
        page.set(PageFlags::SWAP_CACHE, false);
        page.set(PageFlags::DIRTY, true);
        let _ = page.put_refs(1);
        if self.is(Fault::SwapKeptTooLong) {
            self.slots[at].as_mut().expect("in use").cached = None;
        } else {
            self.slots[at] = None;
        }
    }

    fn is_swap_full(&mut self, _: &Page) -> bool {
        self.slots.iter().flatten().count() > 8
    }

    fn write_out(&mut self, page: &Page) -> PageOut {
        let data = page.data.get();
        if !self.is(Fault::WriteLost) {
            match self.slot_of(page.id) {
                Some(at) => self.slots[at].as_mut().expect("in use").data = data,
                None if page.has(PageFlags::PAGE_CACHE) => page.file.set(data),
                None => return PageOut::Keep,
            }
        }
        page.set(PageFlags::DIRTY, false);
        if self.config.slow {
            self.queue.push(page.id);
            page.set(PageFlags::WRITEBACK, !self.is(Fault::WriteHidden));
        }
        page.locked.set(self.is(Fault::WriteKeepsLock));
        PageOut::Success
    }

    fn release_buffers(&mut self, page: &Page) -> Attempt {
        page.set(PageFlags::PRIVATE, false);
        let dropped = 1 + i32::from(self.is(Fault::BuffersDropTwice));
        let _ = page.put_refs(dropped);
        Attempt::Done
    }

    fn put_last(&mut self, page: &Page) -> Option<Released> {
        let last = page.put_refs(1);
        if !last {
            self.elsewhere.push(page.id);
        }
        Some(if last || self.is(Fault::PutLastAlwaysLast) {
            Released::Free
        } else {
            Released::Done
        })
    }

    fn submit(&mut self) {
        if !self.is(Fault::WriteNotSubmitted) {
            for id in self.queue.drain(..) {
                self.pages[id].writing.set(true);
            }
        }
    }
}
