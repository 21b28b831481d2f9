//! Getting pinned pages back from their owners.
//!
//! Unmapping does not take a pinned page, and waiting for the pin may take for ever. The owner can be
//! asked. [`Owners`](crate::pin::Owners) says who pins how much since when, in the order in which to
//! ask. [`Pressure`] tells one owner that memory is short, and later that all is clear. [`Ladder`]
//! goes from asking to waiting to stopping the hardware, each for a limited time, and ends in every
//! case: with the pages, or with a [`Shortfall`]. All
//! of these are plain state, and the time is an argument. [`drive`] carries the ladder's steps out on
//! a device.
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
mod pressure;

pub use drive::{Driven, drive};
pub use ladder::{Action, Deadlines, Event, Ladder, Rung, Shortfall, WhyShort};
pub use pressure::{Answer, Level, PinOwner, Pressure};
