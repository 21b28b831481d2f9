//! Writes and reads snapshots: the observed state of a process as a file, to be inspected later or on
//! another machine.
//!
//! A snapshot is JSON that begins with a format and a version. It has no frame numbers: no decision
//! needs them, and they would help an attacker. A snapshot that is read is untrusted: its size is
//! limited, its fields are checked, and every decision about it takes bounded time.

use crate::check::{Inconsistent, check};
use crate::model::Observed;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "pinfold-linux snapshot";
const VERSION: u32 = 1;

/// Larger than the snapshot of a process with ten million distinct runs of pages.
const MAX_BYTES: u64 = 1 << 30;
/// Enough to see that a file is not JSON, before all of it is read.
const FIRST_BYTES: u64 = 4096;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot read {path}")]
    Io { path: PathBuf, source: io::Error },
    /// Not JSON, or a field is missing, unknown or of the wrong type.
    #[error("{path}: line {line}, column {column}{field}: {message}")]
    Bad {
        path: PathBuf,
        line: usize,
        column: usize,
        /// Empty, or the field after a comma.
        field: String,
        message: String,
    },
    /// It is something else.
    #[error("{path}: field format is {found:?}, and that of a snapshot is {FORMAT:?}")]
    Format { path: PathBuf, found: String },
    /// Another version of this program wrote it.
    #[error("{path}: field version is {found}, and this program reads version {VERSION}")]
    Version { path: PathBuf, found: u32 },
    #[error("{path}: larger than {} MiB, which no snapshot is", MAX_BYTES >> 20)]
    Large { path: PathBuf },
    /// The fields contradict each other.
    #[error("{path}")]
    Inconsistent { path: PathBuf, source: Inconsistent },
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

/// The snapshot as JSON.
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

/// A JSON formatter that writes each run of pages on one line, so that files are short and can be
/// compared line by line.
#[derive(Default)]
struct Lines {
    depth: usize,
    filled: bool,
}

/// Values nested deeper than this share a line.
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

/// Reads a snapshot from a file, or from standard input if the path is `-`.
///
/// # Errors
///
/// It cannot be read, is not a snapshot, or contradicts itself; with the place.
pub(crate) fn read(path: &Path) -> Result<Observed, SnapshotError> {
    let text = read_text(path)?;
    let path = &name_of(path);
    // Format and version first, so that a newer file is called newer, and not broken.
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
    check(&body.observed).map_err(|source| SnapshotError::Inconsistent {
        path: path.to_owned(),
        source,
    })?;
    Ok(body.observed)
}

/// How messages call the file.
fn name_of(path: &Path) -> PathBuf {
    match path.to_str() {
        Some("-") => PathBuf::from("standard input"),
        _ => path.to_owned(),
    }
}

/// Reads the file, but no more of it than a snapshot can have.
fn read_text(path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let name = name_of(path);
    let io = |source| SnapshotError::Io {
        path: name.clone(),
        source,
    };
    let mut from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(io)?)
    };
    let mut text = Vec::new();
    let mut first = from.by_ref().take(FIRST_BYTES);
    first.read_to_end(&mut text).map_err(io)?;
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(SnapshotError::Bad {
            path: name,
            line: 1,
            column: 1,
            field: String::new(),
            message: "not a snapshot, which is a JSON object".to_owned(),
        });
    }
    let mut rest = from.take(MAX_BYTES + 1 - FIRST_BYTES);
    rest.read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(SnapshotError::Large { path: name });
    }
    Ok(text)
}

fn parse<'de, T: Deserialize<'de>>(path: &Path, text: &'de [u8]) -> Result<T, SnapshotError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = match error.path().to_string() {
            // Syntax errors are in no field.
            unknown if unknown == "." || unknown == "?" => String::new(),
            field => format!(", field {field}"),
        };
        let inner = error.into_inner();
        let (line, column) = (inner.line(), inner.column());
        let message = inner.to_string();
        let place = format!(" at line {line} column {column}");
        SnapshotError::Bad {
            path: path.to_owned(),
            line,
            column,
            field,
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    })
}
