//! Four failures that page reclaim has already had because of pinned pages. Each test plays one
//! scenario twice, under the rules of the time and under this crate's, asserts that the old ones
//! fail as they did, and prints the counts (`cargo test --test history -- --nocapture`).
//!
//! Every scenario is a function of the policy, on the machine in `tests/model/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

mod model;

#[path = "history/background.rs"]
mod background;
#[path = "history/gpu.rs"]
mod gpu;
#[path = "history/object.rs"]
mod object;
#[path = "history/pin_path.rs"]
mod pin_path;
