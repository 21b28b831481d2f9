//! The pure decisions over all states, against tables written from the design's prose.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::needless_borrows_for_generic_args
)]

#[path = "pages/plain.rs"]
mod pages;
#[path = "decisions/pinned.rs"]
mod pinned;
#[path = "decisions/policies.rs"]
mod policies;
#[path = "decisions/table.rs"]
mod table;
#[path = "decisions/unmap.rs"]
mod unmap;
