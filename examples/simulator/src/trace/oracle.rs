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

    fn wrong(&self, at: u64, why: Wrong) -> Error {
        let (found, expected) = match why {
            Wrong::Time(time) => (
                format!("the time goes back from {} to {time}", self.last_time),
                "records of 24 bytes (u32 time, u64 object, u32 size, i64 next access) in the order \
                 of their times",
            ),
            Wrong::Next(next) => (
                format!("the next access is {next}"),
                "the number of a later record, or -1",
            ),
            Wrong::Cut(bytes) => (
                format!("the trace ends after {bytes} bytes of a record"),
                "records of 24 bytes",
            ),
        };
        wrong(self.input.name(), At::Offset(at), found, expected)
    }
}

/// What is wrong with a record.
enum Wrong {
    Time(u32),
    Next(i64),
    Cut(usize),
}

/// One record, if it is right.
#[inline]
fn parse(record: &[u8; RECORD], last_time: &mut u32) -> Result<Request, Wrong> {
    let four = |at: usize| [0, 1, 2, 3].map(|byte| record[at + byte]);
    let eight = |at: usize| [0, 1, 2, 3, 4, 5, 6, 7].map(|byte| record[at + byte]);
    let time = u32::from_le_bytes(four(0));
    let next = i64::from_le_bytes(eight(16));
    if time < *last_time {
        return Err(Wrong::Time(time));
    }
    if next < -1 {
        return Err(Wrong::Next(next));
    }
    *last_time = time;
    Ok(Request {
        time: u64::from(time),
        object: u64::from_le_bytes(eight(4)),
        size: u32::from_le_bytes(four(12)),
        op: Op::Unknown,
        kind: Kind::Unknown,
    })
}

impl Trace for OracleTrace {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        let end = out.len() + max;
        while out.len() < end {
            let at = self.input.offset();
            let mut last_time = self.last_time;
            let there = self.input.fill()?;
            // One that straddles two reads is put together.
            if there.len() < RECORD {
                let mut record = [0; RECORD];
                match self.input.read_full(&mut record)? {
                    0 => break,
                    RECORD => {}
                    n => return Err(self.wrong(at, Wrong::Cut(n))),
                }
                match parse(&record, &mut last_time) {
                    Ok(request) => out.push(request),
                    Err(why) => return Err(self.wrong(at, why)),
                }
                self.last_time = last_time;
                continue;
            }
            let (records, _) = there.as_chunks::<RECORD>();
            let mut taken = 0;
            let mut failed = None;
            for record in records.iter().take(end - out.len()) {
                match parse(record, &mut last_time) {
                    Ok(request) => out.push(request),
                    Err(why) => {
                        failed = Some(why);
                        break;
                    }
                }
                taken += RECORD;
            }
            self.last_time = last_time;
            if let Some(why) = failed {
                return Err(self.wrong(at + taken as u64, why));
            }
            self.input.consume(taken);
        }
        Ok(())
    }
}
