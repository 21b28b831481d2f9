//! Reads the state of frames from `/proc/kpageflags` and `/proc/kpagecount`, in blocks that are cached.

use crate::model::Frame;
use crate::page::kpf;
use procfs::{KPageCount, KPageFlags, ProcResult, process::Pfn};
use std::collections::HashMap;

/// Frames in a block: what a PMD maps on most machines. Large pages begin at such a boundary.
pub(super) const BLOCK: u64 = 512;

struct Block {
    flags: Vec<u64>,
    counts: Vec<u64>,
}

/// The cache of frames.
pub(super) struct Frames {
    flags: KPageFlags,
    counts: KPageCount,
    blocks: HashMap<u64, Option<Block>>,
}

impl Frames {
    pub(super) fn open() -> ProcResult<Self> {
        Ok(Self {
            flags: KPageFlags::new()?,
            counts: KPageCount::new()?,
            blocks: HashMap::new(),
        })
    }

    /// Reads the frame, mapped by a PMD or not; `None` if it cannot be read.
    pub(super) fn get(&mut self, pfn: u64, pmd: bool) -> Option<Frame> {
        let block = self.block(pfn / BLOCK)?;
        let at = usize::try_from(pfn % BLOCK).ok()?;
        let word = *block.flags.get(at)?;
        if word & (kpf::COMPOUND_HEAD | kpf::COMPOUND_TAIL) == 0 {
            let maps = u32::try_from(*block.counts.get(at)?).ok()?;
            return Some(Frame {
                flags: word,
                maps,
                pages: 1,
                pmd: false,
            });
        }
        let is_tail = |word: &&u64| **word & kpf::COMPOUND_TAIL != 0;
        let before = block.flags[..=at].iter().rev().take_while(is_tail).count();
        // Without a head in this block it is a page of hugetlbfs, which is on no LRU list.
        let head = at.checked_sub(before);
        let first = head.unwrap_or(0);
        let after = block.flags[first + 1..].iter().take_while(is_tail).count();
        let counts = block.counts.get(first..=first + after)?;
        let maps = if pmd {
            counts.first().copied()?
        } else {
            counts.iter().sum()
        };
        let pages = u32::try_from(after + 1).ok()?;
        Some(Frame {
            flags: block.flags[first],
            maps: u32::try_from(maps).ok()?,
            pages,
            // The head may have changed between the page table and here; a PMD maps 2^n pages.
            pmd: pmd && pages.is_power_of_two(),
        })
    }

    fn block(&mut self, number: u64) -> Option<&Block> {
        let Self {
            flags,
            counts,
            blocks,
        } = self;
        let block = blocks.entry(number).or_insert_with(|| {
            let (start, end) = (Pfn(number * BLOCK), Pfn((number + 1) * BLOCK));
            let flags = flags.get_range_info(start, end).ok()?;
            let counts = counts.get_count_in_range(start, end).ok()?;
            Some(Block {
                flags: flags.iter().map(|word| word.bits()).collect(),
                counts,
            })
        });
        block.as_ref()
    }
}
