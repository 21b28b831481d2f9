//! Pins that go while a pass runs: what they held is reclaimable again, whenever that is.

use crate::model::sequence::EVERYTHING;
use crate::world::{Page, What, When, World};
use pinfold::reclaim::{Futility, LruScan, ParkLazily, ParkPolicy, Progress, Rotate, ScanControl};
use pinfold::{PageFlags, PinPolicy, SkipPinned};

/// A pass over clean file pages with one pin each, all of which go at `when`: what it took, or
/// `None` if they went only after others were asked for the last time.
fn pass<L: PinPolicy, K: ParkPolicy>(
    count: usize,
    longterm: bool,
    when: When,
    control: &ScanControl<L, K>,
) -> Option<u64> {
    let page = |index| {
        let page = Page::new(index, PageFlags::PAGE_CACHE);
        if longterm {
            &page.longterm
        } else {
            &page.short
        }
        .set(1);
        page
    };
    let pages: Vec<Page> = (0..count).map(page).collect();
    let mut world = World::new(&pages);
    world.events.insert(when, What::UnpinAll);
    let mut scan = LruScan::new(u64::MAX);
    let end = scan.run(&mut world, control);
    world.check();
    assert_eq!(end, Progress::Exhausted);
    if !world.in_time {
        return None;
    }
    let futile = Futility::new(1).note(&scan, end, &world).expect("futile");
    assert_eq!(futile.pinned, 0, "{when:?}: {futile}");
    Some(scan.reclaimed())
}

/// At every priority, under every policy that reads pins, parked or not.
#[test]
fn pins_that_go_while_others_are_asked() {
    let control = ScanControl::new(EVERYTHING);
    for count in [1, 31, 64, 1000] {
        for priority in 0..=12 {
            for longterm in [false, true] {
                let when = When::Others(priority);
                let taken = [
                    pass(count, longterm, when, &control),
                    pass(count, longterm, when, &control.with_parking(Rotate)),
                    pass(count, longterm, when, &control.with_parking(ParkLazily)),
                    pass(count, longterm, when, &control.with_policy(SkipPinned)),
                ];
                assert_eq!(taken, [Some(count as u64); 4], "{when:?}");
            }
        }
    }
}

/// At every call until others have been asked for the last time.
#[test]
fn pins_that_go_at_any_call() {
    for longterm in [false, true] {
        for parks in [false, true] {
            let mut in_time = 0;
            for at in 0..1000 {
                let control = ScanControl::new(EVERYTHING);
                let when = When::Call(at);
                let taken = if parks {
                    pass(40, longterm, when, &control.with_parking(ParkLazily))
                } else {
                    pass(40, longterm, when, &control.with_parking(Rotate))
                };
                if let Some(taken) = taken {
                    assert_eq!(taken, 40, "{when:?}");
                    in_time += 1;
                }
            }
            assert!((100..1000).contains(&in_time), "{in_time} calls");
        }
    }
}

/// The only pin goes at any call, also while its page is being parked, which hands it back.
#[test]
fn the_only_pin_goes_at_any_call() {
    let control = ScanControl::new(EVERYTHING).with_parking(ParkLazily);
    let taken = (0..100).filter_map(|at| pass(1, true, When::Call(at), &control));
    let taken: Vec<u64> = taken.collect();
    assert_eq!(taken, vec![1; taken.len()]);
    assert!((13..50).contains(&taken.len()), "{taken:?}");
}
