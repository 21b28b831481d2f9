//! The statistics: sums of parts, saturation, conservation.

use crate::model::Frame;
use crate::model::sequence::EVERYTHING;
use crate::setup::{FRAMES, activate_some, populated};
use pinfold::pin::PinKind;
use pinfold::reclaim::{
    ActivateReason, Futility, KeepReason, LruScan, Progress, ScanControl, Stats,
};

/// Statistics of two unlike passes, with as many counters above zero as there can be.
fn parts() -> Vec<Stats> {
    let mut parts = Vec::new();
    for (active, target) in [(false, 5), (true, u64::MAX), (true, 9)] {
        let frames = Frame::all(FRAMES, true);
        let mut machine = populated(&frames);
        if active {
            activate_some(&mut machine);
        }
        machine.pin(0, 2, 2, PinKind::Longterm, 0).unwrap();
        machine.pin(0, 5, 1, PinKind::Short, 0).unwrap();
        let mut scan = LruScan::new(target);
        let _ = scan.run(&mut machine, &ScanControl::new(EVERYTHING));
        parts.push(*scan.stats());
    }
    parts
}

/// Every public counter, and one by reason.
fn counters(stats: &Stats) -> Vec<(String, u64)> {
    let text = format!("{stats:?}").replace(['{', '}', '[', ']'], ",");
    let mut name = String::new();
    text.split([',', ':'])
        .map(str::trim)
        .filter_map(|word| {
            if let Ok(count) = word.parse() {
                Some((name.clone(), count))
            } else {
                if !word.is_empty() {
                    name = word.to_owned();
                }
                None
            }
        })
        .collect()
}

#[test]
fn the_whole_is_the_sum_of_its_parts() {
    let parts = parts();
    let mut whole = Stats::default();
    for part in &parts {
        assert!(part.is_conserved());
        whole.merge(part);
        assert!(whole.is_conserved());
    }
    let named: Vec<u64> = whole.iter().map(|(_, count)| count).collect();
    let whole = counters(&whole);
    let printed: Vec<u64> = whole.iter().map(|&(_, count)| count).collect();
    assert_eq!(named, printed, "as they are printed");
    assert_eq!(whole.len(), 24 + 15 + 9, "{whole:?}");
    for (at, (name, total)) in whole.into_iter().enumerate() {
        let sum: u64 = parts.iter().map(|part| counters(part)[at].1).sum();
        assert_eq!(total, sum, "{name}");
    }
}

#[test]
fn counters_saturate() {
    let mut stats = parts().pop().unwrap();
    for _ in 0..70 {
        let double = stats;
        stats.merge(&double);
    }
    for (name, count) in counters(&stats) {
        assert!(count == 0 || count == u64::MAX, "{name} is {count}");
    }
    assert_eq!(stats.scanned, u64::MAX);
    assert_eq!(stats.reclaimed(), u64::MAX);
}

#[test]
fn what_does_not_add_up_is_noticed() {
    let good = parts().pop().unwrap();
    let broken: [fn(&mut Stats); 12] = [
        |stats| stats.scanned += 1,
        |stats| stats.rescanned += 1,
        |stats| stats.freed += 1,
        |stats| stats.raced += 1,
        |stats| stats.parked += 1,
        |stats| stats.kept += 1,
        |stats| stats.activated += 1,
        |stats| stats.lock_busy += 1,
        |stats| stats.activate_anon += 1,
        |stats| stats.refilled += 1,
        |stats| stats.active_pinned += 1,
        |stats| stats.active_parked += 1,
    ];
    for (at, spoil) in broken.into_iter().enumerate() {
        let mut stats = good;
        spoil(&mut stats);
        assert!(!stats.is_conserved(), "{at}");
    }
    // A page that moves between two ends without its reason.
    let mut stats = good;
    stats.kept += 1;
    stats.freed -= 1;
    assert!(!stats.is_conserved());
    let mut stats = good;
    stats.activated += 1;
    stats.activate_file += 1;
    stats.freed -= 1;
    assert!(!stats.is_conserved());
}

#[test]
fn reasons_have_counters_of_their_own() {
    let stats = parts().remove(1);
    let kept: u64 = [
        KeepReason::Pinned(pinfold::pin::Pins::None),
        KeepReason::Mapped,
        KeepReason::Referenced,
        KeepReason::NoIo,
        KeepReason::SplitFailed,
        KeepReason::Dirty,
        KeepReason::NotWritten,
        KeepReason::Writeback,
        KeepReason::LockLost,
        KeepReason::NoMapping,
        KeepReason::Held,
        KeepReason::Mlocked,
        KeepReason::Failed,
        KeepReason::WriteLimit,
    ]
    .map(|reason| stats.kept_for(reason))
    .iter()
    .sum();
    assert_eq!(kept, stats.kept);
    let activated: u64 = [
        ActivateReason::Unevictable,
        ActivateReason::Writeback,
        ActivateReason::Referenced,
        ActivateReason::CannotSplit,
        ActivateReason::NoSwap,
        ActivateReason::StillMapped,
        ActivateReason::Dirty,
        ActivateReason::NotWritten,
        ActivateReason::Buffers,
    ]
    .map(|reason| stats.activated_for(reason))
    .iter()
    .sum();
    assert_eq!(activated, stats.activated);
    assert!(stats.kept_for(KeepReason::Pinned(pinfold::pin::Pins::None)) > 0);
    assert!(stats.activated_for(ActivateReason::Dirty) > 0);
}

/// Passes that did not meet their target count, whatever they brought; one that did starts afresh;
/// one that is not over does not count.
#[test]
fn when_it_is_futile() {
    let frames = Frame::all(FRAMES, true);
    let machine = populated(&frames);
    let mut scan = LruScan::new(9);
    let mut futility = Futility::new(2);
    assert_eq!(futility.note(&scan, Progress::Exhausted, &machine), None);
    for _ in 0..5 {
        assert_eq!(futility.note(&scan, Progress::More, &machine), None);
        assert_eq!(futility.failures(), 1);
    }
    assert_eq!(futility.note(&scan, Progress::Reached, &machine), None);
    assert_eq!(futility.failures(), 0);
    assert_eq!(futility.note(&scan, Progress::Exhausted, &machine), None);
    let frames = Frame::all(FRAMES, true);
    let mut machine = populated(&frames);
    let _ = scan.step(&mut machine, &ScanControl::new(EVERYTHING), 20);
    assert!(scan.reclaimed() > 0, "partial success");
    let verdict = futility.note(&scan, Progress::Exhausted, &machine);
    assert_eq!(verdict.expect("futile").passes, 2);
}
