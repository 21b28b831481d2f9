//! (c) A background reclaimer that never stops. In Linux any page freed on a node resets its failure
//! count (`kswapd_failures`), so that one page a pass keeps it running on a node that is otherwise
//! pinned.

use crate::model::sequence::EVERYTHING;
use crate::model::{Frame, Machine};
use pinfold::PinPolicy;
use pinfold::pin::PinKind;
use pinfold::reclaim::{Futile, Futility, LruScan, Parking, ScanControl, ScanFlags};
use pinfold::{Context, IgnorePins, Requester};

const PINNED: usize = 64;
const TARGET: u64 = 32;
/// Passes after which nobody believes any more that it will stop.
const FOREVER: u32 = 200;

/// When to stop, after a pass.
trait Stop {
    fn after(
        &mut self,
        scan: &LruScan,
        progress: pinfold::reclaim::Progress,
        machine: &Machine<'_>,
    ) -> bool;
}

/// As Linux 5.8 counts.
#[derive(Default)]
struct Failures(u32);

impl Stop for Failures {
    fn after(&mut self, scan: &LruScan, _: pinfold::reclaim::Progress, _: &Machine<'_>) -> bool {
        if scan.reclaimed() > 0 {
            self.0 = 0;
        } else {
            self.0 += 1;
        }
        self.0 >= Futility::MAX_RECLAIM_RETRIES
    }
}

#[derive(Default)]
struct Ours {
    futility: Futility,
    verdict: Option<Futile>,
}

impl Stop for Ours {
    fn after(
        &mut self,
        scan: &LruScan,
        progress: pinfold::reclaim::Progress,
        machine: &Machine<'_>,
    ) -> bool {
        self.verdict = self.futility.note(scan, progress, machine);
        self.verdict.is_some()
    }
}

#[derive(Debug)]
struct Seen {
    passes: u32,
    scanned: u64,
    reclaimed: u64,
}

/// Passes for [`TARGET`] pages on a node that is pinned but for one page, which its program reads
/// again after each pass.
fn scenario<L: PinPolicy>(stop: &mut impl Stop, control: &ScanControl<L>) -> Seen {
    let frames = Frame::all(PINNED + 1, true);
    let mut machine = Machine::new(&frames, PINNED, 1, PINNED);
    for page in 0..PINNED {
        machine.write(0, page).unwrap();
    }
    machine.pin(0, 0, PINNED, PinKind::Longterm, 0).unwrap();
    for frame in &frames {
        machine.make_old(frame);
    }
    let mut seen = Seen {
        passes: 0,
        scanned: 0,
        reclaimed: 0,
    };
    while seen.passes < FOREVER {
        machine.read(0, PINNED).unwrap();
        machine.make_old(&frames[PINNED]);
        let mut scan = LruScan::new(TARGET);
        let progress = scan.run(&mut machine, control);
        seen.passes += 1;
        seen.scanned += scan.stats().scanned;
        seen.reclaimed += scan.reclaimed();
        if stop.after(&scan, progress, &machine) {
            break;
        }
    }
    machine.check();
    let usage = machine.ledger.usages().next().unwrap();
    assert_eq!(
        usage.live_longterm, PINNED as u64,
        "the ledger knows who pins"
    );
    seen
}

#[test]
fn partial_success_keeps_it_running() {
    let control = ScanControl::new(EVERYTHING | ScanFlags::BACKGROUND)
        .with_context(Context::new(Requester::Background));
    let old_control = control
        .with_policy(IgnorePins)
        .with_parking(Parking::Rotate);
    let old = scenario(&mut Failures::default(), &old_control);
    let bounded = scenario(&mut Ours::default(), &old_control);
    let mut ours = Ours::default();
    let parked = scenario(&mut ours, &control);
    println!("failure count, ignore pins: {old:?}");
    println!("futility, ignore pins:      {bounded:?}");
    println!("futility, ours:             {parked:?}");
    let verdict = ours.verdict.expect("it stopped");
    println!("  {verdict}");
    assert_eq!(old.passes, FOREVER, "it never stops");
    assert!(old.reclaimed >= u64::from(FOREVER) / 2, "for a page a pass");
    for ours in [&bounded, &parked] {
        assert_eq!(ours.passes, Futility::MAX_RECLAIM_RETRIES);
    }
    assert_eq!((verdict.parked, verdict.pinned), (PINNED as u64, 0));
    assert!(verdict.reclaimed <= 1 && verdict.target == TARGET);
    // The pinned pages are met once, and then cost nothing.
    assert!(parked.scanned * 10 < bounded.scanned, "{parked:?}");
}
