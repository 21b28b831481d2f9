//! What can go wrong, each naming where it happened and what was expected there.

use crate::machine::OutOfMemory;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The errors of the simulator. Each ends the program with exit code 1 and no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A trace is not what its format says.
    #[error("{place}: {found}; expected {expected}")]
    Trace {
        place: Place,
        found: String,
        expected: String,
    },
    /// A file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A result could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A workload, a cost table or an option asks for what cannot be.
    #[error("{what}: {found}; expected {expected}")]
    Config {
        what: String,
        found: String,
        expected: String,
    },
    /// The machine has no frame left. A replay keeps it as an outcome; only a scenario ends with it.
    #[error("out of memory at request {}: {why}", why.request)]
    OutOfMemory { why: Box<OutOfMemory> },
    /// Ctrl-C.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// An operation of the machine's failed inside the library: a bug of this program.
    #[error("the machine is inconsistent: {0}")]
    Machine(String),
}

impl Error {
    pub fn config(
        what: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config {
            what: what.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

/// Where in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub at: At,
}

/// A line or a record, from 1, or a byte offset, from 0, of the trace after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Line(u64),
    Record(u64),
    Offset(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::Line(line) => write!(f, "{}, line {line}", self.file),
            At::Record(record) => write!(f, "{}, record {record}", self.file),
            At::Offset(offset) => write!(f, "{}, offset {offset}", self.file),
        }
    }
}
