//! Decides which pages memory reclaim may take, taking DMA pins into account.
//!
//! # The problem
//!
//! A memory manager that runs out of pages reclaims some: it unmaps a page from every process that
//! maps it, writes it out if needed, and gives it to whoever waits for memory. A page that a device
//! reads or writes by DMA is *pinned* and cannot be reclaimed, and it is expensive to find that out
//! late. Stopping the hardware is slower than anything else in reclaim and may never succeed. A scan
//! that does not know about pins works on the same pages again and again.
//!
//! In Linux, `try_to_unmap_one` decides for one page in one mapping whether and how the page is
//! unmapped. A patch that was posted in 2020 ("mm: Skip opportunistic reclaim for dma pinned pages",
//! not merged) let it give up early on pinned pages. `pinfold` is that decision and the layers around
//! it as a library, for kernels, hypervisors and simulators with page representations of their own.
//! Its decisions are Linux 5.8's: the tests compare them with 24,000 decisions of Linux's own
//! functions. The deviations are deliberate and listed at [`try_to_unmap_one`].
//!
//! # The layers
//!
//! ```text
//!  UnmapFlags, PageFlags, …   vocabulary: flag sets, and two traits that an embedder implements
//!  PageLike, Vma
//!          |
//!  pin                        counting references and pins; who pins
//!          |
//!  PinPolicy                  which operations a pin forbids
//!          |
//!  unmap                      try_to_unmap_one: pure decisions and a thin driver
//!          |
//!  Rmap, try_to_unmap         all mappings of one page, batched TLB flush
//!          |
//!  reclaim                    the fate of one page, parking of pinned pages, the loop over the lists
//!          |
//!  shrinker, revoke,          devices that give pages back, deadlines for pin owners, and where a
//!  placement                  page must be before it is pinned for long
//!
//!  invariants, conformance    test support (feature test-utils): checks for your own tests
//! ```
//!
//! | you want | you use |
//! | --- | --- |
//! | only the decisions, for an analysis or a simulation | [`unmap::decide`], [`reclaim::decide`], [`PinPolicy::verdict`] |
//! | to count references and pins | `pin::PageRefs`; with counters of your own [`pin::BiasedRefs`], [`pin::LargePageRefs`], `pin::PinWord` |
//! | to pin several pages, or none | [`pin::PinGuard`] |
//! | to know who pins | [`pin::PinLedger`] |
//! | to unmap a page from one VMA, or from all | [`try_to_unmap_one`], [`try_to_unmap`] |
//! | to reclaim from lists | [`reclaim::LruScan`]; for one page [`reclaim::shrink_page`] |
//! | ready-made lists | [`reclaim::PageLists`] |
//! | devices that give pages back | [`Shrinker`], [`revoke::Ladder`], [`PinOwner`] |
//! | to place pages before they are pinned for long | [`place_and_pin`], [`check_pins`] |
//! | to test your own memory manager | `invariants`, `conformance` (feature `test-utils`) |
//!
//! Decisions are pure functions: state in, a named verdict out. They do not allocate, block, call
//! back or read clocks. Drivers are thin: they ask for a decision and call the embedder.
//!
//! # An example
//!
//! ```
//! use pinfold::{PageFlags, PinVerdict, PlainPage, UnmapFlags, UnmapRequest};
//!
//! // A page of a C library, mapped by 5,000 processes; and a page that a device has pinned once.
//! let library = PlainPage {
//!     flags: PageFlags::PAGE_CACHE,
//!     refs: 5_002,
//!     maps: 5_000,
//!     pins: None,
//!     base_pages: 1,
//! };
//! let buffer = PlainPage { refs: 1_026, maps: 1, ..library };
//!
//! let reclaim = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
//! assert_eq!(reclaim.ask(&library).0, PinVerdict::Proceed, "mapped often, but not pinned");
//! assert_eq!(reclaim.ask(&buffer).0, PinVerdict::SkipPage);
//! # Ok::<(), pinfold::BadFlags>(())
//! ```
//!
//! # What an embedder does
//!
//! 1. Implement [`PageLike`] for your page: flags, reference count, map count. Override
//!    [`exact_pins`](PageLike::exact_pins) if pins are counted, as `pin::PageRefs` does.
//! 2. Implement [`Vma`], or use [`PlainVma`].
//! 3. Implement [`PageTables`], a cursor over the entries of one page: six methods, and what you have
//!    of swap, huge pages, secondary MMUs and counters. Its table says what happens if one is left
//!    out.
//! 4. Call [`try_to_unmap_one`]; or implement [`Rmap`], one method, and call [`try_to_unmap`].
//! 5. For reclaim, implement [`reclaim::PageOps`], five methods and what you have of swap, writing
//!    and locks, and [`reclaim::Lists`], four methods over your lists.
//! 6. In your tests, enable the feature `test-utils` and run `conformance::suite` over your page, and
//!    `conformance::lists_suite` over your lists.
//!
//! # What is guaranteed
//!
//! - *No false negatives.* A reading of pins that says "none" is right, within the bound that
//!   [`pin::Refined`] states for counters that move while they are read.
//! - *Nothing is lost.* If a method of the embedder fails, no entry, dirty bit, reference, swap slot
//!   or counter is lost: the entry at which it failed is in place. Deferred TLB flushes are in the
//!   caller's [`FlushDebt`], also after an error.
//! - *A skip touches nothing*, and a pinned page costs the same however often it is mapped.
//! - *No panic* is reachable from the crate in a release build: a freestanding program that calls
//!   every entry point links without a panic handler.
//! - `#![no_std]`, no allocation, no `unsafe`.
//!
//! # What is not
//!
//! - A pin that is not counted cannot be seen.
//! - A policy is a hint about cost. What keeps a pinned page from being freed is the freeze of its
//!   reference count, or the block of its pin word, which the embedder's
//!   [`remove`](reclaim::PageOps::remove) does last: see [`pin::race`].
//! - Locks are the embedder's: the page lock, the page-table lock, the lock of the reverse map.
//!
//! Enums that an embedder must match are exhaustive; the others are `#[non_exhaustive]`.
//!
//! # Versions
//!
//! The minimum supported Rust version is 1.85; raising it is a minor release. `PageRefs` and
//! `PinWord` need 64-bit atomics; everything else needs at most 32-bit atomics.
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

pub use flags::{BadFlags, PageFlags, PteFlags, UnmapFlags, VmFlags};
pub use page::{PageLike, PageSnapshot, PlainPage};
pub use placement::{Placed, Placement, Zone, check_pins, place_and_pin};
pub use policy::{
    Context, IgnorePins, Operation, PinMode, PinPolicy, PinVerdict, Policy, Requester,
    SkipLongterm, SkipOpportunistic, SkipPinned,
};
pub use revoke::PinOwner;
pub use rmap::{NextVma, Outcome, Rmap, try_to_unmap};
pub use shrinker::Shrinker;
pub use unmap::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, NewEntry, PageTables, SharedTable,
    UnmapError, UnmapRequest, Verdict, try_to_unmap_one,
};
pub use vma::{PlainVma, Vma};
