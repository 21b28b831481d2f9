//! `import`: reduces a trace to what a memory of pages sees, and writes it as csv.
//!
//! Accesses to a page that is among the last `window` pages used are left out, unless they are the
//! first write since it came among them: a program's accesses come in runs, and every memory larger
//! than the window would hit on them anyway (stack deletion, A. J. Smith, 1977). A window of 1 merges
//! consecutive duplicates.

use crate::error::Error;
use crate::replay::read_all;
use crate::trace::{Op, Request, Trace};
use std::collections::HashMap;
use std::io::{self, Write};

/// Whether a page is named by an executable's text, written to at some time, or neither.
#[derive(Debug, Clone, Copy, Default)]
struct Nature {
    written: bool,
    executed: bool,
}

/// What is left of a trace.
#[derive(Debug, Default)]
pub struct Imported {
    pub accesses: u64,
    kept: Vec<Request>,
    pages: HashMap<u64, Nature>,
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

/// Reads all of `trace`. What is left of it is held in memory, because whether a page is ever written
/// to is known at the end.
pub fn import(trace: &mut dyn Trace, window: usize, limit: u64) -> Result<Imported, Error> {
    let mut recent = Recent {
        pages: Vec::new(),
        window: window.max(1),
    };
    let mut imported = Imported::default();
    read_all(trace, limit, |chunk| {
        for &request in &*chunk {
            imported.accesses += 1;
            if recent.admit(request.object, request.op) {
                let nature = imported.pages.entry(request.object).or_default();
                nature.written |= request.op == Op::Write;
                nature.executed |= request.op == Op::Exec;
                imported.kept.push(request);
            }
        }
        true
    })?;
    Ok(imported)
}

impl Imported {
    /// Accesses that were kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Pages that were accessed.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Writes csv. A page that is executed, or read and never written to, is taken for a page of a
    /// file; all others for anonymous ones.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "time,object,size,operation,kind")?;
        for request in &self.kept {
            let nature = self.pages.get(&request.object).copied();
            let nature = nature.unwrap_or_default();
            let op = match request.op {
                Op::Write => 'w',
                Op::Exec => 'x',
                Op::Read | Op::Unknown => 'r',
            };
            let file = nature.executed || !nature.written;
            let kind = if file { 'f' } else { 'a' };
            writeln!(out, "{},{},4096,{op},{kind}", request.time, request.object)?;
        }
        Ok(())
    }
}
