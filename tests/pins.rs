//! The pin counters, guards, ledger and readings against naive models.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
#![allow(clippy::cast_possible_truncation, missing_docs)]

use core::cell::{Cell, RefCell};
use pinfold::pin::race::{FastPinError, pin_fast};
use pinfold::pin::{
    Biased, BiasedRefs, BlockError, Charge, LargePageRefs, LedgerError, OwnerId, ParkError,
    PinCount, PinError, PinKind, PinLedger, PinReading, PinWord, Pinnable, Pins, Refined, RefsLeft,
    Unpinned, pin_all, pin_all_with,
};
use pinfold::{PageFlags, PlainPage};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SHORT: PinKind = PinKind::Short;
const LONG: PinKind = PinKind::Longterm;

// ---- counters against models --------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
enum RefOp {
    Get,
    Put,
    Pin,
    Unpin,
    Freeze(i64),
    Unfreeze(i32),
}

fn ref_op() -> impl Strategy<Value = RefOp> {
    prop_oneof![
        Just(RefOp::Get),
        Just(RefOp::Put),
        Just(RefOp::Pin),
        Just(RefOp::Unpin),
        (-1i64..=1).prop_map(RefOp::Freeze),
        (-1i32..=3).prop_map(RefOp::Unfreeze),
    ]
}

/// Counts at which something changes.
fn ref_start() -> impl Strategy<Value = i32> {
    let near = |at: i32| (-3i32..=3).prop_map(move |by| at.saturating_add(by));
    prop_oneof![
        near(0),
        near(1024),
        near(2048),
        near(i32::MAX),
        near(i32::MAX - 1024),
        near(i32::MIN),
        any::<i32>()
    ]
}

proptest! {
    #[test]
    fn biased_refs_against_model(start in ref_start(), ops in vec(ref_op(), 1..40)) {
        let refs = BiasedRefs::new(start);
        let mut model = i64::from(start);
        let add = |model: &mut i64, n: i64| {
            if *model == 0 {
                Err(PinError::Free)
            } else if *model < 0 || *model + n > i64::from(i32::MAX) {
                Err(PinError::Overflow)
            } else {
                *model += n;
                Ok(())
            }
        };
        let sub = |model: &mut i64, n: i64| {
            if *model < n {
                return Err(PinError::Underflow);
            }
            *model -= n;
            Ok(if *model == 0 { RefsLeft::Last } else { RefsLeft::Some })
        };
        for op in ops {
            match op {
                RefOp::Get => prop_assert_eq!(refs.try_get_ref(), add(&mut model, 1)),
                RefOp::Put => prop_assert_eq!(refs.put_ref(), sub(&mut model, 1)),
                RefOp::Pin => prop_assert_eq!(refs.pin(), add(&mut model, 1024)),
                RefOp::Unpin => prop_assert_eq!(refs.unpin(), sub(&mut model, 1024)),
                RefOp::Freeze(off) => {
                    let Ok(expected) = i32::try_from(model + off) else { continue };
                    let ok = expected >= 1 && off == 0;
                    prop_assert_eq!(refs.freeze(expected).is_ok(), ok);
                    if ok {
                        model = 0;
                    }
                }
                RefOp::Unfreeze(n) => {
                    let ok = n >= 1 && model == 0;
                    prop_assert_eq!(refs.unfreeze(n).is_ok(), ok);
                    if ok {
                        model = i64::from(n);
                    }
                }
            }
            prop_assert_eq!(i64::from(refs.get()), model);
        }
    }

    #[test]
    fn large_page_against_model(
        refs in prop_oneof![0i32..4, i32::MAX - 2..=i32::MAX],
        pins in prop_oneof![0u32..4, u32::MAX - 2..=u32::MAX],
        ops in vec(ref_op(), 1..40),
    ) {
        let page = LargePageRefs::with_pins(refs, pins);
        let (mut refs, mut pins) = (i64::from(refs), i64::from(pins));
        for op in ops {
            match op {
                RefOp::Pin => {
                    let expected = if refs == 0 {
                        Err(PinError::Free)
                    } else if refs == i64::from(i32::MAX) || pins == i64::from(u32::MAX) {
                        Err(PinError::Overflow)
                    } else {
                        refs += 1;
                        pins += 1;
                        Ok(())
                    };
                    prop_assert_eq!(page.pin(), expected);
                }
                RefOp::Unpin => {
                    let expected = if refs == 0 || pins == 0 {
                        Err(PinError::Underflow)
                    } else {
                        refs -= 1;
                        pins -= 1;
                        Ok(if refs == 0 { RefsLeft::Last } else { RefsLeft::Some })
                    };
                    prop_assert_eq!(page.unpin(), expected);
                }
                RefOp::Get => refs += i64::from(page.try_get_ref().is_ok()),
                RefOp::Put => refs -= i64::from(page.put_ref().is_ok()),
                RefOp::Freeze(_) | RefOp::Unfreeze(_) => {}
            }
            prop_assert_eq!(i64::from(page.get()), refs);
            let exact = PinCount { total: pins as u32, longterm: None };
            prop_assert_eq!(page.exact_pins(), exact);
        }
    }

    #[test]
    fn pin_word_against_model(
        short in prop_oneof![0u64..3, (1u64 << 28) - 2..=1 << 28],
        long in prop_oneof![0u64..3, (1u64 << 28) - 2..=1 << 28],
        flags in 0u64..8,
        ops in vec(0u8..10, 1..60),
    ) {
        let flags = if flags & 0b101 != 0 { flags & 0b010 } else { flags };
        let word = PinWord::from_bits(long << 34 | short << 3 | flags);
        let mut model = WordModel { pins: [short, long], ever: flags & 0b10 != 0, ..WordModel::default() };
        for op in ops {
            match op {
                0..=1 => prop_assert_eq!(word.pin(SHORT), model.pin(0)),
                2..=3 => prop_assert_eq!(word.pin(LONG), model.pin(1)),
                4 => prop_assert_eq!(word.unpin(SHORT), model.unpin(0)),
                5 => prop_assert_eq!(word.unpin(LONG), model.unpin(1)),
                6 => prop_assert_eq!(word.block(), model.block()),
                7 => prop_assert_eq!(word.unblock().is_ok(), core::mem::take(&mut model.blocked)),
                8 => prop_assert_eq!(word.park(), model.park()),
                _ => prop_assert_eq!(word.unpark().is_ok(), core::mem::take(&mut model.parked)),
            }
            prop_assert_eq!(word.to_bits(), model.bits());
            let snapshot = word.snapshot();
            prop_assert_eq!(snapshot.pins, model.count());
            prop_assert_eq!(snapshot.blocked, model.blocked);
            prop_assert_eq!(snapshot.parked, model.parked);
            prop_assert_eq!(snapshot.ever_pinned, model.ever);
        }
    }

    /// A word in the middle of refused operations: true counts, plus some that are on their way
    /// back. Each field reads as if the other had none.
    #[test]
    fn a_transient_in_one_field_does_not_show_in_the_other(
        short in -1000i64..1000,
        long in -1000i64..1000,
        flags in 0u64..8,
    ) {
        let bits = ((long << 34).wrapping_add(short << 3) as u64) | flags;
        let read = PinWord::decode(bits);
        let (short, long) = (short.max(0) as u32, long.max(0) as u32);
        prop_assert_eq!(read.pins, PinCount { total: short + long, longterm: Some(long) });
        prop_assert_eq!((read.blocked, read.ever_pinned, read.parked),
            (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0));
    }

    /// An operation of the other kind meets a transient of this one.
    #[test]
    fn a_transient_does_not_disturb_the_other_kind(short in -3i64..0, long in 0i64..3) {
        let word = PinWord::from_bits((long << 34).wrapping_add(short << 3) as u64 | 0b10);
        let before = word.to_bits();
        prop_assert_eq!(word.unpin(LONG).is_ok(), long > 0);
        if long == 0 {
            prop_assert_eq!(word.to_bits(), before);
        } else {
            prop_assert_eq!(word.pin(LONG), Ok(()));
            prop_assert_eq!(word.to_bits(), before);
        }
        prop_assert_eq!(word.pin(LONG), Ok(()));
    }
}

#[derive(Default)]
struct WordModel {
    pins: [u64; 2],
    blocked: bool,
    parked: bool,
    ever: bool,
}

impl WordModel {
    fn pin(&mut self, kind: usize) -> Result<(), PinError> {
        if self.blocked {
            return Err(PinError::Blocked);
        }
        if self.pins[kind] >= 1 << 28 {
            return Err(PinError::Overflow);
        }
        self.pins[kind] += 1;
        self.ever = true;
        Ok(())
    }

    fn unpin(&mut self, kind: usize) -> Result<Unpinned, PinError> {
        if self.pins[kind] == 0 {
            return Err(PinError::Underflow);
        }
        self.pins[kind] -= 1;
        if self.pins == [0, 0] && core::mem::take(&mut self.parked) {
            return Ok(Unpinned::Unpark);
        }
        Ok(Unpinned::Done)
    }

    fn block(&mut self) -> Result<(), BlockError> {
        if self.blocked {
            return Err(BlockError::AlreadyBlocked);
        }
        if self.pins != [0, 0] {
            return Err(BlockError::Pinned(self.count()));
        }
        self.blocked = true;
        Ok(())
    }

    fn park(&mut self) -> Result<(), ParkError> {
        if self.parked {
            return Err(ParkError::AlreadyParked);
        }
        if self.blocked {
            return Err(ParkError::Blocked);
        }
        if self.pins == [0, 0] {
            return Err(ParkError::NotPinned);
        }
        self.parked = true;
        Ok(())
    }

    fn count(&self) -> PinCount {
        let long = self.pins[1] as u32;
        PinCount {
            total: self.pins[0] as u32 + long,
            longterm: Some(long),
        }
    }

    fn bits(&self) -> u64 {
        let flags =
            u64::from(self.blocked) | u64::from(self.ever) << 1 | u64::from(self.parked) << 2;
        self.pins[1] << 34 | self.pins[0] << 3 | flags
    }
}

#[test]
fn a_parked_page_without_pins_is_not_blocked() {
    // Its last unpin is between its two steps.
    assert_eq!(PinWord::from_bits(0b110).block(), Err(BlockError::Parked));
}

#[test]
fn a_refused_pin_in_flight_is_not_released_by_an_unpin() {
    for bits in [1 << 3 | 0b01, 1 << 34 | 0b01] {
        let word = PinWord::from_bits(bits);
        assert_eq!(word.unpin(SHORT), Err(PinError::Underflow));
        assert_eq!(word.unpin(LONG), Err(PinError::Underflow));
        assert_eq!(word.to_bits(), bits);
    }
}

#[test]
fn ever_pinned_sticks_until_cleared_and_is_not_set_by_refusals() {
    let word = PinWord::new();
    word.block().unwrap();
    assert_eq!(word.pin(LONG), Err(PinError::Blocked));
    assert!(!word.snapshot().ever_pinned);
    word.unblock().unwrap();
    word.pin(LONG).unwrap();
    assert_eq!(word.unpin(LONG), Ok(Unpinned::Done));
    assert!(word.snapshot().ever_pinned);
    word.clear_ever_pinned();
    assert_eq!(word.to_bits(), 0);
}

#[test]
fn threads_leave_every_counter_as_it_was() {
    let (refs, large, word) = (BiasedRefs::new(5), LargePageRefs::new(5), PinWord::new());
    let pages: [&(dyn Pinnable + Sync); 3] = [&refs, &large, &word];
    std::thread::scope(|scope| {
        for kind in [SHORT, LONG, SHORT] {
            scope.spawn(move || {
                for _ in 0..20_000 {
                    for page in pages {
                        if page.try_pin(kind).is_ok() {
                            assert_eq!(page.unpin(kind), Ok(Unpinned::Done));
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20_000 {
                if word.block().is_ok() {
                    word.unblock().unwrap();
                }
            }
        });
    });
    assert_eq!((refs.get(), large.get(), word.to_bits()), (5, 5, 0b10));
    assert_eq!(large.exact_pins().total, 0);
}

// ---- guards -------------------------------------------------------------------------------------

/// Writes down what happens to it.
struct Recorded<'a> {
    name: usize,
    refs: BiasedRefs,
    log: &'a RefCell<Vec<(usize, &'static str)>>,
}

impl Pinnable for Recorded<'_> {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        Pinnable::try_pin(&self.refs, kind)?;
        self.log.borrow_mut().push((self.name, "pin"));
        Ok(())
    }
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        self.log.borrow_mut().push((self.name, "unpin"));
        Pinnable::unpin(&self.refs, kind)
    }
    fn set_dirty(&self) {
        self.log.borrow_mut().push((self.name, "dirty"));
    }
    fn settle(&self, duty: Unpinned) {
        assert_eq!(duty, Unpinned::Free);
        self.log.borrow_mut().push((self.name, "free"));
    }
}

fn recorded<'a>(
    log: &'a RefCell<Vec<(usize, &'static str)>>,
    frozen: Option<usize>,
) -> Vec<Recorded<'a>> {
    (0..4)
        .map(|name| {
            let refs = BiasedRefs::new(i32::from(frozen != Some(name)));
            Recorded { name, refs, log }
        })
        .collect()
}

#[test]
fn a_failure_at_each_page_releases_those_before_it_in_reverse() {
    for k in 0..4 {
        let log = RefCell::default();
        let pages = recorded(&log, Some(k));
        let error = pin_all(&pages, SHORT).unwrap_err();
        assert_eq!(
            (error.index, error.error, error.lost),
            (k, PinError::Free, 0)
        );
        let pins = (0..k).map(|i| (i, "pin"));
        let expected: Vec<_> = pins.chain((0..k).rev().map(|i| (i, "unpin"))).collect();
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn admission_is_asked_before_each_pin_and_may_refuse() {
    #[derive(Debug, PartialEq)]
    enum Reason {
        MigrateFirst,
        Pin(PinError),
    }
    impl From<PinError> for Reason {
        fn from(error: PinError) -> Self {
            Self::Pin(error)
        }
    }
    let log = RefCell::default();
    let pages = recorded(&log, Some(3));
    let admit = |stop: usize| {
        move |i: usize, page: &Recorded<'_>| {
            page.log.borrow_mut().push((i, "ask"));
            if i == stop {
                Err(Reason::MigrateFirst)
            } else {
                Ok(())
            }
        }
    };
    let error = pin_all_with(&pages, LONG, admit(1)).unwrap_err();
    assert_eq!((error.index, error.error), (1, Reason::MigrateFirst));
    assert_eq!(
        log.take(),
        [(0, "ask"), (0, "pin"), (1, "ask"), (0, "unpin")]
    );
    let error = pin_all_with(&pages, LONG, admit(9)).unwrap_err();
    assert_eq!((error.index, error.error), (3, Reason::Pin(PinError::Free)));
}

#[test]
fn a_guard_dirties_before_it_releases_and_releases_once() {
    let log = RefCell::default();
    let pages = recorded(&log, None);
    let mut guard = pin_all(&pages[..2], SHORT).unwrap();
    assert_eq!((guard.pages().len(), guard.kind()), (2, SHORT));
    guard.set_dirty_on_release(true);
    log.take();
    drop(guard);
    let dirty = [(0, "dirty"), (0, "unpin"), (1, "dirty"), (1, "unpin")];
    assert_eq!(log.take(), dirty);

    let guard = pin_all(&pages[..2], SHORT).unwrap();
    log.take();
    guard.release_dirty().unwrap();
    assert_eq!(log.take(), dirty);

    pin_all(&pages[..1], SHORT).unwrap().release().unwrap();
    assert_eq!(log.take(), [(0, "pin"), (0, "unpin")]);
}

#[test]
fn release_goes_on_past_failures_and_settles_duties() {
    let log = RefCell::default();
    let pages = recorded(&log, None);
    let guard = pin_all(&pages, SHORT).unwrap();
    assert_eq!(pages[1].refs.unpin(), Ok(RefsLeft::Some));
    assert_eq!(pages[2].refs.unpin(), Ok(RefsLeft::Some));
    assert_eq!(pages[3].refs.put_ref(), Ok(RefsLeft::Some));
    log.take();
    let error = guard.release().unwrap_err();
    assert_eq!(
        (error.index, error.error, error.count),
        (1, PinError::Underflow, 2)
    );
    let expected = [
        (0, "unpin"),
        (1, "unpin"),
        (2, "unpin"),
        (3, "unpin"),
        (3, "free"),
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(
        pages.iter().map(|page| page.refs.get()).collect::<Vec<_>>(),
        [1, 1, 1, 0]
    );
}

#[test]
fn pin_fast_drops_its_pin_when_the_entry_changed_and_settles() {
    let log = RefCell::default();
    let pages = recorded(&log, Some(1));
    assert_eq!(pin_fast(&pages[0], SHORT, 7, || 7), Ok(()));
    let entry = Cell::new(7);
    let changed = pin_fast(&pages[0], SHORT, 7, || entry.replace(8) + 1);
    assert_eq!(changed, Err(FastPinError::Changed));
    assert_eq!(pages[0].refs.get(), 1025);
    let refused = pin_fast(&pages[1], SHORT, 7, || 7);
    assert_eq!(refused, Err(FastPinError::Refused(PinError::Free)));
    log.take();
    let last = pin_fast(&pages[2], SHORT, 7, || {
        assert_eq!(pages[2].refs.put_ref(), Ok(RefsLeft::Some));
        8
    });
    assert_eq!(last, Err(FastPinError::Changed));
    assert_eq!(log.take(), [(2, "pin"), (2, "unpin"), (2, "free")]);
    let lost = pin_fast(&pages[3], SHORT, 7, || {
        assert_eq!(pages[3].refs.unpin(), Ok(RefsLeft::Some));
        8
    });
    assert_eq!(lost, Err(FastPinError::Lost(PinError::Underflow)));
}

// ---- ledger -------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum LedgerOp {
    Charge {
        owner: usize,
        long: bool,
        pages: u64,
    },
    Release {
        charge: usize,
    },
    Part {
        charge: usize,
        pages: u64,
    },
    Remove {
        owner: usize,
    },
}

fn ledger_op() -> impl Strategy<Value = LedgerOp> {
    prop_oneof![
        4 => (0usize..3, any::<bool>(), 0u64..8)
            .prop_map(|(owner, long, pages)| LedgerOp::Charge { owner, long, pages }),
        2 => (0usize..6).prop_map(|charge| LedgerOp::Release { charge }),
        2 => (0usize..6, 0u64..8).prop_map(|(charge, pages)| LedgerOp::Part { charge, pages }),
        1 => (0usize..3).prop_map(|owner| LedgerOp::Remove { owner }),
    ]
}

/// What an open charge is, to somebody who counts on his fingers.
struct Known {
    owner: usize,
    long: bool,
    pages: u64,
    since: u64,
    ticket: Charge,
}

const LIMIT: u64 = 12;

proptest! {
    #[test]
    fn ledger_against_model(ops in vec(ledger_op(), 1..80)) {
        let mut ledger = PinLedger::<3, 4>::new();
        let mut ids: Vec<OwnerId> = (0..3).map(|id| ledger.add_owner(id, LIMIT).unwrap()).collect();
        let mut open: Vec<Known> = Vec::new();
        let mut totals = BTreeMap::from([(0, (0, 0)), (1, (0, 0)), (2, (0, 0))]);
        for (now, op) in ops.into_iter().enumerate() {
            let now = now as u64;
            match op {
                LedgerOp::Charge { owner, long, pages } => {
                    let theirs = open.iter().filter(|known| known.owner == owner);
                    let live: u64 = theirs.map(|known| known.pages).sum();
                    let expected = if pages == 0 {
                        Err(LedgerError::NoPages)
                    } else if live + pages > LIMIT {
                        Err(LedgerError::Limit)
                    } else if open.len() == 4 {
                        Err(LedgerError::Full)
                    } else {
                        Ok(())
                    };
                    let got = ledger.charge(ids[owner], if long { LONG } else { SHORT }, pages, now);
                    prop_assert_eq!(got.as_ref().map(|_| ()).map_err(|&error| error), expected);
                    if let Ok(ticket) = got {
                        totals.get_mut(&owner).unwrap().0 += pages;
                        open.push(Known { owner, long, pages, since: now, ticket });
                    }
                }
                LedgerOp::Release { charge } if charge < open.len() => {
                    let known = open.swap_remove(charge);
                    prop_assert_eq!(ledger.release(known.ticket), Ok(known.pages));
                    totals.get_mut(&known.owner).unwrap().1 += known.pages;
                }
                LedgerOp::Part { charge, pages } if charge < open.len() => {
                    let known = &mut open[charge];
                    let expected = known.pages.checked_sub(pages).ok_or(LedgerError::TooMany);
                    prop_assert_eq!(ledger.release_pages(&known.ticket, pages), expected);
                    if let Ok(left) = expected {
                        known.pages = left;
                        totals.get_mut(&known.owner).unwrap().1 += pages;
                    }
                }
                LedgerOp::Remove { owner } => {
                    let has = open.iter().any(|known| known.owner == owner);
                    let got = ledger.remove_owner(ids[owner]);
                    if has {
                        prop_assert_eq!(got, Err(LedgerError::ChargesOpen));
                    } else {
                        prop_assert!(got.is_ok());
                        prop_assert_eq!(ledger.usage(ids[owner]), Err(LedgerError::UnknownOwner));
                        ids[owner] = ledger.add_owner(owner as u64, LIMIT).unwrap();
                        totals.insert(owner, (0, 0));
                    }
                }
                _ => {}
            }
            prop_assert_eq!(ledger.check(), Ok(()));
            for usage in ledger.usages() {
                let owner = usage.id as usize;
                let sum = |long| -> u64 {
                    open.iter().filter(|k| k.owner == owner && k.long == long).map(|k| k.pages).sum()
                };
                prop_assert_eq!((usage.live_short, usage.live_longterm), (sum(false), sum(true)));
                prop_assert_eq!((usage.acquired, usage.released), totals[&owner]);
                let pinned = open.iter().filter(|k| k.owner == owner && k.pages > 0);
                prop_assert_eq!(usage.oldest, pinned.map(|k| k.since).min());
            }
        }
    }
}

#[test]
fn the_ledger_refuses_what_is_not_its_own_and_gives_it_back() {
    let mut ours = PinLedger::<1, 2>::with_tag(1);
    let mut theirs = PinLedger::<1, 2>::with_tag(2);
    let (us, them) = (
        ours.add_owner(9, 10).unwrap(),
        theirs.add_owner(9, 10).unwrap(),
    );
    assert_eq!(
        ours.charge(them, SHORT, 1, 0).unwrap_err(),
        LedgerError::UnknownOwner
    );
    let foreign = theirs.charge(them, SHORT, 3, 0).unwrap();
    let own = ours.charge(us, SHORT, 3, 0).unwrap();
    let refused = ours.release(foreign).unwrap_err();
    assert_eq!(refused.error, LedgerError::UnknownCharge);
    assert_eq!(theirs.release(refused.charge), Ok(3));
    assert_eq!(ours.usage(us).unwrap().live(), 3);
    assert_eq!(ours.release(own), Ok(3));
}

#[test]
fn the_ledger_refuses_an_account_and_a_charge_of_before() {
    let mut ledger = PinLedger::<1, 1>::new();
    let old = ledger.add_owner(1, 10).unwrap();
    ledger.remove_owner(old).unwrap();
    let new = ledger.add_owner(1, 10).unwrap();
    assert_eq!(
        ledger.charge(old, SHORT, 1, 0).unwrap_err(),
        LedgerError::UnknownOwner
    );

    // The same tag and place, but another ledger and an earlier charge.
    let mut other = PinLedger::<1, 1>::new();
    let owner = other.add_owner(1, 10).unwrap();
    let stale = other.charge(owner, SHORT, 1, 0).unwrap();
    let first = ledger.charge(new, SHORT, 1, 0).unwrap();
    ledger.release(first).unwrap();
    let second = ledger.charge(new, SHORT, 2, 0).unwrap();
    assert_eq!(
        ledger.release_pages(&stale, 1),
        Err(LedgerError::UnknownCharge)
    );
    assert_eq!(ledger.release(second), Ok(2));
}

#[test]
fn the_ledger_at_its_ends() {
    let mut none = PinLedger::<0, 0>::new();
    assert_eq!(none.add_owner(1, 1), Err(LedgerError::Full));
    assert_eq!((none.check(), none.usages().count()), (Ok(()), 0));

    let mut ledger = PinLedger::<1, 0>::new();
    let owner = ledger.add_owner(1, u64::MAX).unwrap();
    assert_eq!(ledger.add_owner(1, 1), Err(LedgerError::DuplicateOwner));
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Full));
    assert_eq!(ledger.usage(owner).unwrap().acquired, 0);

    let mut ledger = PinLedger::<1, 2>::new();
    let owner = ledger.add_owner(1, u64::MAX).unwrap();
    let all = ledger.charge(owner, LONG, u64::MAX, 50).unwrap();
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Limit));
    assert_eq!(ledger.release(all), Ok(u64::MAX));
    assert_eq!(
        ledger.charge(owner, SHORT, 1, 0),
        Err(LedgerError::CounterEnd)
    );
    ledger.set_limit(owner, 0).unwrap();
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Limit));
    assert_eq!(ledger.check(), Ok(()));
}

// ---- readings -----------------------------------------------------------------------------------

fn page(flags: u32, maps: u32, base_pages: u32) -> PlainPage {
    let flags = PageFlags::from_bits_truncate(flags);
    PlainPage {
        flags,
        refs: 0,
        maps,
        pins: None,
        base_pages,
    }
}

proptest! {
    #[test]
    fn readings_of_quiet_pages(
        flags in any::<u32>(),
        maps in prop_oneof![0u32..4, 0u32..100_000],
        base_pages in prop_oneof![Just(1u32), Just(512)],
        pins in prop_oneof![Just(0u32), 0u32..5, 0u32..10_000],
        stray in prop_oneof![0u32..4, 505u32..520, 1020u32..1030, 0u32..3000],
    ) {
        let mut page = page(flags, maps, base_pages);
        let explained = pinfold::PageLike::explained_refs(&page, page.flags);
        page.refs = i32::try_from(u64::from(explained) + u64::from(stray) + u64::from(pins) * 1024).unwrap();
        let (biased, refined) = (Biased::read(&page), Refined::read(&page));
        if pins > 0 {
            prop_assert!(biased.maybe_pinned() && refined.maybe_pinned());
        }
        prop_assert_eq!(biased.maybe_pinned(), page.refs >= 1024);
        let high = pins > 0 || stray >= 512;
        prop_assert_eq!(refined.maybe_pinned(), high && page.refs >= 1024);
    }

    #[test]
    fn an_overflowed_count_reads_as_pinned(refs in i32::MIN..0, maps in any::<u32>()) {
        let page = PlainPage { refs, ..page(0, maps, 1) };
        prop_assert!(Biased::read(&page).maybe_pinned() && Refined::read(&page).maybe_pinned());
    }

    #[test]
    fn an_exact_count_is_the_only_one_asked(refs in any::<i32>(), total in 0u32..3) {
        let count = PinCount { total, longterm: None };
        let page = PlainPage { refs, pins: Some(count), ..page(0, 0, 1) };
        let expected = if total == 0 { Pins::None } else { Pins::Exactly(count) };
        prop_assert_eq!((Biased::read(&page), Refined::read(&page)), (expected, expected));
    }
}
