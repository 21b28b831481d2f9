//! Every method that can fail or be refused, failing at every call: pages are kept or accounted
//! for, nothing is lost or freed twice. The machine panics where a lock, a flush, a content or a page
//! is lost.

use crate::model::sequence::EVERYTHING;
use crate::model::{Event, Frame};
use crate::setup::{FRAMES, activate_some, populated};
use pinfold::pin::PinKind;
use pinfold::reclaim::{KeepReason, LruScan, Parking, Progress, ScanControl, ScanFlags};
use std::collections::HashSet;

/// A pass during which these events happen; everything adds up after it, and nothing is stuck.
/// Returns which calls failed, and how many events did not come to pass.
fn pass(
    exact: bool,
    active: bool,
    flags: ScanFlags,
    events: &[(u32, Event)],
) -> (Vec<&'static str>, usize) {
    let frames = Frame::all(FRAMES, exact);
    let mut machine = populated(&frames);
    if active {
        activate_some(&mut machine);
    }
    machine.pin(0, 1, 2, PinKind::Longterm, 0).unwrap();
    machine.guards_pins = true;
    machine.events = events.iter().copied().collect();
    let mut scan = LruScan::new(u64::MAX);
    let control = ScanControl::new(flags).with_parking(Parking::Lazy);
    assert_eq!(scan.run(&mut machine, &control), Progress::Exhausted);
    let left = machine.events.len();
    machine.events.clear();
    let stats = scan.stats();
    assert!(stats.is_conserved(), "{stats:?}");
    assert_eq!(stats.kept_for(KeepReason::Failed), machine.told.errors);
    assert!(machine.stale.is_empty(), "a flush was forgotten");
    assert_eq!((machine.unflushed, machine.unsubmitted), (0, 0));
    machine.check();
    machine.guards_pins = false;
    let failed = core::mem::take(&mut machine.failed);
    machine.wind_up();
    (failed, left)
}

#[test]
fn any_call_may_fail() {
    let busy = EVERYTHING | ScanFlags::BACKGROUND | ScanFlags::NODE_DIRTY;
    let mut told = HashSet::new();
    for flags in [EVERYTHING, busy] {
        for active in [false, true] {
            for failures in 1..=3 {
                // One call fails; that and the next; and the one after.
                let mut at = 0;
                loop {
                    let mut events = vec![(at, Event::Fail)];
                    events.resize(failures, (0, Event::Fail));
                    let (failed, left) = pass(at % 2 == 0, active, flags, &events);
                    if left > 0 {
                        break;
                    }
                    told.extend(failed);
                    // Every call once, and every fifth twice and thrice.
                    at += if failures == 1 { 1 } else { 5 };
                }
                assert!(at > 200, "only {at} calls");
            }
        }
    }
    for op in [
        "next_vma",
        "next_entry",
        "clear",
        "invalidate_begin",
        "swap_duplicate",
        "arch_unmap",
        "remove",
        "try_lock",
        "add_to_swap",
        "write_out",
        "release_buffers",
        "put_last",
    ] {
        assert!(told.contains(op), "{op} never failed");
    }
}

/// Others who pin, write, hold and let go in the middle of any operation.
#[test]
fn anything_may_happen_meanwhile() {
    let longterm = Event::Pin(PinKind::Longterm);
    for event in [
        Event::Pin(PinKind::Short),
        longterm,
        Event::Unpin,
        Event::Store,
        Event::Hold,
    ] {
        for at in 0..240 {
            let (_, left) = pass(at % 2 == 0, at % 3 == 0, EVERYTHING, &[(at, event)]);
            if left > 0 {
                assert!(at > 100);
                break;
            }
        }
    }
}

/// Nothing but `spared` works: the pass ends, no page is lost, and the work is bounded.
fn all_fails(spared: &'static [&'static str]) -> u64 {
    let mut errors = 0;
    for exact in [false, true] {
        let frames = Frame::all(FRAMES, exact);
        let mut machine = populated(&frames);
        let places = machine.places.clone();
        machine.spared = spared;
        machine.events = core::iter::repeat_n((0, Event::Fail), 100_000).collect();
        let mut scan = LruScan::new(1);
        let control = ScanControl::new(EVERYTHING);
        assert_eq!(scan.run(&mut machine, &control), Progress::Exhausted);
        machine.events.clear();
        assert_eq!(scan.reclaimed(), 0);
        if spared.is_empty() {
            assert_eq!(machine.places, places, "no page is even locked");
        }
        assert!(machine.failed.len() <= 3 * FRAMES);
        errors += machine.told.errors;
        assert_eq!(
            scan.stats().kept_for(KeepReason::Failed),
            machine.told.errors
        );
        assert!(scan.stats().is_conserved());
        machine.check();
    }
    errors
}

#[test]
fn an_embedder_whose_every_operation_fails() {
    assert_eq!(all_fails(&[]), 0);
    assert_eq!(all_fails(&["try_lock"]), 0, "the reverse map is contended");
    assert!(all_fails(&["try_lock", "next_vma"]) > 0);
}
