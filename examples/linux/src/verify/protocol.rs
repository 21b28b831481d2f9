//! What `verify` and the process that holds the pages say to each other, one JSON value a line.

use super::states::State;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From `verify` to the holder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Make pages in a state; once for each holder.
    Make {
        state: State,
        pages: u32,
        /// Where files may be made.
        dir: PathBuf,
        /// A file whose reads do not end before they are told to.
        slow: Option<PathBuf>,
    },
    /// Reclaim the pages with `MADV_PAGEOUT`.
    PageOut(Who),
    /// Say which pages are in a cache or in the page tables (`mincore`).
    InCore,
    /// Let go of pins and references.
    Release,
}

/// Whose view of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Who {
    Holder,
    /// A child that the holder forked.
    Child,
}

/// From the holder to `verify`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Made {
        address: u64,
        pages: u64,
        child: Option<i32>,
    },
    /// It cannot be made here, and why.
    Cannot(String),
    Done,
    /// The kernel said no: its error number.
    Refused(i32),
    InCore(Vec<bool>),
}
