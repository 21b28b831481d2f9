//! Traces: one request after the other, from a file or standard input, in constant memory.

mod by_size;
mod csv_format;
mod input;
mod lackey;
mod oracle;

pub use by_size::BySize;
pub use csv_format::CsvTrace;
pub use input::Input;
pub use lackey::LackeyTrace;
pub use oracle::OracleTrace;

use crate::error::{At, Error, Place};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The size of a page in bytes, as a power of two.
pub const PAGE_SHIFT: u32 = 12;

/// One access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request {
    /// When, in the trace's own unit.
    pub time: u64,
    /// What: a page number, or the name of an object that is taken for a page.
    pub object: u64,
    /// How large the object is, in bytes.
    pub size: u32,
    /// How it is used.
    pub op: Op,
    /// What kind of memory it is, where the trace says.
    pub kind: Kind,
}

/// How memory is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Op {
    #[default]
    Read,
    Write,
    /// An instruction was fetched.
    Exec,
    /// The format does not say: reads and writes are told apart by a seeded draw per object.
    Unknown,
}

/// What is behind a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// The trace does not say: a seeded draw per object.
    #[default]
    Unknown,
    Anon,
    File,
}

/// A source of requests.
pub trait Trace: Send {
    /// Appends at most `max` requests to `out`; none at the end.
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error>;
}

/// A format of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// libCacheSim's 24-byte records: u32 time, u64 object, u32 size, i64 next access.
    #[value(name = "oracleGeneral")]
    OracleGeneral,
    /// Named columns: object, and optionally time, size, operation, kind.
    Csv,
    /// What `valgrind --tool=lackey --trace-mem=yes` writes.
    Lackey,
}

impl Format {
    /// The format that a file's name says, a `.zst` or `.gz` at its end left out.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (stem, _) = unpacked(&name);
        let file = Path::new(stem).file_name()?.to_str()?;
        if file.contains("oraclegeneral") {
            Some(Self::OracleGeneral)
        } else if file.ends_with(".csv") {
            Some(Self::Csv)
        } else if file.ends_with(".lackey") || file.contains(".lackey.") {
            Some(Self::Lackey)
        } else {
            None
        }
    }
}

/// A file's name without the ending that says how it is compressed, and whether it had one.
pub fn unpacked(name: &str) -> (&str, bool) {
    let endings = [".zst", ".gz"];
    let stem = endings.iter().find_map(|end| name.strip_suffix(end));
    stem.map_or((name, false), |stem| (stem, true))
}

/// Opens a trace: one that the program carries, by name, a file, or `-` for standard input.
///
/// The counter is advanced by every byte that is read, before decompression.
pub fn open(
    name: &str,
    format: Option<Format>,
    read: Arc<AtomicU64>,
) -> Result<Box<dyn Trace>, Error> {
    let mut input = Input::open(name, read)?;
    let format = match format.or_else(|| Format::of_name(input.name())) {
        Some(format) => format,
        None => {
            return Err(Error::config(
                input.name(),
                "the name does not say which format it has",
                "--format oracleGeneral, csv or lackey, or a name that ends in .oracleGeneral, \
                 .csv or .lackey (each also with .zst or .gz)",
            ));
        }
    };
    look(&mut input, format)?;
    Ok(match format {
        Format::OracleGeneral => Box::new(OracleTrace::new(input)),
        Format::Csv => Box::new(CsvTrace::new(input)?),
        Format::Lackey => Box::new(LackeyTrace::new(input)),
    })
}

pub(crate) fn wrong(
    file: &str,
    at: At,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Error {
    Error::Trace {
        place: Place {
            file: file.to_owned(),
            at,
        },
        found: found.into(),
        expected: expected.into(),
    }
}

/// Refuses text where the format is binary, and the other way round.
fn look(input: &mut Input, format: Format) -> Result<(), Error> {
    let head = input.fill()?;
    let head = &head[..head.len().min(2 * oracle::RECORD)];
    let printed = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let (found, expected) = match format {
        Format::OracleGeneral if head.len() >= oracle::RECORD && head.iter().all(printed) => (
            "text, where oracleGeneral is binary",
            "records of 24 bytes; if this is csv or lackey's output, say --format csv or --format lackey",
        ),
        Format::Csv | Format::Lackey if head.contains(&0) => (
            "binary data, where this format is text",
            "lines of text; if this is oracleGeneral, say --format oracleGeneral",
        ),
        _ => return Ok(()),
    };
    Err(wrong(input.name(), At::Offset(0), found, expected))
}
