//! Which pages memory reclaim may take, and what pins for DMA have to say to it.
//!
//! # The problem
//!
//! A memory manager that runs out of pages takes some away: it unmaps a page from every process
//! that maps it, writes it out if it must, and gives it to somebody who waits. While a device reads
//! or writes a page by DMA, the page is *pinned*: it cannot be taken, and to find that out late is
//! expensive. Stopping the hardware is slower than anything else that reclaim does, and may never
//! succeed; and a scan that does not know about pins attacks the same pages over and over, even
//! the first pages of a buffer whose last is just being pinned.
//!
//! In Linux, `try_to_unmap_one` decides for one page in one mapping whether and how it is taken. A
//! patch of 2020 ("mm: Skip opportunistic reclaim for dma pinned pages") made it give up early on
//! pinned pages. `pinfold` carries that decision, and the layers around it, out of the kernel, for
//! kernels, hypervisors and simulators with page representations of their own. Its decisions are
//! Linux 5.8's: the repository holds them against 24,000 that Linux itself made. Where they differ,
//! it is on purpose, and said so ([`try_to_unmap_one`]).
//!
//! # The layers
//!
//! ```text
//!  UnmapFlags, PageFlags, …   vocabulary: flag sets, and two traits that an embedder implements
//!  PageLike, Vma
//!          |
//!  pin                        counting pins: biased reference count, exact word, who pins
//!          |
//!  PinPolicy                  what a pin forbids: by operation, and by who asks
//!          |
//!  unmap                      try_to_unmap_one: pure decisions, and a thin driver
//!          |
//!  Rmap, try_to_unmap         all mappings of one page, TLB flushes as a debt
//!          |
//!  reclaim                    one page's fate, parking of pinned pages, the loop over the lists
//!          |
//!  shrinker, revoke,          devices that give pages back, pin owners that are asked to, and
//!  placement                  where a page must be before it is pinned for long
//!
//!  invariants, conformance    what must hold, as functions: for this crate's tests and yours
//! ```
//!
//! | you want | you use |
//! | --- | --- |
//! | only the decisions, for an analysis or a simulation | [`unmap::decide`], [`reclaim::decide`], [`PinPolicy::verdict`] |
//! | to count references and pins | `pin::PageRefs`; beside counts of your own [`pin::BiasedRefs`], [`pin::LargePageRefs`], `pin::PinWord` |
//! | to know who pins | [`pin::PinLedger`] |
//! | to take a page out of one VMA, or all | [`try_to_unmap_one`], [`try_to_unmap`] |
//! | to reclaim from lists | [`reclaim::shrink_page`], [`reclaim::LruScan`] |
//! | devices that give pages back | [`Shrinker`], [`revoke::Ladder`], [`PinOwner`] |
//! | to place pages before they are pinned for long | [`place_and_pin`], [`check_pins`] |
//! | to test that your own memory manager keeps the rules | `invariants`, `conformance` (feature `test-utils`) |
//!
//! Decisions are pure functions: state in, a named verdict out. They do not allocate, block, call
//! back or read clocks. Drivers are thin: they ask a decision, call the embedder, and pass the
//! answer on.
//!
//! # An example
//!
//! ```
//! use pinfold::pin::{PinReading, Refined};
//! use pinfold::unmap::decide::{self, Gate, Split};
//! use pinfold::{
//!     Context, Operation, PageFlags, PageLike, PinPolicy, PinVerdict, PlainPage,
//!     SkipOpportunistic, UnmapFlags, VmFlags,
//! };
//!
//! // A page of a C library, mapped by 5,000 processes; and one that a device has pinned once.
//! let library = PlainPage {
//!     flags: PageFlags::PAGE_CACHE,
//!     refs: 5_002,
//!     maps: 5_000,
//!     pins: None,
//!     base_pages: 1,
//! };
//! let buffer = PlainPage { refs: 1_026, maps: 1, flags: PageFlags::PAGE_CACHE, ..library };
//!
//! let policy: SkipOpportunistic = SkipOpportunistic::new();
//! let reclaim = UnmapFlags::BATCH_FLUSH;
//! let ask = |page: &PlainPage| {
//!     let gate = decide::gate(reclaim, VmFlags::empty(), page.flags());
//!     assert_eq!(gate, Gate::Walk(Split::No));
//!     let operation = Operation::of(reclaim, page.flags());
//!     policy.verdict(operation, Context::default(), Refined::read(page))
//! };
//! assert_eq!(ask(&library), PinVerdict::Proceed, "mapped often, but not pinned");
//! assert_eq!(ask(&buffer), PinVerdict::SkipPage);
//! ```
//!
//! # What an embedder does
//!
//! 1. Implement [`PageLike`] for your page: flags, reference count, map count. Where pins are
//!    counted exactly, or both counters sit in one word, override the method that says so.
//! 2. Implement [`Vma`], or use [`PlainVma`].
//! 3. Implement [`PageTables`] for a cursor over one page's entries in one VMA: six methods; then
//!    of [`Bookkeeping`] the methods for what you have of counters, secondary MMUs, swap, hugetlb
//!    pages and huge mappings. Its table says what happens if one is left out.
//! 4. Call [`try_to_unmap_one`]; or implement [`Rmap`], one method, and call [`try_to_unmap`].
//! 5. For reclaim, implement [`reclaim::PageOps`], four methods and what you have beyond them, and
//!    [`reclaim::Lists`] over your lists.
//! 6. In your tests, enable the feature `test-utils`. Put your page through `conformance::suite`
//!    and your lists and page operations through `conformance::lists_suite`, and call the
//!    functions of `invariants` from your own property tests.
//!
//! `examples/quickstart.rs` does 1 to 4 in under a hundred lines.
//!
//! # What is guaranteed
//!
//! - *No false negatives.* Every reading of pins is certain when it says "none", within the bound
//!   that [`pin::Refined`] states for counters that move while they are read.
//! - *Nothing is lost.* Whatever callback fails, wherever: no entry, dirty bit, reference, swap slot
//!   or counter is lost. What even undoing could not mend is handed to the caller
//!   ([`unmap::Owed`]). A TLB flush that was put off is handed to the caller as a [`FlushDebt`]; the
//!   compiler warns if the result that holds it is not used at all.
//! - *A skip touches nothing*, and a pinned page costs the same however often it is mapped.
//! - *No panic* is reachable from the crate in a release build: a freestanding program that calls
//!   every entry point links without a panic handler.
//! - `#![no_std]`, no allocation, no `unsafe`.
//!
//! # What is not
//!
//! - A pin that is not counted cannot be seen. Who writes to a page without a pin or a mapping is
//!   not this crate's to stop.
//! - A policy is a hint about cost. What keeps a pinned page from being freed is the freeze of its
//!   reference count, or the block of its pin word, which the embedder's
//!   [`remove`](reclaim::PageOps::remove) does last: see [`pin::race`].
//! - Locks are the embedder's: the page lock, the page-table lock, the reverse map's.
//!
//! # Versions
//!
//! The minimum supported Rust version is 1.85; raising it is a minor release. `PageRefs` and
//! `PinWord` exist where there are 64-bit atomics; everything else needs 32-bit ones at most.
#![no_std]

#[cfg(feature = "test-utils")]
pub mod conformance;
mod debug;
mod flags;
#[cfg(feature = "test-utils")]
pub mod invariants;
mod page;
pub mod pin;
pub mod placement;
mod policy;
pub mod reclaim;
pub mod revoke;
mod rmap;
pub mod shrinker;
mod sync;
pub mod unmap;
mod vma;

pub use flags::{PageFlags, PteFlags, UnknownFlags, UnmapFlags, VmFlags};
pub use page::{PageLike, PageSnapshot, PlainPage, RefCounts};
pub use placement::{Placed, Placement, Zone, check_pins, place_and_pin};
pub use policy::{
    Context, IgnorePins, Operation, PinMode, PinPolicy, PinVerdict, Requester, SkipLongterm,
    SkipOpportunistic, SkipPinned,
};
pub use revoke::PinOwner;
pub use rmap::{InVma, NextVma, Outcome, Reason, Rmap, Unmapped, try_to_unmap};
pub use shrinker::Shrinker;
pub use unmap::{
    Bookkeeping, Cleared, CounterDelta, Entry, Failure, FlushDebt, FlushMode, Hook, NewEntry,
    PageTables, SharedTable, UnmapRequest, Verdict, Walked, try_to_unmap_one,
};
pub use vma::{PlainVma, Vma};
