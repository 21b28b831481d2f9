//! The pages of the footprint: where each is, in the order in which they were first used.

use super::frame::NONE;
use crate::index::Index;

/// One page of the footprint.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub object: u64,
    /// The frame that holds it, or [`NONE`].
    pub frame: u32,
    /// When it was evicted, in evictions of the machine; `u32::MAX`: never.
    pub evicted: u32,
    pub anon: bool,
    pub text: bool,
    /// Its content is in swap.
    pub swapped: bool,
}

/// Never evicted.
pub const NEVER: u32 = u32::MAX;

/// All pages that were used so far.
#[derive(Debug)]
pub struct Table {
    index: Index,
    pub pages: Vec<Page>,
}

impl Table {
    pub fn new() -> Self {
        Self {
            index: Index::with_places(1024),
            pages: Vec::new(),
        }
    }

    #[inline]
    pub fn find(&self, object: u64) -> Option<u32> {
        self.index.find(Index::hash(object), |page| {
            self.pages[page as usize].object == object
        })
    }

    pub fn insert(&mut self, object: u64, anon: bool, text: bool) -> u32 {
        let page = self.pages.len() as u32;
        self.index.insert(Index::hash(object), page);
        self.pages.push(Page {
            object,
            frame: NONE,
            evicted: NEVER,
            anon,
            text,
            swapped: false,
        });
        page
    }
}
