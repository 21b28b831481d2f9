//! Placement: the answer for one page, and objects that are pinned as a whole or not at all,
//! whatever fails wherever, while reclaim runs in the middle of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::cell::{Cell, RefCell};
use pinfold::pin::{
    Charge, LedgerError, OwnerId, PinCount, PinError, PinKind, PinLedger, PinWord, Pinnable, Pins,
    Refined, Unpinned,
};
use pinfold::placement::{
    Account, Books, Facts, PlaceRequest, PlaceStop, Placed, Placement, Rule, WhyMigrate, WhyNot,
    Zone, decide, may, place_and_pin,
};
use pinfold::{
    Context, IgnorePins, Operation, PageFlags, PageLike, PinPolicy, PinVerdict, SkipLongterm,
    SkipOpportunistic, SkipPinned,
};
use proptest::prelude::*;

#[derive(Debug)]
struct Frame {
    word: PinWord,
    zone: Zone,
    /// Taken off its list, as by a migration.
    isolated: Cell<bool>,
    /// Reclaim found nothing against taking it.
    attacked: Cell<bool>,
    settled: Cell<u32>,
}

impl Frame {
    fn new(zone: Zone) -> Self {
        Self {
            word: PinWord::new(),
            zone,
            isolated: Cell::new(false),
            attacked: Cell::new(false),
            settled: Cell::new(0),
        }
    }

    fn pins(&self) -> (u32, u32) {
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
}

impl Pinnable for Frame {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.word.pin(kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        self.word.unpin(kind)
    }
    fn settle(&self, duty: Unpinned) {
        assert_eq!(duty, Unpinned::Unpark);
        self.settled.set(self.settled.get() + 1);
    }
}

/// A ledger that is locked for each call only, as a kernel's is: it can be read in between.
struct Locked {
    ledger: RefCell<PinLedger<2, 4>>,
    owner: OwnerId,
    charges: Cell<u32>,
    releases: Cell<u32>,
}

impl Locked {
    fn new(limit: u64) -> Self {
        let mut ledger = PinLedger::new();
        let owner = ledger.add_owner(7, limit).unwrap();
        Self {
            ledger: RefCell::new(ledger),
            owner,
            charges: Cell::new(0),
            releases: Cell::new(0),
        }
    }

    fn live(&self) -> u64 {
        let ledger = self.ledger.borrow();
        ledger.check().unwrap();
        ledger.usage(self.owner).unwrap().live()
    }
}

impl Books for &Locked {
    type Charge = Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Charge, LedgerError> {
        self.charges.set(self.charges.get() + 1);
        self.ledger.borrow_mut().charge(self.owner, kind, pages, 1)
    }
    fn release(&mut self, charge: Charge) -> Result<(), LedgerError> {
        self.releases.set(self.releases.get() + 1);
        let released = self.ledger.borrow_mut().release(charge);
        released.map(drop).map_err(|refused| refused.error)
    }
}

#[test]
fn where_a_page_may_be_pinned() {
    use Placement::{MigrateFirst, Pin, Refuse};
    use WhyMigrate::{Cma, Device, Movable};
    let zones = [
        Zone::Normal,
        Zone::Movable,
        Zone::Cma,
        Zone::Device,
        Zone::FsDax,
    ];
    let dax = Refuse(WhyNot::FsDax);
    let now = [
        Pin,
        MigrateFirst(Movable),
        MigrateFirst(Cma),
        MigrateFirst(Device),
        dax,
    ];
    let then = [Pin, Pin, MigrateFirst(Cma), Pin, dax];
    for (index, zone) in zones.into_iter().enumerate() {
        let facts = Facts {
            kind: PinKind::Longterm,
            zone,
            rule: Rule::default(),
            refusal: None,
            pages: 4,
            room: Some(4),
        };
        assert_eq!(decide(facts), now[index]);
        let cma_only = Facts {
            rule: Rule::CmaOnly,
            ..facts
        };
        assert_eq!(decide(cma_only), then[index]);
        let short = Facts {
            kind: PinKind::Short,
            ..facts
        };
        assert_eq!(decide(short), Pin, "a short pin may be anywhere");
        for facts in [facts, short] {
            let full = decide(Facts {
                room: Some(3),
                ..facts
            });
            let limit = Refuse(WhyNot::Limit);
            assert!(full == limit || (full == dax && facts.kind == PinKind::Longterm));
            assert_eq!(
                full == dax,
                zone == Zone::FsDax && facts.kind == PinKind::Longterm
            );
            for (error, why) in [
                (PinError::Blocked, WhyNot::Blocked),
                (PinError::Overflow, WhyNot::Overflow),
                (PinError::Free, WhyNot::Free),
                (PinError::Underflow, WhyNot::Page(PinError::Underflow)),
            ] {
                let refusal = Some(error);
                assert_eq!(decide(Facts { refusal, ..facts }), Refuse(why));
                assert_eq!(WhyNot::from(error), why);
            }
        }
    }
    assert_eq!(WhyNot::from(LedgerError::Limit), WhyNot::Limit);
    let full = LedgerError::Full;
    assert_eq!(WhyNot::from(full), WhyNot::Ledger(full));
}

#[test]
fn what_pins_forbid() {
    use Operation::{Demote, Free, Migrate, Munlock, Poison, Reclaim, Split, Unmap};
    const ALL: [Operation; 8] = [
        Reclaim, Unmap, Migrate, Demote, Split, Munlock, Poison, Free,
    ];
    fn forbidden<L: PinPolicy>(frame: &Frame, policy: L) -> Vec<(Operation, PinVerdict)> {
        let mut found = Vec::new();
        for operation in ALL {
            if let Err(refusal) = may(frame, operation, &policy, Context::default()) {
                assert_eq!(refusal.operation, operation);
                assert_eq!(refusal.pins, Pins::exactly(frame.word.snapshot().pins));
                found.push((operation, refusal.verdict));
            }
        }
        found
    }
    let skip = SkipOpportunistic::<Refined>::new();
    let longterm = SkipLongterm::<Refined>::new();
    let pinned = vec![
        (Reclaim, PinVerdict::SkipPage),
        (Migrate, PinVerdict::Refuse),
        (Demote, PinVerdict::SkipPage),
        (Split, PinVerdict::Refuse),
        (Free, PinVerdict::Refuse),
    ];
    let frame = Frame::new(Zone::Normal);
    assert_eq!(forbidden(&frame, skip), []);
    assert_eq!(forbidden(&frame, longterm), []);
    assert_eq!(forbidden(&frame, SkipPinned), []);
    frame.word.pin(PinKind::Short).unwrap();
    assert_eq!(forbidden(&frame, skip), pinned);
    assert_eq!(forbidden(&frame, longterm), [(Free, PinVerdict::Refuse)]);
    assert_eq!(forbidden(&frame, SkipPinned).len(), ALL.len());
    frame.word.pin(PinKind::Longterm).unwrap();
    assert_eq!(forbidden(&frame, longterm), pinned);
    assert_eq!(forbidden(&frame, IgnorePins), []);
    let refusal = may(&frame, Migrate, &skip, Context::default()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "migrate refused: pinned 2 (1 long-term)"
    );
}

/// What reclaim does that somebody's allocation sets off: it attacks whatever `policy` lets it, on
/// the lists.
fn reclaim<L: PinPolicy>(frames: &[Frame], policy: &L) {
    for frame in frames.iter().filter(|frame| !frame.isolated.get()) {
        if may(frame, Operation::Reclaim, policy, Context::default()).is_ok() {
            frame.attacked.set(true);
        }
    }
}

/// A machine with an object and spare frames, and what its migrations do.
struct Machine {
    /// The object's frames first, then spares of the normal zone, then one that is nobody's.
    frames: Vec<Frame>,
    object: usize,
    /// The calls of `migrate` that fail, counted from 0; and those that move to the wrong place.
    fails: Vec<usize>,
    misplaces: Vec<usize>,
    calls: Cell<usize>,
}

impl Machine {
    fn new(zones: &[Zone]) -> Self {
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

    fn pages(&self) -> Vec<&Frame> {
        self.frames[..self.object].iter().collect()
    }

    /// Pins the object, with reclaim at every migration; checks all that must hold meanwhile and
    /// afterwards. Which slots are pinned in the end: all or none.
    fn run<L: PinPolicy + Copy>(
        &self,
        request: &PlaceRequest<L>,
        books: &Locked,
    ) -> Result<Vec<Zone>, (Option<usize>, PlaceStop<usize>)> {
        let before: Vec<_> = self.frames.iter().map(Frame::pins).collect();
        let total = |frame: &Frame| frame.pins().0;
        let was = |frame: &Frame| {
            let at = self.frames.iter().position(|f| core::ptr::eq(f, frame));
            before[at.unwrap()].0
        };
        let mut pages = self.pages();
        // Where each slot's page is now, as `migrate` knows it.
        let places = RefCell::new(pages.clone());
        let mut books_ref = books;
        let placed = place_and_pin(&mut pages, request, &mut books_ref, |page, why| {
            let call = self.calls.get();
            self.calls.set(call + 1);
            assert_eq!(books.live(), self.object as u64, "charged before, once");
            let slot = places
                .borrow()
                .iter()
                .position(|p| core::ptr::eq(*p, *page));
            let slot = slot.expect("a page of the object");
            let wanted = match page.zone {
                Zone::Movable => WhyMigrate::Movable,
                Zone::Cma => WhyMigrate::Cma,
                zone => panic!("{zone:?} may stay"),
            };
            assert_eq!(why, wanted);
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
            Ok(placed) => {
                assert_eq!(placed.pins.kind(), request.kind);
                let zones = placed.pins.pages().iter().map(|page| page.zone).collect();
                for (page, place) in placed.pins.pages().iter().zip(places.borrow().iter()) {
                    assert!(core::ptr::eq(*page, *place));
                    assert_eq!(total(page), was(page) + 1);
                    let longterm = u32::from(request.kind == PinKind::Longterm);
                    assert!(page.pins().1 >= longterm);
                }
                assert_eq!(books.live(), self.object as u64);
                placed.pins.release().unwrap();
                books.release_it(placed.charge);
                assert_eq!(books.releases.get(), 1);
                Ok(zones)
            }
            Err(error) => {
                assert_eq!((error.lost, error.books), (0, None));
                let charged = error.index.is_some();
                assert_eq!(books.releases.get(), u32::from(charged));
                Err((error.index, error.stop))
            }
        };
        let after: Vec<_> = self.frames.iter().map(Frame::pins).collect();
        assert_eq!(before, after, "all given back");
        assert_eq!((books.charges.get(), books.live()), (1, 0));
        result
    }
}

impl Locked {
    fn release_it(&self, charge: Charge) {
        let mut books = self;
        Books::release(&mut books, charge).unwrap();
    }
}

const MIXED: [Zone; 6] = [
    Zone::Normal,
    Zone::Movable,
    Zone::Normal,
    Zone::Cma,
    Zone::Movable,
    Zone::Normal,
];

#[test]
fn an_object_is_moved_and_pinned() {
    let machine = Machine::new(&MIXED);
    let request = PlaceRequest::new(PinKind::Longterm);
    let zones = machine.run(&request, &Locked::new(100)).unwrap();
    assert_eq!(zones, [Zone::Normal; 6]);
    assert_eq!(machine.calls.get(), 3);

    let machine = Machine::new(&MIXED);
    let short = PlaceRequest::new(PinKind::Short);
    assert_eq!(machine.run(&short, &Locked::new(100)).unwrap(), MIXED);
    assert_eq!(machine.calls.get(), 0, "short pins may stay");

    let machine = Machine::new(&MIXED);
    let old = PlaceRequest {
        rule: Rule::CmaOnly,
        ..request
    };
    machine.run(&old, &Locked::new(100)).unwrap();
    assert_eq!(machine.calls.get(), 1);
}

/// Failure (d) of this field: reclaim that the pinning sets off attacks the first half. Under the
/// policies that read pins it finds none of the object's pages; without, it finds them all.
#[test]
fn reclaim_in_the_middle() {
    fn zones<L: PinPolicy + Copy>(policy: L) -> Vec<Zone> {
        let machine = Machine::new(&MIXED);
        let request = PlaceRequest {
            policy,
            kind: PinKind::Longterm,
            rule: Rule::default(),
            attempts: 1,
            context: Context::default(),
        };
        machine.run(&request, &Locked::new(100)).unwrap()
    }
    zones(SkipOpportunistic::<Refined>::new());
    zones(SkipLongterm::<Refined>::new());
    zones(SkipPinned);
    let blind = std::panic::catch_unwind(|| zones(IgnorePins));
    let said = blind.unwrap_err().downcast::<String>().unwrap();
    assert!(said.starts_with("robbing Peter"), "{said}");
}

#[test]
fn every_migration_failing() {
    let request = PlaceRequest::new(PinKind::Longterm);
    // The calls 3k to 3k + 2 are the three attempts at the k-th page that has to move, if all
    // before succeed at once.
    let movable: Vec<_> = (0..6).filter(|&i| MIXED[i] != Zone::Normal).collect();
    for (k, &slot) in movable.iter().enumerate() {
        for tries in 1..=3 {
            let mut machine = Machine::new(&MIXED);
            machine.fails = (k..k + tries).collect();
            let result = machine.run(&request, &Locked::new(100));
            if tries < 3 {
                assert_eq!(result, Ok(vec![Zone::Normal; 6]));
                assert_eq!(machine.calls.get(), 3 + tries);
            } else {
                let why = [WhyMigrate::Movable, WhyMigrate::Cma, WhyMigrate::Movable][k];
                let stop = PlaceStop::NotMigrated(why, k + 2);
                assert_eq!(result, Err((Some(slot), stop)));
                assert_eq!(machine.calls.get(), k + 3);
            }
        }
    }
}

#[test]
fn a_migration_that_does_not_move_is_bounded() {
    for attempts in [0, 1, 7] {
        let mut machine = Machine::new(&MIXED);
        machine.misplaces = (0..100).collect();
        let request = PlaceRequest {
            attempts,
            ..PlaceRequest::new(PinKind::Longterm)
        };
        let result = machine.run(&request, &Locked::new(100));
        let stop = PlaceStop::MustMove(WhyMigrate::Movable);
        assert_eq!(result, Err((Some(1), stop)));
        assert_eq!(machine.calls.get(), attempts as usize);
    }
}

#[test]
fn a_page_that_refuses() {
    let request = PlaceRequest::new(PinKind::Longterm);
    for slot in 0..6 {
        let machine = Machine::new(&MIXED);
        machine.frames[slot].word.block().unwrap();
        let result = machine.run(&request, &Locked::new(100));
        assert_eq!(
            result,
            Err((Some(slot), PlaceStop::Refused(WhyNot::Blocked)))
        );
        assert_eq!(machine.calls.get(), 0, "nothing is moved for nothing");

        let mut machine = Machine::new(&MIXED);
        let full = u64::from(PinWord::MAX_PINS) << 34;
        machine.frames[slot].word = PinWord::from_bits(full);
        let result = machine.run(&request, &Locked::new(100));
        assert_eq!(
            result,
            Err((Some(slot), PlaceStop::Refused(WhyNot::Overflow)))
        );

        let mut zones = MIXED;
        zones[slot] = Zone::FsDax;
        let result = Machine::new(&zones).run(&request, &Locked::new(100));
        assert_eq!(result, Err((Some(slot), PlaceStop::Refused(WhyNot::FsDax))));
    }
    // The place that a page moved to refuses.
    let machine = Machine::new(&MIXED);
    machine.frames[6 + 3].word.block().unwrap();
    let result = machine.run(&request, &Locked::new(100));
    assert_eq!(result, Err((Some(3), PlaceStop::Refused(WhyNot::Blocked))));
}

#[test]
fn others_hold_a_page_that_must_move() {
    let request = PlaceRequest::new(PinKind::Longterm);
    let machine = Machine::new(&MIXED);
    machine.frames[3].word.pin(PinKind::Short).unwrap();
    let Err((Some(3), PlaceStop::Held(refusal))) = machine.run(&request, &Locked::new(100)) else {
        panic!("not held");
    };
    let pins = PinCount {
        total: 1,
        longterm: Some(0),
    };
    assert_eq!(refusal.pins, Pins::Exactly(pins));
    assert_eq!(
        machine.calls.get(),
        1,
        "the page before; this one is not tried"
    );
}

#[test]
fn limits_and_objects_of_nothing() {
    let request = PlaceRequest::new(PinKind::Longterm);
    let machine = Machine::new(&MIXED);
    let result = machine.run(&request, &Locked::new(5));
    assert_eq!(result, Err((None, PlaceStop::Refused(WhyNot::Limit))));
    assert_eq!(machine.calls.get(), 0);

    let result = Machine::new(&[]).run(&request, &Locked::new(5));
    let none = WhyNot::Ledger(LedgerError::NoPages);
    assert_eq!(result, Err((None, PlaceStop::Refused(none))));
}

#[test]
fn a_parked_page_is_put_back() {
    // Reclaim on another CPU parks a page that it meets pinned; the pin that was given back before
    // the page moves, or because another one failed, is its last.
    let frames = [Frame::new(Zone::Normal), Frame::new(Zone::Movable)];
    let mut pages = [&frames[0], &frames[1]];
    let request = PlaceRequest {
        attempts: 2,
        ..PlaceRequest::new(PinKind::Longterm)
    };
    let failed = place_and_pin(&mut pages, &request, &mut (), |_, _| {
        if frames[0].word.snapshot().parked {
            return Err(2);
        }
        frames[0].word.park().unwrap();
        Err(1)
    });
    let error = failed.map(|_| ()).unwrap_err();
    assert_eq!(error.stop, PlaceStop::NotMigrated(WhyMigrate::Movable, 2));
    assert_eq!(frames.map(|frame| frame.settled.get()), [1, 0]);
}

#[test]
fn a_pin_that_others_release_is_counted() {
    let frames = [Frame::new(Zone::Normal), Frame::new(Zone::Cma)];
    let mut pages = [&frames[0], &frames[1]];
    let request = PlaceRequest {
        attempts: 1,
        ..PlaceRequest::new(PinKind::Longterm)
    };
    let failed = place_and_pin(&mut pages, &request, &mut (), |_, _| {
        frames[0].word.unpin(PinKind::Longterm).map(drop).unwrap();
        Err("no")
    });
    let error = failed.map(|_| ()).unwrap_err();
    assert_eq!((error.index, error.lost), (Some(1), 1));
    assert_eq!(
        error.to_string(),
        "page 1 was not pinned: it lies in a CMA area and was not migrated: no; \
         1 pins were already lost"
    );
}

#[test]
fn unwinding_releases_the_pins() {
    let frames = [Frame::new(Zone::Normal), Frame::new(Zone::Cma)];
    let frames = core::panic::AssertUnwindSafe(&frames);
    let request = PlaceRequest::new(PinKind::Longterm);
    let unwound = std::panic::catch_unwind(|| {
        let mut pages = [&frames[0], &frames[1]];
        let placed = place_and_pin(&mut pages, &request, &mut (), |_, _| -> Result<(), ()> {
            panic!("on purpose")
        });
        placed.is_ok()
    });
    assert!(unwound.is_err());
    assert_eq!([frames[0].pins(), frames[1].pins()], [(0, 0); 2]);
}

#[test]
fn an_account_of_a_ledger_at_hand() {
    let mut ledger = PinLedger::<1, 1>::new();
    let owner = ledger.add_owner(7, 2).unwrap();
    let mut other = PinLedger::<1, 1>::with_tag(9);
    let frames = [Frame::new(Zone::Normal), Frame::new(Zone::Normal)];
    let mut pages = [&frames[0], &frames[1]];
    let request = PlaceRequest::new(PinKind::Longterm);
    let never = |_: &mut &Frame, _| Err::<(), ()>(());
    let mut account = Account {
        ledger: &mut ledger,
        owner,
        now: 50,
    };
    let placed = place_and_pin(&mut pages, &request, &mut account, never).unwrap();
    placed.pins.release().unwrap();
    let mut wrong = Account {
        ledger: &mut other,
        owner,
        now: 0,
    };
    assert_eq!(
        wrong.charge(PinKind::Short, 1).unwrap_err(),
        LedgerError::UnknownOwner
    );
    assert_eq!(account.ledger.usage(owner).unwrap().oldest, Some(50));
    account.release(placed.charge).unwrap();
    assert_eq!(ledger.usage(owner).unwrap().live(), 0);
}

fn zone() -> impl Strategy<Value = Zone> {
    prop_oneof![
        3 => Just(Zone::Normal),
        2 => Just(Zone::Movable),
        2 => Just(Zone::Cma),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// All or nothing, the ledger agrees, and migrations are bounded, whatever fails; the outcome
    /// is what a model says that only counts attempts.
    #[test]
    fn all_or_nothing(
        zones in proptest::collection::vec(zone(), 1..8),
        fails in proptest::collection::vec(0usize..20, 0..12),
        misplaces in proptest::collection::vec(0usize..20, 0..6),
        blocked in proptest::option::weighted(0.2, 0usize..8),
        held in proptest::option::weighted(0.2, 0usize..8),
        longterm in any::<bool>(),
        attempts in 0u32..4,
        limit in prop_oneof![5 => Just(100u64), 1 => 0u64..8],
    ) {
        let mut machine = Machine::new(&zones);
        (machine.fails, machine.misplaces) = (fails, misplaces);
        let kind = if longterm { PinKind::Longterm } else { PinKind::Short };
        let blocked = blocked.filter(|&slot| slot < zones.len());
        let held = held.filter(|&slot| slot < zones.len() && Some(slot) != blocked);
        if let Some(slot) = blocked {
            machine.frames[slot].word.block().unwrap();
        }
        if let Some(slot) = held {
            machine.frames[slot].word.pin(PinKind::Short).unwrap();
        }
        let request = PlaceRequest { attempts, ..PlaceRequest::new(kind) };
        let result = machine.run(&request, &Locked::new(limit));

        let (mut calls, mut stopped) = (0, None);
        if zones.len() as u64 > limit {
            stopped = Some(None);
        } else if blocked.is_some() {
            stopped = Some(blocked);
        } else if longterm {
            for slot in (0..zones.len()).filter(|&slot| zones[slot] != Zone::Normal) {
                let moved = held != Some(slot) && (0..attempts).any(|_| {
                    calls += 1;
                    let call = calls - 1;
                    !machine.fails.contains(&call) && !machine.misplaces.contains(&call)
                });
                if !moved {
                    stopped = Some(Some(slot));
                    break;
                }
            }
        }
        prop_assert_eq!(result.as_ref().err().map(|(index, _)| *index), stopped);
        prop_assert_eq!(machine.calls.get(), calls);
        if let Ok(found) = result {
            prop_assert!(!longterm || found.iter().all(|&zone| zone == Zone::Normal));
        }
    }
}
