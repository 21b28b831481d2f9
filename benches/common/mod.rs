//! What the benchmarks share: three page representations, a lean embedder over them, the same walk
//! written by hand for each, and the populations that both are given.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::result_large_err, reason = "it is what the crate returns")]

pub(crate) mod cases;
pub(crate) mod embed;
pub(crate) mod hand;
pub(crate) mod lru;
pub(crate) mod measured;
pub(crate) mod pages;
pub(crate) mod pins;
pub(crate) mod ratio;
pub(crate) mod reclaim_hand;
pub(crate) mod rmap;
pub(crate) mod scan;
