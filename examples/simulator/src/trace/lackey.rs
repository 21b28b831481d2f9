//! What `valgrind --tool=lackey --trace-mem=yes` writes: one access a line, such as ` L 1ffefff,8`.

use super::{Input, Kind, Op, PAGE_SHIFT, Request, Trace, wrong};
use crate::error::{At, Error};
use std::ops::Range;

/// No access of a program is larger, in bytes.
const MAX_ACCESS: u64 = 1 << 16;

/// How many accesses one unit of time is.
const TIME_UNIT: u64 = 4096;

/// Reads lackey's output, page by page: an access that straddles two pages touches both.
pub struct LackeyTrace {
    input: Input,
    line: u64,
    accesses: u64,
    text: Vec<u8>,
    /// How the last access used its pages, and which of them are left.
    op: Op,
    pages: Range<u64>,
}

impl LackeyTrace {
    pub fn new(input: Input) -> Self {
        Self {
            input,
            line: 0,
            accesses: 0,
            text: Vec::new(),
            op: Op::Read,
            pages: 0..0,
        }
    }

    /// The next line into `self.text`, without its end; `false` at the end of the trace.
    fn next_line(&mut self) -> Result<bool, Error> {
        self.text.clear();
        loop {
            let there = self.input.fill()?;
            if there.is_empty() {
                if self.text.is_empty() {
                    return Ok(false);
                }
                self.line += 1;
                return Ok(true);
            }
            match there.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.text.extend_from_slice(&there[..end]);
                    self.input.consume(end + 1);
                    self.line += 1;
                    return Ok(true);
                }
                None if self.text.len() + there.len() > 4096 => {
                    return Err(self.bad("a line of more than 4096 bytes"));
                }
                None => {
                    let n = there.len();
                    self.text.extend_from_slice(there);
                    self.input.consume(n);
                }
            }
        }
    }

    fn bad(&self, found: &str) -> Error {
        wrong(
            self.input.name(),
            At::Line(self.line.max(1)),
            found,
            "an access as lackey writes it: I, L, S or M, the address in hexadecimal, a comma and \
             the size in bytes",
        )
    }

    /// Parses the line in `self.text`.
    fn take(&mut self) -> Result<(), Error> {
        let text = self.text.trim_ascii();
        if text.is_empty() || text.starts_with(b"==") || text.starts_with(b"--") {
            return Ok(());
        }
        let show = || format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(60)]));
        let op = match text.first() {
            Some(b'I') => Op::Exec,
            Some(b'L') => Op::Read,
            Some(b'S' | b'M') => Op::Write,
            _ => return Err(self.bad(&show())),
        };
        let parsed = text
            .get(1..)
            .and_then(|rest| std::str::from_utf8(rest).ok())
            .and_then(|rest| rest.trim_start().split_once(','))
            .and_then(|(address, size)| {
                let address = u64::from_str_radix(address, 16).ok()?;
                Some((address, size.parse::<u64>().ok()?))
            });
        let Some((address, size)) = parsed else {
            return Err(self.bad(&show()));
        };
        if size == 0 || size > MAX_ACCESS {
            return Err(self.bad(&format!("an access of {size} bytes")));
        }
        self.accesses += 1;
        let last = address.saturating_add(size - 1) >> PAGE_SHIFT;
        self.op = op;
        self.pages = address >> PAGE_SHIFT..last + 1;
        Ok(())
    }
}

impl Trace for LackeyTrace {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        let end = out.len() + max;
        while out.len() < end {
            if let Some(object) = self.pages.next() {
                out.push(Request {
                    time: self.accesses / TIME_UNIT,
                    object,
                    size: 1 << PAGE_SHIFT,
                    op: self.op,
                    kind: Kind::Unknown,
                });
            } else if self.next_line()? {
                self.take()?;
            } else if self.accesses == 0 {
                return Err(self.bad("no access at all"));
            } else {
                break;
            }
        }
        Ok(())
    }
}
