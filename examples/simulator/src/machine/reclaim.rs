//! Who reclaims: the caller that needs a frame, and the background reclaimer. And when they give up.

use super::Machine;
use super::frame::Frame;
use super::memory::Memory;
use crate::error::Error;
use crate::policy::Policy;
use pinfold::reclaim::ScanControl;
use pinfold::reclaim::{Futile, Futility, LruScan, Progress, ScanFlags, Stats};
use pinfold::{Context, Requester};

/// What a scan of this machine may do.
pub const SCAN: ScanFlags = ScanFlags::direct();

/// When a reclaimer gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// As Linux: any page reclaimed resets the count of failures.
    Linux,
    /// As the library: only a pass that met its target does.
    Bounded,
}

/// A reclaimer gave up: when, and who pinned how much.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// In requests.
    pub at: u64,
    pub background: bool,
    /// The workload that was killed for it.
    pub killed: Option<String>,
    pub passes: u32,
    pub reclaimed: u64,
    pub target: u64,
    /// Frames.
    pub pinned: u64,
    pub parked: u64,
    /// Workload, pages pinned, age of the oldest pin in requests.
    pub owners: Vec<(String, u64, u64)>,
}

/// Verdicts that are kept word for word.
const KEPT_VERDICTS: usize = 16;

/// The background reclaimer, which has a clock of its own: it works beside the program, at the
/// speed of its costs.
#[derive(Debug)]
pub struct Background {
    pub awake: bool,
    clock: u64,
    scan: Option<LruScan>,
    futility: Futility,
    failures: Failures,
    /// It gave up, and sleeps until direct reclaim gets somewhere.
    given_up: bool,
    ended: Stats,
    pub spent: u64,
}

impl Background {
    pub fn new(failures: Failures) -> Self {
        Self {
            awake: false,
            clock: 0,
            scan: None,
            futility: Futility::default(),
            failures,
            given_up: false,
            ended: Stats::default(),
            spent: 0,
        }
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.ended;
        if let Some(scan) = &self.scan {
            stats.merge(scan.stats());
        }
        stats
    }

    pub fn end_pass(&mut self) {
        if let Some(scan) = self.scan.take() {
            self.ended.merge(scan.stats());
        }
    }
}

/// Takes note of how a pass ended; the verdict if it is time to give up.
fn note(
    failures: Failures,
    futility: &mut Futility,
    scan: &LruScan,
    progress: Progress,
    memory: &Memory<'_>,
) -> Option<Futile> {
    if failures == Failures::Linux && scan.reclaimed() > 0 {
        futility.reached();
        return None;
    }
    futility.note(scan, progress, memory)
}

impl<'a> Machine<'a> {
    fn control(&self, requester: Requester) -> ScanControl<Policy> {
        self.control.with_context(Context::new(requester))
    }

    /// A free frame, after direct reclaim if there are too few.
    pub(super) fn allocate(&mut self) -> Result<&'a Frame, Error> {
        let free = self.memory.free.len() as u32;
        if free <= self.memory.marks.low && !self.background.given_up {
            self.wake();
        }
        if free <= self.memory.marks.min {
            self.direct_reclaim()?;
        }
        let Some(frame) = self.memory.free.pop() else {
            return Err(Error::OutOfMemory {
                why: Box::new(self.out_of_memory()),
            });
        };
        let frame = self.memory.frame(frame);
        // It was blocked when it left memory, unless it is used for the first time.
        let _ = frame.pins.unblock();
        Ok(frame)
    }

    fn wake(&mut self) {
        if !self.background.awake {
            self.background.awake = true;
            self.background.clock = self.background.clock.max(self.clock);
        }
    }

    /// The caller reclaims for itself and waits for as long as it takes.
    #[cold]
    fn direct_reclaim(&mut self) -> Result<(), Error> {
        let control = self.control(Requester::Direct);
        self.memory.spent = 0;
        self.futility.reached();
        while self.memory.free.len() as u32 <= self.memory.marks.min {
            let mut scan = LruScan::new(LruScan::BATCH as u64);
            let progress = scan.run(&mut self.memory, &control);
            self.direct.merge(scan.stats());
            if scan.reclaimed() > 0 {
                self.background.given_up = false;
            }
            let failures = self.background.failures;
            let Some(futile) = note(failures, &mut self.futility, &scan, progress, &self.memory)
            else {
                continue;
            };
            self.futility.reached();
            // The verdict names the pin owners as they were before a process is killed.
            let mut verdict = self.verdict(&futile, false);
            let killed = self.kill();
            verdict.killed = killed.as_ref().map(|killed| killed.workload.clone());
            self.gave_up(verdict);
            match killed {
                Some(killed) => {
                    self.oom += 1;
                    self.killed.push(killed);
                }
                // What is left of the reserve is all that there is.
                None => break,
            }
        }
        let stall = std::mem::take(&mut self.memory.spent);
        self.clock += stall;
        self.stalled += stall;
        self.stalls
            .record(stall)
            .map_err(|error| Error::Machine(error.to_string()))
    }

    /// Lets the background reclaimer do what it has had time for.
    pub(super) fn run_background(&mut self) {
        let control = self.control(Requester::Background);
        while self.background.awake && self.background.clock <= self.clock {
            let free = self.memory.free.len() as u32;
            if free > self.memory.marks.high {
                self.background.end_pass();
                self.background.futility.reached();
                self.background.awake = false;
                break;
            }
            let short = u64::from(self.memory.marks.high + 1 - free);
            let mut scan = match self.background.scan.take() {
                Some(scan) => scan,
                None => LruScan::new(short.max(LruScan::BATCH as u64)),
            };
            self.memory.spent = 0;
            let progress = scan.step(&mut self.memory, &control, LruScan::BATCH as u32);
            let spent = std::mem::take(&mut self.memory.spent).max(1);
            self.background.clock += spent;
            self.background.spent += spent;
            if progress == Progress::More {
                self.background.scan = Some(scan);
                continue;
            }
            let failures = self.background.failures;
            let futility = &mut self.background.futility;
            let verdict = note(failures, futility, &scan, progress, &self.memory);
            self.background.ended.merge(scan.stats());
            if let Some(futile) = verdict {
                self.background.futility.reached();
                self.background.awake = false;
                self.background.given_up = true;
                let verdict = self.verdict(&futile, true);
                self.gave_up(verdict);
            }
        }
    }

    fn gave_up(&mut self, verdict: Verdict) {
        self.futile += 1;
        if self.verdicts.len() < KEPT_VERDICTS {
            self.verdicts.push(verdict);
        }
    }

    fn verdict(&self, futile: &Futile, background: bool) -> Verdict {
        let pinners = &self.memory.pinners;
        let owners = pinners.ledger.usages().filter(|usage| usage.live() > 0);
        let owners = owners.map(|usage| {
            let name = pinners.owners[usage.id as usize].workload.name.clone();
            (name, usage.live(), usage.oldest_age(self.now).unwrap_or(0))
        });
        Verdict {
            at: self.now,
            background,
            killed: None,
            passes: futile.passes,
            reclaimed: futile.reclaimed,
            target: futile.target,
            pinned: u64::from(self.memory.pinned),
            parked: self.memory.lists.parked(),
            owners: owners.collect(),
        }
    }
}
