//! Reads the page table of a process: `pagemap`, and `PAGEMAP_SCAN` where the kernel has it.

use super::frames::{BLOCK, Frames};
use super::scan::{self, Populated};
use crate::model::{Run, Seen};
use procfs::process::{MemoryPageFlags, PageInfo, PageMap, Process};
use std::fs::File;
use std::ops::Range;

/// Pages read at once where `PAGEMAP_SCAN` does not say which are present.
const CHUNK: u64 = 1 << 16;

/// One entry of the page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The frame's number; 0 if there is none, or it is hidden.
    pub(crate) pfn: u64,
    /// `None` if the entry is empty.
    pub(crate) seen: Option<Seen>,
}

/// Reads the page table of one process.
pub(super) struct Reader {
    page_size: u64,
    pagemap: Option<PageMap>,
    /// The same file once more, for `PAGEMAP_SCAN`.
    scan: Option<File>,
    frames: Option<Frames>,
    /// Pages whose frame is hidden.
    hidden: u64,
    /// Pages that could not be read.
    lost: u64,
}

impl Reader {
    pub(super) fn open(pid: i32, process: &Process, unseen: &mut Vec<String>) -> Self {
        let pagemap = process
            .pagemap()
            .map_err(|error| {
                unseen.push(format!(
                    "pagemap cannot be read ({error}), so no pages are seen"
                ))
            })
            .ok();
        let frames = Frames::open()
            .map_err(|error| {
                unseen.push(format!(
                    "the state of frames cannot be read, for which root is needed ({error})"
                ));
            })
            .ok();
        let scan = File::open(format!("/proc/{pid}/pagemap")).ok();
        let page_size = procfs::page_size();
        Self {
            page_size,
            pagemap,
            scan,
            frames,
            hidden: 0,
            lost: 0,
        }
    }

    /// The pages in memory or in swap in a range of addresses.
    pub(super) fn runs(&mut self, range: Range<u64>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for part in self.populated(range.clone()) {
            let at = (part.range.start - range.start) / self.page_size;
            let entries = self.part(&part);
            for (at, entry) in (at..).zip(entries) {
                let Some(seen) = entry.seen else { continue };
                match runs.last_mut() {
                    Some(run) if run.at + run.pages == at && run.seen == seen => run.pages += 1,
                    _ => runs.push(Run { at, pages: 1, seen }),
                }
            }
        }
        runs
    }

    /// The entries of some pages, one by one.
    pub(super) fn entries(&mut self, start: u64, pages: u64) -> Vec<Entry> {
        let range = start..start + pages * self.page_size;
        let mut entries = vec![Entry { pfn: 0, seen: None }; usize::try_from(pages).unwrap_or(0)];
        for part in self.populated(range) {
            let at = usize::try_from((part.range.start - start) / self.page_size).unwrap_or(0);
            for (entry, read) in entries[at..].iter_mut().zip(self.part(&part)) {
                *entry = read;
            }
        }
        entries
    }

    /// Adds what could not be read to `unseen`.
    pub(super) fn finish(self, unseen: &mut Vec<String>) {
        if self.hidden > 0 {
            let pages = self.hidden;
            unseen.push(format!(
                "the frames of {pages} pages are hidden (they need CAP_SYS_ADMIN), so their flags, \
                 mappings and LRU state are not known"
            ));
        }
        if self.lost > 0 {
            let pages = self.lost;
            unseen.push(format!(
                "{pages} pages could not be read: they changed meanwhile, or have no page table"
            ));
        }
    }

    fn populated(&mut self, range: Range<u64>) -> Vec<Populated> {
        let scanned = self
            .scan
            .as_ref()
            .map(|file| scan::populated(file, range.clone()));
        if let Some(Ok(found)) = scanned {
            return found;
        }
        self.scan = None;
        let step = usize::try_from(CHUNK * self.page_size).unwrap_or(usize::MAX);
        let starts = range.clone().step_by(step);
        starts
            .map(|start| {
                let end = range.end.min(start + CHUNK * self.page_size);
                Populated {
                    range: start..end,
                    zero: false,
                    huge: false,
                }
            })
            .collect()
    }

    /// The entries of a part, in order.
    fn part(&mut self, part: &Populated) -> Vec<Entry> {
        let first = part.range.start / self.page_size;
        let pages = (part.range.end - part.range.start) / self.page_size;
        let (Ok(from), Ok(count)) = (usize::try_from(first), usize::try_from(pages)) else {
            return Vec::new();
        };
        let infos = self
            .pagemap
            .as_mut()
            .map(|map| map.get_range_info(from..from + count));
        let Some(Ok(infos)) = infos else {
            // A missing page map is reported when it is opened. Else the process ended, or the
            // addresses have no page table, as those of vsyscall.
            if infos.is_some() {
                self.lost += pages;
            }
            return Vec::new();
        };
        let unscanned = self.scan.is_none();
        let huge = part.huge || unscanned && self.looks_huge(first, &infos);
        infos
            .iter()
            .map(|info| self.entry(*info, part.zero, huge))
            .collect()
    }

    /// Whether a PMD could map these pages: a whole aligned block of frames in a row. Without
    /// `PAGEMAP_SCAN` Linux does not export whether it does; it makes no difference to whether the
    /// page may be taken.
    fn looks_huge(&self, first: u64, infos: &[PageInfo]) -> bool {
        let frame = |info: &PageInfo| match info {
            PageInfo::MemoryPage(page) => page.get_page_frame_number().0,
            PageInfo::SwapPage(_) => 0,
        };
        let start = infos.first().map_or(0, frame);
        start != 0
            && first.is_multiple_of(BLOCK)
            && start.is_multiple_of(BLOCK)
            && infos.len() as u64 == BLOCK
            && (start..).zip(infos).all(|(pfn, info)| frame(info) == pfn)
    }

    fn entry(&mut self, info: PageInfo, zero: bool, huge: bool) -> Entry {
        let page = match info {
            PageInfo::SwapPage(_) => {
                return Entry {
                    pfn: 0,
                    seen: Some(Seen::Swapped),
                };
            }
            PageInfo::MemoryPage(page) if page.contains(MemoryPageFlags::PRESENT) => page,
            PageInfo::MemoryPage(_) => return Entry { pfn: 0, seen: None },
        };
        let pfn = page.get_page_frame_number().0;
        if zero {
            return Entry {
                pfn,
                seen: Some(Seen::Zero),
            };
        }
        let frame = match &mut self.frames {
            Some(frames) if pfn != 0 => frames.get(pfn, huge),
            _ => None,
        };
        let seen = match frame {
            Some(frame) if frame.flags & crate::page::kpf::ZERO_PAGE != 0 => Seen::Zero,
            Some(frame) => Seen::Frame(frame),
            None => {
                self.hidden += 1;
                Seen::Hidden {
                    file: page.contains(MemoryPageFlags::FILE),
                }
            }
        };
        Entry {
            pfn,
            seen: Some(seen),
        }
    }
}
