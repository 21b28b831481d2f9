//! Snapshots: what was seen of a process, as a file, so that decisions can be made elsewhere.
//!
//! JSON with a name and a version in front. Frame numbers are left out: no decision needs them, and
//! they are nobody's business.

use crate::model::Observed;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "pinfold-linux snapshot";
const VERSION: u32 = 1;

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Not JSON, or a field is missing, unknown or wrong.
    #[error("{path}: line {line}, column {column}, field {field:?}: {message}")]
    Bad {
        path: PathBuf,
        line: usize,
        column: usize,
        field: String,
        message: String,
    },
    /// It is something else.
    #[error("{path}: field \"format\": {found:?} instead of {FORMAT:?}")]
    Format { path: PathBuf, found: String },
    /// A newer program wrote it.
    #[error("{path}: field \"version\": {found}, and this program reads version {VERSION}")]
    Version { path: PathBuf, found: u32 },
    /// The fields contradict each other.
    #[error("{path}: field {field:?}: {message}")]
    Inconsistent {
        path: PathBuf,
        field: String,
        message: &'static str,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u32,
    observed: &'a Observed,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u32,
    observed: Observed,
}

/// The snapshot as text.
pub(crate) fn write(observed: &Observed) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut json = serde_json::Serializer::with_formatter(&mut text, Lines::default());
    let written = Written {
        format: FORMAT,
        version: VERSION,
        observed,
    };
    written.serialize(&mut json)?;
    text.push(b'\n');
    Ok(text)
}

/// JSON with a line for each run of pages, so that a file is short, and its differences are shown
/// run by run.
#[derive(Default)]
struct Lines {
    depth: usize,
    filled: bool,
}

/// Values that lie deeper share a line.
const DEPTH: usize = 5;

impl Lines {
    fn line<W: ?Sized + Write>(&self, to: &mut W) -> io::Result<()> {
        if self.depth > DEPTH {
            return Ok(());
        }
        to.write_all(b"\n")?;
        to.write_all(&[b' '; DEPTH][..self.depth])
    }

    fn open<W: ?Sized + Write>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
        (self.depth, self.filled) = (self.depth + 1, false);
        to.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, to: &mut W, bracket: &[u8]) -> io::Result<()> {
        let inner = self.depth;
        self.depth -= 1;
        if self.filled && inner <= DEPTH {
            self.line(to)?;
        }
        self.filled = true;
        to.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.filled = true;
        if !first {
            to.write_all(b",")?;
        }
        self.line(to)
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.next(to, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.next(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// Reads a snapshot.
pub(crate) fn read(path: &Path) -> Result<Observed, SnapshotError> {
    let io = |source| SnapshotError::Io {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(io)?;
    // The name and the version first, so that a newer file is called newer, and not broken.
    let header: Header = parse(path, &text)?;
    if header.format != FORMAT {
        return Err(SnapshotError::Format {
            path: path.to_owned(),
            found: header.format,
        });
    }
    if header.version != VERSION {
        return Err(SnapshotError::Version {
            path: path.to_owned(),
            found: header.version,
        });
    }
    let body: Body = parse(path, &text)?;
    check(path, &body.observed)?;
    Ok(body.observed)
}

fn parse<'de, T: Deserialize<'de>>(path: &Path, text: &'de str) -> Result<T, SnapshotError> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        SnapshotError::Bad {
            path: path.to_owned(),
            line: inner.line(),
            column: inner.column(),
            field,
            message: inner.to_string(),
        }
    })
}

/// What the types do not rule out.
fn check(path: &Path, observed: &Observed) -> Result<(), SnapshotError> {
    let bad = |field: String, message| {
        Err(SnapshotError::Inconsistent {
            path: path.to_owned(),
            field,
            message,
        })
    };
    if !observed.page_size.is_power_of_two() {
        return bad("observed.page_size".to_owned(), "not a power of two");
    }
    for (i, area) in observed.areas.iter().enumerate() {
        let Some(len) = area.end.checked_sub(area.start) else {
            return bad(format!("observed.areas[{i}].end"), "before the start");
        };
        let mut next = 0;
        for (j, run) in area.runs.iter().enumerate() {
            let field = || format!("observed.areas[{i}].runs[{j}]");
            let Some(end) = run.at.checked_add(run.pages) else {
                return bad(field(), "too many pages");
            };
            if run.at < next || run.pages == 0 {
                return bad(field(), "out of order, or empty");
            }
            if end > len / observed.page_size {
                return bad(field(), "outside its VMA");
            }
            next = end;
        }
    }
    Ok(())
}
