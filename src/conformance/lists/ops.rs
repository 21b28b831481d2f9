//! The operations on one page, each with what must be true before it and after it.

use super::checked::{Checked, untouched};
use super::rules::{allowed, done, flags, may_leave, used};
use super::world::Truth;
use super::{Act, ListsBroken, Stale, TestLists, Whereabouts};
use crate::flags::{PageFlags, VmFlags};
use crate::pin::{PinKind, Released};
use crate::policy::PinPolicy;
use crate::reclaim::{PageOps, PageOut, Referenced, Removal};
use crate::rmap::Outcome;
use crate::unmap::{Attempt, FlushDebt, UnmapError, UnmapRequest};

#[deny(clippy::missing_trait_methods)]
impl<B: TestLists> PageOps for Checked<'_, '_, B> {
    type Page = B::Page;
    type Error = B::Error;

    fn update(&mut self, page: &B::Page, set: PageFlags, clear: PageFlags) {
        self.callback(
            "update",
            page,
            |lists, page| lists.update(page, set, clear),
            |(), before, after, _| flags(before, after, set, clear),
        );
    }

    fn referenced(&mut self, page: &B::Page) -> Referenced {
        let id = self.lists.id(page);
        let mut young = 0;
        let (found, _) = self.callback(
            "referenced",
            page,
            |lists, page| {
                young = used(lists, id);
                let found = lists.referenced(page);
                (found, used(lists, id))
            },
            |&(found, still), before, after, _| {
                untouched(before, after)?;
                // A locked VMA ends the search.
                if found.vma.contains(VmFlags::LOCKED) {
                    return Ok(());
                }
                done(still == 0, "entries that were used are old now")
            },
        );
        if !found.vma.contains(VmFlags::LOCKED) && found.entries != young {
            let what = "the count of entries that were used";
            let held = Err(ListsBroken::NotDone { what });
            self.state.note("referenced", id, held);
        }
        if self.state.quiet || !self.state.choices.one_in(6) {
            return found;
        }
        Referenced {
            entries: self.state.choices.below(3),
            vma: VmFlags::from_bits_truncate(self.state.choices.bits()),
        }
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &B::Page,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<B::Error>> {
        self.unmap_checked(page, request, debt)
    }

    fn remove(&mut self, page: &B::Page, how: Removal) -> Attempt {
        if self.refused("remove", page) {
            return Attempt::Refused;
        }
        self.at_the_last_moment(page);
        self.callback(
            "remove",
            page,
            |lists, page| lists.remove(page, how),
            |&answer, before, after, truth| {
                if answer == Attempt::Refused {
                    return untouched(before, after);
                }
                allowed(before.locked, "removed without its lock")?;
                may_leave(before, truth)?;
                let held = truth.holds > 0 || before.flags.contains(PageFlags::PRIVATE);
                allowed(!held, "removed while somebody holds it")?;
                truth.out = true;
                let cached = PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE);
                let in_cache = how == Removal::FromCache && after.flags.intersects(cached);
                done(!in_cache, "out of its cache")
            },
        )
    }

    fn flush_tlb(&mut self) {
        self.state.tally.callbacks = self.state.tally.callbacks.saturating_add(1);
        self.lists.flush_tlb();
        for id in 0..self.state.len {
            let seen = self.lists.see(id);
            let held = done(seen.stale == Stale::No, "the TLB is flushed");
            self.state.note("flush_tlb", id, held);
            if let Some(truth) = self.state.page(id) {
                truth.unflushed = 0;
            }
            self.check("flush_tlb", id);
        }
    }

    fn try_lock(&mut self, page: &B::Page) -> Attempt {
        if self.refused("try_lock", page) {
            return Attempt::Refused;
        }
        self.callback(
            "try_lock",
            page,
            PageOps::try_lock,
            |&answer, before, after, truth| {
                if answer == Attempt::Refused {
                    return untouched(before, after);
                }
                allowed(!before.locked, "locked twice")?;
                truth.ours = true;
                done(after.locked, "locked")
            },
        )
    }

    fn unlock(&mut self, page: &B::Page) {
        self.callback(
            "unlock",
            page,
            PageOps::unlock,
            |(), before, after, truth| {
                allowed(before.locked, "unlocked twice")?;
                truth.ours = false;
                done(!after.locked, "unlocked")
            },
        );
    }

    fn is_congested(&mut self, page: &B::Page) -> bool {
        self.answer(page, PageOps::is_congested)
    }

    fn wait_for_writeback(&mut self, page: &B::Page) {
        self.check_between("wait_for_writeback");
        self.callback(
            "wait_for_writeback",
            page,
            PageOps::wait_for_writeback,
            |(), _, after, _| {
                let ended = !after.writing && !after.flags.contains(PageFlags::WRITEBACK);
                done(ended, "the writeback has ended")
            },
        );
    }

    fn add_to_swap(&mut self, page: &B::Page) -> Attempt {
        if self.refused("add_to_swap", page) {
            return Attempt::Refused;
        }
        self.callback(
            "add_to_swap",
            page,
            PageOps::add_to_swap,
            |&answer, before, after, _| {
                if answer == Attempt::Refused {
                    return untouched(before, after);
                }
                let set = PageFlags::SWAP_CACHE.union(PageFlags::DIRTY);
                flags(before, after, set, PageFlags::empty())
            },
        )
    }

    fn free_swap(&mut self, page: &B::Page) {
        self.callback(
            "free_swap",
            page,
            PageOps::free_swap,
            |(), before, after, _| {
                if after.flags.contains(PageFlags::SWAP_CACHE) {
                    return untouched(before, after);
                }
                // The slot had its content; now only memory has.
                done(after.flags.contains(PageFlags::DIRTY), "dirty again")
            },
        );
    }

    fn is_swap_full(&mut self, page: &B::Page) -> bool {
        self.answer(page, PageOps::is_swap_full)
    }

    fn can_split(&mut self, page: &B::Page) -> bool {
        self.lists.can_split(page)
    }

    fn is_pmd_mapped(&mut self, page: &B::Page) -> bool {
        self.lists.is_pmd_mapped(page)
    }

    fn split(&mut self, page: &B::Page) -> Attempt {
        self.lists.split(page)
    }

    fn write_out(&mut self, page: &B::Page) -> PageOut {
        if self.refused("write_out", page) {
            return if self.state.choices.below(2) == 0 {
                PageOut::Keep
            } else {
                PageOut::Activate
            };
        }
        let protects = self.state.protects;
        let room = self.state.write_room.checked_sub(1);
        self.state.write_room = room.unwrap_or(0);
        let answer = self.callback(
            "write_out",
            page,
            PageOps::write_out,
            |&answer, before, after, truth| {
                allowed(room.is_some(), "more writes than there is room for")?;
                allowed(before.locked, "written without its lock")?;
                allowed(
                    truth.unflushed == 0 && before.stale == Stale::No,
                    "written before its TLB flush",
                )?;
                allowed(before.maps == 0, "written while it is mapped")?;
                allowed(
                    !(protects && truth.is_pinned()),
                    "written while a device can still write to it",
                )?;
                match answer {
                    PageOut::Keep | PageOut::Activate => untouched(before, after),
                    PageOut::Clean => done(!after.flags.contains(PageFlags::DIRTY), "clean"),
                    PageOut::Success => {
                        truth.ours = false;
                        done(!after.locked, "unlocked")?;
                        done(!after.flags.contains(PageFlags::DIRTY), "clean")
                    }
                }
            },
        );
        if answer == PageOut::Success {
            self.state.tally.written = self.state.tally.written.saturating_add(1);
            self.state.unsubmitted = self.state.unsubmitted.saturating_add(1);
        }
        answer
    }

    fn release_buffers(&mut self, page: &B::Page) -> Attempt {
        if self.refused("release_buffers", page) {
            return Attempt::Refused;
        }
        self.callback(
            "release_buffers",
            page,
            PageOps::release_buffers,
            |&answer, before, after, _| {
                if answer == Attempt::Refused {
                    return untouched(before, after);
                }
                flags(before, after, PageFlags::empty(), PageFlags::PRIVATE)
            },
        )
    }

    fn put_last(&mut self, page: &B::Page) -> Option<Released> {
        self.callback(
            "put_last",
            page,
            PageOps::put_last,
            |&left, before, after, truth| {
                let Some(left) = left else {
                    return untouched(before, after);
                };
                allowed(truth.unflushed == 0, "given up before its TLB flush")?;
                let others = truth.holds > 0 || truth.is_pinned() || after.maps > 0;
                let last = matches!(left, Released::Free | Released::UnparkAndFree);
                done(last != others, "whether it was the last reference")?;
                if last {
                    truth.out = true;
                } else {
                    truth.whereabouts = Whereabouts::Elsewhere;
                }
                Ok(())
            },
        )
    }

    fn write_room(&mut self) -> u32 {
        let room = self.lists.write_room();
        let less = !self.state.quiet && self.state.choices.one_in(2);
        self.state.write_room = if less {
            room.min(self.state.choices.below(3))
        } else {
            room
        };
        self.state.write_room
    }

    fn submit(&mut self) {
        self.state.tally.callbacks = self.state.tally.callbacks.saturating_add(1);
        self.lists.submit();
        self.state.unsubmitted = 0;
        self.check_between("submit");
        for id in 0..self.state.len {
            let seen = self.lists.see(id);
            let started = seen.writing || !seen.flags.contains(PageFlags::WRITEBACK);
            let held = done(started, "the write is started");
            self.state.note("submit", id, held);
            self.check("submit", id);
        }
    }

    fn failed(&mut self, page: &B::Page, error: UnmapError<B::Error>) {
        self.callback(
            "failed",
            page,
            |lists, page| lists.failed(page, error),
            |(), before, after, _| untouched(before, after),
        );
    }
}

impl<B: TestLists> Checked<'_, '_, B> {
    /// A device writes to the page and lets it go: it is dirty again.
    fn at_the_last_moment(&mut self, page: &B::Page) {
        let id = self.lists.id(page);
        let truth = self.state.known().get(id).copied();
        let Some(truth) = truth.filter(Truth::is_pinned) else {
            return;
        };
        if self.state.quiet || !self.state.choices.one_in(3) {
            return;
        }
        let content = self.state.tick();
        self.perform(id, Act::DmaWrite(content));
        for (kind, pins) in [
            (PinKind::Short, truth.short),
            (PinKind::Longterm, truth.longterm),
        ] {
            for _ in 0..pins {
                self.perform(id, Act::Unpin(kind));
            }
        }
    }

    /// Whether the suite answers for the embedder that the callback refuses.
    fn refused(&mut self, name: &'static str, page: &B::Page) -> bool {
        let refused = self.state.refuses();
        if refused {
            self.enter(name, page);
        }
        refused
    }

    /// The embedder's answer, or any.
    fn answer(&mut self, page: &B::Page, ask: fn(&mut B, &B::Page) -> bool) -> bool {
        let answer = ask(self.lists, page);
        answer ^ (!self.state.quiet && self.state.choices.one_in(6))
    }
}
