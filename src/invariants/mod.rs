//! What must hold, as functions that any embedder's property test can call.
//!
//! Needs the feature `test-utils`.
//!
//! A test fills a [`Snapshot`] of its own world before and after a walk, tells what was asked and
//! how it ended, and [`walk`] says which invariant broke, if any. Nothing here needs a test
//! framework, allocates or panics. Each invariant also has a function of its own, so that a report
//! can name the one that broke by the test that failed.
//!
//! | about | functions |
//! | --- | --- |
//! | pins and walks | [`pinned_stays`], [`second_look`], [`skip_touches_nothing`], [`monotone`], [`alike`] |
//! | what a walk leaves | [`mlocked_stays`], [`nothing_lost`], [`in_place`], [`bits_carried`], [`dirty_kept`], [`slots`], [`counters`], [`flushes`], [`notifier`] |
//! | readings | [`reading`], [`refined_reading`] |
//! | policies | [`policy`] |
//!
//! # Examples
//!
//! ```
//! use pinfold::invariants::{self, WalkRequest, Broken, Ending, EntryAt, EntryKind, WalkEnd, Snapshot, Walk};
//! use pinfold::{PteFlags, SkipOpportunistic, UnmapFlags, Verdict, VmFlags};
//!
//! let entry = |kind, flags| EntryAt { address: 0x1000, kind, flags, vma: VmFlags::empty() };
//! let before = [entry(EntryKind::Present, PteFlags::DIRTY)];
//! let after = [entry(EntryKind::Empty, PteFlags::empty())];
//! let walk = Walk {
//!     asked: WalkRequest::new(UnmapFlags::empty(), &<SkipOpportunistic>::new(), Default::default()),
//!     before: Snapshot { refs: 2, maps: 1, entries: &before, ..Snapshot::EMPTY },
//!     after: Snapshot { refs: 1, maps: 0, entries: &after, ..Snapshot::EMPTY },
//!     ending: Ending::new(WalkEnd::InVma(Verdict::Done)),
//!     pin_appeared: None,
//! };
//! assert_eq!(
//!     invariants::dirty_kept(&walk),
//!     Err(Broken::DirtyLost { address: Some(0x1000) }),
//!     "the write through the entry is forgotten",
//! );
//! ```

mod asked;
mod broken;
mod effects;
mod pins;
mod walk;

pub use asked::{Counted, WalkRequest};
pub use broken::Broken;
pub use effects::{
    bits_carried, counters, dirty_kept, flushes, in_place, nothing_lost, notifier, slots,
};
pub use pins::{monotone, policy, reading, refined_reading};
pub(crate) use walk::gone;
pub use walk::{alike, mlocked_stays, pinned_stays, second_look, skip_touches_nothing, walk};

use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::rmap::Outcome;
use crate::unmap::{CounterDelta, FlushDebt, UnmapError, Verdict};

/// What stands in one page-table entry.
///
/// Exhaustive: it is what a walk can leave there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// It maps the page.
    Present,
    /// Nothing.
    Empty,
    /// The page's swap slot.
    Swap,
    /// A migration entry, of a base page or of a huge one.
    Migration,
    /// A poison entry.
    Poison,
}

/// One page-table entry of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryAt {
    /// Where it is, in bytes.
    pub address: u64,
    /// What stands there.
    pub kind: EntryKind,
    /// Its bits, as they are when it is cleared: a write through it after the snapshot counts. Of
    /// a swap or migration entry, the bits that it carries.
    pub flags: PteFlags,
    /// The state of its VMA.
    pub vma: VmFlags,
}

/// How often the embedder's methods were called, and with what, counted from any point in time.
///
/// Only differences between two of them matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WalkCounts {
    /// The change of the address space's counters.
    pub counters: CounterDelta,
    /// Mappings that were removed for good.
    pub removed: u32,
    /// References taken on swap slots.
    pub swap_dups: u32,
    /// References on swap slots given back.
    pub swap_frees: u32,
    /// Entries whose TLB flush was done when they were cleared.
    pub flushed: u32,
    /// Entries whose TLB flush was deferred.
    pub deferred: u32,
    /// Begins of an invalidation.
    pub begins: u32,
    /// Ends of an invalidation.
    pub ends: u32,
    /// Hugetlb page tables that were un-shared.
    pub unshares: u32,
    /// Invalidations under the page-table lock.
    pub invalidates: u32,
    /// Anything else that can be counted: splits, young tests, mlocks. Only a skip looks at it.
    pub others: u32,
}

debug_fields!(WalkCounts {
    counters,
    removed,
    swap_dups,
    swap_frees,
    flushed,
    deferred,
    begins,
    ends,
    unshares,
    invalidates,
    others,
});

impl WalkCounts {
    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            counters: self.counters.plus(other.counters),
            removed: self.removed.saturating_add(other.removed),
            swap_dups: self.swap_dups.saturating_add(other.swap_dups),
            swap_frees: self.swap_frees.saturating_add(other.swap_frees),
            flushed: self.flushed.saturating_add(other.flushed),
            deferred: self.deferred.saturating_add(other.deferred),
            begins: self.begins.saturating_add(other.begins),
            ends: self.ends.saturating_add(other.ends),
            unshares: self.unshares.saturating_add(other.unshares),
            invalidates: self.invalidates.saturating_add(other.invalidates),
            others: self.others.saturating_add(other.others),
        }
    }
}

/// One page and its entries at one instant, by the embedder's own knowledge and not by the crate's.
///
/// # Contract
///
/// - Both snapshots of a walk name the same entries in the same order, the order of the walk.
/// - The entries of a hugetlb page table that was un-shared still map the page from where the table
///   is shared: they stay [`Present`](EntryKind::Present).
/// - An embedder whose split of a huge mapping changes the counts takes the first snapshot as if
///   the split were done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// The state of the page.
    pub page: PageFlags,
    /// References, without those that pins hold.
    pub refs: i64,
    /// The map count.
    pub maps: u32,
    /// The pins that are truly held, short and long-term ones together.
    pub pins: u32,
    /// How many of them are long-term.
    pub longterm: u32,
    /// The entries.
    pub entries: &'a [EntryAt],
    /// The calls so far.
    pub books: WalkCounts,
}

debug_fields!([] Snapshot<'_>, Snapshot {
    page,
    refs,
    maps,
    pins,
    longterm,
    entries,
    books,
});

impl Snapshot<'_> {
    /// No page: for the fields that an embedder does not have.
    pub const EMPTY: Self = Self {
        page: PageFlags::empty(),
        refs: 0,
        maps: 0,
        pins: 0,
        longterm: 0,
        entries: &[],
        books: WalkCounts {
            counters: CounterDelta::NONE,
            removed: 0,
            swap_dups: 0,
            swap_frees: 0,
            flushed: 0,
            deferred: 0,
            begins: 0,
            ends: 0,
            unshares: 0,
            invalidates: 0,
            others: 0,
        },
    };
}

/// How a walk ended.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalkEnd {
    /// One VMA, with this verdict.
    InVma(Verdict),
    /// All VMAs, with this outcome.
    InAll(Outcome),
    /// With an error.
    Failed,
}

impl WalkEnd {
    /// Whether nothing may have been touched.
    #[must_use]
    pub const fn is_skip(self) -> bool {
        match self {
            Self::InVma(verdict) => {
                verdict.is_pin_skip()
                    || matches!(verdict, Verdict::NotLocked | Verdict::NotMigratable)
            }
            Self::InAll(outcome) => matches!(outcome, Outcome::Skipped(_) | Outcome::Refused(_)),
            Self::Failed => false,
        }
    }

    /// Whether the pins were the reason.
    #[must_use]
    pub const fn is_pin_skip(self) -> bool {
        match self {
            Self::InVma(verdict) => verdict.is_pin_skip(),
            Self::InAll(_) => self.is_skip(),
            Self::Failed => false,
        }
    }
}

/// How a walk ended, and the TLB flushes that it added to its caller's debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub how: WalkEnd,
    /// For how many entries a flush is owed.
    pub deferred: u32,
    /// Whether one of these was dirty.
    pub deferred_dirty: bool,
}

impl Ending {
    /// A walk that ended so, with no flush owed.
    #[must_use]
    pub const fn new(how: WalkEnd) -> Self {
        Self {
            how,
            deferred: 0,
            deferred_dirty: false,
        }
    }

    /// The ending of one VMA's walk, with the debt that it left.
    #[must_use]
    pub const fn of_walk<E>(result: &Result<Verdict, UnmapError<E>>, debt: &FlushDebt) -> Self {
        let how = match result {
            Ok(verdict) => WalkEnd::InVma(*verdict),
            Err(_) => WalkEnd::Failed,
        };
        Self::new(how).owing(debt)
    }

    /// The ending of a walk over all VMAs, with the debt that it left.
    #[must_use]
    pub const fn of_all<E>(result: &Result<Outcome, UnmapError<E>>, debt: &FlushDebt) -> Self {
        let how = match result {
            Ok(outcome) => WalkEnd::InAll(*outcome),
            Err(_) => WalkEnd::Failed,
        };
        Self::new(how).owing(debt)
    }

    const fn owing(self, debt: &FlushDebt) -> Self {
        Self {
            deferred: debt.entries(),
            deferred_dirty: debt.is_dirty(),
            ..self
        }
    }
}

/// A walk, as its embedder saw it.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// What was asked.
    pub asked: WalkRequest,
    /// The world before.
    pub before: Snapshot<'a>,
    /// The world after.
    pub after: Snapshot<'a>,
    /// How it ended.
    pub ending: Ending,
    /// The index of the entry during whose clearing a pin appeared, if one did.
    pub pin_appeared: Option<usize>,
}
