//! A suite for an embedder's lists and page operations.
//!
//! An embedder implements [`TestLists`] for what it reclaims with, beside
//! [`PageOps`](crate::reclaim::PageOps) and [`Lists`], and calls [`lists_suite`] from its tests.
//! The suite adds pages and runs passes over them. Every callback of a pass goes through the suite,
//! which makes it fail or refuse, lets pins, references and writes come and go inside it, and
//! checks after it what it did and what it left alone.
//!
//! | checked | when |
//! | --- | --- |
//! | each page is in one place: on one list, parked, freed, or held by the scan | after each callback |
//! | references are those of mappings, cache, private data, holders, pins and the caller | after each callback |
//! | the map count is the number of present entries | after each callback |
//! | the page lock is held when it should be, and by nobody else | after each callback |
//! | the content is what was last written, in memory or in its backing store | after each callback |
//! | the swap slot is held by the swap entries that name it | after each callback |
//! | a callback that fails or refuses has changed nothing | after each callback |
//! | a walk keeps all [invariants](crate::invariants::walk) | after each walk |
//! | a page whose reverse map is locked by somebody else is kept | after each walk |
//! | a page is written out, removed and freed only if it may be, and after its TLB flush | before each |
//! | no page that a policy protects is unmapped or written out while it is pinned | before each |
//! | no more pages are written than there is room for | before each write |
//! | no page is locked and no write waits to be started | before a wait, after each batch |
//! | lists are in order and as long as they say | after each pass |
//! | a pass ends | after a bounded number of pages |
//! | what nobody holds can be reclaimed | at the end |
//!
//! Choices come from a function that the caller passes: a generator of random numbers, or the bytes
//! of a fuzzer. Zeros choose a quiet world, so that a property test shrinks towards one.

mod broken;
mod checked;
mod choices;
mod forward;
mod migrate;
mod ops;
mod pages;
mod rules;
mod run;
mod watched;
mod world;

pub use broken::{ListsBroken, ListsFailure};
pub use run::{ListsTally, lists_suite};

use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::invariants::EntryAt;
use crate::pin::{PIN_BIAS, PinKind};
use crate::reclaim::{Lists, Place};
use crate::rmap::Rmap;
use crate::unmap::Attempt;

/// How many pages the suite adds at most.
pub const MAX_PAGES: usize = 16;

/// Where a page is.
///
/// Exhaustive: it is in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// On a list, or parked because of its pins.
    Listed(Place),
    /// Taken off its list by the scan, or off the parked pages by a sweep.
    Isolated,
    /// In no list: the holder of its last reference frees it.
    Elsewhere,
    /// Free.
    Free,
}

/// What a TLB may still hold of a page that no page-table entry backs any more.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stale {
    /// Nothing.
    #[default]
    No,
    /// A clean entry: a CPU may read the page.
    Clean,
    /// A dirty entry: a CPU may write to it.
    Dirty,
}

/// A page for the embedder to make. All references but those of its state and mappings are the
/// suite's to take later.
#[derive(Debug, Clone, Copy)]
pub struct NewPage<'a> {
    /// Its state. It goes on the list that [`Lru::of`](crate::reclaim::Lru::of) says, at the young end.
    pub flags: PageFlags,
    /// Its mappings: for each the state of its VMA and the bits of its entry. Each is in a VMA of
    /// its own, at an address of its own.
    pub mappings: &'a [(VmFlags, PteFlags)],
    /// Stands for its content. A clean page of a file has the same in its backing store.
    pub content: u64,
}

/// A page as the embedder knows it. Of a page that is [free](Whereabouts::Free) only whereabouts,
/// content and slot count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SeenPage {
    /// Where it is, by the lists themselves.
    pub whereabouts: Whereabouts,
    /// Its state.
    pub flags: PageFlags,
    /// Its reference count, pins included where they are counted in it.
    pub refs: i32,
    /// Its map count.
    pub maps: u32,
    /// Whether the page lock is held, by whomever.
    pub locked: bool,
    /// Whether its write to its backing store is under way: it was started, and has not ended. A
    /// write that waits for [`submit`](crate::reclaim::PageOps::submit) was not started.
    pub writing: bool,
    /// What a TLB may still hold of it. [`Stale::No`] where that cannot be known.
    pub stale: Stale,
    /// What a program that accesses it would read: from memory, from its swap slot, or from its
    /// file. 0 if it was freed lazily and dropped.
    pub content: u64,
    /// How many swap entries hold its swap slot, if it has one.
    pub slot: Option<u32>,
}

debug_fields!(SeenPage {
    whereabouts,
    flags,
    refs,
    maps,
    locked,
    writing,
    stale,
    content,
    slot,
});

/// What somebody else does to a page while reclaim is at work.
///
/// Exhaustive: the embedder matches on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Pins it through one of its entries.
    Pin(PinKind),
    /// Releases a pin, and does what is left to do: marks the page dirty if the device wrote to
    /// it, puts a parked page back on its list, frees the page with its last reference.
    Unpin(PinKind),
    /// A device that pins the page writes this content.
    DmaWrite(u64),
    /// A program writes this content through the entry of this index, which is present and
    /// writable: the entry becomes dirty and young.
    Store(usize, u64),
    /// Takes a plain reference.
    Hold,
    /// Drops it, and frees the page if it was the last.
    Release,
    /// Takes the page lock.
    Lock,
    /// Gives it back.
    Unlock,
    /// Ends its writeback, if it is under writeback.
    EndWriteback,
}

/// What the suite asks of an embedder's lists, beside what reclaim asks.
///
/// # Examples
///
/// A test that makes a thousand small worlds:
///
/// ```
/// use pinfold::conformance::{ListsFailure, ListsTally, Rng, TestLists, lists_suite};
///
/// fn check<B: TestLists>(mut empty: impl FnMut() -> B) -> Result<ListsTally, ListsFailure> {
///     let mut sum = ListsTally::default();
///     for seed in 0..1000 {
///         let mut rng = Rng::new(seed);
///         sum = sum.plus(lists_suite(&mut empty(), &mut || rng.next_u64(), 8)?);
///     }
///     Ok(sum)
/// }
/// ```
///
/// # Contract
///
/// - A page keeps its number for as long as the suite runs, in memory or not.
/// - Nothing happens to a page between two calls.
/// - A page whose last reference is dropped is [free](Whereabouts::Free), and on no list: by
///   [`put`](Lists::put) as well, if the scan had the last one.
/// - There is swap for every page, or [`has_swap`](Lists::has_swap) says `false`.
/// - [`try_lock`](crate::reclaim::PageOps::try_lock) and
///   [`unlock`](crate::reclaim::PageOps::unlock) are not the defaults: the suite locks pages too.
/// - Pages are small: huge pages are not part of this suite.
pub trait TestLists: Lists {
    /// The reverse map of one page, for [`try_to_unmap`](crate::try_to_unmap).
    type Rmap<'a>: Rmap<Error = Self::Error>
    where
        Self: 'a;

    /// The reverse map with which [`unmap`](crate::reclaim::PageOps::unmap) unmaps this page. Its
    /// order is that of [`entry`](Self::entry).
    fn rmap<'a>(&'a mut self, page: &Self::Page) -> Self::Rmap<'a>;

    /// Whether pages can be migrated here. The default: no, and no migration is tried.
    const MIGRATES: bool = false;

    /// Puts back the entries of a page that became migration entries, with their bits
    /// (`remove_migration_ptes`). Each is a mapping again, and has its reference.
    fn end_migration(&mut self, page: &Self::Page) {
        let _ = page;
    }

    /// Makes page `id`, or refuses if it cannot hold such a page.
    fn add(&mut self, id: usize, page: &NewPage<'_>) -> Attempt;

    /// The number with which the page was added.
    fn id(&self, page: &Self::Page) -> usize;

    /// Page `id` as it is now.
    fn see(&self, id: usize) -> SeenPage;

    /// The page-table entry of mapping `at` of page `id`, whatever stands there now.
    fn entry(&self, id: usize, at: usize) -> Option<EntryAt>;

    /// Does this to page `id`, or refuses if it cannot be done now; then nothing has changed.
    fn act(&mut self, id: usize, act: Act) -> Attempt;

    /// Pins a page whose entry is just being cleared, as a pinner that takes no locks would. The
    /// default refuses: then no pin appears there.
    fn pin_in_walk(page: &Self::Page, kind: PinKind) -> Attempt {
        let _ = (page, kind);
        Attempt::Refused
    }

    /// An error with which the fallible methods of a walk can be made to fail. The default has none:
    /// then none fails.
    #[must_use]
    fn injected() -> Option<Self::Error> {
        None
    }

    /// How many references one pin holds: [`PIN_BIAS`] where pins are counted in the references, 1
    /// or 0 where they have a count of their own.
    fn refs_per_pin(&self) -> u32 {
        PIN_BIAS
    }

    /// How many references a page has because it is there. The default: one if the scan holds it.
    fn refs_there(&self, whereabouts: Whereabouts) -> u32 {
        u32::from(whereabouts == Whereabouts::Isolated)
    }

    /// How many swap slots are in use, where that is known.
    fn slots_in_use(&self) -> Option<u32> {
        None
    }
}
