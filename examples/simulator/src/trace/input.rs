//! Bytes: of a file, standard input or a trace that the program carries, decompressed if need be.

use crate::error::{At, Error};
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 18;

/// The first bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
        let file = File::open(name).map_err(Error::io(name))?;
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
        let mut bytes = BufReader::with_capacity(CHUNK, Counted(bytes, read));
        let head = bytes.fill_buf().map_err(Error::io(name))?;
        if head.is_empty() {
            return Err(super::wrong(
                name,
                At::Offset(0),
                "the trace is empty",
                "at least one record",
            ));
        }
        let bytes: Box<dyn BufRead + Send> = if head.starts_with(&ZSTD_MAGIC) {
            let frames = Frames::new(bytes).map_err(|e| super::zstd(name, 0, &e))?;
            Box::new(BufReader::with_capacity(CHUNK, frames))
        } else {
            Box::new(bytes)
        };
        Ok(Self {
            name: name.to_owned(),
            bytes,
            offset: 0,
        })
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
        let (name, offset) = (&self.name, self.offset);
        self.bytes
            .fill_buf()
            .map_err(|e| super::zstd(name, offset, &e))
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
