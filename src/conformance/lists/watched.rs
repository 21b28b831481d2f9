//! The walks of an unmap: what they report is counted, they fail, and pins appear in them.

use super::checked::{Checked, State};
use super::rules::done;
use super::{ListsBroken, Stale, TestLists};
use crate::conformance::MAX_ENTRIES;
use crate::flags::{PteFlags, VmFlags};
use crate::invariants::{
    self, Broken, Ending, EntryAt, EntryKind, Snapshot, Walk, WalkCounts, WalkRequest,
};
use crate::pin::PinKind;
use crate::policy::PinPolicy;
use crate::rmap::{NextVma, Outcome, Rmap, try_to_unmap};
use crate::unmap::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, NewEntry, PageTables, SharedTable,
    UnmapError, UnmapRequest,
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
    fn of<B: TestLists>(lists: &B, state: &State<'_>, id: usize, books: WalkCounts) -> Self {
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
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<B::Error>> {
        let id = self.enter("unmap", page);
        let before = Record::of(self.lists, &self.state, id, WalkCounts::default());
        let own = self.state.choices.one_in(4);
        let mut seen = Seen::default();
        let mut owed = FlushDebt::none();
        let result = if own {
            self.lists.unmap(page, request, &mut owed)
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
            try_to_unmap(page, request, &mut rmap, &mut owed)
        };
        if let Some(truth) = self.state.page(id) {
            if let Some((_, kind)) = seen.pinned {
                let pins = truth.pins_of(kind);
                *pins = pins.saturating_add(1);
            }
            truth.unflushed = truth.unflushed.saturating_add(owed.entries());
        }
        let after = Record::of(self.lists, &self.state, id, seen.books);
        let walk = Walk {
            asked: WalkRequest::new(request.flags(), request.policy(), request.context()),
            before: before.snapshot(),
            after: after.snapshot(),
            ending: Ending::of_all(&result, &owed),
            pin_appeared: seen.pinned.map(|(at, _)| at),
        };
        let held = if own {
            without_books(walk)
        } else {
            invariants::walk(&walk)
        };
        let stale = before.stale == Stale::No && after.stale != Stale::No;
        let kept = matches!(result, Ok(Outcome::Contended));
        let held = held
            .map_err(ListsBroken::from)
            .and_then(|()| {
                let what = "an entry that is cleared is flushed, or its flush is deferred";
                done(!stale || !owed.is_none(), what)
            })
            .and_then(|()| {
                let what = "a page is kept if its reverse map is locked by somebody else";
                done(!seen.contended || kept, what)
            });
        self.state.note("unmap", id, held);
        debt.absorb(owed);
        self.check("unmap", id);
        result
    }
}

/// The invariants that need no count of the calls.
fn without_books(mut walk: Walk<'_>) -> Result<(), Broken> {
    walk.after.books.removed = invariants::gone(&walk);
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

/// What a walk reported, and what happened meanwhile.
#[derive(Default)]
struct Seen {
    books: WalkCounts,
    /// During the clearing of which entry a pin appeared, and of which kind.
    pinned: Option<(usize, PinKind)>,
    /// Somebody else held the lock of the reverse map.
    contended: bool,
}

/// A reverse map whose walks are watched.
struct Watched<'s, 'c, R, P, E> {
    rmap: R,
    page: &'s P,
    state: &'s mut State<'c>,
    seen: &'s mut Seen,
    entries: &'s [EntryAt],
    pin: fn(&P, PinKind) -> Attempt,
    error: fn() -> Option<E>,
}

impl<R: Rmap, P> Rmap for Watched<'_, '_, R, P, R::Error> {
    type Vma = R::Vma;

    fn next_vma(&mut self) -> NextVma<R::Vma> {
        self.count_call();
        let next = if self.state.contends() {
            NextVma::Contended
        } else {
            self.rmap.next_vma()
        };
        self.seen.contended |= matches!(next, NextVma::Contended);
        next
    }
}

impl<R, P, E> Watched<'_, '_, R, P, E> {
    fn count_call(&mut self) {
        self.state.tally.callbacks = self.state.tally.callbacks.saturating_add(1);
    }

    /// The error, if this call of a fallible method is to fail.
    fn fallible(&mut self) -> Result<(), E> {
        self.count_call();
        if self.state.fails() {
            (self.error)().map_or(Ok(()), Err)
        } else {
            Ok(())
        }
    }

    /// The reverse map, for a method that cannot fail.
    fn call(&mut self) -> &mut R {
        self.count_call();
        &mut self.rmap
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
        if (self.pin)(self.page, kind) == Attempt::Done {
            self.state.tally.pins = self.state.tally.pins.saturating_add(1);
            self.seen.pinned = Some((at, kind));
        }
    }
}

const fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

#[deny(clippy::missing_trait_methods)]
impl<R: Rmap, P> PageTables for Watched<'_, '_, R, P, R::Error> {
    type Error = R::Error;

    fn next_entry(&mut self) -> Result<Option<Entry>, R::Error> {
        self.fallible()?;
        self.rmap.next_entry()
    }

    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        self.call().test_and_clear_young(entry)
    }

    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, R::Error> {
        self.fallible()?;
        self.pin_through(entry);
        let cleared = self.rmap.clear(entry, flush)?;
        if cleared.deferred {
            bump(&mut self.seen.books.deferred);
        } else if flush != FlushMode::NotNeeded {
            bump(&mut self.seen.books.flushed);
        }
        Ok(cleared)
    }

    fn install(&mut self, entry: &Entry, new: NewEntry) {
        self.call().install(entry, new);
    }

    fn set_page_dirty(&mut self) {
        self.call().set_page_dirty();
    }

    fn remove_rmap(&mut self, entry: &Entry) {
        self.call().remove_rmap(entry);
        bump(&mut self.seen.books.removed);
    }

    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), R::Error> {
        self.fallible()?;
        self.rmap.split_huge_pmd(freeze)
    }

    fn widen_for_sharing(&mut self, range: Range<u64>) -> Range<u64> {
        self.call().widen_for_sharing(range)
    }

    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), R::Error> {
        self.fallible()?;
        self.rmap.invalidate_begin(range)?;
        bump(&mut self.seen.books.begins);
        Ok(())
    }

    fn invalidate(&mut self, range: Range<u64>) {
        self.call().invalidate(range);
        bump(&mut self.seen.books.invalidates);
    }

    fn invalidate_end(&mut self, range: Range<u64>) {
        self.call().invalidate_end(range);
        bump(&mut self.seen.books.ends);
    }

    fn unshare_pmd(&mut self, entry: &Entry, range: &Range<u64>) -> SharedTable {
        self.call().unshare_pmd(entry, range)
    }

    fn mlock_page(&mut self) {
        self.call().mlock_page();
    }

    fn set_swap_backed(&mut self) {
        self.call().set_swap_backed();
    }

    fn update_hiwater(&mut self) {
        self.call().update_hiwater();
    }

    fn count(&mut self, delta: CounterDelta) {
        self.call().count(delta);
        self.seen.books.counters = self.seen.books.counters.plus(delta);
    }

    fn swap_duplicate(&mut self, entry: &Entry) -> Attempt {
        if self.state.refuses() {
            return Attempt::Refused;
        }
        let answer = self.call().swap_duplicate(entry);
        if answer == Attempt::Done {
            bump(&mut self.seen.books.swap_dups);
        }
        answer
    }

    fn swap_free(&mut self, entry: &Entry) {
        self.call().swap_free(entry);
        bump(&mut self.seen.books.swap_frees);
    }

    fn arch_unmap(&mut self, entry: &Entry, cleared: PteFlags) -> Attempt {
        if self.state.refuses() {
            return Attempt::Refused;
        }
        self.call().arch_unmap(entry, cleared)
    }
}
