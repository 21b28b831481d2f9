//! Out of memory: a run ends because no frame is free and none can be reclaimed.

use super::Machine;
use pinfold::PageFlags;
use serde::Serialize;
use std::fmt;

/// Where a run ended, and why. In a replay nobody has pages pinned by then: those who had were killed
/// before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutOfMemory {
    /// The number of the request that needed a frame, from 0.
    pub request: u64,
    pub why: Why,
    /// The frames of the machine, by what they hold.
    pub anon: u64,
    pub clean_file: u64,
    pub dirty_file: u64,
    /// Slots of swap, in pages.
    pub swap: u64,
    pub swap_used: u64,
    /// Who was killed before, in this order.
    pub killed: Vec<Killed>,
}

/// Why no frame could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Swap has no slot for the anonymous pages, and no clean page of a file is left.
    SwapFull,
    /// Pages are left that could be freed, but reclaim gave up before it freed one.
    GaveUp,
}

/// A workload that was killed because no frame could be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Killed {
    pub workload: String,
    /// The number of the request, from 0.
    pub request: u64,
    /// Pages that it had pinned.
    pub pinned: u64,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::SwapFull => {
                write!(
                    f,
                    "swap is full ({} of {} pages)",
                    self.swap_used, self.swap
                )?;
                if self.dirty_file > 0 {
                    write!(
                        f,
                        ", the {} file pages in memory are dirty",
                        self.dirty_file
                    )?;
                }
            }
            Why::GaveUp => write!(
                f,
                "reclaim gave up with {} clean file pages, {} of {} pages of swap in use",
                self.clean_file, self.swap_used, self.swap
            )?,
        }
        for (index, killed) in self.killed.iter().enumerate() {
            let Killed {
                workload,
                request,
                pinned,
            } = killed;
            f.write_str(if index == 0 {
                "; killed before: "
            } else {
                ", "
            })?;
            write!(f, "{workload} (request {request}, {pinned} pages pinned)")?;
        }
        Ok(())
    }
}

impl Machine<'_> {
    /// What there is to say when no frame is free.
    pub(super) fn out_of_memory(&self) -> OutOfMemory {
        let memory = &self.memory;
        let (mut anon, mut clean, mut dirty, mut needs_slot) = (0, 0, 0, 0);
        for frame in memory.frames {
            if frame.has(PageFlags::ANON) {
                anon += 1;
                needs_slot += u64::from(!frame.has(PageFlags::SWAP_CACHE));
            } else if frame.has(PageFlags::DIRTY) {
                dirty += 1;
            } else {
                clean += 1;
            }
        }
        let full = memory.swap_used >= memory.swap && needs_slot > 0;
        OutOfMemory {
            request: self.now,
            why: if full && clean == 0 {
                Why::SwapFull
            } else {
                Why::GaveUp
            },
            anon,
            clean_file: clean,
            dirty_file: dirty,
            swap: u64::from(memory.swap),
            swap_used: u64::from(memory.swap_used),
            killed: self.killed.clone(),
        }
    }
}
