//! The messages between `verify` and the process that holds the pages: one JSON value per line.

use super::states::State;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From `verify` to the holder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Make pages in a state; once for each process.
    Make {
        state: State,
        pages: u32,
        /// The directory for files.
        dir: PathBuf,
        /// A file whose reads wait, for direct I/O.
        slow: Option<PathBuf>,
    },
    /// Reclaim the pages with `MADV_PAGEOUT`.
    PageOut(Who),
    /// Report which pages are in the page cache or in the page table (`mincore`).
    InCore,
    /// Drop pins and references.
    Release,
}

/// The process whose mappings are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Who {
    Holder,
    /// Its forked child.
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
    /// It cannot be done here, and why.
    Cannot(String),
    Done,
    /// The kernel refused, with this error number.
    Refused(i32),
    InCore(Vec<bool>),
}
