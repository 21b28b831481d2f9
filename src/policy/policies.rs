//! The four policies that come with the crate, and the one that is any of them.

use super::{Context, Operation, PinMode, PinPolicy, PinVerdict};
use crate::page::{PageLike, PageSnapshot};
use crate::pin::{Biased, PinReading, Pins, Refined};
use core::marker::PhantomData;
use static_assertions::assert_eq_size;

/// Linux 5.8 without the 2020 patch: pins are not asked about, and the code for it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IgnorePins;

impl PinPolicy for IgnorePins {
    type Reading = Biased;

    #[inline]
    fn mode(&self) -> PinMode {
        PinMode::Ignore
    }

    #[inline]
    fn verdict(&self, _: Operation, _: Context, _: Pins) -> PinVerdict {
        PinVerdict::Proceed
    }
}

/// The 2020 patch to the letter: whatever is asked, a page that may be pinned stays mapped here;
/// go on to the next VMA.
///
/// It asks once per VMA, and it also hinders what it should not: poison handling and the
/// bookkeeping of `munlock`. For comparison and parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SkipPinned;

impl PinPolicy for SkipPinned {
    type Reading = Biased;

    #[inline]
    fn mode(&self) -> PinMode {
        PinMode::PerVma
    }

    #[inline]
    fn verdict(&self, _: Operation, _: Context, pins: Pins) -> PinVerdict {
        if pins.maybe_pinned() {
            PinVerdict::NextVma
        } else {
            PinVerdict::Proceed
        }
    }
}

/// The default: pinned pages are skipped where another page will do, and refused where not.
///
/// Reclaim and demotion skip the whole page at once; migration, split and free are refused with
/// nothing touched; a forced unmap, poison handling and `munlock` bookkeeping are never hindered.
#[derive(Debug)]
pub struct SkipOpportunistic<R = Refined>(PhantomData<R>);

impl<R: PinReading> PinPolicy for SkipOpportunistic<R> {
    type Reading = R;

    #[inline]
    fn verdict(&self, operation: Operation, _: Context, pins: Pins) -> PinVerdict {
        forbidden(operation, pins.maybe_pinned(), pins)
    }
}

/// Only long-term pins count; short ones are waited out by the LRU.
///
/// As [`SkipOpportunistic`], for pages with a long-term pin. Where long-term pins are not counted
/// apart, every pin may be one and counts. A page with short pins may be unmapped, split or
/// migrated as far as this policy goes, but not freed: the freeze of its reference count, which
/// each of these needs before it is final, fails as long as they last.
#[derive(Debug)]
pub struct SkipLongterm<R = Refined>(PhantomData<R>);

impl<R: PinReading> PinPolicy for SkipLongterm<R> {
    type Reading = R;

    #[inline]
    fn verdict(&self, operation: Operation, _: Context, pins: Pins) -> PinVerdict {
        forbidden(operation, pins.maybe_longterm(), pins)
    }
}

/// The verdict on `operation` where the policy's answer to "does it count as pinned" is `counts`.
#[inline]
const fn forbidden(operation: Operation, counts: bool, pins: Pins) -> PinVerdict {
    match operation {
        Operation::Reclaim | Operation::Demote if counts => PinVerdict::SkipPage,
        Operation::Migrate | Operation::Split if counts => PinVerdict::Refuse,
        Operation::Free if pins.maybe_pinned() => PinVerdict::Refuse,
        _ => PinVerdict::Proceed,
    }
}

/// One of the crate's policies, chosen at run time: by a command line, or for each scan.
///
/// It decides exactly as the policy of the same name. A policy that is known at compile time should
/// be that type: then what it does not need is not compiled.
///
/// Exhaustive: these are the policies of the crate.
///
/// # Examples
///
/// ```
/// use pinfold::reclaim::{ScanControl, ScanFlags};
/// use pinfold::{Policy, PinMode, PinPolicy};
///
/// let policy = if std::env::args().any(|arg| arg == "--ignore-pins") {
///     Policy::IgnorePins
/// } else {
///     Policy::default()
/// };
/// let control = ScanControl::new(ScanFlags::direct()).with_policy(policy);
/// assert_eq!(policy.mode(), PinMode::PerPage);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// [`IgnorePins`].
    IgnorePins,
    /// [`SkipPinned`].
    SkipPinned,
    /// [`SkipOpportunistic`], with the refined reading.
    #[default]
    SkipOpportunistic,
    /// [`SkipLongterm`], with the refined reading.
    SkipLongterm,
}

impl PinPolicy for Policy {
    type Reading = Refined;

    #[inline]
    fn mode(&self) -> PinMode {
        match self {
            Self::IgnorePins => IgnorePins.mode(),
            Self::SkipPinned => SkipPinned.mode(),
            Self::SkipOpportunistic => <SkipOpportunistic>::new().mode(),
            Self::SkipLongterm => <SkipLongterm>::new().mode(),
        }
    }

    #[inline]
    fn read<P: PageLike + ?Sized>(&self, page: &P, seen: PageSnapshot) -> Pins {
        match self {
            Self::IgnorePins | Self::SkipPinned => Biased::read_with(page, seen),
            Self::SkipOpportunistic | Self::SkipLongterm => Refined::read_with(page, seen),
        }
    }

    #[inline]
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        match self {
            Self::IgnorePins => IgnorePins.verdict(operation, context, pins),
            Self::SkipPinned => SkipPinned.verdict(operation, context, pins),
            Self::SkipOpportunistic => <SkipOpportunistic>::new().verdict(operation, context, pins),
            Self::SkipLongterm => <SkipLongterm>::new().verdict(operation, context, pins),
        }
    }
}

// Derives would ask the same of `R`, which is only a name.
macro_rules! zero_sized {
    ($($policy:ident),*) => {$(
        impl<R> $policy<R> {
            /// The policy, with the reading `R`.
            #[must_use]
            pub const fn new() -> Self {
                Self(PhantomData)
            }
        }
        impl<R> Clone for $policy<R> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<R> Copy for $policy<R> {}
        impl<R> Default for $policy<R> {
            fn default() -> Self {
                Self::new()
            }
        }
        assert_eq_size!($policy, ());
    )*};
}

zero_sized!(SkipOpportunistic, SkipLongterm);
assert_eq_size!(IgnorePins, ());
assert_eq_size!(SkipPinned, ());
