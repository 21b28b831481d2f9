//! What a scan makes of pinned pages that stay on its lists.

use crate::model::sequence::EVERYTHING;
use crate::script::{Answers, Page, Script, active};
use pinfold::reclaim::{Futility, Lru, LruScan, Parking, Progress, ScanControl};

/// Half the list is pinned; its first half, or its last, or every other page.
#[test]
fn a_list_is_not_given_up_half_way() {
    let orders: [fn(usize) -> bool; 3] = [|at| at < 20, |at| at >= 20, |at| at % 2 == 0];
    for pinned in orders {
        for park in [false, true] {
            let page = |at| {
                if pinned(at) {
                    Page::file().pinned(0, 1)
                } else {
                    Page::file()
                }
            };
            let pages: Vec<Page> = (0..40).map(page).collect();
            let mut script = Script::default();
            script.list(&pages);
            let mut scan = LruScan::new(20);
            let control = ScanControl::new(EVERYTHING);
            let end = if park {
                scan.run(&mut script, &control.with_parking(Parking::Lazy))
            } else {
                scan.run(&mut script, &control.with_parking(Parking::Rotate))
            };
            assert_eq!((end, script.freed.len()), (Progress::Reached, 20));
            assert!(script.freed.iter().all(|page| page.pins.get().total == 0));
        }
    }
}

/// Everything on the inactive list is pinned and stays there: the scan of it ends, and the active
/// one is aged and scanned.
#[test]
fn a_list_that_is_pinned_all_over_is_left() {
    let mut pages = vec![Page::anon().pinned(0, 1); 64];
    pages.extend(vec![active(Page::anon()); 10]);
    let mut script = Script::default();
    script.list(&pages);
    let control = ScanControl::new(EVERYTHING).with_parking(Parking::Rotate);
    let mut futility = Futility::new(4);
    let mut reclaimed = 0;
    for pass in 0..2 {
        let mut scan = LruScan::new(10 - reclaimed);
        let progress = scan.run(&mut script, &control);
        reclaimed += scan.reclaimed();
        assert_eq!(futility.note(&scan, progress, &script), None, "pass {pass}");
        assert!(scan.stats().scanned <= 3 * 74);
        if progress == Progress::Reached {
            break;
        }
    }
    assert_eq!(reclaimed, 10);
    // Now nothing else is left. Each page is looked at before others are asked for the last time,
    // and after.
    let mut scan = LruScan::new(1);
    let progress = scan.run(&mut script, &control);
    assert_eq!(
        (progress, scan.stats().scanned),
        (Progress::Exhausted, 64 + 64)
    );
    assert_eq!(scan.pinned_on(Lru::InactiveAnon), 64);
    let mut verdict = None;
    for _ in 0..4 {
        verdict = verdict.or(futility.note(&scan, progress, &script));
    }
    let verdict = verdict.expect("futile");
    assert_eq!(
        (verdict.pinned, verdict.parked, verdict.reclaimable),
        (64, 0, 0)
    );
    assert_eq!(
        (verdict.passes, verdict.target, verdict.reclaimed),
        (4, 1, 0)
    );
    assert!(
        verdict
            .to_string()
            .contains("4 passes: 0 of 1 pages, 0 parked and 64 listed")
    );
}

/// What cannot be taken for another reason than a pin is not looked at more than Linux does.
#[test]
fn the_hardest_priority_is_scanned_again_for_pins_only() {
    for (pinned, scanned) in [(0, 63 + 64), (1, 63 + 63 + 64)] {
        let mut pages = vec![Page::file().pinned(1, 0); pinned];
        pages.extend(vec![Page::file(); 64 - pinned]);
        let mut script = Script::with(Answers {
            removed: pinfold::Attempt::Refused,
            ..Answers::default()
        });
        script.list(&pages);
        let mut scan = LruScan::new(1);
        let control = ScanControl::new(EVERYTHING);
        assert_eq!(scan.run(&mut script, &control), Progress::Exhausted);
        assert_eq!(scan.stats().scanned, scanned);
        assert_eq!(script.asked_others.len(), 13);
    }
}

/// Pinned pages are counted as they are met, and each of them once, also when the hardest priority
/// meets them again.
#[test]
fn pinned_pages_are_counted_as_they_are_met() {
    let pages = vec![Page::anon().pinned(1, 0); 64];
    let mut script = Script::default();
    script.list(&pages);
    let control = ScanControl::new(EVERYTHING).with_parking(Parking::Rotate);
    let mut scan = LruScan::new(1);
    for met in 0..128 {
        assert_eq!(scan.stats().scanned, met);
        assert_eq!(scan.pinned_on(Lru::InactiveAnon), met.min(64));
        assert_eq!(scan.step(&mut script, &control, 1), Progress::More);
    }
    assert_eq!(scan.step(&mut script, &control, 1), Progress::Exhausted);
    assert_eq!(
        (scan.stats().scanned, scan.pinned_on(Lru::InactiveAnon)),
        (128, 64)
    );
}

/// Once their pins are gone, pages count as pinned until they are met again, and no longer.
#[test]
fn unpinned_pages_are_uncounted_as_they_are_met() {
    let pages = vec![Page::file().pinned(1, 0); 64];
    let mut script = Script::with(Answers {
        removed: pinfold::Attempt::Refused,
        ..Answers::default()
    });
    script.list(&pages);
    let control = ScanControl::new(EVERYTHING);
    let mut scan = LruScan::new(1);
    while scan.priority() > 0 {
        let _ = scan.step(&mut script, &control, 1);
    }
    for page in &pages {
        page.pins.set(Page::file().pins.get());
    }
    let before = scan.stats().scanned;
    while scan.step(&mut script, &control, 1) == Progress::More {
        let met = scan.stats().scanned - before;
        // One page was met before the pins went.
        let unmet = 64_u64.saturating_sub(met).max(1);
        assert!(scan.pinned_on(Lru::InactiveFile) <= unmet);
    }
    assert_eq!(scan.pinned_on(Lru::InactiveFile), 0);
}

/// Pinned pages on an active list count for the verdict, too.
#[test]
fn pinned_pages_in_use_are_in_the_verdict() {
    let pages = vec![active(Page::file()).pinned(1, 0); 10];
    let mut script = Script::default();
    script.list(&pages);
    let mut scan = LruScan::new(1);
    let progress = scan.run(&mut script, &ScanControl::new(EVERYTHING));
    assert_eq!(
        (progress, scan.pinned_on(Lru::ActiveFile)),
        (Progress::Exhausted, 10)
    );
    let verdict = Futility::new(0).note(&scan, progress, &script);
    let verdict = verdict.expect("one pass in vain is enough");
    assert_eq!((verdict.pinned, verdict.reclaimable), (10, 0));
}
