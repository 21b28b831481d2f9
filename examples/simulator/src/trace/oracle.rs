//! libCacheSim's `oracleGeneral`: records of 24 bytes, little-endian, without padding.

use super::{Input, Kind, Op, Request, Trace, wrong};
use crate::error::{At, Error};

/// u32 time, u64 object, u32 size, i64 next access.
pub const RECORD: usize = 24;

/// Reads `oracleGeneral`.
pub struct OracleTrace {
    input: Input,
    last_time: u32,
}

impl OracleTrace {
    pub fn new(input: Input) -> Self {
        Self {
            input,
            last_time: 0,
        }
    }

    /// Checks and appends the complete records of `bytes`.
    fn take(&mut self, bytes: &[u8], at: u64, out: &mut Vec<Request>) -> Result<(), Error> {
        let (records, _) = bytes.as_chunks::<RECORD>();
        for (index, record) in records.iter().enumerate() {
            let time = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
            let mut object = [0; 8];
            object.copy_from_slice(&record[4..12]);
            let size = u32::from_le_bytes([record[12], record[13], record[14], record[15]]);
            let mut next = [0; 8];
            next.copy_from_slice(&record[16..24]);
            let next = i64::from_le_bytes(next);
            let offset = || At::Offset(at + (index * RECORD) as u64);
            if time < self.last_time {
                return Err(wrong(
                    self.input.name(),
                    offset(),
                    format!("the time goes back from {} to {time}", self.last_time),
                    "records of 24 bytes (u32 time, u64 object, u32 size, i64 next access) in \
                     the order of their times",
                ));
            }
            if next < -1 {
                return Err(wrong(
                    self.input.name(),
                    offset(),
                    format!("the next access is {next}"),
                    "the number of a later record, or -1",
                ));
            }
            self.last_time = time;
            out.push(Request {
                time: u64::from(time),
                object: u64::from_le_bytes(object),
                size,
                op: Op::Unknown,
                kind: Kind::Unknown,
            });
        }
        Ok(())
    }
}

impl Trace for OracleTrace {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        let mut buffer = [0; RECORD * 1024];
        let mut left = max;
        while left > 0 {
            let want = left.min(1024) * RECORD;
            let at = self.input.offset();
            let n = self.input.read_full(&mut buffer[..want])?;
            self.take(&buffer[..n], at, out)?;
            if n % RECORD != 0 {
                let whole = (n / RECORD * RECORD) as u64;
                return Err(wrong(
                    self.input.name(),
                    At::Offset(at + whole),
                    format!("the trace ends after {} bytes of a record", n % RECORD),
                    "records of 24 bytes",
                ));
            }
            if n < want {
                break;
            }
            left -= want / RECORD;
        }
        Ok(())
    }
}
