//! A small machine around one page in one VMA, which counts the calls that it gets.

use super::{Recorded, TestPage};
use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags};
use crate::invariants::EntryKind;
use crate::pin::PinKind;
use crate::unmap::{
    Attempt, Cleared, CounterDelta, Entry, FlushMode, NewEntry, PageTables, SharedTable,
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

/// One page in one VMA, with at most `N` entries.
#[derive(Clone)]
pub struct Machine<'a, P: ?Sized, const N: usize> {
    page: &'a P,
    answers: Answers,
    entries: [EntrySlot; N],
    len: usize,
    base: u64,
    next: usize,
    told: Recorded,
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
            told: Recorded::default(),
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

    /// The calls so far.
    #[must_use]
    pub const fn told(&self) -> &Recorded {
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

    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        bump(&mut self.told.young_tests);
        let Some(slot) = self.slot(entry) else {
            return false;
        };
        let young = slot.flags.contains(PteFlags::YOUNG);
        slot.flags.remove(PteFlags::YOUNG);
        young
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

    fn install(&mut self, entry: &Entry, new: NewEntry) {
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
    }

    fn set_page_dirty(&mut self) {
        self.page.add_flags(PageFlags::DIRTY);
    }

    fn remove_rmap(&mut self, entry: &Entry) {
        let bit = u32::try_from(self.index(entry)).unwrap_or(u32::MAX);
        self.told.removed |= 1u64.checked_shl(bit).unwrap_or(0);
        self.page.remove_mapping();
    }

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

    fn invalidate(&mut self, _: Range<u64>) {
        bump(&mut self.told.invalidates);
    }

    fn invalidate_end(&mut self, _: Range<u64>) {
        bump(&mut self.told.ends);
    }

    fn unshare_pmd(&mut self, _: &Entry, _: &Range<u64>) -> SharedTable {
        if !self.answers.unshares {
            return SharedTable::No;
        }
        bump(&mut self.told.flushes);
        bump(&mut self.told.unshares);
        SharedTable::Unshared
    }

    fn mlock_page(&mut self) {
        bump(&mut self.told.mlocks);
        self.page.add_flags(PageFlags::MLOCKED);
    }

    fn set_swap_backed(&mut self) {
        self.page.add_flags(PageFlags::SWAP_BACKED);
    }

    fn count(&mut self, delta: CounterDelta) {
        self.told.counters = self.told.counters.plus(delta);
    }

    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        if self.answers.slot_refuses {
            return Attempt::Refused;
        }
        bump(&mut self.told.swap_dups);
        Attempt::Done
    }

    fn swap_free(&mut self, _: &Entry) {
        bump(&mut self.told.swap_frees);
    }

    fn arch_unmap(&mut self, _: &Entry, _: PteFlags) -> Attempt {
        if self.answers.arch_refuses {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }
}
