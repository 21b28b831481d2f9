//! The operations on one page.

use super::tables::Reverse;
use super::{Fault, Injected, Page, Pager, Pte, Slot};
use pinfold::pin::RefsLeft;
use pinfold::reclaim::{PageOps, PageOut, Referenced, Removal};
use pinfold::{
    Failure, Hook, IgnorePins, PageFlags, PageLike, PinPolicy, PteFlags, UnmapRequest, Unmapped,
    VmFlags, try_to_unmap,
};

type Told<T> = Result<T, Injected>;

impl PageOps for Pager {
    type Page = Page;
    type Error = Injected;

    fn update(&mut self, page: &Page, set: PageFlags, clear: PageFlags) -> Told<()> {
        page.set(set, true);
        if !self.is(Fault::UpdateForgetsClear) {
            page.set(clear, false);
        }
        Ok(())
    }

    fn referenced(&mut self, page: &Page) -> Told<Referenced> {
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
        Ok(found)
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Page,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Injected>> {
        if self.is(Fault::OwnUnmapIgnoresPins) {
            let request = UnmapRequest::new(request.flags()).expect("known flags");
            let request = request.with_policy(IgnorePins);
            return try_to_unmap(page, &request, &mut Reverse::new(self, page));
        }
        try_to_unmap(page, request, &mut Reverse::new(self, page))
    }

    fn remove(&mut self, page: &Page, how: Removal) -> Told<Hook> {
        if page.has(PageFlags::DIRTY) && !self.is(Fault::RemoveIgnoresDirty) {
            return Ok(Hook::Refused);
        }
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => 2,
        };
        if page.ref_count() != expected && !self.is(Fault::RemoveIgnoresCount) {
            if self.is(Fault::RefusedRemoveFreezes) {
                page.refs.set(0);
            }
            return Ok(Hook::Refused);
        }
        page.refs.set(0);
        if how == Removal::FromCache && !self.is(Fault::RemoveStaysInCache) {
            page.set(PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE, false);
            if let Some(at) = self.slot_of(page.id) {
                self.slots[at].as_mut().expect("in use").cached = None;
                self.put_slot(at, 0);
            }
        }
        Ok(Hook::Done)
    }

    fn flush_tlb(&mut self) -> Told<()> {
        if self.is(Fault::FlushForgotten) {
            return Ok(());
        }
        for page in &self.pages {
            page.stale.set([0, 0]);
        }
        self.free.append(&mut self.awaits_flush);
        Ok(())
    }

    fn try_lock(&mut self, page: &Page) -> Told<Hook> {
        if page.locked.get() && !self.is(Fault::LockIgnoresOthers) {
            return Ok(Hook::Refused);
        }
        page.locked.set(!self.is(Fault::LockNotTaken));
        Ok(Hook::Done)
    }

    fn unlock(&mut self, page: &Page) -> Told<()> {
        page.locked.set(self.is(Fault::LockKept));
        Ok(())
    }

    fn wait_for_writeback(&mut self, page: &Page) -> Told<()> {
        if !self.is(Fault::WaitDoesNotWait) {
            page.writing.set(false);
            page.set(PageFlags::WRITEBACK, false);
        }
        Ok(())
    }

    fn add_to_swap(&mut self, page: &Page) -> Told<Hook> {
        let Some(at) = self.slots.iter().position(Option::is_none) else {
            return Ok(Hook::Refused);
        };
        self.slots[at] = Some(Slot {
            users: 0,
            cached: Some(page.id),
            data: 0,
        });
        page.get_refs(i32::from(!self.is(Fault::SwapCacheWithoutReference)));
        page.set(PageFlags::SWAP_CACHE, true);
        page.set(PageFlags::DIRTY, !self.is(Fault::SwapCacheClean));
        Ok(Hook::Done)
    }

    fn free_swap(&mut self, page: &Page) -> Told<()> {
        let Some(at) = self.slot_of(page.id) else {
            return Ok(());
        };
        let users = self.slots[at].expect("in use").users;
        if users > 0 || page.has(PageFlags::WRITEBACK) {
            return Ok(());
        }
        page.set(PageFlags::SWAP_CACHE, false);
        page.set(PageFlags::DIRTY, true);
        let _ = page.put_refs(1);
        if self.is(Fault::SwapKeptTooLong) {
            self.slots[at].as_mut().expect("in use").cached = None;
        } else {
            self.slots[at] = None;
        }
        Ok(())
    }

    fn is_swap_full(&mut self, _: &Page) -> bool {
        self.slots.iter().flatten().count() > 8
    }

    fn write_out(&mut self, page: &Page) -> Told<PageOut> {
        let data = page.data.get();
        if !self.is(Fault::WriteLost) {
            match self.slot_of(page.id) {
                Some(at) => self.slots[at].as_mut().expect("in use").data = data,
                None if page.has(PageFlags::PAGE_CACHE) => page.file.set(data),
                None => return Ok(PageOut::Keep),
            }
        }
        page.set(PageFlags::DIRTY, false);
        if self.config.slow {
            page.writing.set(true);
            page.set(PageFlags::WRITEBACK, !self.is(Fault::WriteHidden));
        }
        page.locked.set(self.is(Fault::WriteKeepsLock));
        Ok(PageOut::Success)
    }

    fn release_buffers(&mut self, page: &Page) -> Told<Hook> {
        page.set(PageFlags::PRIVATE, false);
        let dropped = 1 + i32::from(self.is(Fault::BuffersDropTwice));
        let _ = page.put_refs(dropped);
        Ok(Hook::Done)
    }

    fn put_last(&mut self, page: &Page) -> Told<Option<RefsLeft>> {
        let last = page.put_refs(1);
        if !last {
            self.elsewhere.push(page.id);
        }
        Ok(Some(if last || self.is(Fault::PutLastAlwaysLast) {
            RefsLeft::Last
        } else {
            RefsLeft::Some
        }))
    }
}
