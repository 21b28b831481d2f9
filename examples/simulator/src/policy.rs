//! The policies that are compared, each with what happens to pinned pages.

use crate::error::Error;
use crate::machine::{Failures, Frame, Machine, Outcome, Plan, SCAN, Stage};
use crate::trace::Request;
use pinfold::pin::Refined;
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
    pub fn machine<'a>(
        self,
        frames: &'a [Frame],
        plan: &Plan,
    ) -> Result<Box<dyn Replay + 'a>, Error> {
        self.build(frames, plan, &Replays)
    }

    /// A machine under this policy, for a scenario.
    pub fn stage<'a>(self, frames: &'a [Frame], plan: &Plan) -> Result<Box<dyn Stage + 'a>, Error> {
        self.build(frames, plan, &Stages)
    }

    fn build<'a, B: Boxes<'a>>(
        self,
        frames: &'a [Frame],
        plan: &Plan,
        boxes: &B,
    ) -> Result<B::Out, Error> {
        let plan = Plan {
            failures: if self.is_old() {
                Failures::Linux
            } else {
                Failures::Bounded
            },
            ..plan.clone()
        };
        let scan = ScanControl::new(SCAN);
        let skip = scan.with_policy(SkipOpportunistic::<Refined>::new());
        let only_long = scan.with_policy(SkipLongterm::<Refined>::new());
        Ok(match self {
            Self::Ignore => {
                let old = scan.with_policy(IgnorePins).with_parking(Rotate);
                boxes.boxed(Machine::new(frames, &plan, old)?)
            }
            Self::Patch => {
                let scan = ScanControl::new(SCAN | ScanFlags::NO_PIN_HINT);
                let old = scan.with_policy(SkipPinned).with_parking(Rotate);
                boxes.boxed(Machine::new(frames, &plan, old)?)
            }
            Self::Rotate => boxes.boxed(Machine::new(frames, &plan, skip.with_parking(Rotate))?),
            Self::Lazy => boxes.boxed(Machine::new(frames, &plan, skip.with_parking(ParkLazily))?),
            Self::Eager => {
                boxes.boxed(Machine::new(frames, &plan, skip.with_parking(ParkEagerly))?)
            }
            Self::Longterm => boxes.boxed(Machine::new(
                frames,
                &plan,
                only_long.with_parking(ParkLongterm),
            )?),
        })
    }
}

/// What a machine, whose type names its policy, is boxed as.
trait Boxes<'a> {
    type Out;
    fn boxed<L, K>(&self, machine: Machine<'a, L, K>) -> Self::Out
    where
        L: PinPolicy + Copy + 'a,
        K: ParkPolicy + Copy + 'a;
}

struct Replays;

impl<'a> Boxes<'a> for Replays {
    type Out = Box<dyn Replay + 'a>;
    fn boxed<L, K>(&self, machine: Machine<'a, L, K>) -> Self::Out
    where
        L: PinPolicy + Copy + 'a,
        K: ParkPolicy + Copy + 'a,
    {
        Box::new(machine)
    }
}

struct Stages;

impl<'a> Boxes<'a> for Stages {
    type Out = Box<dyn Stage + 'a>;
    fn boxed<L, K>(&self, machine: Machine<'a, L, K>) -> Self::Out
    where
        L: PinPolicy + Copy + 'a,
        K: ParkPolicy + Copy + 'a,
    {
        Box::new(machine)
    }
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
