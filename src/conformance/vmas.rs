//! A small reverse map: one page in a few VMAs, each with a machine of its own.

use super::{Fallible, Faults, Injected, Machine, TestPage};
use crate::flags::PteFlags;
use crate::rmap::{NextVma, Rmap};
use crate::unmap::{
    Attempt, Cleared, CounterDelta, Entry, FlushMode, NewEntry, PageTables, SharedTable,
};
use crate::vma::PlainVma;
use core::ops::Range;

/// One VMA of a [`Vmas`].
#[derive(Debug, Clone)]
pub struct OneVma<'a, P: ?Sized, const N: usize> {
    /// The VMA.
    pub vma: PlainVma,
    /// The address in bytes where the page begins in it.
    pub address: u64,
    /// The page's entries in it.
    pub machine: Machine<'a, P, N>,
}

/// A page in `V` VMAs, with at most `N` entries in each, whose methods fail where
/// [`Faults`] says.
///
/// As [`PageTables`] it has the entries of the VMA that [`next_vma`](Rmap::next_vma) returned last,
/// or of the first one.
#[derive(Debug)]
pub struct Vmas<'a, P: ?Sized, const N: usize, const V: usize> {
    vmas: [OneVma<'a, P, N>; V],
    next: usize,
    faults: &'a Faults,
}

impl<'a, P: TestPage + ?Sized, const N: usize, const V: usize> Vmas<'a, P, N, V> {
    /// A reverse map that leads to these VMAs in their order.
    #[must_use]
    pub const fn new(vmas: [OneVma<'a, P, N>; V], faults: &'a Faults) -> Self {
        Self {
            vmas,
            next: 0,
            faults,
        }
    }

    /// The VMAs as they stand.
    #[must_use]
    pub const fn vmas(&self) -> &[OneVma<'a, P, N>; V] {
        &self.vmas
    }

    /// The machine of the VMA that was returned last.
    fn machine(&mut self) -> Option<&mut Machine<'a, P, N>> {
        let one = self.vmas.get_mut(self.next.saturating_sub(1))?;
        Some(&mut one.machine)
    }

    fn fallible<T>(
        &mut self,
        method: Fallible,
        call: impl FnOnce(&mut Machine<'a, P, N>) -> Result<T, core::convert::Infallible>,
        without: T,
    ) -> Result<T, Injected> {
        self.faults.call(method)?;
        let Some(machine) = self.machine() else {
            return Ok(without);
        };
        let Ok(value) = call(machine);
        Ok(value)
    }
}

impl<P: TestPage + ?Sized, const N: usize, const V: usize> Rmap for Vmas<'_, P, N, V> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        if self.faults.call(Fallible::NextVma).is_err() {
            return NextVma::Contended;
        }
        let Some(one) = self.vmas.get(self.next) else {
            return NextVma::End;
        };
        self.next = self.next.saturating_add(1);
        NextVma::Found {
            vma: one.vma.clone(),
            address: one.address,
        }
    }
}

/// Forwards a method that cannot fail to the machine.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty, or $without:expr;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> $out {
            match self.machine() {
                Some(machine) => machine.$name($($arg),*),
                None => $without,
            }
        }
    )*};
}

impl<P: TestPage + ?Sized, const N: usize, const V: usize> PageTables for Vmas<'_, P, N, V> {
    type Error = Injected;

    fn next_entry(&mut self) -> Result<Option<Entry>, Injected> {
        self.fallible(Fallible::NextEntry, |machine| machine.next_entry(), None)
    }

    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Injected> {
        let nothing = Cleared {
            flags: PteFlags::empty(),
            deferred: false,
        };
        self.fallible(
            Fallible::Clear,
            |machine| machine.clear(entry, flush),
            nothing,
        )
    }

    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), Injected> {
        let split = |machine: &mut Machine<'_, P, N>| machine.split_huge_pmd(freeze);
        self.fallible(Fallible::SplitHugePmd, split, ())
    }

    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), Injected> {
        let begin = |machine: &mut Machine<'_, P, N>| machine.invalidate_begin(range);
        self.fallible(Fallible::InvalidateBegin, begin, ())
    }

    forward! {
        test_and_clear_young(entry: &Entry) -> bool, or false;
        install(entry: &Entry, new: NewEntry) -> (), or ();
        set_page_dirty() -> (), or ();
        remove_rmap(entry: &Entry) -> (), or ();
        widen_for_sharing(range: Range<u64>) -> Range<u64>, or range;
        invalidate(range: Range<u64>) -> (), or ();
        invalidate_end(range: Range<u64>) -> (), or ();
        unshare_pmd(entry: &Entry, range: &Range<u64>) -> SharedTable, or SharedTable::Unknown;
        mlock_page() -> (), or ();
        set_swap_backed() -> (), or ();
        update_hiwater() -> (), or ();
        count(delta: CounterDelta) -> (), or ();
        swap_duplicate(entry: &Entry) -> Attempt, or Attempt::Refused;
        swap_free(entry: &Entry) -> (), or ();
        arch_unmap(entry: &Entry, cleared: PteFlags) -> Attempt, or Attempt::Refused;
    }
}
