//! The machine, moved by hand: what the scenarios do with it.

use super::{Failures, Machine, lists};
use crate::error::Error;
use crate::trace::{Kind, Op, Request};
use pinfold::pin::PinKind;
use pinfold::reclaim::{Futility, Lru, LruScan};
use pinfold::{Context, PageFlags, PteFlags, Requester};

/// What a number of passes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes {
    pub passes: u64,
    pub reclaimed: u64,
    pub scanned: u64,
    /// Model units.
    pub spent: u64,
    /// It gave up.
    pub futile: bool,
}

impl Machine<'_> {
    /// Uses a page, bringing it into memory if it is not there.
    pub fn use_page(&mut self, object: u64, kind: Kind, write: bool) -> Result<(), Error> {
        let op = if write { Op::Write } else { Op::Read };
        self.request(&Request {
            time: 0,
            object,
            size: 4096,
            op,
            kind,
        })
    }

    /// Pins a page that is in memory, for a device that watches it.
    pub fn pin_object(&mut self, object: u64, kind: PinKind) {
        let page = self.memory.table.find(object);
        let Some(frame) = page.and_then(|page| self.memory.frame_of(page)) else {
            return;
        };
        let first = !frame.is_pinned();
        if frame.pins.pin(kind).is_ok() {
            frame.mirrored_by.set(0);
            self.memory.pinned += u32::from(first);
            if first && self.control.parking().parks_on_pin(kind) {
                self.memory.park_at_pin(frame);
            }
        }
    }

    pub fn unpin_object(&mut self, object: u64, kind: PinKind) {
        let page = self.memory.table.find(object);
        if let Some(frame) = page.and_then(|page| self.memory.frame_of(page)) {
            self.memory.unpin(frame, kind);
        }
    }

    /// Nobody has used anything of late; pages that are not pinned, if `active`, were in use before.
    pub fn make_old(&mut self, active: bool) {
        for frame in self.memory.frames {
            frame.entry.set(frame.entry.get() - PteFlags::YOUNG);
            if !self.memory.lists.remove_lru(frame) {
                continue;
            }
            frame.clear(PageFlags::ACTIVE);
            if active && !frame.is_pinned() {
                frame.set(PageFlags::ACTIVE);
            }
            self.memory.enlist(frame);
        }
    }

    /// Passes for `target` pages until there are as many, it is futile, or `most` were made; with
    /// `again`, a file page that is read before each pass, it goes on whatever it has.
    pub fn reclaim(
        &mut self,
        target: u64,
        most: u64,
        background: bool,
        again: Option<u64>,
    ) -> Result<Passes, Error> {
        let requester = if background {
            Requester::Background
        } else {
            Requester::Direct
        };
        let control = self.control.with_context(Context::new(requester));
        let failures = self.plan.failures;
        let mut futility = Futility::default();
        let mut done = Passes::default();
        while done.passes < most && !done.futile {
            if let Some(object) = again {
                self.use_page(object, Kind::File, false)?;
                for frame in self.memory.frames {
                    frame.entry.set(frame.entry.get() - PteFlags::YOUNG);
                }
            } else if done.reclaimed >= target {
                break;
            }
            let wanted = if again.is_some() {
                target
            } else {
                target - done.reclaimed
            };
            let mut scan = LruScan::new(wanted);
            self.memory.spent = 0;
            let progress = scan.run(&mut self.memory, &control);
            done.spent += std::mem::take(&mut self.memory.spent);
            done.passes += 1;
            done.scanned += scan.stats().scanned + scan.stats().refilled;
            done.reclaimed += scan.reclaimed();
            let resets = failures == Failures::Linux && scan.reclaimed() > 0;
            if resets {
                futility.reached();
            } else {
                done.futile = futility.note(&scan, progress, &self.memory).is_some();
            }
        }
        Ok(done)
    }

    /// Pages that are on lists and not pinned: file pages, or the others.
    pub fn could_be_had(&self, file: bool) -> u64 {
        let there = self.memory.frames.iter().filter(|frame| {
            let on = frame.on.get();
            on < lists::PARKED && (on >= lists::of(Lru::InactiveFile)) == file && !frame.is_pinned()
        });
        there.count() as u64
    }

    /// Pinned pages that are not mapped.
    pub fn pinned_unmapped(&self) -> u64 {
        let there = self.memory.frames.iter();
        there
            .filter(|frame| frame.is_pinned() && !frame.mapped.get())
            .count() as u64
    }

    /// Pinned pages with a slot in swap.
    pub fn pinned_in_swap(&self) -> u64 {
        let there = self.memory.frames.iter();
        there
            .filter(|frame| frame.is_pinned() && frame.has(PageFlags::SWAP_CACHE))
            .count() as u64
    }

    pub fn revocations(&self) -> u64 {
        self.memory.counts.revocations
    }

    pub fn pinned(&self) -> u64 {
        u64::from(self.memory.pinned)
    }

    /// All operations on lists so far.
    pub fn list_operations(&self) -> u64 {
        self.memory.lists.operations
    }

    pub fn set_high_mark(&mut self, high: u32) {
        self.memory.marks.high = high;
    }
}
