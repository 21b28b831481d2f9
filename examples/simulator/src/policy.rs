//! The policies that are compared, each with what happens to pinned pages.

use crate::error::Error;
use crate::machine::{Failures, Frame, Machine, Outcome, Plan, SCAN};
use crate::trace::Request;
use pinfold::reclaim::{
    ParkEagerly, ParkLazily, ParkLongterm, ParkPolicy, Rotate, ScanControl, ScanFlags,
};
use pinfold::{IgnorePins, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};

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

    /// The library's name, and the way of parking.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "IgnorePins",
            Self::Patch => "SkipPinned",
            Self::Rotate => "SkipOpportunistic, rotate",
            Self::Lazy => "SkipOpportunistic, lazy",
            Self::Eager => "SkipOpportunistic, eager",
            Self::Longterm => "SkipLongterm",
        }
    }

    /// What it is, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Ignore => "Linux 5.8 unpatched: reclaim does not ask about pins",
            Self::Patch => "the 2020 patch: asks when it unmaps, once for each mapping",
            Self::Rotate => "asks before anything else; pinned pages stay on their lists",
            Self::Lazy => "asks first; the first scan that meets a pinned page parks it",
            Self::Eager => "asks first; a page is parked when it is pinned",
            Self::Longterm => "only long-term pins count; they are parked when a scan meets them",
        }
    }

    /// A name short enough for the head of a column.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Ignore => "IgnorePins",
            Self::Patch => "SkipPinned",
            Self::Rotate => "Skip…, rotate",
            Self::Lazy => "Skip…, lazy",
            Self::Eager => "Skip…, eager",
            Self::Longterm => "SkipLongterm",
        }
    }

    /// Whether it is what Linux does, so that Linux's own way of giving up goes with it.
    pub const fn is_old(self) -> bool {
        matches!(self, Self::Ignore | Self::Patch)
    }

    /// A machine under this policy.
    pub fn machine<'a>(
        self,
        frames: &'a [Frame],
        plan: &Plan,
    ) -> Result<Box<dyn Replay + 'a>, Error> {
        let plan = Plan {
            failures: if self.is_old() {
                Failures::Linux
            } else {
                Failures::Bounded
            },
            ..plan.clone()
        };
        let scan = ScanControl::new(SCAN);
        match self {
            Self::Ignore => boxed(
                frames,
                &plan,
                scan.with_policy(IgnorePins).with_parking(Rotate),
            ),
            Self::Patch => {
                let scan = ScanControl::new(SCAN | ScanFlags::NO_PIN_HINT);
                boxed(
                    frames,
                    &plan,
                    scan.with_policy(SkipPinned).with_parking(Rotate),
                )
            }
            Self::Rotate => boxed(frames, &plan, skip(scan).with_parking(Rotate)),
            Self::Lazy => boxed(frames, &plan, skip(scan).with_parking(ParkLazily)),
            Self::Eager => boxed(frames, &plan, skip(scan).with_parking(ParkEagerly)),
            Self::Longterm => boxed(
                frames,
                &plan,
                scan.with_policy(SkipLongterm::<pinfold::pin::Refined>::new())
                    .with_parking(ParkLongterm),
            ),
        }
    }
}

fn skip<K>(scan: ScanControl<SkipOpportunistic, K>) -> ScanControl<SkipOpportunistic, K> {
    scan
}

fn boxed<'a, L, K>(
    frames: &'a [Frame],
    plan: &Plan,
    control: ScanControl<L, K>,
) -> Result<Box<dyn Replay + 'a>, Error>
where
    L: PinPolicy + Copy + 'a,
    K: ParkPolicy + Copy + 'a,
{
    Ok(Box::new(Machine::new(frames, plan, control)?))
}

/// A machine, whatever its policy.
pub trait Replay {
    fn feed(&mut self, requests: &[Request]) -> Result<(), Error>;
    fn finish(self: Box<Self>) -> Result<Outcome, Error>;
}

impl<L: PinPolicy + Copy, K: ParkPolicy + Copy> Replay for Machine<'_, L, K> {
    fn feed(&mut self, requests: &[Request]) -> Result<(), Error> {
        Machine::feed(self, requests)
    }

    fn finish(self: Box<Self>) -> Result<Outcome, Error> {
        self.check().map_err(Error::Machine)?;
        Ok(Machine::finish(*self))
    }
}
