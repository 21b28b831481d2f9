//! Getting pinned pages back from their owners: whom to ask, how to tell them, when to give up.
//!
//! Unmapping does not take a pinned page, and waiting may take for ever. In between there is asking.
//! [`Owners`] says who pins how much since when, in the order in which to ask. [`Pressure`] keeps the
//! signals to one owner in pairs. [`Ladder`] goes from asking to waiting to stopping the hardware, a
//! rung at a time and each for so long, and ends in every case: with the pages, or with a
//! [`Shortfall`] for whoever decides what happens out of memory. All of them are plain state, and
//! the time comes in as an argument; [`drive`] joins them to an owner and its shrinker.
//!
//! ```text
//!            owner says no, or time is up       the same                      the same
//!  Idle ──> Asked ───────────────────────> Waiting ────────────> Shrinking ────────────> GivenUp
//!   Ask{pages}                       WaitUntil(t)         Shrink{pages}          GiveUp(Shortfall)
//!                 └──────────────────────────┴─────────────────────┴──> Done
//!                                  enough pages came back
//! ```

mod drive;
mod ladder;
mod owners;
mod pressure;

pub use drive::{Driven, drive};
pub use ladder::{Action, Deadlines, Event, Ladder, Rung, Shortfall, WhyShort};
pub use owners::{OwnerShare, Owners, ask_order};
pub use pressure::{Answer, Level, PinOwner, Pressure, Signal};
