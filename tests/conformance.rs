//! The public suite and the invariants, one by one, on unlike page representations; every fallible
//! method failing at every call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

#[path = "conformance/faults.rs"]
mod faults;
mod pages;
#[path = "conformance/properties.rs"]
mod properties;
#[path = "conformance/strategy.rs"]
mod strategy;
#[path = "conformance/suite.rs"]
mod suite;
