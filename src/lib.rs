//! Which pages memory reclaim may take, and what pins for DMA have to say to it.
#![no_std]

pub mod conformance;
mod flags;
mod page;
pub mod pin;
mod policy;
pub mod reclaim;
mod rmap;
mod sync;
pub mod unmap;
mod vma;

pub use flags::{PageFlags, PteFlags, UnknownFlags, UnmapFlags, VmFlags};
pub use page::{PageLike, PlainPage, RefCounts};
pub use policy::{
    Context, IgnorePins, Operation, PinPolicy, PinVerdict, Requester, SkipLongterm,
    SkipOpportunistic, SkipPinned,
};
pub use rmap::{InVma, NextVma, Outcome, Reason, Rmap, Unmapped, try_to_unmap};
pub use unmap::{
    Bookkeeping, Cleared, CounterDelta, Entry, Failure, FlushDebt, FlushMode, Hook, NewEntry,
    PageTables, UnmapRequest, Verdict, Walked, try_to_unmap_one,
};
pub use vma::{PlainVma, Vma};

// Shrinkers, revocation, placement.
pub mod placement;
pub mod revoke;
pub mod shrinker;

pub use placement::{Placed, Placement, Refusal, Zone, may, place_and_pin};
pub use revoke::PinOwner;
pub use shrinker::Shrinker;
