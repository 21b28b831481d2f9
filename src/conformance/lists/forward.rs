//! The lists themselves.

use super::checked::{Checked, untouched};
use super::rules::may_be_free;
use super::world::{self, Truth};
use super::{ListsBroken, TestLists, Whereabouts};
use crate::flags::PageFlags;
use crate::pin::{Owners, Pins};
use crate::reclaim::{Lists, Lru, Place, Watermark};

impl<B: TestLists> Lists for Checked<'_, '_, B> {
    fn take(&mut self, list: Lru) -> Option<B::Page> {
        if self.state.taken >= self.state.most() {
            let taken = self.state.taken;
            self.state
                .note("take", 0, Err(ListsBroken::Endless { taken }));
            return None;
        }
        self.state.taken = self.state.taken.saturating_add(1);
        let place = Place::List(list);
        let oldest = self.oldest(place);
        let Some(page) = self.lists.take(list) else {
            if let Some((oldest, _)) = oldest {
                let held = Err(ListsBroken::NotOldest { oldest });
                self.state.note("take", oldest, held);
            }
            return None;
        };
        let id = self.lists.id(&page);
        self.isolated("take", id, place);
        if let Some((oldest, true)) = oldest.filter(|&(oldest, _)| oldest != id) {
            let held = Err(ListsBroken::NotOldest { oldest });
            self.state.note("take", id, held);
        }
        self.check("take", id);
        Some(page)
    }

    fn put(&mut self, list: Lru, page: B::Page) {
        let id = self.enter("put", &page);
        let last = self.is_last(id);
        self.lists.put(list, page);
        if last {
            // The scan's reference was the last: nobody can find the page any more.
            self.placed("put", id, Whereabouts::Free);
            return;
        }
        self.placed("put", id, Whereabouts::Listed(Place::List(list)));
        let active = self.lists.see(id).flags.contains(PageFlags::ACTIVE);
        if active != list.is_active() {
            let what = "the active flag follows the list";
            self.state
                .note("put", id, Err(ListsBroken::NotDone { what }));
        }
    }

    fn pages(&self, list: Lru) -> u64 {
        self.lists.pages(list)
    }

    fn free(&mut self, page: B::Page) {
        let id = self.enter("free", &page);
        if let Some(&truth) = self.state.known().get(id) {
            let held = may_be_free(self.lists, id, &truth);
            self.state.note("free", id, held);
        }
        self.lists.free(page);
        self.state.tally.freed = self.state.tally.freed.saturating_add(1);
        self.placed("free", id, Whereabouts::Free);
    }

    fn park(&mut self, page: B::Page, pins: Pins) -> Result<(), B::Page> {
        let id = self.enter("park", &page);
        let before = self.lists.see(id);
        match self.lists.park(page, pins) {
            Ok(()) => {
                self.state.tally.parked = self.state.tally.parked.saturating_add(1);
                self.placed("park", id, Whereabouts::Listed(Place::Parked));
                let pinned = self.state.known().get(id).is_some_and(Truth::is_pinned);
                if !pinned {
                    let what = "a page without pins is handed back";
                    self.state
                        .note("park", id, Err(ListsBroken::NotDone { what }));
                }
                Ok(())
            }
            Err(page) => {
                let after = self.lists.see(id);
                self.state.note("park", id, untouched(&before, &after));
                if self.lists.id(&page) != id {
                    let what = "the page that was handed back";
                    self.state
                        .note("park", id, Err(ListsBroken::NotDone { what }));
                }
                Err(page)
            }
        }
    }

    fn take_parked(&mut self) -> Option<B::Page> {
        let oldest = self.oldest(Place::Parked);
        let Some(page) = self.lists.take_parked() else {
            if let Some((oldest, _)) = oldest {
                let held = Err(ListsBroken::NotOldest { oldest });
                self.state.note("take_parked", oldest, held);
            }
            return None;
        };
        let id = self.lists.id(&page);
        self.isolated("take_parked", id, Place::Parked);
        self.check("take_parked", id);
        Some(page)
    }

    fn pages_parked(&self) -> u64 {
        self.lists.pages_parked()
    }

    fn pin_owners(&self) -> Owners {
        self.lists.pin_owners()
    }

    fn has_swap(&self) -> bool {
        self.lists.has_swap()
    }

    fn watermark(&self) -> Watermark {
        self.lists.watermark()
    }

    fn shrink_others(&mut self, priority: u8) -> u64 {
        let id = self.state.choices.index(self.state.len);
        if !self.state.quiet {
            self.act(id);
        }
        self.lists.shrink_others(priority)
    }
}

impl<B: TestLists> Checked<'_, '_, B> {
    /// The page that came to this place first, and whether that is certain.
    fn oldest(&self, place: Place) -> Option<(usize, bool)> {
        let there = || {
            let pages = self.state.known().iter().enumerate();
            pages.filter(move |(_, truth)| truth.whereabouts == Whereabouts::Listed(place))
        };
        let certain = there().all(|(_, truth)| truth.since.is_some());
        let (id, _) = there().min_by_key(|(_, truth)| truth.since)?;
        Some((id, certain))
    }

    /// Whether only the scan has a reference on the page.
    fn is_last(&self, id: usize) -> bool {
        let seen = self.lists.see(id);
        let state = PageFlags::PAGE_CACHE
            .union(PageFlags::SWAP_CACHE)
            .union(PageFlags::PRIVATE);
        let (present, _) = world::entries(self.lists, id);
        let others = self.state.known().get(id);
        let others = others.is_some_and(|truth| truth.holds > 0 || truth.is_pinned());
        present == 0 && !others && !seen.flags.intersects(state)
    }

    /// The page was taken from there.
    fn isolated(&mut self, name: &'static str, id: usize, from: Place) {
        let found = match self.state.page(id) {
            Some(truth) => core::mem::replace(&mut truth.whereabouts, Whereabouts::Isolated),
            None => Whereabouts::Isolated,
        };
        let from = Whereabouts::Listed(from);
        if found != from {
            let held = Err(ListsBroken::Misplaced {
                expected: found,
                found: from,
            });
            self.state.note(name, id, held);
        }
    }

    /// The page is the youngest there now. The scan has given it up, so it does not hold its lock.
    fn placed(&mut self, name: &'static str, id: usize, there: Whereabouts) {
        let since = self.state.tick();
        if let Some(truth) = self.state.page(id) {
            truth.whereabouts = there;
            truth.since = Some(since);
            if truth.ours {
                let why = "given up while the scan holds its lock";
                self.state
                    .note(name, id, Err(ListsBroken::Forbidden { why }));
            }
        }
        self.check(name, id);
    }
}
