//! The walks of an unmap: what they tell is counted, they fail, and pins appear in them.

use super::checked::{Checked, State};
use super::{ListsBroken, Stale, TestLists};
use crate::conformance::MAX_ENTRIES;
use crate::flags::{PteFlags, VmFlags};
use crate::invariants::{self, Asked, Books, Broken, Ending, EntryAt, EntryKind, Snapshot, Walk};
use crate::pin::PinKind;
use crate::policy::PinPolicy;
use crate::rmap::{InVma, NextVma, Rmap, Unmapped, try_to_unmap};
use crate::unmap::{
    Bookkeeping, Cleared, CounterDelta, Entry, Failure, FlushMode, Hook, NewEntry, PageTables,
    SharedTable, UnmapRequest,
};
use core::ops::Range;

/// A page and its entries at one instant.
struct Record {
    entries: [EntryAt; MAX_ENTRIES],
    len: usize,
    stale: Stale,
    snapshot: Snapshot<'static>,
}

impl Record {
    fn of<B: TestLists>(lists: &B, state: &State<'_>, id: usize, books: Books) -> Self {
        let mut entries = [EntryAt {
            address: 0,
            kind: EntryKind::Empty,
            flags: PteFlags::empty(),
            vma: VmFlags::empty(),
        }; MAX_ENTRIES];
        let mut len = 0;
        for (at, slot) in entries.iter_mut().enumerate() {
            let Some(entry) = lists.entry(id, at) else {
                break;
            };
            *slot = entry;
            len = at.saturating_add(1);
        }
        let seen = lists.see(id);
        let pins = state.known().get(id).map(super::world::Truth::pins);
        let (pins, longterm) = pins.map_or((0, 0), |pins| (pins.total, pins.longterm.unwrap_or(0)));
        let held = i64::from(pins).saturating_mul(i64::from(lists.refs_per_pin()));
        Self {
            entries,
            len,
            stale: seen.stale,
            snapshot: Snapshot {
                page: seen.flags,
                refs: i64::from(seen.refs).saturating_sub(held),
                maps: seen.maps,
                pins,
                longterm,
                entries: &[],
                books,
            },
        }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            entries: self.entries.get(..self.len).unwrap_or_default(),
            ..self.snapshot
        }
    }
}

impl<B: TestLists> Checked<'_, '_, B> {
    pub(super) fn unmap_checked<L: PinPolicy>(
        &mut self,
        page: &B::Page,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<B::Error>> {
        let id = self.enter("unmap", page);
        let before = Record::of(self.lists, &self.state, id, Books::default());
        let own = self.state.choices.one_in(4);
        let mut seen = Seen::default();
        let result = if own {
            self.lists.unmap(page, request)
        } else {
            let mut rmap = Watched {
                rmap: self.lists.rmap(page),
                page,
                state: &mut self.state,
                seen: &mut seen,
                entries: before.entries.get(..before.len).unwrap_or_default(),
                pin: B::pin_in_walk,
                error: B::injected,
            };
            try_to_unmap(page, request, &mut rmap)
        };
        if let (Some((_, kind)), Some(truth)) = (seen.pinned, self.state.page(id)) {
            let pins = truth.pins_of(kind);
            *pins = pins.saturating_add(1);
        }
        let after = Record::of(self.lists, &self.state, id, seen.books);
        let walk = Walk {
            asked: Asked::new(request.flags(), request.policy(), request.context()),
            before: before.snapshot(),
            after: after.snapshot(),
            ending: Ending::of_all(&result),
            pin_appeared: seen.pinned.map(|(at, _)| at),
        };
        let held = if own {
            without_books(walk)
        } else {
            invariants::walk(&walk)
        };
        let held = held.map_err(ListsBroken::from).and_then(|()| {
            // Whatever was put off, the walk has told.
            let deferred = result.as_ref().map_or_else(
                |failure| failure.flush.entries(),
                |done| done.flush.entries(),
            );
            if deferred == 0 && before.stale == Stale::No && after.stale != Stale::No {
                let what = "an entry that is cleared is flushed, or its flush put off";
                Err(ListsBroken::NotDone { what })
            } else {
                Ok(())
            }
        });
        self.state.note("unmap", id, held);
        if let Some(truth) = self.state.page(id) {
            truth.owes = matches!(&result, Err(failure) if !failure.owed.is_none());
        }
        self.check("unmap", id);
        result
    }
}

/// The invariants that need no count of what was told.
fn without_books(mut walk: Walk<'_>) -> Result<(), Broken> {
    walk.after.books.removed = walk.ending.taken;
    type Check = fn(&Walk<'_>) -> Result<(), Broken>;
    const CHECKS: [Check; 6] = [
        invariants::pinned_stays,
        invariants::mlocked_stays,
        invariants::nothing_lost,
        invariants::in_place,
        invariants::bits_carried,
        invariants::dirty_kept,
    ];
    CHECKS.iter().try_for_each(|check| check(&walk))
}

/// What a walk told, and what came between.
#[derive(Default)]
struct Seen {
    books: Books,
    /// During the clearing of which entry a pin appeared, and of which kind.
    pinned: Option<(usize, PinKind)>,
}

/// A reverse map whose walks are watched.
struct Watched<'s, 'c, R, P, E> {
    rmap: R,
    page: &'s P,
    state: &'s mut State<'c>,
    seen: &'s mut Seen,
    entries: &'s [EntryAt],
    pin: fn(&P, PinKind) -> Hook,
    error: fn() -> Option<E>,
}

/// One of them.
struct WatchedWalk<'s, 'c, W, P, E> {
    walk: W,
    page: &'s P,
    state: &'s mut State<'c>,
    seen: &'s mut Seen,
    entries: &'s [EntryAt],
    pin: fn(&P, PinKind) -> Hook,
    error: fn() -> Option<E>,
}

impl<'s, 'c, R: Rmap, P> Rmap for Watched<'s, 'c, R, P, R::Error> {
    type Vma = R::Vma;
    type Walk<'a>
        = WatchedWalk<'a, 'c, R::Walk<'a>, P, R::Error>
    where
        Self: 'a;
    type Error = R::Error;

    fn next_vma(&mut self) -> NextVma<'_, Self> {
        fails(self.state, self.error)?;
        let found = self.rmap.next_vma()?;
        Ok(found.map(|InVma { vma, address, walk }| InVma {
            vma,
            address,
            walk: WatchedWalk {
                walk,
                page: self.page,
                state: self.state,
                seen: self.seen,
                entries: self.entries,
                pin: self.pin,
                error: self.error,
            },
        }))
    }
}

fn fails<E>(state: &mut State<'_>, error: fn() -> Option<E>) -> Result<(), E> {
    state.tally.callbacks = state.tally.callbacks.saturating_add(1);
    if state.fails() {
        error().map_or(Ok(()), Err)
    } else {
        Ok(())
    }
}

impl<W, P, E> WatchedWalk<'_, '_, W, P, E> {
    fn call(&mut self) -> Result<(), E> {
        fails(self.state, self.error)
    }

    /// A pinner without locks comes through the entry that is about to be cleared.
    fn pin_through(&mut self, entry: &Entry) {
        let comes = !self.state.quiet && self.state.choices.one_in(6);
        if !comes || self.seen.pinned.is_some() {
            return;
        }
        let kind = if self.state.choices.below(2) == 0 {
            PinKind::Short
        } else {
            PinKind::Longterm
        };
        let at = self
            .entries
            .iter()
            .position(|known| known.address == entry.address && known.kind == EntryKind::Present);
        let Some(at) = at else { return };
        if (self.pin)(self.page, kind) == Hook::Done {
            self.state.tally.pins = self.state.tally.pins.saturating_add(1);
            self.seen.pinned = Some((at, kind));
        }
    }
}

const fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

impl<W: PageTables, P> PageTables for WatchedWalk<'_, '_, W, P, W::Error> {
    type Error = W::Error;

    fn next_entry(&mut self) -> Result<Option<Entry>, W::Error> {
        self.call()?;
        self.walk.next_entry()
    }

    fn test_and_clear_young(&mut self, entry: &Entry) -> Result<bool, W::Error> {
        self.call()?;
        self.walk.test_and_clear_young(entry)
    }

    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, W::Error> {
        self.call()?;
        self.pin_through(entry);
        let cleared = self.walk.clear(entry, flush)?;
        if cleared.deferred {
            bump(&mut self.seen.books.deferred);
        } else if flush != FlushMode::NotNeeded {
            bump(&mut self.seen.books.flushed);
        }
        Ok(cleared)
    }

    fn install(&mut self, entry: &Entry, new: NewEntry) -> Result<(), W::Error> {
        self.call()?;
        self.walk.install(entry, new)
    }

    fn set_page_dirty(&mut self) -> Result<(), W::Error> {
        self.call()?;
        self.walk.set_page_dirty()
    }

    fn remove_rmap(&mut self, entry: &Entry) -> Result<(), W::Error> {
        self.call()?;
        self.walk.remove_rmap(entry)?;
        bump(&mut self.seen.books.removed);
        Ok(())
    }
}

impl<W: Bookkeeping, P> Bookkeeping for WatchedWalk<'_, '_, W, P, W::Error> {
    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), W::Error> {
        self.call()?;
        self.walk.split_huge_pmd(freeze)
    }

    fn widen_for_sharing(&mut self, range: Range<u64>) -> Result<Range<u64>, W::Error> {
        self.call()?;
        self.walk.widen_for_sharing(range)
    }

    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), W::Error> {
        self.call()?;
        self.walk.invalidate_begin(range)?;
        bump(&mut self.seen.books.begins);
        Ok(())
    }

    fn invalidate(&mut self, range: Range<u64>) -> Result<(), W::Error> {
        self.call()?;
        self.walk.invalidate(range)?;
        bump(&mut self.seen.books.invalidates);
        Ok(())
    }

    fn invalidate_end(&mut self, range: Range<u64>) -> Result<(), W::Error> {
        self.call()?;
        self.walk.invalidate_end(range)?;
        bump(&mut self.seen.books.ends);
        Ok(())
    }

    fn unshare_pmd(&mut self, entry: &Entry, range: &Range<u64>) -> Result<SharedTable, W::Error> {
        self.call()?;
        self.walk.unshare_pmd(entry, range)
    }

    fn mlock_page(&mut self) -> Result<(), W::Error> {
        self.call()?;
        self.walk.mlock_page()
    }

    fn set_swap_backed(&mut self) -> Result<(), W::Error> {
        self.call()?;
        self.walk.set_swap_backed()
    }

    fn update_hiwater(&mut self) -> Result<(), W::Error> {
        self.call()?;
        self.walk.update_hiwater()
    }

    fn count(&mut self, delta: CounterDelta) -> Result<(), W::Error> {
        self.call()?;
        self.walk.count(delta)?;
        self.seen.books.counters = self.seen.books.counters.plus(delta);
        Ok(())
    }

    fn swap_duplicate(&mut self, entry: &Entry) -> Result<Hook, W::Error> {
        self.call()?;
        if self.state.refuses() {
            return Ok(Hook::Refused);
        }
        let answer = self.walk.swap_duplicate(entry)?;
        if answer == Hook::Done {
            bump(&mut self.seen.books.swap_dups);
        }
        Ok(answer)
    }

    fn swap_free(&mut self, entry: &Entry) -> Result<(), W::Error> {
        self.call()?;
        self.walk.swap_free(entry)?;
        bump(&mut self.seen.books.swap_frees);
        Ok(())
    }

    fn arch_unmap(&mut self, entry: &Entry, cleared: PteFlags) -> Result<Hook, W::Error> {
        self.call()?;
        if self.state.refuses() {
            return Ok(Hook::Refused);
        }
        self.walk.arch_unmap(entry, cleared)
    }
}
