//! Every interleaving of small concurrent scenes, and twins of them with a step left out, which
//! must be caught.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --test loom`
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

#[path = "loom/batch.rs"]
mod batch;
#[path = "loom/block.rs"]
mod block;
#[path = "loom/driver.rs"]
mod driver;
#[path = "loom/guard.rs"]
mod guard;
#[path = "loom/park.rs"]
mod park;
#[path = "loom/reading.rs"]
mod reading;
#[path = "loom/refs.rs"]
mod refs;
#[path = "loom/unbalanced.rs"]
mod unbalanced;
#[path = "loom/unmapper.rs"]
mod unmapper;
