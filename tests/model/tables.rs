//! The machine's page tables and reverse map, as the crate walks them.

use super::events::Injected;
use super::frame::Frame;
use super::machine::Machine;
use super::memory::Pte;
use core::ops::Range;
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushMode, NewEntry, NextVma, PageFlags, PageTables,
    PlainVma, PteFlags, Rmap, VmFlags,
};

/// The VMAs that map a frame, one after the other, and the one entry in each.
pub(crate) struct Reverse<'w, 'm> {
    machine: &'w mut Machine<'m>,
    frame: &'m Frame,
    mapped: Vec<(usize, usize)>,
    next: usize,
    /// The address space and the page of the VMA that the walk is in.
    at: (usize, usize),
    /// Whether the walk has come to the entry of the VMA.
    over: bool,
}

impl<'w, 'm> Reverse<'w, 'm> {
    pub(crate) fn new(machine: &'w mut Machine<'m>, frame: &'m Frame) -> Self {
        let mapped = frame.rmap.borrow().clone();
        Self {
            machine,
            frame,
            mapped,
            next: 0,
            at: (0, 0),
            over: true,
        }
    }

    fn pte(&mut self) -> &mut Pte {
        &mut self.machine.spaces[self.at.0].ptes[self.at.1]
    }

    fn call(&mut self) {
        self.machine.call(self.frame);
    }

    fn fallible(&mut self, name: &'static str) -> Result<(), Injected> {
        self.machine.fallible(self.frame, name)
    }

    fn slot(&self) -> usize {
        self.machine
            .slot_of(self.frame.index)
            .expect("in the swap cache")
    }
}

impl Rmap for Reverse<'_, '_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        if self.machine.refuses(self.frame, "next_vma") {
            return NextVma::Contended;
        }
        let Some(&(space, page)) = self.mapped.get(self.next) else {
            return NextVma::End;
        };
        self.next += 1;
        (self.at, self.over) = ((space, page), false);
        let (vma, start, end) = self.machine.spaces[space].vma(page);
        let mut flags = VmFlags::empty();
        flags.set(VmFlags::LOCKED, self.machine.spaces[space].locked[vma]);
        NextVma::Found {
            vma: PlainVma {
                flags,
                range: address(start)..address(end),
            },
            address: address(page),
        }
    }
}

fn address(page: usize) -> u64 {
    (page as u64) << 12
}

impl PageTables for Reverse<'_, '_> {
    type Error = Injected;

    fn next_entry(&mut self) -> Result<Option<Entry>, Injected> {
        self.fallible("next_entry")?;
        let address = address(self.at.1);
        let frame = self.frame.index;
        let over = core::mem::replace(&mut self.over, true);
        Ok(match *self.pte() {
            Pte::Present(index, flags) if index == frame && !over => Some(Entry { address, flags }),
            _ => None,
        })
    }

    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        self.call();
        let Pte::Present(_, flags) = self.pte() else {
            panic!("not there");
        };
        let young = flags.contains(PteFlags::YOUNG);
        flags.remove(PteFlags::YOUNG);
        young
    }

    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Injected> {
        self.fallible("clear")?;
        let Pte::Present(frame, flags) = core::mem::replace(self.pte(), Pte::Empty) else {
            panic!("not there");
        };
        assert_eq!(frame, self.frame.index);
        self.machine.told.entries_cleared += 1;
        let deferred = flush == FlushMode::MayDefer && self.machine.config.defers;
        let at = (self.at.0, self.at.1, frame);
        let stale = &mut self.machine.stale;
        stale.retain(|&(space, page, held, _)| (space, page, held) != at);
        if deferred {
            self.machine.unflushed += 1;
            stale.push((at.0, at.1, at.2, flags.contains(PteFlags::DIRTY)));
        }
        Ok(Cleared { flags, deferred })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) {
        self.call();
        let frame = self.frame.index;
        *self.pte() = match new {
            NewEntry::Restored(flags) => Pte::Present(frame, flags),
            NewEntry::Swap(_) => Pte::Swap(self.slot()),
            NewEntry::Migration(flags) => Pte::Migration(frame, flags),
            NewEntry::PmdMigration(_) => panic!("no PMDs here"),
            NewEntry::Poison => Pte::Poison,
        };
    }

    fn set_page_dirty(&mut self) {
        self.call();
        self.frame.set(PageFlags::DIRTY, true);
    }

    fn remove_rmap(&mut self, _: &Entry) {
        self.call();
        let at = self.at;
        self.frame.rmap.borrow_mut().retain(|&mapped| mapped != at);
        self.frame.maps.set(self.frame.maps.get() - 1);
        self.machine.put_ref(self.frame);
    }
    fn invalidate_begin(&mut self, _: Range<u64>) -> Result<(), Injected> {
        self.fallible("invalidate_begin")?;
        self.machine.told.notifier_calls += 1;
        Ok(())
    }

    fn mlock_page(&mut self) {
        self.call();
        self.frame.set(PageFlags::MLOCKED, true);
    }

    fn set_swap_backed(&mut self) {
        self.call();
        self.frame.set(PageFlags::SWAP_BACKED, true);
    }

    fn count(&mut self, delta: CounterDelta) {
        self.call();
        let rss = &mut self.machine.spaces[self.at.0].rss;
        let changes = [delta.anon, delta.file, delta.shmem, delta.swap_ents];
        for (counter, change) in rss.iter_mut().zip(changes) {
            *counter += i64::from(change);
        }
    }

    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        if self.machine.refuses(self.frame, "swap_duplicate") {
            return Attempt::Refused;
        }
        let slot = self.slot();
        self.machine.slots[slot].as_mut().expect("in use").entries += 1;
        Attempt::Done
    }

    fn arch_unmap(&mut self, _: &Entry, _: PteFlags) -> Attempt {
        if self.machine.refuses(self.frame, "arch_unmap") {
            return Attempt::Refused;
        }
        Attempt::Done
    }

    fn swap_free(&mut self, _: &Entry) {
        self.call();
        let slot = self.slot();
        self.machine.put_slot(slot);
    }
}
