//! Bytes: of a file, standard input or a trace that the program carries, decompressed if need be.

use crate::error::{At, Error};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 18;

/// The first bytes of what is read: a zstd frame, and a gzip member with its one method.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];

/// The first bytes of what is not, its name, and what decompresses it.
const OTHERS: [(&[u8], &str, &str); 4] = [
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
];

/// How much is read before the rest: more than any magic, and some records even if compressed.
const HEAD: u64 = 4096;

/// The traces that the program carries; the first is the default.
pub const SHIPPED: [(&str, &str, &[u8]); 2] = [
    (
        "cc1",
        "cc1.csv.zst",
        include_bytes!("../../traces/cc1.csv.zst"),
    ),
    (
        "sqlite",
        "sqlite.csv.zst",
        include_bytes!("../../traces/sqlite.csv.zst"),
    ),
];

/// A stream of decompressed bytes with a name, which knows how far it has come.
pub struct Input {
    name: String,
    bytes: Box<dyn BufRead + Send>,
    /// How it is compressed.
    packing: Option<&'static str>,
    offset: u64,
}

impl Input {
    /// Opens a shipped trace by its name, `-` for standard input, or a file.
    pub fn open(name: &str, read: Arc<AtomicU64>) -> Result<Self, Error> {
        let shipped = SHIPPED.iter().find(|(short, ..)| *short == name);
        if let Some((_, file, bytes)) = shipped {
            return Self::new(file, *bytes, read);
        }
        if name == "-" {
            return Self::new("standard input", io::stdin(), read);
        }
        let file = File::open(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::config(
                name,
                "no such file",
                "cc1, sqlite, the file of a trace, or - for standard input",
            ),
            _ => Error::io(name)(error),
        })?;
        if file.metadata().map_err(Error::io(name))?.is_dir() {
            return Err(Error::config(name, "a directory", "a trace"));
        }
        Self::new(name, file, read)
    }

    fn new(
        name: &str,
        bytes: impl Read + Send + 'static,
        read: Arc<AtomicU64>,
    ) -> Result<Self, Error> {
        let mut bytes = Counted(bytes, read);
        // A pipe may hand over less at a time.
        let mut head = Vec::new();
        let taken = bytes.by_ref().take(HEAD).read_to_end(&mut head);
        taken.map_err(Error::io(name))?;
        if head.is_empty() {
            return Err(super::wrong(
                name,
                At::Offset(0),
                "the trace is empty",
                "at least one record",
            ));
        }
        if let Some((_, packing, tool)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic))
        {
            return Err(Error::config(
                name,
                format!("compressed with {packing}, which is not read here"),
                format!(
                    "zstd, gzip or no compression: {tool} FILE | pinfold-sim - --format FORMAT --frames N"
                ),
            ));
        }
        let packing = [(ZSTD, "zstd"), (GZIP, "gzip")]
            .iter()
            .find_map(|&(magic, packing)| head.starts_with(magic).then_some(packing));
        let mut input = Self {
            name: name.to_owned(),
            bytes: Box::new(io::empty()),
            packing,
            offset: 0,
        };
        let bytes = BufReader::with_capacity(CHUNK, io::Cursor::new(head).chain(bytes));
        input.bytes = match packing {
            Some("zstd") => {
                let frames = Frames::new(bytes).map_err(|error| input.unread(error))?;
                Box::new(BufReader::with_capacity(CHUNK, frames))
            }
            Some(_) => Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(bytes))),
            None => Box::new(bytes),
        };
        Ok(input)
    }

    /// What a failure to read means.
    pub fn unread(&self, error: io::Error) -> Error {
        unread(&self.name, self.packing, self.offset, error)
    }

    /// Whether a trace of this name can be read a second time, as a pipe cannot.
    pub fn is_repeatable(name: &str) -> bool {
        let shipped = SHIPPED.iter().any(|(short, ..)| *short == name);
        // What is not there is another error.
        shipped
            || name != "-"
                && std::fs::metadata(name).map_or(true, |file| file.is_file() || file.is_dir())
    }

    /// How many bytes there are to read, before decompression, where that is known.
    pub fn length(name: &str) -> Option<u64> {
        match SHIPPED.iter().find(|(short, ..)| *short == name) {
            Some((_, _, bytes)) => Some(bytes.len() as u64),
            None => {
                let file = std::fs::metadata(name).ok()?;
                file.is_file().then_some(file.len())
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes have been taken, after decompression.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is there; empty at the end.
    pub fn fill(&mut self) -> Result<&[u8], Error> {
        let there = self.bytes.fill_buf();
        there.map_err(|error| unread(&self.name, self.packing, self.offset, error))
    }

    pub fn consume(&mut self, n: usize) {
        self.bytes.consume(n);
        self.offset += n as u64;
    }

    /// Reads exactly as many bytes as fit, or as many as are left.
    pub fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            let there = self.fill()?;
            if there.is_empty() {
                break;
            }
            let n = there.len().min(buffer.len() - done);
            buffer[done..done + n].copy_from_slice(&there[..n]);
            self.consume(n);
            done += n;
        }
        Ok(done)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(buffer)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// A compressed stream whose end is missing or that is damaged, or another failure.
fn unread(name: &str, packing: Option<&str>, offset: u64, error: io::Error) -> Error {
    let Some(packing) = packing else {
        return Error::io(name)(error);
    };
    super::wrong(
        name,
        At::Offset(offset),
        format!("the data cannot be decompressed from here on ({error})"),
        format!("a complete {packing} stream"),
    )
}

struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

type Decoder<R> = StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

/// All zstd frames of a file, one after the other.
struct Frames<R: BufRead>(Option<Decoder<R>>);

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> io::Result<Self> {
        let decoder = StreamingDecoder::new(source).map_err(io::Error::other)?;
        Ok(Self(Some(decoder)))
    }
}

impl<R: BufRead + Send> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let n = decoder.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let Some(decoder) = self.0.take() else { break };
            let mut source = decoder.into_inner();
            if !source.fill_buf()?.is_empty() {
                self.0 = Some(StreamingDecoder::new(source).map_err(io::Error::other)?);
            }
        }
        Ok(0)
    }
}
