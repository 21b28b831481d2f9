//! A small machine that implements the crate's traits for real: frames with contents, address
//! spaces with page tables, a file, shared memory, swap, a TLB that remembers, and owners who pin.
//!
//! It is naive where the crate is clever: what it knows about pins, contents and places it keeps
//! twice, once in the counters that the crate reads and once in plain tables, and
//! [`Machine::check`] recounts everything from the tables.

#![allow(dead_code, unused_imports)] // Each test uses the part that it needs.

mod check;
mod events;
mod frame;
mod machine;
mod memory;
mod migrate;
mod ops;
mod pins;
pub(crate) mod sequence;
mod tables;

pub(crate) use events::Event;
pub(crate) use frame::Frame;
pub(crate) use machine::{Config, Machine, Place};
pub(crate) use memory::{Area, Pte};
