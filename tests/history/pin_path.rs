//! (b) Taking pages off their list at every pin makes the pin path pay: direct I/O pins and unpins
//! the same pages thousands of times between two scans.

use crate::model::sequence::EVERYTHING;
use crate::model::{Frame, Machine};
use pinfold::pin::PinKind;
use pinfold::reclaim::{Lists, LruScan, Parking, ScanControl};

const PAGES: usize = 32;
const ROUNDS: usize = 50;

#[derive(Debug, PartialEq, Eq)]
struct Paid {
    /// List operations on the pin and unpin path.
    pin_path: u64,
    /// List operations in the one scan that comes while the pages are pinned.
    scan: u64,
    /// And when their pins go after it.
    last_unpin: u64,
}

fn scenario(parking: Parking) -> Paid {
    let frames = Frame::all(PAGES, true);
    let mut machine = Machine::new(&frames, PAGES, 1, PAGES);
    machine.parks_eagerly = parking.parks_on_pin(PinKind::Short);
    for page in 0..PAGES {
        machine.write(0, page).unwrap();
    }
    for frame in &frames {
        machine.make_old(frame);
    }
    let before = machine.told.list_operations;
    for _ in 0..ROUNDS {
        machine.pin(0, 0, PAGES, PinKind::Short, 0).unwrap();
        machine.unpin(0);
    }
    let pin_path = machine.told.list_operations - before;

    machine.pin(0, 0, PAGES, PinKind::Short, 0).unwrap();
    let before = machine.told.list_operations;
    let mut scan = LruScan::new(1);
    let _ = scan.run(
        &mut machine,
        &ScanControl::new(EVERYTHING).with_parking(parking),
    );
    let scanning = machine.told.list_operations - before;
    assert_eq!(scan.reclaimed(), 0);
    let before = machine.told.list_operations;
    machine.unpin(0);
    machine.check();
    assert_eq!(machine.pages_parked(), 0);
    Paid {
        pin_path,
        scan: scanning,
        last_unpin: machine.told.list_operations - before,
    }
}

#[test]
fn short_pins_pay_for_lists() {
    let eager = scenario(Parking::Eager);
    let lazy = scenario(Parking::Lazy);
    let longterm = scenario(Parking::Longterm);
    let rotate = scenario(Parking::Rotate);
    for (name, paid) in [
        ("eager", &eager),
        ("lazy", &lazy),
        ("long-term only", &longterm),
        ("rotate", &rotate),
    ] {
        let pins = PAGES * ROUNDS;
        println!(
            "{name}: {paid:?}, {} per pin",
            paid.pin_path as f64 / pins as f64
        );
    }
    let pages = PAGES as u64;
    // Off and parked; and back.
    assert_eq!(eager.pin_path, 3 * pages * ROUNDS as u64);
    assert_eq!(eager.scan, 0);
    for ours in [&lazy, &longterm, &rotate] {
        assert_eq!(ours.pin_path, 0, "a short pin costs no list operation");
    }
    // Off its list and parked; or back, and once more after others were asked for the last time.
    assert!(lazy.scan <= 2 * pages, "{lazy:?}");
    for ours in [&longterm, &rotate] {
        assert!(ours.scan <= 4 * pages, "{ours:?}");
    }
    assert_eq!(lazy.last_unpin, pages);
    assert_eq!((longterm.last_unpin, rotate.last_unpin), (0, 0));
}
