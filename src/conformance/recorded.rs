//! What the methods of a machine were called for.

use crate::debug::debug_fields;
use crate::invariants::WalkCounts;
use crate::unmap::CounterDelta;

/// What the machine was called for, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Recorded {
    /// TLB flushes of base-page entries, and of un-shared ranges, that were done.
    pub flushes: u32,
    /// TLB flushes of PMDs that were done.
    pub pmd_flushes: u32,
    /// TLB flushes that were deferred.
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

debug_fields!(Recorded {
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

impl Recorded {
    /// The same, as the invariants count it.
    #[must_use]
    pub const fn books(&self) -> WalkCounts {
        WalkCounts {
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
