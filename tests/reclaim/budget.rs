//! The budgeted step, the target, the priorities, and bounds.

use crate::model::sequence::EVERYTHING;
use crate::model::{Frame, Machine};
use crate::setup::{FRAMES, activate_some, populated};
use core::cell::RefCell;
use pinfold::pin::{PinKind, PinReading, Pins, Refined};
use pinfold::reclaim::{
    Lists, Lru, LruScan, Parking, Progress, ScanControl, ScanFlags, Stats, unpark,
};
use pinfold::{
    Context, IgnorePins, Operation, PageLike, PageSnapshot, PinPolicy, PinVerdict, Requester,
};

fn crowd(frames: &[Frame]) -> Machine<'_> {
    let mut machine = populated(frames);
    activate_some(&mut machine);
    machine.pin(0, 0, 3, PinKind::Longterm, 0).unwrap();
    machine.pin(0, 9, 2, PinKind::Short, 0).unwrap();
    machine
}

#[test]
fn small_steps_do_what_one_large_one_does() {
    for target in [1, 5, 12, u64::MAX] {
        let run = |budgets: &[u32]| -> (Progress, Stats, u64, usize) {
            let frames = Frame::all(FRAMES, true);
            let mut machine = crowd(&frames);
            let mut scan = LruScan::new(target);
            let control = ScanControl::new(EVERYTHING);
            let mut budgets = budgets.iter().cycle();
            let end = loop {
                let budget = *budgets.next().unwrap();
                let before = scan.stats().scanned + scan.stats().refilled + scan.stats().lock_busy;
                let progress = scan.step(&mut machine, &control, budget);
                let after = scan.stats().scanned + scan.stats().refilled + scan.stats().lock_busy;
                let again = scan.stats().rescanned;
                assert!(
                    after - before <= u64::from(budget.max(1)) + again,
                    "over its budget"
                );
                if progress != Progress::More {
                    break progress;
                }
            };
            machine.check();
            (end, *scan.stats(), machine.told.freed, machine.parked.len())
        };
        let whole = run(&[u32::MAX]);
        for budgets in [
            &[0][..],
            &[1],
            &[2],
            &[3, 1, 7],
            &[31],
            &[32],
            &[33, 5],
            &[1000],
        ] {
            assert_eq!(run(budgets), whole, "in steps of {budgets:?}, for {target}");
        }
        let freed = whole.1.reclaimed();
        assert!(freed <= target, "more than was asked for");
        assert_eq!(whole.0 == Progress::Reached, freed == target);
    }
}

#[test]
fn a_pass_that_is_over_does_nothing_more() {
    struct Others<'m>(Machine<'m>, u64);
    let frames = Frame::all(FRAMES, true);
    let mut others = Others(populated(&frames), 0);
    let control = ScanControl::new(EVERYTHING);
    let mut scan = LruScan::new(u64::MAX);
    assert_eq!(scan.run(&mut others.0, &control), Progress::Exhausted);
    let (stats, told) = (*scan.stats(), others.0.told);
    for _ in 0..3 {
        assert_eq!(scan.step(&mut others.0, &control, 9), Progress::Exhausted);
        others.1 += 1;
    }
    assert_eq!((*scan.stats(), others.0.told, others.1), (stats, told, 3));
    let mut scan = LruScan::new(0);
    assert_eq!(scan.run(&mut others.0, &control), Progress::Reached);
    assert_eq!(others.0.told, told);
}

/// Each list gets a batch in turn: anonymous pages do not all go before the first file page.
#[test]
fn lists_take_turns() {
    let frames = Frame::all(512, false);
    let mut machine = Machine::new(&frames, 256, 256, 256);
    for page in 0..512 {
        machine.read(0, page).unwrap();
    }
    for frame in &frames {
        machine.make_old(frame);
    }
    // Down to priority 2, 105 pages of each list are scanned; then, 75 of each are to be.
    let mut scan = LruScan::new(2 * 105 + 3 * 32);
    let control = ScanControl::new(EVERYTHING);
    assert_eq!(scan.run(&mut machine, &control), Progress::Reached);
    assert_eq!(scan.priority(), 1);
    let left = [Lru::InactiveAnon, Lru::InactiveFile].map(|list| machine.pages(list));
    assert_eq!(left, [256 - 105 - 64, 256 - 105 - 32]);
}

/// The policy hears how hard the scan has come to try.
#[test]
fn the_context_says_how_hard() {
    /// Every page may be pinned, so that the policy is asked about each.
    struct Everywhere;
    impl PinReading for Everywhere {
        fn read_with<P: PageLike + ?Sized>(_: &P, _: PageSnapshot) -> Pins {
            Pins::Maybe {
                estimate: 1,
                longterm: None,
            }
        }
    }
    struct Listens<'a>(&'a RefCell<Vec<Context>>);
    impl PinPolicy for Listens<'_> {
        type Reading = Everywhere;
        fn verdict(&self, _: Operation, context: Context, _: Pins) -> PinVerdict {
            self.0.borrow_mut().push(context);
            PinVerdict::Proceed
        }
    }
    let heard = RefCell::default();
    let frames = Frame::all(64, true);
    let mut machine = Machine::new(&frames, 64, 1, 64);
    for page in 0..64 {
        machine.write(0, page).unwrap();
    }
    machine.config.out_of_swap = false;
    let mut scan = LruScan::new(u64::MAX);
    let control = ScanControl::new(EVERYTHING)
        .with_policy(Listens(&heard))
        .with_parking(Parking::Rotate)
        .with_context(Context::new(Requester::Proactive));
    let mut priorities = vec![scan.priority()];
    while scan.step(&mut machine, &control, 1) == Progress::More {
        priorities.push(scan.priority());
    }
    assert!(priorities.is_sorted_by(|gentle, hard| gentle >= hard));
    assert_eq!((priorities[0], scan.priority()), (Context::DEF_PRIORITY, 0));
    let heard = heard.into_inner();
    assert!(
        heard
            .iter()
            .all(|context| context.requester == Requester::Proactive)
    );
    assert_eq!(
        heard.first().unwrap().priority,
        6,
        "64 pages: one at priority 6"
    );
    assert_eq!(heard.last().unwrap().priority, 0);
}

#[test]
fn unparking_is_bounded_and_goes_on_where_it_ended() {
    let frames = Frame::all(20, false);
    let mut machine = Machine::new(&frames, 20, 1, 20);
    for page in 0..20 {
        machine.write(0, page).unwrap();
        machine.pin(0, page, 1, PinKind::Short, 0).unwrap();
        let frame = &frames[machine.groups.last().unwrap().guard.pages()[0].index];
        machine.isolate(frame);
        machine.park_held(frame).unwrap();
    }
    // Two of three are unpinned; a biased count cannot tell the last pin, so the sweep must.
    for group in (0..20).rev().filter(|group| group % 3 != 0) {
        machine.unpin(group);
    }
    let mut looked_at = Vec::new();
    let mut put_back = 0;
    for _ in 0..4 {
        let first = machine.parked.front().copied();
        looked_at.push(first);
        let report = unpark::<_, Refined>(&mut machine, 5, |_| Lru::ActiveAnon);
        assert_eq!(
            (report.looked_at, report.complete),
            (5, machine.parked.len() < 5)
        );
        put_back += report.put_back;
        machine.check();
    }
    assert_eq!(
        looked_at,
        [0, 5, 10, 15].map(Some),
        "each is looked at once"
    );
    assert_eq!((put_back, machine.pages_parked()), (13, 7));
    assert_eq!(
        machine.pages(Lru::ActiveAnon),
        13,
        "on the list that was chosen"
    );
    let report = unpark::<_, Refined>(&mut machine, 7, |_| Lru::ActiveAnon);
    assert!(report.complete && report.put_back == 0);
    let report = unpark::<_, Refined>(&mut machine, 0, |_| Lru::ActiveAnon);
    assert_eq!((report.looked_at, report.complete), (0, false));
}

/// Without pins, all policies do the same.
#[test]
fn without_pins_policies_are_alike() {
    fn run<L: PinPolicy>(policy: L) -> (Stats, u64, u64, u64) {
        let frames = Frame::all(FRAMES, false);
        let mut machine = populated(&frames);
        activate_some(&mut machine);
        let mut scan = LruScan::new(20);
        let control = ScanControl::new(EVERYTHING).with_policy(policy);
        let _ = scan.run(&mut machine, &control.with_parking(Parking::Longterm));
        let told = machine.told;
        (
            *scan.stats(),
            told.unmap_calls,
            told.swap_allocated,
            told.references_walked,
        )
    }
    let ignore = run(IgnorePins);
    assert_eq!(run(pinfold::SkipPinned), ignore);
    assert_eq!(run(pinfold::SkipOpportunistic::<Refined>::new()), ignore);
    assert_eq!(run(pinfold::SkipLongterm::<Refined>::new()), ignore);
}

/// With the flags of Linux's reclaimers, a pass takes what is mapped, anonymous and dirty.
#[test]
fn presets_take_what_there_is() {
    let presets = [
        ScanFlags::direct(),
        ScanFlags::background(),
        ScanFlags::proactive(),
    ];
    for flags in presets {
        let frames = Frame::all(40, false);
        let mut machine = Machine::new(&frames, 20, 10, 40);
        for page in 0..20 {
            machine.write(0, page).unwrap();
        }
        for page in 20..30 {
            machine.read(0, page).unwrap();
        }
        for frame in &frames {
            machine.make_old(frame);
        }
        let mut scan = LruScan::new(u64::MAX);
        let _ = scan.run(&mut machine, &ScanControl::new(flags));
        assert_eq!(scan.reclaimed(), 30, "{flags:?}");
    }
    let differ = ScanFlags::direct() ^ ScanFlags::background();
    assert_eq!(differ, ScanFlags::BACKGROUND);
}
