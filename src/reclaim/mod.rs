//! The LRU level: the fate of one isolated page, what happens to pinned ones, and the loop.

mod active;
mod batch;
pub mod decide;
mod fate;
mod forward;
mod futility;
mod lap;
mod lists;
mod ops;
mod page_lists;
mod park;
mod plan;
mod scan;
mod stats;
mod steps;

pub use decide::{Referenced, References, ScanFlags};
pub use fate::shrink_page;
pub use futility::{Futile, Futility};
pub use lists::{Lists, Lru, Unparked, Watermark, unpark};
pub use ops::{PageOps, PageOut, Removal};
pub use page_lists::{Link, ListError, PageLists, Place};
pub use park::Parking;
pub use scan::{LruScan, Progress};
pub use stats::Stats;

use crate::flags::{BadFlags, UnmapFlags};
use crate::pin::Pins;
use crate::policy::{Context, PinPolicy, Requester, SkipOpportunistic};

/// What became of an isolated page, and why.
///
/// Exhaustive: whoever isolated the page must know where it goes.
#[must_use = "the page is off its list, and goes where its fate says"]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is out of memory: give it back to the allocator.
    Freed,
    /// Somebody else drops the last reference and frees it.
    Raced,
    /// Put it back on the list that it came from.
    Kept(KeepReason),
    /// Put it on the active list of its kind.
    Activated(ActivateReason),
    /// It is pinned: keep it off the lists until its last pin is dropped.
    Parked(Pins),
}

/// Why a page was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeepReason {
    /// It is pinned.
    Pinned(Pins),
    /// Somebody else holds its lock. It does not count as scanned.
    LockBusy,
    /// It is mapped, and may not be unmapped.
    Mapped,
    /// It was used, once.
    Referenced,
    /// It needs swap, and I/O is not allowed.
    NoIo,
    /// It is huge and could not be split.
    SplitFailed,
    /// It is dirty, and may not be written now.
    Dirty,
    /// Writing it failed for now.
    NotWritten,
    /// It is under writeback, or dirty again.
    Writeback,
    /// It could not be locked again after it was written.
    LockLost,
    /// It is in no cache.
    NoMapping,
    /// Somebody else holds it, or it became dirty again.
    Held,
    /// It would have been activated, but it is mlocked.
    Mlocked,
    /// It could not be unmapped because of an error.
    Failed,
    /// It is dirty, and as many writes are in flight as the embedder allows.
    WriteLimit,
}

/// Why a page was activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActivateReason {
    /// It may not be reclaimed at all.
    Unevictable,
    /// It is under writeback.
    Writeback,
    /// It is in use.
    Referenced,
    /// It is huge and could not be split.
    CannotSplit,
    /// Swap has no room for it.
    NoSwap,
    /// It could not be unmapped.
    StillMapped,
    /// It is dirty, and the flusher's to write.
    Dirty,
    /// It could not be written.
    NotWritten,
    /// Its buffers could not be released.
    Buffers,
}

/// A request to reclaim pages: what the scan may do, the policy for pinned pages, whether they are
/// parked, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScanControl<L = SkipOpportunistic> {
    flags: ScanFlags,
    unmap: UnmapFlags,
    policy: L,
    parking: Parking,
    context: Context,
}

impl ScanControl {
    /// A scan under the default policy and parking, from a direct reclaimer.
    #[must_use]
    pub const fn new(flags: ScanFlags) -> Self {
        Self {
            flags,
            unmap: UnmapFlags::empty(),
            policy: SkipOpportunistic::new(),
            parking: Parking::Longterm,
            context: Context::new(Requester::Direct),
        }
    }
}

impl<L> ScanControl<L> {
    /// The same scan at another priority.
    pub(crate) const fn at(&self, priority: u8) -> ScanControl<&L> {
        ScanControl {
            flags: self.flags,
            unmap: self.unmap,
            policy: &self.policy,
            parking: self.parking,
            context: Context {
                priority,
                ..self.context
            },
        }
    }

    /// The same scan under another policy.
    #[must_use]
    pub fn with_policy<M: PinPolicy>(self, policy: M) -> ScanControl<M> {
        ScanControl {
            flags: self.flags,
            unmap: self.unmap,
            policy,
            parking: self.parking,
            context: self.context,
        }
    }

    /// The same scan with another parking of pinned pages.
    #[must_use]
    pub fn with_parking(self, parking: Parking) -> Self {
        Self { parking, ..self }
    }

    /// The same scan for another requester. [`LruScan`] sets the priority itself.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same scan with these flags on every unmap, in addition to those that reclaim sets.
    ///
    /// # Errors
    ///
    /// [`BadFlags::Unknown`] if a bit is set that [`UnmapFlags`] does not name, and
    /// [`BadFlags::Munlock`] for `MUNLOCK`: reclaim adds `SPLIT_HUGE_PMD` where a page is huge.
    pub fn with_unmap_flags(self, unmap: UnmapFlags) -> Result<Self, BadFlags> {
        let unmap = unmap.check()?;
        if unmap.contains(UnmapFlags::MUNLOCK) {
            return Err(BadFlags::Munlock(UnmapFlags::SPLIT_HUGE_PMD));
        }
        Ok(Self { unmap, ..self })
    }

    /// What the scan may do.
    #[must_use]
    pub const fn flags(&self) -> ScanFlags {
        self.flags
    }

    /// What happens to pinned pages.
    #[must_use]
    pub const fn parking(&self) -> Parking {
        self.parking
    }

    /// Who asks.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }
}
