//! A small machine around one page in one VMA: the obvious embedder, which records all it is told.

use super::TestPage;
use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags};
use crate::invariants::{Books, EntryKind};
use crate::pin::PinKind;
use crate::unmap::{
    Bookkeeping, Cleared, CounterDelta, Entry, FlushMode, Hook, NewEntry, PageTables, SharedTable,
};
use core::convert::Infallible;
use core::ops::Range;

/// Where an entry of the machine has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// It was never cleared.
    Intact,
    /// It was cleared, and nothing has come in its place.
    Cleared,
    /// It was cleared and put back.
    Restored,
    /// A swap entry is in its place.
    Swap,
    /// A migration entry is in its place.
    Migration,
    /// A PMD migration entry is in its place.
    PmdMigration,
    /// A poison entry is in its place.
    Poison,
}

impl EntryState {
    /// What stands there, as the invariants see it.
    #[must_use]
    pub const fn kind(self) -> EntryKind {
        match self {
            Self::Intact | Self::Restored => EntryKind::Present,
            Self::Cleared => EntryKind::Empty,
            Self::Swap => EntryKind::Swap,
            Self::Migration | Self::PmdMigration => EntryKind::Migration,
            Self::Poison => EntryKind::Poison,
        }
    }

    /// Whether the entry maps the page.
    #[must_use]
    pub const fn is_present(self) -> bool {
        matches!(self, Self::Intact | Self::Restored)
    }
}

/// One entry of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntrySlot {
    /// Where it has come to.
    pub state: EntryState,
    /// Its bits, or the bits that the entry in its place carries.
    pub flags: PteFlags,
}

/// How the machine answers what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Answers {
    /// A shared hugetlb page table is found and taken out.
    pub unshares: bool,
    /// The architecture's hook refuses.
    pub arch_refuses: bool,
    /// The swap slot cannot be duplicated.
    pub slot_refuses: bool,
    /// TLB flushes can be batched.
    pub defers: bool,
    /// While this entry is being cleared, a pin of this kind appears on the page.
    pub pin_at: Option<(usize, PinKind)>,
}

/// How often the machine was told what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Told {
    /// TLB flushes of base-page entries, and of un-shared ranges, that were done.
    pub flushes: u32,
    /// TLB flushes of PMDs that were done.
    pub pmd_flushes: u32,
    /// TLB flushes that were put off.
    pub deferred: u32,
    /// Begins of an invalidation.
    pub begins: u32,
    /// Ends of an invalidation.
    pub ends: u32,
    /// Invalidations under the lock.
    pub invalidates: u32,
    /// Shared page tables that were taken out.
    pub unshares: u32,
    /// Tests of the young bit.
    pub young_tests: u32,
    /// Swap slots duplicated.
    pub swap_dups: u32,
    /// Swap slots given back.
    pub swap_frees: u32,
    /// Plain splits of the huge mapping.
    pub splits: u32,
    /// Splits of the huge mapping with freeze.
    pub freezes: u32,
    /// Pages mlocked.
    pub mlocks: u32,
    /// Bit `k`: the mapping of entry `k` was removed, its reference dropped.
    pub removed: u64,
    /// The change of the counters.
    pub counters: CounterDelta,
}

debug_fields!(Told {
    flushes,
    pmd_flushes,
    deferred,
    begins,
    ends,
    invalidates,
    unshares,
    young_tests,
    swap_dups,
    swap_frees,
    splits,
    freezes,
    mlocks,
    removed,
    counters,
});

impl Told {
    /// The same, as the invariants count it.
    #[must_use]
    pub const fn books(&self) -> Books {
        Books {
            counters: self.counters,
            removed: self.removed.count_ones(),
            swap_dups: self.swap_dups,
            swap_frees: self.swap_frees,
            flushed: self.flushes.saturating_add(self.pmd_flushes),
            deferred: self.deferred,
            begins: self.begins,
            ends: self.ends,
            unshares: self.unshares,
            invalidates: self.invalidates,
            others: self
                .young_tests
                .saturating_add(self.splits)
                .saturating_add(self.freezes)
                .saturating_add(self.mlocks),
        }
    }
}

/// One page in one VMA, with at most `N` entries.
#[derive(Clone)]
pub struct Machine<'a, P: ?Sized, const N: usize> {
    page: &'a P,
    answers: Answers,
    entries: [EntrySlot; N],
    len: usize,
    base: u64,
    next: usize,
    told: Told,
    write_at: Option<usize>,
    pin_appeared: Option<usize>,
    written: Option<usize>,
}

debug_fields!([P: core::fmt::Debug + ?Sized, const N: usize] Machine<'_, P, N>, Machine {
    page,
    answers,
    entries,
    len,
    base,
    next,
    told,
    write_at,
    pin_appeared,
    written,
});

impl<'a, P: TestPage + ?Sized, const N: usize> Machine<'a, P, N> {
    /// A machine whose walk finds these entries (the first `N`), the first at address `base`.
    #[must_use]
    pub fn new(page: &'a P, base: u64, entries: &[PteFlags], answers: Answers) -> Self {
        let mut slots = [EntrySlot {
            state: EntryState::Cleared,
            flags: PteFlags::empty(),
        }; N];
        for (slot, &flags) in slots.iter_mut().zip(entries) {
            *slot = EntrySlot {
                state: EntryState::Intact,
                flags,
            };
        }
        Self {
            page,
            answers,
            entries: slots,
            len: entries.len().min(N),
            base,
            next: 0,
            told: Told::default(),
            write_at: None,
            pin_appeared: None,
            written: None,
        }
    }

    /// The same machine, in which a CPU writes through entry `at` between its being found and its
    /// being cleared.
    #[must_use]
    pub fn with_write_at(self, at: Option<usize>) -> Self {
        Self {
            write_at: at,
            ..self
        }
    }

    /// The entry during whose clearing the pin of [`Answers::pin_at`] has appeared, if it has.
    #[must_use]
    pub const fn pin_appeared(&self) -> Option<usize> {
        self.pin_appeared
    }

    /// The entry through which a CPU has written, if it has.
    #[must_use]
    pub const fn written(&self) -> Option<usize> {
        self.written
    }

    /// The entries as they stand.
    #[must_use]
    pub fn entries(&self) -> &[EntrySlot] {
        self.entries.get(..self.len).unwrap_or_default()
    }

    /// What the machine was told so far.
    #[must_use]
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> &'a P {
        self.page
    }

    /// The index of the entry at an address in bytes.
    fn index(&self, entry: &Entry) -> usize {
        let offset = entry.address.wrapping_sub(self.base);
        let index = offset.checked_shr(self.page.base_shift()).unwrap_or(0);
        usize::try_from(index).unwrap_or(usize::MAX)
    }

    fn slot(&mut self, entry: &Entry) -> Option<&mut EntrySlot> {
        let index = self.index(entry);
        self.entries.get_mut(index)
    }
}

const fn bump(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

impl<P: TestPage + ?Sized, const N: usize> PageTables for Machine<'_, P, N> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let at = self.next;
        self.next = self.next.saturating_add(1);
        let Some(slot) = self.entries().get(at) else {
            return Ok(None);
        };
        let pages = u64::try_from(at).unwrap_or(u64::MAX);
        let offset = pages.checked_shl(self.page.base_shift()).unwrap_or(0);
        Ok(Some(Entry {
            address: self.base.wrapping_add(offset),
            flags: slot.flags,
        }))
    }

    fn test_and_clear_young(&mut self, entry: &Entry) -> Result<bool, Infallible> {
        bump(&mut self.told.young_tests);
        let Some(slot) = self.slot(entry) else {
            return Ok(false);
        };
        let young = slot.flags.contains(PteFlags::YOUNG);
        slot.flags.remove(PteFlags::YOUNG);
        Ok(young)
    }

    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        let deferred = flush == FlushMode::MayDefer && self.answers.defers;
        let pmd = entry.flags.contains(PteFlags::PMD);
        if deferred {
            bump(&mut self.told.deferred);
        } else if flush != FlushMode::NotNeeded {
            bump(if pmd {
                &mut self.told.pmd_flushes
            } else {
                &mut self.told.flushes
            });
        }
        if let Some((at, kind)) = self.answers.pin_at {
            if at == self.index(entry) && self.pin_appeared.is_none() {
                self.page.add_pin(kind);
                self.pin_appeared = Some(at);
            }
        }
        if self.write_at == Some(self.index(entry)) {
            self.written = self.write_at;
            if let Some(slot) = self.slot(entry) {
                slot.flags |= PteFlags::DIRTY.union(PteFlags::YOUNG);
            }
        }
        let flags = self.slot(entry).map_or(PteFlags::empty(), |slot| {
            slot.state = EntryState::Cleared;
            core::mem::replace(&mut slot.flags, PteFlags::empty())
        });
        Ok(Cleared { flags, deferred })
    }

    fn install(&mut self, entry: &Entry, new: NewEntry) -> Result<(), Infallible> {
        let (state, flags) = match new {
            NewEntry::Restored(flags) => (EntryState::Restored, flags),
            NewEntry::Swap(flags) => (EntryState::Swap, flags),
            NewEntry::Migration(flags) => (EntryState::Migration, flags),
            NewEntry::PmdMigration(flags) => (EntryState::PmdMigration, flags),
            NewEntry::Poison => (EntryState::Poison, PteFlags::empty()),
        };
        if let Some(slot) = self.slot(entry) {
            *slot = EntrySlot { state, flags };
        }
        Ok(())
    }

    fn set_page_dirty(&mut self) -> Result<(), Infallible> {
        self.page.add_flags(PageFlags::DIRTY);
        Ok(())
    }

    fn remove_rmap(&mut self, entry: &Entry) -> Result<(), Infallible> {
        let bit = u32::try_from(self.index(entry)).unwrap_or(u32::MAX);
        self.told.removed |= 1u64.checked_shl(bit).unwrap_or(0);
        self.page.remove_mapping();
        Ok(())
    }
}

impl<P: TestPage + ?Sized, const N: usize> Bookkeeping for Machine<'_, P, N> {
    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), Infallible> {
        bump(if freeze {
            &mut self.told.freezes
        } else {
            &mut self.told.splits
        });
        for slot in &mut self.entries {
            slot.flags.remove(PteFlags::PMD);
        }
        Ok(())
    }

    fn invalidate_begin(&mut self, _: Range<u64>) -> Result<(), Infallible> {
        bump(&mut self.told.begins);
        Ok(())
    }

    fn invalidate(&mut self, _: Range<u64>) -> Result<(), Infallible> {
        bump(&mut self.told.invalidates);
        Ok(())
    }

    fn invalidate_end(&mut self, _: Range<u64>) -> Result<(), Infallible> {
        bump(&mut self.told.ends);
        Ok(())
    }

    fn unshare_pmd(&mut self, _: &Entry, _: &Range<u64>) -> Result<SharedTable, Infallible> {
        if !self.answers.unshares {
            return Ok(SharedTable::No);
        }
        bump(&mut self.told.flushes);
        bump(&mut self.told.unshares);
        Ok(SharedTable::Unshared)
    }

    fn mlock_page(&mut self) -> Result<(), Infallible> {
        bump(&mut self.told.mlocks);
        self.page.add_flags(PageFlags::MLOCKED);
        Ok(())
    }

    fn set_swap_backed(&mut self) -> Result<(), Infallible> {
        self.page.add_flags(PageFlags::SWAP_BACKED);
        Ok(())
    }

    fn count(&mut self, delta: CounterDelta) -> Result<(), Infallible> {
        self.told.counters = self.told.counters.plus(delta);
        Ok(())
    }

    fn swap_duplicate(&mut self, _: &Entry) -> Result<Hook, Infallible> {
        if self.answers.slot_refuses {
            return Ok(Hook::Refused);
        }
        bump(&mut self.told.swap_dups);
        Ok(Hook::Done)
    }

    fn swap_free(&mut self, _: &Entry) -> Result<(), Infallible> {
        bump(&mut self.told.swap_frees);
        Ok(())
    }

    fn arch_unmap(&mut self, _: &Entry, _: PteFlags) -> Result<Hook, Infallible> {
        Ok(if self.answers.arch_refuses {
            Hook::Refused
        } else {
            Hook::Done
        })
    }
}
