//! Objects, pinned as a whole or not at all.

use crate::machine::{Frame, Locked, Machine, Stop};
use pinfold::pin::{
    Account, Accounting, Charged, LedgerError, PinCount, PinError, PinKind, PinLedger, PinWord,
    Pins, Refined,
};
use pinfold::placement::{LongtermRule, PlaceRequest, PlaceStop, Zone, place_and_pin};
use pinfold::{Context, IgnorePins, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};
use proptest::prelude::*;

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
        rule: LongtermRule::CmaOnly,
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
            rule: LongtermRule::default(),
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
                let stop = PlaceStop::NotMigrated(MIXED[slot], k + 2);
                assert_eq!(result, Err(Stop::Page(slot, stop)));
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
        let stop = PlaceStop::NotAllowed(Zone::Movable);
        assert_eq!(result, Err(Stop::Page(1, stop)));
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
            Err(Stop::Page(slot, PlaceStop::Refused(PinError::Blocked)))
        );
        assert_eq!(machine.calls.get(), 0, "nothing is moved for nothing");

        let mut machine = Machine::new(&MIXED);
        let full = u64::from(PinWord::MAX_PINS) << 34;
        machine.frames[slot].word = PinWord::from_bits(full);
        let result = machine.run(&request, &Locked::new(100));
        assert_eq!(
            result,
            Err(Stop::Page(slot, PlaceStop::Refused(PinError::Overflow)))
        );

        let mut zones = MIXED;
        zones[slot] = Zone::FsDax;
        let result = Machine::new(&zones).run(&request, &Locked::new(100));
        assert_eq!(
            result,
            Err(Stop::Page(slot, PlaceStop::NotAllowed(Zone::FsDax)))
        );
    }
    // The place that a page moved to refuses.
    let machine = Machine::new(&MIXED);
    machine.frames[6 + 3].word.block().unwrap();
    let result = machine.run(&request, &Locked::new(100));
    assert_eq!(
        result,
        Err(Stop::Page(3, PlaceStop::Refused(PinError::Blocked)))
    );
}

/// The last pin that a page can take is ours: it is not asked for another one when its place is.
#[test]
fn a_page_that_is_pinned_is_not_asked_again() {
    let request = PlaceRequest::new(PinKind::Longterm);
    let mut machine = Machine::new(&MIXED);
    let one_left = u64::from(PinWord::MAX_PINS - 1) << 34;
    machine.frames[5].word = PinWord::from_bits(one_left);
    assert_eq!(
        machine.run(&request, &Locked::new(100)),
        Ok(vec![Zone::Normal; 6])
    );
}

#[test]
fn a_page_that_says_so_is_not_tried() {
    let request = PlaceRequest::new(PinKind::Longterm);
    let refused = Err(Stop::Page(4, PlaceStop::Refused(PinError::Free)));
    let mut machine = Machine::new(&MIXED);
    machine.frames[4].refuses = Some(PinError::Free);
    assert_eq!(machine.run(&request, &Locked::new(100)), refused);
    assert!(!machine.frames[4].word.snapshot().ever_pinned);
    // Neither is one that a page was moved to.
    let mut machine = Machine::new(&MIXED);
    machine.frames[6 + 4].refuses = Some(PinError::Free);
    assert_eq!(machine.run(&request, &Locked::new(100)), refused);
    assert!(!machine.frames[6 + 4].word.snapshot().ever_pinned);
}

#[test]
fn others_hold_a_page_that_must_move() {
    let request = PlaceRequest::new(PinKind::Longterm);
    let machine = Machine::new(&MIXED);
    machine.frames[3].word.pin(PinKind::Short).unwrap();
    let Err(Stop::Page(3, PlaceStop::Held(refusal))) = machine.run(&request, &Locked::new(100))
    else {
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
    assert_eq!(result, Err(Stop::Charge(LedgerError::Limit)));
    assert_eq!(machine.calls.get(), 0);

    let result = Machine::new(&[]).run(&request, &Locked::new(5));
    assert_eq!(result, Err(Stop::Charge(LedgerError::NoPages)));
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
    let failed = place_and_pin(&mut pages, &request, |_, _| {
        if frames[0].word.snapshot().parked {
            return Err(2);
        }
        frames[0].word.park().unwrap();
        Err(1)
    });
    let error = failed.map(|_| ()).unwrap_err();
    assert_eq!(error.stop, PlaceStop::NotMigrated(Zone::Movable, 2));
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
    let failed = place_and_pin(&mut pages, &request, |_, _| {
        frames[0].word.unpin(PinKind::Longterm).map(drop).unwrap();
        Err("no")
    });
    let error = failed.map(|_| ()).unwrap_err();
    assert_eq!((error.index, error.lost), (1, 1));
    assert_eq!(
        error.to_string(),
        "page 1 was not pinned: it was not migrated out of a CMA area: no; \
         1 pins were already lost"
    );
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
    let account = Account {
        ledger: &mut ledger,
        owner,
        now: 50,
    };
    let charge = Charged::new(account, request.kind, 2).unwrap();
    let mut pins = place_and_pin(&mut pages, &request, never).unwrap();
    pins.release().unwrap();
    let charge = charge.into_charge().unwrap();
    let mut wrong = Account {
        ledger: &mut other,
        owner,
        now: 0,
    };
    assert_eq!(
        wrong.charge(PinKind::Short, 1).unwrap_err(),
        LedgerError::UnknownOwner
    );
    assert_eq!(ledger.usage(owner).unwrap().oldest, Some(50));
    ledger.release(charge).unwrap();
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
        let found = result.as_ref().err().map(|stop| match stop {
            Stop::Charge(_) => None,
            Stop::Page(index, _) => Some(*index),
        });
        prop_assert_eq!(found, stopped);
        prop_assert_eq!(machine.calls.get(), calls);
        if let Ok(found) = result {
            prop_assert!(!longterm || found.iter().all(|&zone| zone == Zone::Normal));
        }
    }
}
