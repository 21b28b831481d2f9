//! What a pin forbids: by operation, and by who asks.
//!
//! A pin is a reason against some operations, not against all. [`Operation::of`] reads the
//! operation from the flags and the page; the [`Context`] says who asks and how hard; a
//! [`PinPolicy`] answers with a [`PinVerdict`]. Policies are zero-sized and monomorphised, and an
//! embedder can write its own.
//!
//! | policy | pinned page, reclaim or demotion | migration, split | forced unmap, poison, munlock | looks again |
//! | --- | --- | --- | --- | --- |
//! | [`IgnorePins`] | goes on | goes on | goes on | no |
//! | [`SkipPinned`] | next VMA | next VMA | next VMA | no |
//! | [`SkipOpportunistic`] | skips the page | refuses | goes on | yes |
//! | [`SkipLongterm`] | skips the page if long-term | refuses if long-term | goes on | yes |
//!
//! Freeing a pinned page is refused by the last two whatever the pins are; the first two leave that
//! to the freeze of the reference count, as Linux does.

mod policies;

pub use policies::{IgnorePins, SkipLongterm, SkipOpportunistic, SkipPinned};

use crate::flags::{PageFlags, UnmapFlags};
use crate::pin::{PinReading, Pins};
use core::fmt;

/// What is about to be done to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Unmap it so that reclaim may take it: opportunistic, another page will do.
    Reclaim,
    /// Unmap it because the caller insists.
    Unmap,
    /// Move it, because it is in the way where it is.
    Migrate,
    /// Move it to slower memory: opportunistic, another page will do.
    Demote,
    /// Split it into base pages.
    Split,
    /// Find out whether a locked VMA still maps it; takes nothing away.
    Munlock,
    /// Take a broken page away from everybody.
    Poison,
    /// Give it back to the allocator.
    Free,
}

impl Operation {
    /// The operation that a caller of `try_to_unmap` has in mind.
    ///
    /// In this order: `MUNLOCK` is bookkeeping. A poisoned page is handled as such whatever else is
    /// asked, since every further read of it is an error. MIGRATION is demotion if it is
    /// OPPORTUNISTIC, else migration. `SPLIT_FREEZE` is a split (`SPLIT_HUGE_PMD` alone is not:
    /// reclaim passes it for every huge page). What is left is reclaim, unless the caller ignores
    /// locked VMAs and does not say OPPORTUNISTIC: who overrides `mlock` insists, who gives up for
    /// it gives up for a pin too. Linux 5.8's reclaim never ignores `mlock`, so a port of it needs
    /// no new flag.
    #[must_use]
    #[inline]
    pub const fn of(flags: UnmapFlags, page: PageFlags) -> Self {
        // Reclaim's daily bread first, in one test of each.
        const OTHERS: UnmapFlags = UnmapFlags::MUNLOCK
            .union(UnmapFlags::MIGRATION)
            .union(UnmapFlags::SPLIT_FREEZE)
            .union(UnmapFlags::IGNORE_MLOCK);
        if !flags.intersects(OTHERS) && !page.contains(PageFlags::HWPOISON) {
            return Self::Reclaim;
        }
        let opportunistic = flags.contains(UnmapFlags::OPPORTUNISTIC);
        if flags.contains(UnmapFlags::MUNLOCK) {
            Self::Munlock
        } else if page.contains(PageFlags::HWPOISON) {
            Self::Poison
        } else if flags.contains(UnmapFlags::MIGRATION) {
            if opportunistic {
                Self::Demote
            } else {
                Self::Migrate
            }
        } else if flags.contains(UnmapFlags::SPLIT_FREEZE) {
            Self::Split
        } else if flags.contains(UnmapFlags::IGNORE_MLOCK) && !opportunistic {
            Self::Unmap
        } else {
            Self::Reclaim
        }
    }

    /// Whether another page would do as well, so that a costly one is skipped rather than refused.
    #[must_use]
    pub const fn is_opportunistic(self) -> bool {
        matches!(self, Self::Reclaim | Self::Demote)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reclaim => "reclaim",
            Self::Unmap => "unmap",
            Self::Migrate => "migrate",
            Self::Demote => "demote",
            Self::Split => "split",
            Self::Munlock => "munlock",
            Self::Poison => "poison",
            Self::Free => "free",
        })
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Requester {
    /// A caller that waits for a page.
    #[default]
    Direct,
    /// The background reclaimer (kswapd).
    Background,
    /// Reclaim ahead of need, for cold memory.
    Proactive,
    /// A memory cgroup over its limit.
    Cgroup,
    /// Compaction, which makes contiguous space.
    Compaction,
}

/// Who asks, and how hard.
///
/// Aggressiveness may differ by context, safety may not: the policies of this crate answer alike in
/// every context. The context is for an embedder's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    /// Who asks.
    pub requester: Requester,
    /// How hard: from [`Context::DEF_PRIORITY`], the gentlest, down to 0.
    pub priority: u8,
}

impl Context {
    /// The priority with which a scan begins (`DEF_PRIORITY`, `include/linux/mmzone.h`, 5.8).
    pub const DEF_PRIORITY: u8 = 12;

    /// `requester` at the gentlest priority.
    #[must_use]
    pub const fn new(requester: Requester) -> Self {
        Self {
            requester,
            priority: Self::DEF_PRIORITY,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new(Requester::Direct)
    }
}

/// What a policy says about an operation on a page with these pins.
///
/// Complete on purpose: the drivers must know what to do with every verdict. In every case but
/// `Proceed`, nothing about the page or its mappings has been touched.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinVerdict {
    /// The pins do not stand against it.
    Proceed,
    /// Leave the page in this VMA and go on to the next, which asks again (the 2020 patch).
    NextVma,
    /// Leave the page alone: this is no failure, another one will do.
    SkipPage,
    /// The operation cannot be had while the page is pinned: this is a failure.
    Refuse,
}

impl PinVerdict {
    /// Whether the operation may go on.
    #[must_use]
    pub const fn proceeds(self) -> bool {
        matches!(self, Self::Proceed)
    }
}

/// Which operations a pin forbids.
///
/// # Contract
///
/// - More pins never turn a verdict into [`PinVerdict::Proceed`].
/// - With [`Pins::None`] the verdict is [`PinVerdict::Proceed`].
/// - [`NextVma`](PinVerdict::NextVma) is for policies that set [`PER_VMA`](Self::PER_VMA).
///
/// `invariants::policy` (feature `test-utils`) checks all three on any policy.
///
/// # Examples
///
/// A policy that leaves pinned pages to the background reclaimer, which has the time to ask again:
///
/// ```
/// use pinfold::pin::{Pins, Refined};
/// use pinfold::{Context, Operation, PinPolicy, PinVerdict, Requester};
///
/// #[derive(Debug, Clone, Copy)]
/// struct DirectSkips;
///
/// impl PinPolicy for DirectSkips {
///     type Reading = Refined;
///
///     fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
///         let direct = context.requester == Requester::Direct;
///         if pins.maybe_pinned() && direct && operation.is_opportunistic() {
///             PinVerdict::SkipPage
///         } else {
///             PinVerdict::Proceed
///         }
///     }
/// }
/// ```
pub trait PinPolicy {
    /// How pins are read.
    type Reading: PinReading;

    /// Whether pins are read at all; where not, the policy compiles to nothing.
    const READS_PINS: bool = true;

    /// Whether each VMA asks again, instead of the page once.
    const PER_VMA: bool = false;

    /// Whether the pins are asked again after an entry is cleared, and the entry put back if one
    /// has appeared.
    const SECOND_LOOK: bool = true;

    /// What `pins` have to say against `operation`.
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict;
}

impl<L: PinPolicy + ?Sized> PinPolicy for &L {
    type Reading = L::Reading;
    const READS_PINS: bool = L::READS_PINS;
    const PER_VMA: bool = L::PER_VMA;
    const SECOND_LOOK: bool = L::SECOND_LOOK;

    #[inline]
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        (**self).verdict(operation, context, pins)
    }
}
