//! The pin counters, guards, ledger and readings against naive models.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
#![allow(clippy::cast_possible_truncation, missing_docs)]

#[path = "pins/counters.rs"]
mod counters;
#[path = "pins/guards.rs"]
mod guards;
#[path = "pins/ledger.rs"]
mod ledger;
#[path = "pins/owned.rs"]
mod owned;
#[path = "pins/readings.rs"]
mod readings;
#[path = "pins/refs.rs"]
mod refs;
#[path = "pins/unwinding.rs"]
mod unwinding;

use pinfold::pin::PinKind;

const SHORT: PinKind = PinKind::Short;
const LONG: PinKind = PinKind::Longterm;
