//! The pin overlay: the slots of all workloads, and when each pins and lets go.
//!
//! A workload has as many slots as it takes to hold its share of the frames. Each slot pins an
//! object, holds it, lets it go, waits, and begins again, in times drawn from its own generator, so
//! that the schedule is the same under every policy.

use crate::workload::{Kind, Source, Workload};
use pinfold::pin::{Charge, OwnerId, PinKind, PinLedger};
use pinfold::shrinker::Deferred;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp};
use rand_pcg::Pcg64;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Owners, and objects pinned at a time, for which the books have room.
pub type Ledger = PinLedger<8, 8192>;

/// Pages of a workload's own begin here; no page of a trace is numbered so high.
const OWN: u64 = 0xf << 60;

/// One object of a workload.
#[derive(Debug)]
pub struct Slot {
    rng: Pcg64,
    pub pages: u32,
    /// The part of the range in which it begins, from 0 to 1.
    place: f64,
    pub revocable: bool,
    /// The pages that it holds pinned.
    pub held: Vec<u32>,
    pub charge: Option<Charge>,
    /// Its pins of now, so that the end of one that was revoked ends no later one.
    pub turn: u32,
}

/// One workload at work.
#[derive(Debug)]
pub struct Owner {
    pub workload: Workload,
    pub id: OwnerId,
    pub slots: Vec<Slot>,
    pub killed: bool,
    pub deferred: Deferred,
    /// Slots that hold pins which the device's shrinker can let go, by slot.
    pub revocable: BTreeSet<u32>,
    pub revocable_pages: u64,
}

/// What a slot does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Release { turn: u32 },
    Pin,
}

/// What was counted on the pin path.
#[derive(Debug, Clone, Copy, Default)]
pub struct PinCounts {
    pub objects: u64,
    pub pages: u64,
    pub refused: u64,
    pub revoked_pages: u64,
    pub released_pages: u64,
    /// List operations on the way to a pin, and from one.
    pub pin_list_ops: u64,
    pub unpin_list_ops: u64,
}

/// All workloads, their books, and the calendar.
#[derive(Debug)]
pub struct Pinners {
    pub owners: Vec<Owner>,
    pub ledger: Box<Ledger>,
    pub counts: PinCounts,
    /// How many requests a turn is.
    turn: f64,
    calendar: BinaryHeap<Reverse<(u64, u8, u32, Act)>>,
    now: u64,
}

impl Pinners {
    /// The workloads over a machine with so many frames.
    pub fn new(workloads: &[Workload], frames: u32, seed: u64) -> Self {
        let mut pinners = Self {
            owners: Vec::new(),
            ledger: Box::new(Ledger::new()),
            counts: PinCounts::default(),
            turn: f64::from(frames),
            calendar: BinaryHeap::new(),
            now: 0,
        };
        for (number, workload) in workloads.iter().enumerate() {
            pinners.add(number as u8, workload, frames, seed);
        }
        pinners
    }

    fn add(&mut self, number: u8, workload: &Workload, frames: u32, seed: u64) {
        let mut rng =
            Pcg64::seed_from_u64(seed ^ (u64::from(number) + 1).wrapping_mul(0x9e37_79b9));
        let limit = (workload.limit * f64::from(frames)) as u64;
        let Ok(id) = self.ledger.add_owner(u64::from(number), limit) else {
            return;
        };
        let target = (workload.pinned * f64::from(frames)).max(1.0) as u32;
        let mut slots = Vec::new();
        let mut planned = 0;
        while planned < target {
            let mut rng = Pcg64::seed_from_u64(rng.random());
            let [small, large] = workload.object_pages.map(f64::from);
            let drawn = small * (large / small).powf(rng.random::<f64>());
            let pages = (drawn.round() as u32).clamp(1, target - planned);
            planned += pages;
            let start = (rng.random::<f64>() * workload.gap * self.turn) as u64;
            let slot = slots.len() as u32;
            self.calendar.push(Reverse((start, number, slot, Act::Pin)));
            slots.push(Slot {
                place: rng.random(),
                revocable: rng.random::<f64>() < workload.revocable,
                rng,
                pages,
                held: Vec::new(),
                charge: None,
                turn: 0,
            });
        }
        self.owners.push(Owner {
            workload: workload.clone(),
            id,
            slots,
            killed: false,
            deferred: Deferred::default(),
            revocable: BTreeSet::new(),
            revocable_pages: 0,
        });
    }

    /// When the next act is due; `u64::MAX`: never.
    pub fn due(&self) -> u64 {
        self.calendar
            .peek()
            .map_or(u64::MAX, |Reverse((when, ..))| *when)
    }

    /// The next act, if it is due.
    pub fn next(&mut self, now: u64) -> Option<(u8, u32, Act)> {
        self.now = now;
        if self.due() > now {
            return None;
        }
        let Reverse((_, owner, slot, act)) = self.calendar.pop()?;
        Some((owner, slot, act))
    }

    /// The slot pins again later.
    pub fn pin_later(&mut self, owner: u8, slot: u32, now: u64) {
        let it = &mut self.owners[owner as usize];
        let mean = it.workload.gap * self.turn;
        let gap = draw(&mut it.slots[slot as usize].rng, mean);
        self.calendar
            .push(Reverse((now + gap, owner, slot, Act::Pin)));
    }

    /// The slot, whose pins were taken from it, pins again later.
    pub fn pin_again(&mut self, owner: u8, slot: u32) {
        self.pin_later(owner, slot, self.now);
    }

    /// The slot lets go later, unless it pins for good.
    pub fn release_later(&mut self, owner: u8, slot: u32, now: u64) {
        let it = &mut self.owners[owner as usize];
        let hold = it.workload.hold * self.turn;
        let slot_of = &mut it.slots[slot as usize];
        if hold > 0.0 {
            let turn = slot_of.turn;
            let until = now + draw(&mut slot_of.rng, hold);
            self.calendar
                .push(Reverse((until, owner, slot, Act::Release { turn })));
        }
    }

    /// Where the object of a slot lies, given how many pages the program has used so far: the pages
    /// by number, or those of its own by object.
    pub fn place(&mut self, owner: u8, slot: u32, used: usize) -> Place {
        let it = &mut self.owners[owner as usize];
        let slot_of = &mut it.slots[slot as usize];
        if it.workload.source == Source::Own {
            let first = OWN | u64::from(owner) << 52 | u64::from(slot) << 24;
            return Place::Own(first..first + u64::from(slot_of.pages));
        }
        if it.workload.moves {
            slot_of.place = slot_of.rng.random();
        }
        let [from, to] = it.workload.part.map(|part| part * used as f64);
        let pages = slot_of.pages.min((to - from) as u32);
        let room = (to - from) - f64::from(pages);
        let first = (from + room * slot_of.place) as u32;
        Place::Pages(first..first + pages)
    }

    pub fn kind(&self, owner: u8) -> PinKind {
        match self.owners[owner as usize].workload.kind {
            Kind::Short => PinKind::Short,
            Kind::Long => PinKind::Longterm,
        }
    }
}

/// The pages of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Pages(std::ops::Range<u32>),
    Own(std::ops::Range<u64>),
}

/// A time with this mean, exponentially distributed, at least 1.
fn draw(rng: &mut Pcg64, mean: f64) -> u64 {
    match Exp::new(1.0 / mean.max(1.0)) {
        Ok(times) => (times.sample(rng) as u64).max(1),
        Err(_) => mean as u64,
    }
}
