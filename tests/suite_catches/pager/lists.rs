//! The lists.

use super::{Fault, Page, Pager};
use pinfold::PageFlags;
use pinfold::pin::Pins;
use pinfold::reclaim::{Lists, Lru};

impl Pager {
    fn isolate(&mut self, id: usize) -> Page {
        let page = self.pages[id].clone();
        page.get_refs(1);
        page
    }
}

impl Lists for Pager {
    fn take(&mut self, list: Lru) -> Option<Page> {
        self.scanned = true;
        let pages = &mut self.lists[list as usize];
        let id = match self.config.fault {
            Some(Fault::TakesYoungest) => pages.pop_back(),
            Some(Fault::TakesNothing) if pages.len() == 2 => None,
            _ => pages.pop_front(),
        };
        Some(self.isolate(id?))
    }

    fn put(&mut self, list: Lru, page: Page) {
        if !self.is(Fault::PutLeavesActive) {
            page.set(PageFlags::ACTIVE, list.is_active());
        }
        if page.put_refs(i32::from(!self.is(Fault::PutKeepsReference))) {
            return self.last_is_gone(page.id);
        }
        if self.is(Fault::PutLocks) {
            page.locked.set(true);
        }
        let list = if self.is(Fault::PutOnWrongList) {
            Lru::InactiveFile
        } else {
            list
        };
        self.lists[list as usize].push_back(page.id);
        if self.is(Fault::PutTwice) && page.id == 3 {
            self.lists[Lru::ActiveAnon as usize].push_back(page.id);
        }
    }

    fn pages(&self, list: Lru) -> u64 {
        if self.scanned && self.is(Fault::EndlessList) {
            return 1 << 40;
        }
        let more = self.is(Fault::MiscountsList) && list == Lru::ActiveFile;
        self.lists[list as usize].len() as u64 + u64::from(more)
    }

    fn free(&mut self, page: Page) {
        if !self.is(Fault::FreeForgets) {
            self.free.push(page.id);
        }
    }

    fn park(&mut self, page: Page, _: Pins) -> Result<(), Page> {
        if !page.is_pinned() && !self.is(Fault::ParksUnpinned) || page.id == 1 {
            if self.is(Fault::RefusedParkLocks) {
                page.locked.set(true);
            }
            return Err(page);
        }
        let _ = page.put_refs(1);
        self.parked.push_back(page.id);
        if self.is(Fault::ParkedAndListed) {
            let list = Lru::of(page.flags.get());
            self.lists[list as usize].push_back(page.id);
        }
        Ok(())
    }

    fn take_parked(&mut self) -> Option<Page> {
        let id = self.parked.pop_front()?;
        Some(self.isolate(id))
    }

    fn pages_parked(&self) -> u64 {
        self.parked.len() as u64 + u64::from(self.is(Fault::MiscountsParked))
    }
}
