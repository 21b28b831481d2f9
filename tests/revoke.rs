//! Revocation: signals come in pairs whatever fails, the ladder keeps its promises on any sequence
//! of events, and owners are listed in order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "revoke/driven.rs"]
mod driven;
#[path = "revoke/ladder.rs"]
mod ladder;
#[path = "revoke/log.rs"]
mod log;
#[path = "revoke/owners.rs"]
mod owners;
#[path = "revoke/pressure.rs"]
mod pressure;
#[path = "revoke/unwinding.rs"]
mod unwinding;
