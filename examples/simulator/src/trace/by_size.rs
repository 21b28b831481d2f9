//! A trace whose objects are as many pages as their sizes say.

use super::{PAGE_SHIFT, Request, Trace, wrong};
use crate::error::{At, Error};

/// No object of a trace is larger, in pages: 1 GiB.
const MAX_PAGES: u32 = 1 << 18;

/// Wraps a trace.
pub struct BySize {
    inner: Box<dyn Trace>,
    name: String,
    read: Vec<Request>,
    count: u64,
}

impl BySize {
    pub fn new(inner: Box<dyn Trace>, name: &str) -> Self {
        Self {
            inner,
            name: name.to_owned(),
            read: Vec::new(),
            count: 0,
        }
    }
}

impl Trace for BySize {
    fn fill(&mut self, out: &mut Vec<Request>, max: usize) -> Result<(), Error> {
        let before = out.len();
        while out.len() - before < max {
            self.read.clear();
            self.inner.fill(&mut self.read, 64)?;
            if self.read.is_empty() {
                break;
            }
            for request in &self.read {
                let pages = request.size.div_ceil(1 << PAGE_SHIFT);
                if pages > MAX_PAGES || pages == 0 {
                    return Err(wrong(
                        &self.name,
                        At::File,
                        format!("request {} has {} bytes", self.count, request.size),
                        "1 byte to 1 GiB",
                    ));
                }
                let first = request.object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                out.extend((0..pages).map(|page| Request {
                    object: first.wrapping_add(u64::from(page)),
                    ..*request
                }));
                self.count += 1;
            }
        }
        Ok(())
    }
}
