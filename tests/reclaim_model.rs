//! Random sequences on a small machine that implements the crate's traits for real. After every
//! step everything is recounted naively; at the end everybody lets go, and every page must turn out
//! to be reclaimable. See `tests/model/`;
//! `PROPTEST_CASES=N` sets how many sequences (256).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

mod model;

use model::sequence::{self, op};
use proptest::prelude::*;

const FRAMES: usize = 16;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Pins counted in the reference count, 1024 each.
    #[test]
    fn biased_counts(swap in 2usize..12, ops in prop::collection::vec(op(FRAMES), 1..80)) {
        sequence::run(false, FRAMES, swap, &ops);
    }

    /// Pins counted in a word of their own, which blocks and parks.
    #[test]
    fn pin_words(swap in 2usize..12, ops in prop::collection::vec(op(FRAMES), 1..80)) {
        sequence::run(true, FRAMES, swap, &ops);
    }
}
