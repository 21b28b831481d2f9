//! What the embedder of a random world does when the scan asks it.

use crate::world::{Page, Place, When, World};
use core::convert::Infallible;
use pinfold::pin::{PinReading, Pins};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::{
    Attempt, FlushDebt, Operation, Outcome, PageFlags, PageLike, PinPolicy, PinVerdict, UnmapError,
    UnmapRequest,
};

impl<'p> PageOps for World<'p> {
    type Page = &'p Page;
    type Error = Infallible;

    fn update(&mut self, page: &&'p Page, set: PageFlags, clear: PageFlags) {
        self.call();
        page.set(set, true);
        page.set(clear, false);
        if clear.contains(PageFlags::ACTIVE) && self.asked.contains(&1) {
            page.late.set(true);
        }
    }

    fn referenced(&mut self, page: &&'p Page) -> Referenced {
        self.call();
        Referenced {
            entries: u32::from(page.young.replace(false)),
            ..Referenced::default()
        }
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'p Page,
        request: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        self.call();
        let pins = L::Reading::read(page);
        let operation = Operation::of(request.flags(), page.flags());
        let verdict = request.policy().verdict(operation, request.context(), pins);
        let outcome = if verdict == PinVerdict::Proceed {
            page.mapped.set(false);
            Outcome::Unmapped
        } else {
            Outcome::Skipped(pins)
        };
        self.call();
        Ok(outcome)
    }

    fn remove(&mut self, page: &&'p Page, _: Removal) -> Attempt {
        self.call();
        if page.pins() > 0 || page.held.get() {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }

    fn flush_tlb(&mut self) {
        panic!("nothing is deferred here");
    }

    fn try_lock(&mut self, page: &&'p Page) -> Attempt {
        self.call();
        if page.busy.get() {
            return Attempt::Refused;
        }
        assert!(!page.locked.replace(true), "locked twice");
        Attempt::Done
    }

    fn unlock(&mut self, page: &&'p Page) {
        self.call();
        assert!(page.locked.replace(false), "not locked");
    }

    fn add_to_swap(&mut self, page: &&'p Page) -> Attempt {
        self.call();
        // No room for a huge page in one piece.
        if page.size.get() > 1 || !self.swap {
            return Attempt::Refused;
        }
        page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY, true);
        Attempt::Done
    }

    fn can_split(&mut self, page: &&'p Page) -> bool {
        page.pins() == 0
    }

    fn is_pmd_mapped(&mut self, page: &&'p Page) -> bool {
        page.index % 2 == 0
    }

    fn split(&mut self, page: &&'p Page) -> Attempt {
        self.call();
        if page.pins() > 0 {
            return Attempt::Refused;
        }
        page.set(PageFlags::THP, false);
        page.size.set(1);
        for index in page.tails.take() {
            let tail = &self.pages[index];
            tail.flags.set(page.flags());
            tail.mapped.set(page.mapped.get());
            tail.held.set(page.held.get());
            tail.late.set(page.late.get());
            tail.place.set(Place::Listed);
            self.lists[Lru::of(tail.flags()) as usize].push_front(tail);
        }
        Attempt::Done
    }

    fn write_out(&mut self, page: &&'p Page) -> PageOut {
        self.call();
        assert!(
            page.pins() == 0 || self.ignores_pins,
            "written while pinned"
        );
        page.set(PageFlags::DIRTY, false);
        assert!(page.locked.replace(false), "written unlocked");
        PageOut::Success
    }

    fn failed(&mut self, page: &&'p Page, error: UnmapError<Infallible>) {
        panic!("{page:?}: {error}");
    }
}

impl<'p> Lists for World<'p> {
    fn take(&mut self, list: Lru) -> Option<&'p Page> {
        self.call();
        self.takes += 1;
        let page = self.lists[list as usize].pop_front()?;
        page.place.set(Place::Held);
        Some(page)
    }

    fn put(&mut self, list: Lru, page: &'p Page) {
        self.call();
        assert_eq!(Lru::of(page.flags()), list, "{page:?}");
        self.push(page);
        self.call();
    }

    fn pages(&self, list: Lru) -> u64 {
        let pages = self.lists[list as usize].iter();
        pages.map(|page| u64::from(page.size.get())).sum()
    }

    fn free(&mut self, page: &'p Page) {
        assert_eq!(page.pins(), 0, "freed while pinned");
        assert_eq!(page.place.replace(Place::Freed), Place::Held);
        self.freed += u64::from(page.size.get());
        self.call();
    }

    fn park(&mut self, page: &'p Page, _: Pins) -> Result<(), &'p Page> {
        self.call();
        if !self.parks || page.pins() == 0 {
            return Err(page);
        }
        page.place.set(Place::Parked);
        self.parked.push_back(page);
        self.call();
        Ok(())
    }

    fn take_parked(&mut self) -> Option<&'p Page> {
        let page = self.parked.pop_front()?;
        page.place.set(Place::Held);
        Some(page)
    }

    fn pages_parked(&self) -> u64 {
        let pages = self.parked.iter();
        pages.map(|page| u64::from(page.size.get())).sum()
    }

    fn has_swap(&self) -> bool {
        self.swap
    }

    fn watermark(&self) -> Watermark {
        self.watermark
    }

    fn shrink_others(&mut self, priority: u8) -> u64 {
        self.call();
        self.happen(When::Others(priority));
        self.asked.push(priority);
        self.in_time = priority == 0 && self.unpinned();
        // Pages that are only unpinned count when the scan takes them.
        0
    }
}
