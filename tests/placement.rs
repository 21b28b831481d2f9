//! Placement: the answer for one page, and objects that are pinned as a whole or not at all,
//! whatever fails wherever, while reclaim runs in the middle of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "placement/answers.rs"]
mod answers;
#[path = "placement/machine.rs"]
mod machine;
#[path = "placement/objects.rs"]
mod objects;
#[path = "placement/repeated.rs"]
mod repeated;
#[path = "placement/unwinding.rs"]
mod unwinding;
