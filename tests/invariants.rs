//! The public checks find what they are for: from a walk that holds, one thing changed at a time,
//! and just as much as is allowed or just more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

#[path = "invariants/asked.rs"]
mod asked;
#[path = "invariants/bits.rs"]
mod bits;
#[path = "invariants/broken.rs"]
mod broken;
#[path = "invariants/effects.rs"]
mod effects;
#[path = "invariants/ending.rs"]
mod ending;
#[path = "invariants/entries.rs"]
mod entries;
#[path = "invariants/pinned.rs"]
mod pinned;
#[path = "invariants/readings.rs"]
mod readings;
#[path = "invariants/story.rs"]
mod story;
