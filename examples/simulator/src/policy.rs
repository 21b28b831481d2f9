//! The policies that are compared, each with what happens to pinned pages.

use crate::error::Error;
use crate::machine::{Failures, Frame, Machine, Plan, SCAN};
use pinfold::pin::{Pins, Refined};
use pinfold::reclaim::{Parking, ScanControl, ScanFlags};
use pinfold::{
    Context, IgnorePins, Operation, PinMode, PinPolicy, PinVerdict, SkipLongterm,
    SkipOpportunistic, SkipPinned,
};

/// A policy of the library's, with a way of parking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Policy {
    /// Linux 5.8 unpatched: pins are not asked about.
    #[value(name = "ignore")]
    Ignore,
    /// The 2020 patch to the letter: pins are asked about when a page is unmapped, in each VMA.
    #[value(name = "patch")]
    Patch,
    /// Pinned pages are skipped at the front, and stay on their lists.
    #[value(name = "rotate")]
    Rotate,
    /// Pinned pages are skipped, and parked by the first scan that meets them.
    #[value(name = "lazy")]
    Lazy,
    /// Pinned pages are parked when they are pinned.
    #[value(name = "eager")]
    Eager,
    /// Only long-term pins count; these are parked by the first scan that meets them.
    #[value(name = "longterm")]
    Longterm,
}

impl Policy {
    pub const ALL: [Self; 6] = [
        Self::Ignore,
        Self::Patch,
        Self::Rotate,
        Self::Lazy,
        Self::Eager,
        Self::Longterm,
    ];

    /// The name, as `--policy` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Patch => "patch",
            Self::Rotate => "rotate",
            Self::Lazy => "lazy",
            Self::Eager => "eager",
            Self::Longterm => "longterm",
        }
    }

    /// The policy of the library's that it is.
    pub const fn library(self) -> &'static str {
        match self {
            Self::Ignore => "IgnorePins",
            Self::Patch => "SkipPinned",
            Self::Rotate | Self::Lazy | Self::Eager => "SkipOpportunistic",
            Self::Longterm => "SkipLongterm",
        }
    }

    /// What it is, in a few words that fit beside its name.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Ignore => "Linux 5.8: does not ask about pins",
            Self::Patch => "the 2020 patch: asks at unmap, once a mapping",
            Self::Rotate => "asks first; pinned pages stay on their lists",
            Self::Lazy => "asks first; a scan parks what it finds pinned",
            Self::Eager => "asks first; pinning a page parks it",
            Self::Longterm => "long-term pins only; a scan parks their pages",
        }
    }

    /// Whether it is what Linux does, so that Linux's own way of giving up goes with it.
    pub const fn is_old(self) -> bool {
        matches!(self, Self::Ignore | Self::Patch)
    }

    /// A machine under this policy.
    pub fn machine<'a>(self, frames: &'a [Frame], plan: &Plan) -> Result<Machine<'a>, Error> {
        let plan = Plan {
            failures: if self.is_old() {
                Failures::Linux
            } else {
                Failures::Bounded
            },
            ..plan.clone()
        };
        let control = ScanControl::new(self.scan()).with_policy(self);
        Machine::new(frames, &plan, control.with_parking(self.parking()))
    }

    const fn scan(self) -> ScanFlags {
        match self {
            Self::Patch => SCAN.union(ScanFlags::NO_PIN_HINT),
            _ => SCAN,
        }
    }

    const fn parking(self) -> Parking {
        match self {
            Self::Ignore | Self::Patch | Self::Rotate => Parking::Rotate,
            Self::Lazy => Parking::Lazy,
            Self::Eager => Parking::Eager,
            Self::Longterm => Parking::Longterm,
        }
    }
}

/// The library's policy of this name. Frames count their pins exactly, so that every reading of them
/// is the same.
impl PinPolicy for Policy {
    type Reading = Refined;

    #[inline]
    fn mode(&self) -> PinMode {
        match self {
            Self::Ignore => IgnorePins.mode(),
            Self::Patch => SkipPinned.mode(),
            Self::Rotate | Self::Lazy | Self::Eager => SKIP.mode(),
            Self::Longterm => SKIP_LONGTERM.mode(),
        }
    }

    #[inline]
    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        match self {
            Self::Ignore => IgnorePins.verdict(operation, context, pins),
            Self::Patch => SkipPinned.verdict(operation, context, pins),
            Self::Rotate | Self::Lazy | Self::Eager => SKIP.verdict(operation, context, pins),
            Self::Longterm => SKIP_LONGTERM.verdict(operation, context, pins),
        }
    }
}

const SKIP: SkipOpportunistic<Refined> = SkipOpportunistic::new();
const SKIP_LONGTERM: SkipLongterm<Refined> = SkipLongterm::new();
