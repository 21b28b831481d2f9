//! A trace whose objects are as many pages as their sizes say.

use super::{PAGE_SHIFT, Request, Trace, wrong};
use crate::error::{At, Error};
use std::ops::Range;

/// No object of a trace is larger, in pages: 1 GiB.
const MAX_PAGES: u32 = 1 << 18;

/// Wraps a trace. An object becomes pages as they are asked for, so that its size takes no memory and
/// no record is read before its turn.
pub struct BySize {
    inner: Box<dyn Trace>,
    name: String,
    /// The record that is being split, none before the first, and which of its pages are left.
    record: Vec<Request>,
    pages: Range<u32>,
    count: u64,
}

impl BySize {
    pub fn new(inner: Box<dyn Trace>, name: &str) -> Self {
        Self {
            inner,
            name: name.to_owned(),
            record: Vec::new(),
            pages: 0..0,
            count: 0,
        }
    }

    /// Begins with the next record; its pages are none at the end.
    fn begin(&mut self) -> Result<(), Error> {
        self.record.clear();
        self.inner.fill(&mut self.record, 1)?;
        let Some(record) = self.record.first_mut() else {
            return Ok(());
        };
        self.count += 1;
        let pages = record.size.div_ceil(1 << PAGE_SHIFT);
        if pages > MAX_PAGES || pages == 0 {
            return Err(wrong(
                &self.name,
                At::Record(self.count),
                format!("an object of {} bytes", record.size),
                "1 byte to 1 GiB, with --by-size",
            ));
        }
        record.object = record.object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.pages = 0..pages;
        Ok(())
    }
}

impl Trace for BySize {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        let end = out.len() + max;
        while out.len() < end {
            if self.pages.is_empty() {
                self.begin()?;
            }
            let Some(&record) = self.record.first() else {
                break;
            };
            let left = end - out.len();
            out.extend(self.pages.by_ref().take(left).map(|page| Request {
                object: record.object.wrapping_add(u64::from(page)),
                ..record
            }));
        }
        Ok(())
    }
}
