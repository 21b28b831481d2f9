//! What can happen to the machine, one thing after the other.

use super::events::Event;
use super::frame::Frame;
use super::machine::{Config, Machine, OWNERS, Place, SPACES};
use pinfold::PageFlags;
use pinfold::pin::{PinKind, Refined};
use pinfold::reclaim::{
    KeepReason, Lru, LruScan, Parking, Progress, ScanControl, ScanFlags, unpark,
};
use pinfold::{IgnorePins, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};
use proptest::prelude::*;

/// Pages of anonymous memory in an address space, and of each file.
pub(crate) const ANON: usize = 6;
pub(crate) const FILE: usize = 3;
const PAGES: usize = ANON + 2 * FILE;

/// A scan that may do everything.
pub(crate) const EVERYTHING: ScanFlags = ScanFlags::MAY_UNMAP
    .union(ScanFlags::MAY_WRITE)
    .union(ScanFlags::IO)
    .union(ScanFlags::FS);

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Read(usize, usize),
    Write(usize, usize),
    FreeLazily(usize, usize),
    Munmap(usize, usize),
    Fork(usize, usize),
    Mlock(usize, usize),
    Pin(usize, usize, usize, PinKind, usize),
    Place(usize, usize, usize),
    DmaWrite(usize),
    Unpin(usize),
    Hold(usize),
    LetGo(usize),
    Truncate(usize, usize),
    Buffers(usize),
    Unevictable(usize),
    LockedByOther(usize),
    FlushFiles,
    EndWriteback,
    Configure(u8, u64),
    Reclaim(Reclaim),
    Migrate(usize, bool, Vec<(u32, Event)>),
    Unpark(u32, bool),
}

#[derive(Debug, Clone)]
pub(crate) struct Reclaim {
    pub(crate) target: u64,
    pub(crate) policy: usize,
    pub(crate) parking: usize,
    pub(crate) flags: u32,
    /// Zero: to the end at once.
    pub(crate) budget: u32,
    pub(crate) events: Vec<(u32, Event)>,
}

fn kind() -> impl Strategy<Value = PinKind> {
    prop_oneof![Just(PinKind::Short), Just(PinKind::Longterm)]
}

fn events() -> impl Strategy<Value = Vec<(u32, Event)>> {
    let event = prop_oneof![
        4 => Just(Event::Fail),
        2 => kind().prop_map(Event::Pin),
        1 => Just(Event::Unpin),
        2 => Just(Event::Store),
        1 => Just(Event::Hold),
    ];
    let few = prop::collection::vec((0u32..24, event), 0..6);
    prop_oneof![2 => Just(Vec::new()), 1 => few]
}

pub(crate) fn op(frames: usize) -> impl Strategy<Value = Op> {
    let space = || 0..SPACES;
    let reclaim = (
        1u64..12,
        0usize..6,
        0usize..4,
        any::<u32>(),
        0u32..9,
        events(),
    )
        .prop_map(|(target, policy, parking, flags, budget, events)| {
            Op::Reclaim(Reclaim {
                target,
                policy,
                parking,
                flags,
                budget,
                events,
            })
        });
    prop_oneof![
        6 => (space(), 0..PAGES).prop_map(|(s, p)| Op::Read(s, p)),
        12 => (space(), 0..PAGES).prop_map(|(s, p)| Op::Write(s, p)),
        2 => (space(), 0..ANON).prop_map(|(s, p)| Op::FreeLazily(s, p)),
        2 => (space(), 0..PAGES).prop_map(|(s, p)| Op::Munmap(s, p)),
        2 => (space(), space()).prop_map(|(s, t)| Op::Fork(s, t)),
        1 => (space(), 0usize..3).prop_map(|(s, v)| Op::Mlock(s, v)),
        5 => (space(), 0..PAGES, 1usize..4, kind(), 0..OWNERS)
            .prop_map(|(s, p, n, k, o)| Op::Pin(s, p, n, k, o)),
        3 => (space(), 0..PAGES, 1usize..4).prop_map(|(s, p, n)| Op::Place(s, p, n)),
        3 => (0usize..8).prop_map(Op::DmaWrite),
        4 => (0usize..8).prop_map(Op::Unpin),
        1 => (0..frames).prop_map(Op::Hold),
        1 => (0..frames).prop_map(Op::LetGo),
        1 => (0usize..2, 0..FILE).prop_map(|(f, p)| Op::Truncate(f, p)),
        1 => (0..FILE).prop_map(Op::Buffers),
        1 => (0..frames).prop_map(Op::Unevictable),
        1 => (0..frames).prop_map(Op::LockedByOther),
        1 => Just(Op::FlushFiles),
        2 => Just(Op::EndWriteback),
        1 => (any::<u8>(), 0u64..20).prop_map(|(bits, high)| Op::Configure(bits, high)),
        12 => reclaim,
        3 => (0..frames, any::<bool>(), events()).prop_map(|(f, d, e)| Op::Migrate(f, d, e)),
        2 => (0u32..6, any::<bool>()).prop_map(|(n, active)| Op::Unpark(n, active)),
    ]
}

impl<'m> Machine<'m> {
    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            // Out of memory is an answer.
            Op::Read(space, page) => drop(self.read(space, page)),
            Op::Write(space, page) => drop(self.write(space, page)),
            Op::FreeLazily(space, page) => self.free_lazily(space, page),
            Op::Munmap(space, page) => self.munmap(space, page),
            Op::Fork(from, to) => self.fork(from, to),
            Op::Mlock(space, vma) => self.spaces[space].locked[vma] ^= true,
            Op::Pin(space, page, count, kind, owner) => {
                drop(self.pin(space, page, count, kind, owner));
            }
            Op::Place(space, first, count) => self.place(space, first, count),
            Op::DmaWrite(group) if group < self.groups.len() => self.dma_write(group),
            Op::Unpin(group) if group < self.groups.len() => self.unpin(group),
            Op::DmaWrite(_) | Op::Unpin(_) => {}
            Op::Hold(frame) => {
                if self.frames[frame].refs.try_get_ref().is_ok() {
                    self.holds[frame] += 1;
                }
            }
            Op::LetGo(frame) => self.let_go(frame),
            Op::Truncate(file, at) => self.truncate(file, at),
            Op::Buffers(at) => self.add_buffers(at),
            Op::Unevictable(frame) => {
                let frame = &self.frames[frame];
                if frame.refs.get() > 0 {
                    frame.set(PageFlags::UNEVICTABLE, !frame.has(PageFlags::UNEVICTABLE));
                }
            }
            Op::LockedByOther(frame) => self.locked_by_others[frame] ^= true,
            Op::FlushFiles => self.flush_files(),
            Op::EndWriteback => self.end_writeback(),
            Op::Configure(bits, high) => self.configure(bits, high),
            Op::Reclaim(ref reclaim) => self.reclaim(reclaim),
            Op::Migrate(frame, demote, ref events) => {
                self.events = events.iter().copied().collect();
                self.migrate(frame, demote);
                self.events.clear();
            }
            Op::Unpark(budget, active) => self.sweep(budget, active),
        }
    }

    fn let_go(&mut self, frame: usize) {
        if self.holds[frame] > 0 {
            self.holds[frame] -= 1;
            self.put_ref(&self.frames[frame]);
        }
    }

    fn add_buffers(&mut self, at: usize) {
        if let Some(frame) = self.files[0][at].frame {
            let frame = &self.frames[frame];
            if !frame.has(PageFlags::PRIVATE) {
                frame.refs.try_get_ref().expect("cached");
                frame.set(PageFlags::PRIVATE, true);
            }
        }
    }

    fn configure(&mut self, bits: u8, high: u64) {
        let bit = |n: u8| bits & 1 << n != 0;
        // What was put off under another configuration is done first.
        self.stale.clear();
        self.config = Config {
            defers: bit(0),
            slow_writes: bit(1),
            buffers_stay: bit(2) && bit(3),
            congested: bit(4),
            swap_full: bit(5),
            out_of_swap: bit(6) && bit(3),
            no_parking: bit(7) && bit(3),
            device_shrinks: bit(2) && !bit(3),
            write_limit: (bit(1) && bit(4)).then_some(high as u32 % 4),
            high,
        };
        self.parks_eagerly = bit(6) && !bit(3);
    }

    fn reclaim(&mut self, reclaim: &Reclaim) {
        self.events = reclaim.events.iter().copied().collect();
        self.guards_pins = reclaim.policy != 0;
        let mut flags = ScanFlags::from_bits_truncate(reclaim.flags);
        // Mostly, everything is allowed.
        match reclaim.flags >> 29 {
            0 => {}
            1 => flags |= EVERYTHING,
            _ => flags = (flags | EVERYTHING).difference(ScanFlags::IGNORE_REFERENCES),
        }
        flags.set(ScanFlags::NO_PIN_HINT, reclaim.policy == 2);
        let control = ScanControl::new(flags);
        match reclaim.policy {
            0 => self.park_as(reclaim, control.with_policy(IgnorePins)),
            1 | 2 => self.park_as(reclaim, control.with_policy(SkipPinned)),
            3 => self.park_as(reclaim, control.with_policy(SkipLongterm::<Refined>::new())),
            _ => self.park_as(
                reclaim,
                control.with_policy(SkipOpportunistic::<Refined>::new()),
            ),
        }
        self.events.clear();
        self.guards_pins = false;
    }

    fn park_as<L: PinPolicy>(&mut self, reclaim: &Reclaim, control: ScanControl<L>) {
        match reclaim.parking {
            0 => self.scan(reclaim, &control.with_parking(Parking::Longterm)),
            1 => self.scan(reclaim, &control.with_parking(Parking::Lazy)),
            2 => self.scan(reclaim, &control.with_parking(Parking::Rotate)),
            _ => self.scan(reclaim, &control.with_parking(Parking::Eager)),
        }
    }

    fn scan<L: PinPolicy>(&mut self, reclaim: &Reclaim, control: &ScanControl<L>) {
        let mut scan = LruScan::new(reclaim.target);
        let (freed, errors) = (self.told.freed, self.told.errors);
        if reclaim.budget == 0 {
            let end = scan.run(self, control);
            let reached = scan.reclaimed() >= reclaim.target;
            assert_eq!(end == Progress::Reached, reached, "{scan:?}");
        } else {
            let _ = scan.step(self, control, reclaim.budget);
        }
        let stats = scan.stats();
        assert!(stats.is_conserved(), "{stats:?}");
        assert!(self.told.freed - freed >= stats.freed, "{stats:?}");
        let failed = stats.kept_for(KeepReason::Failed);
        assert_eq!(failed, self.told.errors - errors, "{stats:?}");
        // A device may give back more than was asked for: its shrinker gives whole batches.
        assert!(
            stats.reclaimed() <= reclaim.target,
            "more than was asked for"
        );
        assert!(self.stale.is_empty(), "a flush was forgotten");
        assert_eq!((self.unflushed, self.unsubmitted), (0, 0));
    }

    fn sweep(&mut self, budget: u32, active: bool) {
        let parked = self.parked.len();
        let report = unpark::<_, Refined>(self, budget, |page| {
            let mut flags = page.flags.get();
            flags.set(PageFlags::ACTIVE, active);
            Lru::of(flags)
        });
        assert!(report.looked_at <= budget);
        assert_eq!(report.looked_at as usize, parked.min(budget as usize));
        assert_eq!(report.complete, parked <= budget as usize);
    }

    /// Everybody lets go, and then everything is reclaimable and must be reclaimed: all frames end
    /// up free.
    pub(crate) fn wind_up(&mut self) {
        self.configure(0, 0);
        while !self.groups.is_empty() {
            self.unpin(0);
            self.check();
        }
        for frame in 0..self.frames.len() {
            while self.holds[frame] > 0 {
                self.let_go(frame);
            }
            self.locked_by_others[frame] = false;
            let keep_out = PageFlags::UNEVICTABLE | PageFlags::MLOCKED;
            self.frames[frame].set(keep_out, false);
        }
        for space in &mut self.spaces {
            space.locked = [false; 3];
        }
        self.slots
            .resize(self.slots.len() + self.frames.len(), None);
        self.sweep(u32::MAX, false);
        assert_eq!(self.parked.len(), 0, "forgotten on the parked list");
        for _ in 0..8 {
            self.end_writeback();
            self.flush_files();
            let mut scan = LruScan::new(u64::MAX);
            assert_eq!(
                scan.run(self, &ScanControl::new(EVERYTHING)),
                Progress::Exhausted
            );
            self.check();
        }
        for frame in self.frames {
            let place = self.places[frame.index];
            assert_eq!(place, Place::Free, "cannot be reclaimed: {frame:?}");
        }
    }
}

/// A sequence on a machine of so many frames: everything is recounted after each step.
pub(crate) fn run(exact: bool, frames: usize, swap: usize, ops: &[Op]) {
    let frames = Frame::all(frames, exact);
    let mut machine = Machine::new(&frames, ANON, FILE, swap);
    machine.config.defers = true;
    for op in ops {
        machine.apply(op);
        machine.check();
    }
    machine.wind_up();
}
