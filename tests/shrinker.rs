//! The shrinker arithmetic against two models that were written apart from it: exact 128-bit
//! arithmetic, and Linux's own statements with its signed longs; and shrinkers that lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

#[path = "shrinker/models.rs"]
mod models;
#[path = "shrinker/script.rs"]
mod script;
#[path = "shrinker/turns.rs"]
mod turns;
#[path = "shrinker/unwinding.rs"]
mod unwinding;
