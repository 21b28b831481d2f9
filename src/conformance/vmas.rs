//! A small reverse map: one page in a few VMAs, each with a machine of its own.

use super::{Faults, Faulty, Injected, Machine, TestPage};
use crate::rmap::{InVma, NextVma, Rmap};
use crate::unmap::Callback;
use crate::vma::PlainVma;

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

/// A page in `V` VMAs, with at most `N` entries in each.
#[derive(Debug)]
pub struct Vmas<'a, P: ?Sized, const N: usize, const V: usize> {
    vmas: [OneVma<'a, P, N>; V],
    next: usize,
    faults: &'a Faults,
}

/// The walk over one VMA of a [`Vmas`].
pub type Walk<'w, 'a, P, const N: usize> = Faulty<'w, &'w mut Machine<'a, P, N>>;

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

    /// VMA `at`, the address in bytes where the page begins in it, and the walk there.
    #[must_use]
    pub fn walk(&mut self, at: usize) -> Option<InVma<PlainVma, Walk<'_, 'a, P, N>>> {
        let one = self.vmas.get_mut(at)?;
        Some(InVma {
            vma: one.vma.clone(),
            address: one.address,
            walk: Faulty::new(&mut one.machine, self.faults),
        })
    }

    /// The VMA that was returned last: where what is owed is settled.
    #[must_use]
    pub fn last(&mut self) -> Option<InVma<PlainVma, Walk<'_, 'a, P, N>>> {
        self.walk(self.next.checked_sub(1)?)
    }
}

impl<'a, P: TestPage + ?Sized, const N: usize, const V: usize> Rmap for Vmas<'a, P, N, V> {
    type Vma = PlainVma;
    type Walk<'w>
        = Walk<'w, 'a, P, N>
    where
        Self: 'w;
    type Error = Injected;

    fn next_vma(&mut self) -> NextVma<'_, Self> {
        self.faults.call(Callback::NextVma)?;
        let at = self.next;
        self.next = at.saturating_add(1).min(V);
        Ok(self.walk(at))
    }
}
