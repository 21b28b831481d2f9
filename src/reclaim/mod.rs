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
mod park;
mod plan;
mod scan;
mod stats;
mod steps;

pub use active::{Refill, age_page, refill};
pub use decide::{Referenced, References, ScanFlags};
pub use fate::shrink_page;
pub use futility::{Futile, Futility};
pub use lists::{Lists, Lru, Release, Unparked, Watermark, reclaimable_pages, unpark};
pub use ops::{PageOps, PageOut, Removal};
pub use park::{OnPin, OnScan, ParkEagerly, ParkLazily, ParkLongterm, ParkPolicy, Rotate};
pub use scan::{LruScan, Progress, SWAP_CLUSTER_MAX};
pub use stats::Stats;

use crate::flags::{UnknownFlags, UnmapFlags};
use crate::pin::Pins;
use crate::policy::{Context, PinPolicy, SkipOpportunistic};
use crate::unmap::{Owed, UnmapError};
use core::fmt;

/// What became of an isolated page, and why.
///
/// Complete on purpose: whoever isolated the page must know where it goes.
#[must_use = "the page is off its list, and goes where its fate says"]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is out of memory: give it back to the allocator, once the TLB flushes are settled.
    Freed,
    /// Somebody else drops the last reference and frees it: forget it.
    Raced,
    /// Put it back on the list that it came from.
    Kept(KeepReason),
    /// Put it on the active list of its kind.
    Activated(ActivateReason),
    /// It is pinned: off the lists with it, until its last pin goes.
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
    /// An operation of the embedder's failed.
    Failed,
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

/// An operation of [`PageOps`], by its method.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageOp {
    Update,
    Referenced,
    Unmap,
    Remove,
    FlushTlb,
    TryLock,
    Unlock,
    WaitForWriteback,
    AddToSwap,
    FreeSwap,
    Split,
    WriteOut,
    ReleaseBuffers,
    PutLast,
}

/// An operation of the embedder's failed: the first one, where giving the lock back failed as well.
/// The page is kept.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShrinkError<E> {
    /// This one.
    Op {
        /// Which.
        op: PageOp,
        /// The embedder's error.
        source: E,
        /// Whether the page is still locked, because unlocking it failed.
        locked: bool,
    },
    /// The page could not be unmapped.
    Unmap {
        /// Why.
        error: UnmapError<E>,
        /// What the walk could not undo.
        owed: Owed,
        /// Whether the page is still locked, because unlocking it failed.
        locked: bool,
    },
}

impl<E> ShrinkError<E> {
    pub(crate) const fn op(op: PageOp, source: E) -> Self {
        Self::Op {
            op,
            source,
            locked: false,
        }
    }

    /// Whether the page is still locked, because unlocking it failed: the embedder's to settle.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        match self {
            Self::Op { locked, .. } | Self::Unmap { locked, .. } => *locked,
        }
    }

    pub(crate) const fn set_locked(&mut self, held: bool) {
        match self {
            Self::Op { locked, .. } | Self::Unmap { locked, .. } => *locked = held,
        }
    }
}

impl<E: fmt::Display> fmt::Display for ShrinkError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op { op, source, .. } => write!(f, "{op:?} failed: {source}"),
            Self::Unmap { error, .. } => write!(f, "unmapping failed: {error}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for ShrinkError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Op { source, .. } => Some(source),
            Self::Unmap { error, .. } => Some(error),
        }
    }
}

/// What is asked of a scan: what it may do, the policy for pinned pages, what happens to those that
/// are skipped, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScanControl<L = SkipOpportunistic, K = ParkLongterm> {
    flags: ScanFlags,
    unmap: UnmapFlags,
    policy: L,
    parking: K,
    context: Context,
}

impl ScanControl {
    /// A scan under the default policies, from a direct reclaimer.
    #[must_use]
    pub fn new(flags: ScanFlags) -> Self {
        Self {
            flags,
            unmap: UnmapFlags::empty(),
            policy: SkipOpportunistic::new(),
            parking: ParkLongterm,
            context: Context::default(),
        }
    }
}

impl<L, K> ScanControl<L, K> {
    /// The same scan at another priority.
    pub(crate) const fn at(&self, priority: u8) -> ScanControl<&L, &K> {
        ScanControl {
            flags: self.flags,
            unmap: self.unmap,
            policy: &self.policy,
            parking: &self.parking,
            context: Context {
                priority,
                ..self.context
            },
        }
    }

    /// The same scan under another policy.
    #[must_use]
    pub fn with_policy<M: PinPolicy>(self, policy: M) -> ScanControl<M, K> {
        ScanControl {
            flags: self.flags,
            unmap: self.unmap,
            policy,
            parking: self.parking,
            context: self.context,
        }
    }

    /// The same scan with another way of parking.
    #[must_use]
    pub fn with_parking<M: ParkPolicy>(self, parking: M) -> ScanControl<L, M> {
        ScanControl {
            flags: self.flags,
            unmap: self.unmap,
            policy: self.policy,
            parking,
            context: self.context,
        }
    }

    /// The same scan by somebody else. [`LruScan`] sets the priority itself, as it goes.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same scan with these flags on every unmap, beside those that reclaim adds.
    ///
    /// # Errors
    ///
    /// [`UnknownFlags`] if a bit is set that [`UnmapFlags`] does not name.
    pub fn with_unmap_flags(self, unmap: UnmapFlags) -> Result<Self, UnknownFlags> {
        Ok(Self {
            unmap: unmap.check()?,
            ..self
        })
    }

    /// What the scan may do.
    #[must_use]
    pub const fn flags(&self) -> ScanFlags {
        self.flags
    }

    /// What happens to pinned pages.
    #[must_use]
    pub const fn parking(&self) -> &K {
        &self.parking
    }

    /// Who asks.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }
}
