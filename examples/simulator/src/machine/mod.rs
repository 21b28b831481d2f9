//! The machine: frames and watermarks, lists, swap and files, a background and a direct reclaimer,
//! and devices that pin. It brings its pages to the library and does what the library decides.

mod frame;
mod lists;
mod memory;
mod oom;
mod ops;
mod pinners;
mod pinning;
mod reclaim;
mod series;
mod stage;
mod table;
mod walk;

pub use frame::Frame;
pub use memory::{Counts, Marks};
pub use oom::{Killed, OutOfMemory};
pub use pinners::{PinCounts, Pinners};
pub use reclaim::{Background, Failures, SCAN, Verdict};
pub use series::{Sample, Series};

use crate::costs::Costs;
use crate::error::Error;
use crate::index::Index;
use crate::policy::Policy;
use crate::trace::{Kind, Op, Request};
use crate::workload::Workload;
use frame::NONE;
use hdrhistogram::Histogram;
use memory::Memory;
use pinfold::reclaim::{Futility, ScanControl, Stats};
use pinfold::{PageFlags, PteFlags};
use table::NEVER;

/// What a machine is built of.
#[derive(Debug, Clone)]
pub struct Plan {
    pub frames: u32,
    /// Slots of swap, in pages.
    pub swap: u32,
    pub costs: Costs,
    pub workloads: Vec<Workload>,
    pub seed: u64,
    /// Where the trace does not say: the part of accesses that write, and of pages that are a file's.
    pub write_share: f64,
    pub file_share: f64,
    /// Requests after which the flusher writes a dirty file page.
    pub dirty_expire: u64,
    pub failures: Failures,
}

/// Everything that a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Set if the run ended there, and not with the trace.
    pub out_of_memory: Option<OutOfMemory>,
    /// Requests that the machine got to.
    pub requests: u64,
    /// Pages of the trace, to its end.
    pub footprint: u64,
    pub clock: u64,
    pub counts: Counts,
    pub pins: PinCounts,
    pub background: Stats,
    pub direct: Stats,
    pub stalls: Histogram<u64>,
    pub stalled: u64,
    pub background_spent: u64,
    pub futile: u64,
    pub oom: u64,
    pub verdicts: Vec<Verdict>,
    pub list_operations: u64,
    pub series: Series,
}

/// The machine under one policy.
pub struct Machine<'a> {
    memory: Memory<'a>,
    plan: Plan,
    control: ScanControl<Policy>,
    /// Requests so far.
    now: u64,
    /// Model units so far.
    clock: u64,
    /// When something other than the next request is due.
    due: u64,
    flusher: u64,
    /// The pages of the trace, in the order of their first use.
    footprint: Vec<u32>,
    background: Background,
    direct: Stats,
    futility: Futility,
    stalls: Histogram<u64>,
    stalled: u64,
    futile: u64,
    oom: u64,
    killed: Vec<Killed>,
    ended: Option<OutOfMemory>,
    verdicts: Vec<Verdict>,
    series: Series,
}

/// How often the calendar, the flusher and the sampler are asked at least, in requests.
const ROUND: u64 = 64;

impl<'a> Machine<'a> {
    pub fn new(
        frames: &'a [Frame],
        plan: &Plan,
        control: ScanControl<Policy>,
    ) -> Result<Self, Error> {
        let stalls = Histogram::new_with_max(1 << 50, 3)
            .map_err(|error| Error::Machine(error.to_string()))?;
        let pinners = Pinners::new(&plan.workloads, plan.frames, plan.seed);
        Ok(Self {
            memory: Memory::new(frames, plan.swap, plan.costs, pinners),
            plan: plan.clone(),
            control,
            now: 0,
            clock: 0,
            due: 0,
            flusher: 0,
            footprint: Vec::new(),
            background: Background::new(plan.failures),
            direct: Stats::default(),
            futility: Futility::default(),
            stalls,
            stalled: 0,
            futile: 0,
            oom: 0,
            killed: Vec::new(),
            ended: None,
            verdicts: Vec::new(),
            series: Series::new(),
        })
    }

    /// Replays some requests. A machine that has run out of memory only goes on to count the pages
    /// of the trace.
    pub fn feed(&mut self, requests: &[Request]) -> Result<(), Error> {
        let mut rest = requests.iter();
        if self.ended.is_none() {
            match self.replay(&mut rest) {
                Err(Error::OutOfMemory { why }) => self.ended = Some(*why),
                other => return other,
            }
        }
        for request in rest {
            if self.memory.table.find(request.object).is_none() {
                self.first_use(request);
            }
        }
        Ok(())
    }

    fn replay(&mut self, requests: &mut std::slice::Iter<'_, Request>) -> Result<(), Error> {
        for request in requests {
            if self.now >= self.due {
                self.round()?;
            }
            self.request(request)?;
            self.now += 1;
            if self.background.awake {
                self.run_background();
            }
        }
        Ok(())
    }

    #[inline]
    fn request(&mut self, request: &Request) -> Result<(), Error> {
        self.clock += self.memory.costs.access;
        let write = match request.op {
            Op::Write => true,
            Op::Read | Op::Exec => false,
            Op::Unknown => {
                let drawn = Index::hash(self.plan.seed ^ self.now.wrapping_mul(0x5851_f42d));
                f64::from(drawn) < self.plan.write_share * f64::from(u32::MAX)
            }
        };
        let page = match self.memory.table.find(request.object) {
            Some(page) => page,
            None => self.first_use(request),
        };
        self.touch(page, write)
    }

    /// Uses a page: a hit, or a fault.
    #[inline]
    fn touch(&mut self, page: u32, write: bool) -> Result<(), Error> {
        let Some(frame) = self.memory.frame_of(page) else {
            return self.major(page, write).map(|_| ());
        };
        let entry = frame.entry.get();
        if !frame.mapped.get() {
            self.memory.counts.minor_faults += 1;
            self.clock += self.memory.costs.minor_fault;
            self.memory.map(frame, write, self.now);
        } else if write && !entry.contains(PteFlags::WRITABLE) {
            self.memory.first_write(frame, self.now);
        } else {
            let bits = if write {
                PteFlags::YOUNG | PteFlags::DIRTY
            } else {
                PteFlags::YOUNG
            };
            frame.entry.set(entry | bits);
        }
        Ok(())
    }

    #[cold]
    fn first_use(&mut self, request: &Request) -> u32 {
        let anon = match request.kind {
            Kind::Anon => true,
            Kind::File => false,
            Kind::Unknown => {
                let drawn = Index::hash(request.object ^ self.plan.seed.rotate_left(17));
                f64::from(drawn) >= self.plan.file_share * f64::from(u32::MAX)
            }
        };
        let text = request.op == Op::Exec;
        let page = self.memory.table.insert(request.object, anon, text);
        self.footprint.push(page);
        page
    }

    /// Brings a page into memory and maps it; the frame.
    #[cold]
    fn major(&mut self, page: u32, write: bool) -> Result<&'a Frame, Error> {
        let entry = self.memory.table.pages[page as usize];
        let costs = self.memory.costs;
        if entry.anon && !entry.swapped {
            self.memory.counts.minor_faults += 1;
            self.clock += costs.minor_fault;
        } else {
            self.memory.counts.major_faults += 1;
            self.clock += if entry.anon {
                costs.swap_read
            } else {
                costs.file_read
            };
        }
        let frame = self.allocate()?;
        self.memory.install(page, frame);
        // As Linux 5.8: anonymous pages begin active; file pages do if they were evicted no longer
        // ago than the active list is long (`workingset_refault`).
        let mut active = entry.anon;
        if entry.evicted != NEVER {
            self.memory.counts.refaults += 1;
            let distance = (self.memory.counts.evictions as u32).wrapping_sub(entry.evicted);
            active |= distance
                <= self
                    .memory
                    .lists
                    .len(lists::of(pinfold::reclaim::Lru::ActiveFile));
        }
        if active {
            frame.set(PageFlags::ACTIVE);
        }
        self.memory
            .map(frame, write || (entry.anon && !entry.swapped), self.now);
        self.memory.spent = 0;
        self.memory.enlist(frame);
        self.clock += std::mem::take(&mut self.memory.spent);
        Ok(frame)
    }

    /// What is due beside the requests: pins, the flusher, a sample.
    #[cold]
    fn round(&mut self) -> Result<(), Error> {
        while let Some((owner, slot, act)) = self.memory.pinners.next(self.now) {
            self.act(owner, slot, act)?;
        }
        self.flush();
        if self.series.is_due(self.now) {
            let sample = self.sample();
            self.series.push(sample);
        }
        self.due = self.memory.pinners.due().min(self.now + ROUND);
        Ok(())
    }

    fn sample(&self) -> Sample {
        let mut scans = self.background.stats();
        scans.merge(&self.direct);
        Sample {
            at: self.now,
            free: self.memory.free.len() as u64,
            pinned: u64::from(self.memory.pinned),
            parked: u64::from(self.memory.lists.len(lists::PARKED)),
            scanned: scans.scanned,
            reclaimed: scans.reclaimed(),
            stalled: self.stalled,
        }
    }

    /// The flusher writes dirty file pages that are old, or too many.
    fn flush(&mut self) {
        let many = self.plan.frames as usize / 10;
        while let Some(&(page, since)) = self.memory.dirty.front() {
            let old = self.now.saturating_sub(since) > self.plan.dirty_expire;
            if self.flusher > self.clock || !(old || self.memory.dirty.len() > many) {
                break;
            }
            self.memory.dirty.pop_front();
            let Some(frame) = self.memory.frame_of(page) else {
                continue;
            };
            if !frame.has(PageFlags::DIRTY) {
                continue;
            }
            let reclaim = frame.has(PageFlags::RECLAIM);
            frame.clear(PageFlags::DIRTY | PageFlags::RECLAIM);
            frame
                .entry
                .set(frame.entry.get() - PteFlags::WRITABLE - PteFlags::DIRTY);
            self.memory.counts.file_writes += 1;
            self.flusher = self.flusher.max(self.clock) + self.memory.costs.file_write;
            // The end of its writeback moves a page that reclaim met to where the next scan begins.
            if reclaim && self.memory.lists.remove_lru(frame) {
                frame.clear(PageFlags::ACTIVE);
                self.memory
                    .lists
                    .put_old(lists::of(pinfold::reclaim::Lru::InactiveFile), frame);
            }
        }
    }

    /// Ends the run.
    pub fn finish(mut self) -> Outcome {
        let last = self.sample();
        self.series.push_last(last);
        self.background.end_pass();
        Outcome {
            out_of_memory: self.ended,
            requests: self.now,
            footprint: self.footprint.len() as u64,
            clock: self.clock,
            counts: self.memory.counts,
            pins: self.memory.pinners.counts,
            background: self.background.stats(),
            direct: self.direct,
            stalls: self.stalls,
            stalled: self.stalled,
            background_spent: self.background.spent,
            futile: self.futile,
            oom: self.oom,
            verdicts: self.verdicts,
            list_operations: self.memory.lists.operations,
            series: self.series,
        }
    }

    /// Whether every frame is in exactly one place: free, or with a page on a list or parked.
    pub fn check(&self) -> Result<(), String> {
        let mut free = vec![false; self.memory.frames.len()];
        for &frame in &self.memory.free {
            free[frame as usize] = true;
        }
        let mut pinned = 0;
        for frame in self.memory.frames {
            let on = frame.on.get();
            let page = frame.page.get();
            pinned += u32::from(frame.is_pinned());
            let fine = if free[frame.index as usize] {
                page == NONE && on == lists::NOWHERE && !frame.is_pinned()
            } else {
                page != NONE
                    && on != lists::NOWHERE
                    && self.memory.table.pages[page as usize].frame == frame.index
                    && (on != lists::PARKED || frame.is_pinned())
            };
            if !fine {
                return Err(format!("frame {} is in two places or none", frame.index));
            }
        }
        if pinned != self.memory.pinned {
            return Err(format!(
                "{pinned} frames pinned, {} counted",
                self.memory.pinned
            ));
        }
        let stats = [self.background.stats(), self.direct];
        if !stats.iter().all(Stats::is_conserved) {
            return Err("the statistics are not conserved".into());
        }
        self.memory
            .pinners
            .ledger
            .check()
            .map_err(|fault| format!("{fault:?}"))
    }
}
