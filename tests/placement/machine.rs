//! Frames that can be migrated and pinned, the ledger, and reclaim in the middle.

use core::cell::{Cell, RefCell};
use pinfold::pin::{
    Accounting, Charge, Charged, LedgerError, OwnerId, PinCount, PinError, PinKind, PinLedger,
    PinWord, Pinnable, Released,
};
use pinfold::placement::{PlaceRequest, PlaceStop, Placed, Zone, check_pins, place_and_pin};
use pinfold::{Context, Operation, PageFlags, PageLike, PinPolicy};

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) word: PinWord,
    pub(crate) zone: Zone,
    /// Taken off its list, as by a migration.
    pub(crate) isolated: Cell<bool>,
    /// Reclaim found nothing against taking it.
    pub(crate) attacked: Cell<bool>,
    pub(crate) settled: Cell<u32>,
    /// What it would refuse a pin with, though its counter would take it.
    pub(crate) refuses: Option<PinError>,
}

impl Frame {
    pub(crate) fn new(zone: Zone) -> Self {
        Self {
            word: PinWord::new(),
            zone,
            isolated: Cell::new(false),
            attacked: Cell::new(false),
            settled: Cell::new(0),
            refuses: None,
        }
    }

    pub(crate) fn pins(&self) -> (u32, u32) {
        let PinCount { total, longterm } = self.word.snapshot().pins;
        (total, longterm.unwrap())
    }
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        PageFlags::ANON | PageFlags::SWAP_BACKED
    }
    fn ref_count(&self) -> i32 {
        2
    }
    fn map_count(&self) -> u32 {
        1
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(self.word.snapshot().pins)
    }
}

impl Placed for Frame {
    fn zone(&self) -> Zone {
        self.zone
    }
    fn pinnable(&self, _: PinKind) -> Result<(), PinError> {
        let full = self.pins().1 >= PinWord::MAX_PINS;
        let full = full.then_some(PinError::Overflow);
        self.refuses.or(full).map_or(Ok(()), Err)
    }
}

impl Pinnable for Frame {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.word.pin(kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        self.word.unpin(kind)
    }
    fn settle(&self, duty: Released) {
        assert_eq!(duty, Released::Unpark);
        self.settled.set(self.settled.get() + 1);
    }
}

/// A ledger that is locked for each call only, as a kernel's is: it can be read in between.
pub(crate) struct Locked {
    pub(crate) ledger: RefCell<PinLedger<2, 4>>,
    pub(crate) owner: OwnerId,
    pub(crate) charges: Cell<u32>,
    pub(crate) releases: Cell<u32>,
}

impl Locked {
    pub(crate) fn new(limit: u64) -> Self {
        let mut ledger = PinLedger::new();
        let owner = ledger.add_owner(7, limit).unwrap();
        Self {
            ledger: RefCell::new(ledger),
            owner,
            charges: Cell::new(0),
            releases: Cell::new(0),
        }
    }

    pub(crate) fn live(&self) -> u64 {
        let ledger = self.ledger.borrow();
        ledger.check().unwrap();
        ledger.usage(self.owner).unwrap().live()
    }
}

impl Accounting for &Locked {
    type Charge = Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Charge, LedgerError> {
        self.charges.set(self.charges.get() + 1);
        self.ledger.borrow_mut().charge(self.owner, kind, pages, 1)
    }
    fn release(&mut self, charge: Charge) -> Result<(), LedgerError> {
        self.releases.set(self.releases.get() + 1);
        let released = self.ledger.borrow_mut().release(charge);
        released.map(drop).map_err(|(_, error)| error)
    }
}

/// What reclaim does that somebody's allocation sets off: it attacks whatever `policy` lets it, on
/// the lists.
pub(crate) fn reclaim<L: PinPolicy>(frames: &[Frame], policy: &L) {
    for frame in frames.iter().filter(|frame| !frame.isolated.get()) {
        if check_pins(frame, Operation::Reclaim, policy, Context::default()).is_ok() {
            frame.attacked.set(true);
        }
    }
}

/// Why an object was not pinned.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    Charge(LedgerError),
    Page(usize, PlaceStop<usize>),
}

/// A machine with an object and spare frames, and what its migrations do.
pub(crate) struct Machine {
    /// The object's frames first, then spares of the normal zone, then one that is nobody's.
    pub(crate) frames: Vec<Frame>,
    pub(crate) object: usize,
    /// The calls of `migrate` that fail, counted from 0; and those that move to the wrong place.
    pub(crate) fails: Vec<usize>,
    pub(crate) misplaces: Vec<usize>,
    pub(crate) calls: Cell<usize>,
}

impl Machine {
    pub(crate) fn new(zones: &[Zone]) -> Self {
        let object = zones.len();
        let mut frames: Vec<_> = zones.iter().copied().map(Frame::new).collect();
        frames.resize_with(2 * object, || Frame::new(Zone::Normal));
        frames.push(Frame::new(Zone::Normal));
        Self {
            frames,
            object,
            fails: Vec::new(),
            misplaces: Vec::new(),
            calls: Cell::new(0),
        }
    }

    pub(crate) fn pages(&self) -> Vec<&Frame> {
        self.frames[..self.object].iter().collect()
    }

    /// Pins the object, with reclaim at every migration; checks all that must hold meanwhile and
    /// afterwards. Which slots are pinned in the end: all or none.
    pub(crate) fn run<L: PinPolicy + Copy>(
        &self,
        request: &PlaceRequest<L>,
        books: &Locked,
    ) -> Result<Vec<Zone>, Stop> {
        let charge = Charged::new(books, request.kind, self.object as u64);
        let mut charge = charge.map_err(Stop::Charge)?;
        let before: Vec<_> = self.frames.iter().map(Frame::pins).collect();
        let total = |frame: &Frame| frame.pins().0;
        let was = |frame: &Frame| {
            let at = self.frames.iter().position(|f| core::ptr::eq(f, frame));
            before[at.unwrap()].0
        };
        let mut pages = self.pages();
        // Where each slot's page is now, as `migrate` knows it.
        let places = RefCell::new(pages.clone());
        let placed = place_and_pin(&mut pages, request, |page, held| {
            let call = self.calls.get();
            self.calls.set(call + 1);
            assert_eq!(books.live(), self.object as u64, "charged before, once");
            assert_eq!(held, 1, "each page is held once");
            let slot = places
                .borrow()
                .iter()
                .position(|p| core::ptr::eq(*p, *page));
            let slot = slot.expect("a page of the object");
            assert!(matches!(page.zone, Zone::Movable | Zone::Cma));
            assert_eq!(total(page), was(page), "its own pin is given back");
            for (other, frame) in places.borrow().iter().enumerate() {
                assert!(
                    other == slot || total(frame) > was(frame),
                    "{other} not pinned"
                );
            }

            page.isolated.set(true);
            reclaim(&self.frames, &request.policy);
            let attacked = self.frames[..2 * self.object]
                .iter()
                .enumerate()
                .find(|(_, f)| {
                    f.attacked.get() && places.borrow().iter().any(|p| core::ptr::eq(*p, *f))
                });
            assert!(attacked.is_none(), "robbing Peter: {attacked:?}");
            self.frames.iter().for_each(|f| f.attacked.set(false));
            page.isolated.set(false);

            if self.fails.contains(&call) {
                return Err(call);
            }
            if !self.misplaces.contains(&call) {
                *page = &self.frames[self.object + slot];
                places.borrow_mut()[slot] = page;
            }
            Ok(())
        });
        let result = match placed {
            Ok(mut pins) => {
                assert_eq!(pins.kind(), request.kind);
                let zones = pins.pages().iter().map(|page| page.zone).collect();
                for (page, place) in pins.pages().iter().zip(places.borrow().iter()) {
                    assert!(core::ptr::eq(*page, *place));
                    assert_eq!(total(page), was(page) + 1);
                    let longterm = u32::from(request.kind == PinKind::Longterm);
                    assert!(page.pins().1 >= longterm);
                }
                assert_eq!(books.live(), self.object as u64);
                pins.release().unwrap();
                charge.release().unwrap();
                assert_eq!(books.releases.get(), 1);
                Ok(zones)
            }
            Err(error) => {
                assert_eq!((error.lost, books.releases.get()), (0, 0));
                drop(charge);
                assert_eq!(books.releases.get(), 1);
                Err(Stop::Page(error.index, error.stop))
            }
        };
        let after: Vec<_> = self.frames.iter().map(Frame::pins).collect();
        assert_eq!(before, after, "all given back");
        assert_eq!((books.charges.get(), books.live()), (1, 0));
        result
    }
}
