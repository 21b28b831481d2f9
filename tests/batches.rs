//! Reclaim in batches: one TLB flush for all pages of a batch, and what holds for each of them from
//! its unmapping to its end.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

#[path = "batches/flushes.rs"]
mod flushes;
#[path = "batches/node.rs"]
mod node;
#[path = "batches/pins.rs"]
mod pins;
#[path = "batches/walk.rs"]
mod walk;
#[path = "batches/writes.rs"]
mod writes;
