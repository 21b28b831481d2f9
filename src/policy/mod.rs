//! What a pin forbids: by operation, and by who asks.
//!
//! A pin is a reason against some operations, not against all. [`Operation::of`] reads the
//! operation from the flags and the page; the [`Context`] says who asks and how hard; a
//! [`PinPolicy`] answers with a [`PinVerdict`], when its [`PinMode`] says. Policies are zero-sized
//! and monomorphised; [`Policy`] is one that is chosen at run time, and an embedder can write its own.
//!
//! | policy | mode | pinned page, reclaim or demotion | migration, split | forced unmap, poison, munlock |
//! | --- | --- | --- | --- | --- |
//! | [`IgnorePins`] | [`Ignore`](PinMode::Ignore) | goes on | goes on | goes on |
//! | [`SkipPinned`] | [`PerVma`](PinMode::PerVma) | next VMA | next VMA | next VMA |
//! | [`SkipOpportunistic`] | [`PerPage`](PinMode::PerPage) | skips the page | refuses | goes on |
//! | [`SkipLongterm`] | [`PerPage`](PinMode::PerPage) | skips the page if long-term | refuses if long-term | goes on |
//!
//! Freeing a page: [`IgnorePins`] leaves it to the freeze of the reference count, as Linux does.
//! [`SkipPinned`] forbids it while the page may be pinned, and the last two while it is pinned in
//! any way.

mod policies;

pub use policies::{IgnorePins, Policy, SkipLongterm, SkipOpportunistic, SkipPinned};

use crate::flags::{PageFlags, UnmapFlags};
use crate::page::{PageLike, PageSnapshot};
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
    /// Find out whether a locked VMA still maps it, and take no entry.
    Munlock,
    /// Take a broken page away from everybody.
    Poison,
    /// Give it back to the allocator.
    Free,
}

impl Operation {
    /// The operation that a caller of `try_to_unmap` has in mind.
    ///
    /// The first of these that holds:
    ///
    /// 1. `MUNLOCK`, without a flag [that takes or splits entries](UnmapFlags::NOT_WITH_MUNLOCK),
    ///    is bookkeeping.
    /// 2. A poisoned page is handled as poisoned, whatever else is asked.
    /// 3. `MIGRATION` is demotion with `OPPORTUNISTIC`, and migration without.
    /// 4. `SPLIT_FREEZE` is a split. `SPLIT_HUGE_PMD` alone is not: reclaim passes it for every
    ///    huge page.
    /// 5. `IGNORE_MLOCK` without `OPPORTUNISTIC` and `MUNLOCK` is a forced unmap. Linux 5.8's
    ///    reclaim never passes `IGNORE_MLOCK`, so a port of it needs no new flag.
    /// 6. Everything else is reclaim.
    ///
    /// The combinations of `MUNLOCK` that rule 1 leaves out are inconsistent, and
    /// [refused](crate::UnmapRequest::under) in [`PinMode::PerPage`]. Here they are what they would
    /// do to the page, and never a forced unmap.
    #[must_use]
    #[inline(always)]
    pub const fn of(flags: UnmapFlags, page: PageFlags) -> Self {
        // Reclaim is the common case, so it is tested first.
        const OTHERS: UnmapFlags = UnmapFlags::MUNLOCK
            .union(UnmapFlags::MIGRATION)
            .union(UnmapFlags::SPLIT_FREEZE)
            .union(UnmapFlags::IGNORE_MLOCK);
        if !flags.intersects(OTHERS) && !page.contains(PageFlags::HWPOISON) {
            return Self::Reclaim;
        }
        Self::of_other(flags, page)
    }

    /// [`of`](Self::of) for all but plain reclaim. Not inlined: the compiler would then compute both
    /// answers without a branch, which makes each question about a pinned page slower.
    #[cold]
    #[inline(never)]
    const fn of_other(flags: UnmapFlags, page: PageFlags) -> Self {
        const NOT_FORCED: UnmapFlags = UnmapFlags::OPPORTUNISTIC.union(UnmapFlags::MUNLOCK);
        if flags.contains(UnmapFlags::MUNLOCK) && !flags.is_bad_munlock() {
            Self::Munlock
        } else if page.contains(PageFlags::HWPOISON) {
            Self::Poison
        } else if flags.contains(UnmapFlags::MIGRATION) {
            if flags.contains(UnmapFlags::OPPORTUNISTIC) {
                Self::Demote
            } else {
                Self::Migrate
            }
        } else if flags.contains(UnmapFlags::SPLIT_FREEZE) {
            Self::Split
        } else if flags.contains(UnmapFlags::IGNORE_MLOCK) && !flags.intersects(NOT_FORCED) {
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

/// When a policy is asked about the pins of a page.
///
/// Complete on purpose: the drivers must know what to do in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinMode {
    /// Never: pins are not read, and the policy compiles to nothing (Linux 5.8).
    Ignore,
    /// In each VMA, before its entries are walked, and not again (the 2020 patch).
    PerVma,
    /// Once for the page, before anything is touched, and again after each entry is cleared: the
    /// entry is put back if the policy no longer lets it go.
    PerPage,
}

impl PinMode {
    /// Whether pins are read.
    #[inline]
    pub(crate) const fn reads_pins(self) -> bool {
        !matches!(self, Self::Ignore)
    }

    /// Whether each VMA asks, and not the page.
    #[inline]
    pub(crate) const fn is_per_vma(self) -> bool {
        matches!(self, Self::PerVma)
    }

    /// Whether the policy is asked again after an entry is cleared.
    #[inline]
    pub(crate) const fn asks_again(self) -> bool {
        matches!(self, Self::PerPage)
    }
}

/// What a policy says about an operation on a page with these pins.
///
/// Exhaustive: the drivers must know what to do with every verdict. In every case but
/// `Proceed`, nothing about the page or its mappings has been touched.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinVerdict {
    /// The pins do not stand against it.
    Proceed,
    /// Leave the page in this VMA and go on to the next, which asks again (the 2020 patch). Only
    /// [`PinMode::PerVma`] has a next VMA that asks; in any other mode it is read as
    /// [`SkipPage`](Self::SkipPage).
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
/// - [`NextVma`](PinVerdict::NextVma) is for [`PinMode::PerVma`], and a policy with
///   [`PinMode::Ignore`] has only [`Proceed`](PinVerdict::Proceed): it is never asked.
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

    /// When the policy is asked. It must not change while a walk is under way.
    #[inline]
    fn mode(&self) -> PinMode {
        PinMode::PerPage
    }

    /// Reads the pins of a page of which `seen` was just taken. Overridden only by a policy that is
    /// chosen at run time and reads pins in more than one way.
    #[inline(always)]
    fn read<P: PageLike + ?Sized>(&self, page: &P, seen: PageSnapshot) -> Pins {
        Self::Reading::read_with(page, seen)
    }

    /// Whether `operation` may go on with a page that has these `pins`. The drivers ask only about
    /// pages that may be pinned.
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict;
}

impl<L: PinPolicy + ?Sized> PinPolicy for &L {
    type Reading = L::Reading;

    #[inline]
    fn mode(&self) -> PinMode {
        (**self).mode()
    }

    #[inline(always)]
    fn read<P: PageLike + ?Sized>(&self, page: &P, seen: PageSnapshot) -> Pins {
        (**self).read(page, seen)
    }

    #[inline]
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        (**self).verdict(operation, context, pins)
    }
}

/// Reads the pins of a page and asks a policy about an operation on it. Every question to a policy is
/// asked here, or in [`judge`].
///
/// `seen` is a snapshot of `page` that was just taken. Returns the verdict and the pins; in a mode
/// that does not read pins, this is [`PinVerdict::Proceed`] and nothing is read.
#[inline(always)]
pub(crate) fn ask<P, L>(
    policy: &L,
    page: &P,
    seen: PageSnapshot,
    context: Context,
    operation: Operation,
) -> (PinVerdict, Pins)
where
    P: PageLike + ?Sized,
    L: PinPolicy + ?Sized,
{
    if policy.mode().reads_pins() {
        let pins = policy.read(page, seen);
        if pins.maybe_pinned() {
            return (judge(policy, operation, context, pins), pins);
        }
    }
    (PinVerdict::Proceed, Pins::None)
}

/// The policy's verdict on pins that are not none. A verdict that its mode does not have is read as
/// "leave the page alone".
#[inline(always)]
pub(crate) fn judge<L: PinPolicy + ?Sized>(
    policy: &L,
    operation: Operation,
    context: Context,
    pins: Pins,
) -> PinVerdict {
    match policy.verdict(operation, context, pins) {
        PinVerdict::NextVma if !policy.mode().is_per_vma() => PinVerdict::SkipPage,
        verdict => verdict,
    }
}
