//! `import`: reduces a trace to what a memory of pages sees, and writes it as csv.
//!
//! Accesses to a page that is among the last `window` pages used are left out, unless they are the
//! first write since it came among them: a program's accesses come in runs, and every memory larger
//! than the window would hit on them anyway (stack deletion, A. J. Smith, 1977). A window of 1 merges
//! consecutive duplicates.

use crate::error::Error;
use crate::trace::{Op, Request, Trace};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Whether a page is named by an executable's text, written to at some time, or neither.
#[derive(Debug, Clone, Copy, Default)]
struct Nature {
    written: bool,
    executed: bool,
}

/// What came of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    pub accesses: u64,
    pub kept: u64,
    pub pages: u64,
}

struct Recent {
    pages: Vec<(u64, Op)>,
    window: usize,
}

impl Recent {
    /// Whether this access is to be kept.
    fn admit(&mut self, object: u64, op: Op) -> bool {
        let found = self.pages.iter().position(|&(page, _)| page == object);
        let (keep, op) = match found {
            Some(at) => {
                let (_, before) = self.pages.remove(at);
                match (before, op) {
                    (Op::Write, _) => (false, Op::Write),
                    (_, Op::Write) => (true, Op::Write),
                    _ => (false, before),
                }
            }
            None => (true, op),
        };
        if self.pages.len() == self.window {
            self.pages.pop();
        }
        self.pages.insert(0, (object, op));
        keep
    }
}

/// Reads all of `trace` and writes what is left of it. What is left is held in memory, because
/// whether a page is ever written to is known at the end.
///
/// A page that is executed, or read and never written to, is taken for a page of a file; all others
/// for anonymous ones.
pub fn import(
    trace: &mut dyn Trace,
    window: usize,
    limit: u64,
    out: &mut dyn Write,
    out_name: &Path,
) -> Result<Imported, Error> {
    let mut recent = Recent {
        pages: Vec::new(),
        window: window.max(1),
    };
    let mut pages: HashMap<u64, Nature> = HashMap::new();
    let mut kept: Vec<Request> = Vec::new();
    let mut chunk = Vec::new();
    let mut accesses = 0;
    'reading: loop {
        chunk.clear();
        trace.fill(&mut chunk, 4096)?;
        if chunk.is_empty() {
            break;
        }
        for &request in &chunk {
            if accesses >= limit {
                break 'reading;
            }
            accesses += 1;
            if recent.admit(request.object, request.op) {
                let nature = pages.entry(request.object).or_default();
                nature.written |= request.op == Op::Write;
                nature.executed |= request.op == Op::Exec;
                kept.push(request);
            }
        }
    }
    let mut writer = csv::Writer::from_writer(out);
    let io = |error: csv::Error| Error::Io {
        path: out_name.to_owned(),
        source: std::io::Error::other(error),
    };
    writer
        .write_record(["time", "object", "size", "operation", "kind"])
        .map_err(io)?;
    for request in &kept {
        let nature = pages.get(&request.object).copied().unwrap_or_default();
        let op = match request.op {
            Op::Write => "w",
            Op::Exec => "x",
            Op::Read | Op::Unknown => "r",
        };
        let file = nature.executed || !nature.written;
        writer
            .write_record([
                request.time.to_string().as_str(),
                request.object.to_string().as_str(),
                "4096",
                op,
                if file { "f" } else { "a" },
            ])
            .map_err(io)?;
    }
    writer.flush().map_err(Error::io(out_name))?;
    Ok(Imported {
        accesses,
        kept: kept.len() as u64,
        pages: pages.len() as u64,
    })
}
