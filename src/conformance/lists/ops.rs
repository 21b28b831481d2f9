//! The operations on one page, each with what must be true before it and after it.

use super::checked::{Checked, untouched};
use super::world::{self, Truth};
use super::{Act, ListsBroken, Place, SeenPage, Stale, TestLists};
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::invariants::EntryKind;
use crate::pin::{PinKind, RefsLeft};
use crate::policy::PinPolicy;
use crate::reclaim::{PageOps, PageOut, Referenced, Removal};
use crate::rmap::Unmapped;
use crate::unmap::{Failure, Hook, UnmapRequest};

type Held = Result<(), ListsBroken>;

fn done(is: bool, what: &'static str) -> Held {
    if is {
        Ok(())
    } else {
        Err(ListsBroken::NotDone { what })
    }
}

fn allowed(is: bool, why: &'static str) -> Held {
    if is {
        Ok(())
    } else {
        Err(ListsBroken::Forbidden { why })
    }
}

/// The flags changed by this, and nothing else.
fn flags(before: &SeenPage, after: &SeenPage, set: PageFlags, clear: PageFlags) -> Held {
    let flags = before.flags.union(set).difference(clear);
    done(after.flags == flags, "the flags of the page")
}

impl<B: TestLists> PageOps for Checked<'_, '_, B> {
    type Page = B::Page;
    type Error = B::Error;

    fn update(&mut self, page: &B::Page, set: PageFlags, clear: PageFlags) -> Result<(), B::Error> {
        self.callback(
            "update",
            page,
            |lists, page| lists.update(page, set, clear),
            |(), before, after, _| flags(before, after, set, clear),
        )
    }

    fn referenced(&mut self, page: &B::Page) -> Result<Referenced, B::Error> {
        let id = self.lists.id(page);
        let mut young = 0;
        let found = self.callback(
            "referenced",
            page,
            |lists, page| {
                young = used(lists, id);
                let found = lists.referenced(page)?;
                Ok((found, used(lists, id)))
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
        let (found, _) = found?;
        if !found.vma.contains(VmFlags::LOCKED) && found.entries != young {
            let what = "the count of entries that were used";
            let held = Err(ListsBroken::NotDone { what });
            self.state.note("referenced", id, held);
        }
        if self.state.quiet || !self.state.choices.one_in(6) {
            return Ok(found);
        }
        Ok(Referenced {
            entries: self.state.choices.below(3),
            vma: VmFlags::from_bits_truncate(self.state.choices.bits()),
        })
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &B::Page,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<B::Error>> {
        self.unmap_checked(page, request)
    }

    fn remove(&mut self, page: &B::Page, how: Removal) -> Result<Hook, B::Error> {
        if self.refused("remove", page) {
            return Ok(Hook::Refused);
        }
        self.at_the_last_moment(page);
        self.callback(
            "remove",
            page,
            |lists, page| lists.remove(page, how),
            |&answer, before, after, truth| {
                if answer == Hook::Refused {
                    return untouched(before, after);
                }
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

    fn flush_tlb(&mut self) -> Result<(), B::Error> {
        self.state.tally.callbacks = self.state.tally.callbacks.saturating_add(1);
        // Rarely called with something to flush, so it fails more often than others.
        if !self.state.quiet && self.state.choices.one_in(5) {
            if let Some(error) = B::injected() {
                return Err(error);
            }
        }
        self.lists.flush_tlb()?;
        for id in 0..self.state.len {
            let seen = self.lists.see(id);
            let held = done(seen.stale == Stale::No, "the TLB is flushed");
            self.state.note("flush_tlb", id, held);
            if let Some(truth) = self.state.page(id) {
                if truth.place == Place::AwaitsFlush {
                    truth.place = Place::Free;
                }
            }
            self.check("flush_tlb", id);
        }
        Ok(())
    }

    fn try_lock(&mut self, page: &B::Page) -> Result<Hook, B::Error> {
        if self.refused("try_lock", page) {
            return Ok(Hook::Refused);
        }
        self.callback(
            "try_lock",
            page,
            PageOps::try_lock,
            |&answer, before, after, truth| {
                if answer == Hook::Refused {
                    return untouched(before, after);
                }
                allowed(!before.locked, "locked twice")?;
                truth.ours = true;
                done(after.locked, "locked")
            },
        )
    }

    fn unlock(&mut self, page: &B::Page) -> Result<(), B::Error> {
        self.callback(
            "unlock",
            page,
            PageOps::unlock,
            |(), before, after, truth| {
                allowed(before.locked, "unlocked twice")?;
                truth.ours = false;
                done(!after.locked, "unlocked")
            },
        )
    }

    fn is_congested(&mut self, page: &B::Page) -> bool {
        self.answer(page, PageOps::is_congested)
    }

    fn wait_for_writeback(&mut self, page: &B::Page) -> Result<(), B::Error> {
        self.callback(
            "wait_for_writeback",
            page,
            PageOps::wait_for_writeback,
            |(), _, after, _| {
                let ended = !after.writing && !after.flags.contains(PageFlags::WRITEBACK);
                done(ended, "the writeback has ended")
            },
        )
    }

    fn add_to_swap(&mut self, page: &B::Page) -> Result<Hook, B::Error> {
        if self.refused("add_to_swap", page) {
            return Ok(Hook::Refused);
        }
        self.callback(
            "add_to_swap",
            page,
            PageOps::add_to_swap,
            |&answer, before, after, _| {
                if answer == Hook::Refused {
                    return untouched(before, after);
                }
                let set = PageFlags::SWAP_CACHE.union(PageFlags::DIRTY);
                flags(before, after, set, PageFlags::empty())
            },
        )
    }

    fn free_swap(&mut self, page: &B::Page) -> Result<(), B::Error> {
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
        )
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

    fn split(&mut self, page: &B::Page) -> Result<Hook, B::Error> {
        self.lists.split(page)
    }

    fn write_out(&mut self, page: &B::Page) -> Result<PageOut, B::Error> {
        if self.refused("write_out", page) {
            let kept = self.state.choices.below(2) == 0;
            return Ok(if kept {
                PageOut::Keep
            } else {
                PageOut::Activate
            });
        }
        let protects = self.state.protects;
        let answer = self.callback(
            "write_out",
            page,
            PageOps::write_out,
            |&answer, before, after, truth| {
                allowed(before.locked, "written without its lock")?;
                allowed(
                    before.stale != Stale::Dirty,
                    "written while a CPU can still write to it",
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
        )?;
        let written = u64::from(answer == PageOut::Success);
        self.state.tally.written = self.state.tally.written.saturating_add(written);
        Ok(answer)
    }

    fn release_buffers(&mut self, page: &B::Page) -> Result<Hook, B::Error> {
        if self.refused("release_buffers", page) {
            return Ok(Hook::Refused);
        }
        self.callback(
            "release_buffers",
            page,
            PageOps::release_buffers,
            |&answer, before, after, _| {
                if answer == Hook::Refused {
                    return untouched(before, after);
                }
                flags(before, after, PageFlags::empty(), PageFlags::PRIVATE)
            },
        )
    }

    fn put_last(&mut self, page: &B::Page) -> Result<Option<RefsLeft>, B::Error> {
        self.callback(
            "put_last",
            page,
            PageOps::put_last,
            |&left, before, after, truth| {
                let others = truth.holds > 0 || truth.is_pinned() || after.maps > 0;
                match left {
                    None => untouched(before, after),
                    Some(RefsLeft::Last) => {
                        truth.out = true;
                        done(!others, "others hold the page")
                    }
                    Some(RefsLeft::Some) => {
                        truth.place = Place::Elsewhere;
                        done(others, "it was the last reference")
                    }
                }
            },
        )
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

/// How many entries that map the page are young.
fn used<B: TestLists>(lists: &B, id: usize) -> u32 {
    let mut young = 0u32;
    for at in 0..super::super::MAX_ENTRIES {
        let Some(entry) = lists.entry(id, at) else {
            break;
        };
        let is = entry.kind == EntryKind::Present && entry.flags.contains(PteFlags::YOUNG);
        young = young.saturating_add(is.into());
    }
    young
}

/// Whether the page may leave memory.
pub(super) fn may_leave(seen: &SeenPage, truth: &Truth) -> Held {
    allowed(seen.maps == 0, "out of memory while it is mapped")?;
    allowed(!truth.is_pinned(), "out of memory while it is pinned")?;
    allowed(
        !seen.flags.contains(PageFlags::DIRTY),
        "out of memory while it is dirty",
    )?;
    let writing = seen.writing || seen.flags.contains(PageFlags::WRITEBACK);
    allowed(!writing, "out of memory while it is being written")
}

/// Whether the page may go to the allocator.
pub(super) fn may_be_free<B: TestLists>(
    lists: &B,
    id: usize,
    truth: &Truth,
    flushed: bool,
) -> Held {
    let seen = lists.see(id);
    let (present, _) = world::entries(lists, id);
    allowed(truth.out, "freed while it has references")?;
    allowed(present == 0, "freed while it is mapped")?;
    may_leave(&seen, truth)?;
    allowed(
        !flushed || seen.stale == Stale::No,
        "freed while a CPU can still reach it",
    )
}
