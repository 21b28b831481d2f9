//! (d) Robbing Peter to pay Paul: an object is pinned page by page; pinning its last half needs
//! memory, and reclaim attacks the first half.

use crate::model::sequence::EVERYTHING;
use crate::model::{Frame, Machine};
use pinfold::pin::PinKind;
use pinfold::reclaim::{LruScan, Parking, Progress, ScanControl};
use pinfold::{IgnorePins, PinPolicy};

/// Pages of the object, and others that could be had instead.
const OBJECT: usize = 32;
const OTHERS: usize = 40;

#[derive(Debug, Default, PartialEq, Eq)]
struct Attacked {
    /// Pages of the object that were pinned and lost their mapping.
    unmapped: usize,
    /// Pages of the object for which swap was allocated.
    swap_allocated: usize,
    /// Secondary MMUs told of a page that was pinned: an IOMMU fault, or the device stopped.
    notifier_calls: u64,
    /// The whole object is pinned in the end.
    pinned: usize,
}

fn scenario<L: PinPolicy>(control: &ScanControl<L>) -> Attacked {
    // Memory for the object's first half and the others; each page of its second half needs one.
    let frames = Frame::all(OBJECT / 2 + OTHERS, false);
    let mut machine = Machine::new(&frames, OBJECT + OTHERS, 1, OBJECT + OTHERS);
    for page in 0..OBJECT / 2 {
        machine.write(0, page).unwrap();
    }
    for page in OBJECT..OBJECT + OTHERS {
        machine.write(0, page).unwrap();
    }
    for frame in &frames {
        machine.make_old(frame);
    }
    let mut attacked = Attacked::default();
    for page in 0..OBJECT {
        while machine.pin(0, page, 1, PinKind::Longterm, 0).is_err() {
            let mut scan = LruScan::new(1);
            let told = machine.told;
            let mapped = |machine: &Machine<'_>| {
                let pages = machine.spaces[0].ptes[..page].iter();
                let present = |pte: &&_| matches!(pte, crate::model::Pte::Present(..));
                pages.filter(present).count()
            };
            let before = mapped(&machine);
            assert_eq!(scan.run(&mut machine, control), Progress::Reached);
            attacked.unmapped += before - mapped(&machine);
            // One page was freed, and its walk told of rightly.
            attacked.notifier_calls += machine.told.notifier_calls - told.notifier_calls - 1;
        }
        // Devices leave no mark in the page tables.
        for frame in &frames {
            machine.make_old(frame);
        }
    }
    machine.check();
    let pinned = frames
        .iter()
        .filter(|frame| machine.pins_on(frame.index) > 0);
    attacked.pinned = pinned.clone().count();
    let cached = pinned.filter(|frame| machine.slot_of(frame.index).is_some());
    attacked.swap_allocated = cached.count();
    attacked
}

#[test]
fn reclaim_attacks_the_object_being_pinned() {
    let control = ScanControl::new(EVERYTHING);
    let old = scenario(
        &control
            .with_policy(IgnorePins)
            .with_parking(Parking::Rotate),
    );
    let rotate = scenario(&control.with_parking(Parking::Rotate));
    let ours = scenario(&control);
    println!("ignore pins: {old:?}\nours, rotate: {rotate:?}\nours: {ours:?}");
    assert_eq!(
        old.unmapped,
        OBJECT / 2,
        "the whole first half was attacked"
    );
    assert_eq!(old.swap_allocated, OBJECT / 2);
    assert!(old.notifier_calls >= OBJECT as u64 / 2);
    for ours in [rotate, ours] {
        let untouched = Attacked {
            pinned: OBJECT,
            ..Attacked::default()
        };
        assert_eq!(ours, untouched);
    }
}
