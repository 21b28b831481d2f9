//! Traces in csv: named columns, in any order. `object` is required.

use super::{Input, Kind, Op, PAGE_SHIFT, Request, Trace, wrong};
use crate::error::{At, Error};
use csv::ByteRecord;

const COLUMNS: &str = "a heading that names object, and optionally time, size, operation, kind";

/// Reads csv.
pub struct CsvTrace {
    name: String,
    reader: csv::Reader<Input>,
    record: ByteRecord,
    object: usize,
    time: Option<usize>,
    size: Option<usize>,
    operation: Option<usize>,
    kind: Option<usize>,
    count: u64,
}

impl CsvTrace {
    /// Reads the heading.
    pub fn new(input: Input) -> Result<Self, Error> {
        let name = input.name().to_owned();
        let mut reader = csv::ReaderBuilder::new()
            .buffer_capacity(1 << 18)
            .trim(csv::Trim::None)
            .from_reader(input);
        let heading = match reader.byte_headers() {
            Ok(heading) => heading.clone(),
            Err(error) => return Err(csv_error(reader.get_ref(), error)),
        };
        let mut columns = [None; 5];
        let names = ["object", "time", "size", "operation", "kind"];
        for (index, column) in heading.iter().enumerate() {
            let shown = String::from_utf8_lossy(&column[..column.len().min(40)]);
            let shown = shown.trim().to_ascii_lowercase();
            let Some(known) = names.iter().position(|name| *name == shown) else {
                let found = format!("the unknown column {shown:?}");
                return Err(wrong(&name, At::Line(1), found, COLUMNS));
            };
            if columns[known].replace(index).is_some() {
                let found = format!("the column {shown:?} twice");
                return Err(wrong(&name, At::Line(1), found, COLUMNS));
            }
        }
        let [Some(object), time, size, operation, kind] = columns else {
            let found = "no column named \"object\"";
            return Err(wrong(&name, At::Line(1), found, COLUMNS));
        };
        Ok(Self {
            name,
            reader,
            record: ByteRecord::new(),
            object,
            time,
            size,
            operation,
            kind,
            count: 0,
        })
    }

    fn bad(&self, column: &str, field: &[u8], expected: &str) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        let field = String::from_utf8_lossy(&field[..field.len().min(40)]);
        wrong(
            &self.name,
            At::Line(line),
            format!("the {column} {field:?}"),
            expected,
        )
    }

    fn number(&self, column: &str, index: usize) -> Result<u64, Error> {
        let field = &self.record[index];
        number(field).ok_or_else(|| self.bad(column, field, "a number up to 18446744073709551615"))
    }

    fn request(&self) -> Result<Request, Error> {
        let size = match self.size {
            None => 1 << PAGE_SHIFT,
            Some(index) => {
                let size = self.number("size", index)?;
                match u32::try_from(size) {
                    Ok(size) if size > 0 => size,
                    _ => {
                        let field = &self.record[index];
                        return Err(self.bad("size", field, "bytes, from 1 to 4294967295"));
                    }
                }
            }
        };
        let op = match self.operation.map(|index| &self.record[index]) {
            None => Op::Unknown,
            Some(b"r" | b"R" | b"read" | b"get" | b"L") => Op::Read,
            Some(b"w" | b"W" | b"write" | b"set" | b"S" | b"M") => Op::Write,
            Some(b"x" | b"X" | b"exec" | b"I") => Op::Exec,
            Some(other) => {
                return Err(self.bad("operation", other, "r (read), w (write) or x (exec)"));
            }
        };
        let kind = match self.kind.map(|index| &self.record[index]) {
            None | Some(b"") => Kind::Unknown,
            Some(b"a" | b"anon") => Kind::Anon,
            Some(b"f" | b"file") => Kind::File,
            Some(other) => return Err(self.bad("kind", other, "a (anon) or f (file)")),
        };
        Ok(Request {
            time: match self.time {
                Some(index) => self.number("time", index)?,
                None => self.count,
            },
            object: self.number("object", self.object)?,
            size,
            op,
            kind,
        })
    }
}

impl Trace for CsvTrace {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        for _ in 0..max {
            let more = self
                .reader
                .read_byte_record(&mut self.record)
                .map_err(|error| csv_error(self.reader.get_ref(), error))?;
            if !more {
                if self.count == 0 {
                    let found = "a heading and no record";
                    return Err(wrong(&self.name, At::Line(2), found, "at least one record"));
                }
                break;
            }
            out.push(self.request()?);
            self.count += 1;
        }
        Ok(())
    }
}

/// A decimal number, or a hexadecimal one after `0x`.
fn number(field: &[u8]) -> Option<u64> {
    let field = field.trim_ascii();
    if let Some(hex) = field.strip_prefix(b"0x") {
        return u64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok();
    }
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn csv_error(input: &Input, error: csv::Error) -> Error {
    let line = At::Line(error.position().map_or(0, csv::Position::line));
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => wrong(
            input.name(),
            line,
            format!("{len} fields"),
            format!("{expected_len}, as in the heading"),
        ),
        csv::ErrorKind::Io(_) => input.unread(error.into()),
        _ => wrong(input.name(), line, error.to_string(), "csv"),
    }
}
