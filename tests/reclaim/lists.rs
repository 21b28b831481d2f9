//! Lists that change under the scan, that lie about their length, or on which everything is pinned.

use crate::model::sequence::EVERYTHING;
use crate::script::{Answers, Page, Script, active};
use pinfold::PageFlags;
use pinfold::reclaim::{Lists, Lru, LruScan, Parking, Progress, ScanControl, ScanFlags, Watermark};

/// Pages whose last pin goes just before they are parked are no longer pinned: the list is scanned
/// on, and they are had.
#[test]
fn pages_that_are_unpinned_while_they_are_parked() {
    let pages = vec![Page::file().pinned(0, 1); 24];
    let mut script = Script::with(Answers {
        unpinned: true,
        ..Answers::default()
    });
    script.list(&pages);
    let mut scan = LruScan::new(24);
    while scan.priority() > 0 {
        assert_eq!(scan.pinned_on(Lru::InactiveFile), 0);
        let control = ScanControl::new(EVERYTHING).with_parking(Parking::Lazy);
        assert_eq!(scan.step(&mut script, &control, 1), Progress::More);
    }
}

/// Without swap, anonymous pages are neither scanned nor counted as reclaimable.
#[test]
fn without_swap() {
    let mut pages = vec![Page::anon(); 40];
    pages.extend(vec![active(Page::anon()); 50]);
    pages.extend(vec![Page::file(); 20]);
    let mut script = Script::with(Answers {
        no_swap: true,
        // File pages are few, and scanned all the same.
        watermark: Watermark { free: 0, high: 99 },
        ..Answers::default()
    });
    script.list(&pages);
    assert_eq!(LruScan::reclaimable_pages(&script), 20);
    let mut scan = LruScan::new(u64::MAX);
    let control = ScanControl::new(EVERYTHING);
    assert_eq!(scan.run(&mut script, &control), Progress::Exhausted);
    assert_eq!((scan.reclaimed(), scan.stats().scanned), (20, 20));
    assert_eq!(
        (scan.stats().refilled, LruScan::reclaimable_pages(&script)),
        (0, 0)
    );
}

#[test]
fn parked_pages_cost_later_scans_nothing() {
    let mut pages = vec![Page::file().pinned(0, 2); 100];
    pages.extend(vec![Page::file(); 8]);
    let mut script = Script::default();
    script.list(&pages);
    let control = ScanControl::new(EVERYTHING).with_parking(Parking::Longterm);
    let mut first = LruScan::new(8);
    assert_eq!(first.run(&mut script, &control), Progress::Reached);
    assert_eq!((first.stats().parked, script.pages_parked()), (100, 100));
    assert_eq!(LruScan::reclaimable_pages(&script), 0);
    let takes = script.takes;
    let mut second = LruScan::new(8);
    assert_eq!(second.run(&mut script, &control), Progress::Exhausted);
    assert_eq!((script.takes, second.stats().scanned), (takes, 0));
}

/// At every take, others take pages off the list, too; or it has more or fewer than it says.
#[test]
fn lists_that_change_or_lie() {
    let held = Answers {
        removed: pinfold::Attempt::Refused,
        ..Answers::default()
    };
    for answers in [Answers::default(), held] {
        for stolen in [0, 1, 7] {
            for lie in [-1000, -3, 0, 3, 1000] {
                let mut pages = vec![Page::file(); 50];
                pages.extend(vec![active(Page::file()); 80]);
                pages.extend(vec![Page::file().pinned(1, 0); 20]);
                let mut script = Script::with(Answers {
                    stolen,
                    lie,
                    ..answers
                });
                script.list(&pages);
                let mut scan = LruScan::new(u64::MAX);
                let control = ScanControl::new(EVERYTHING);
                assert_eq!(scan.run(&mut script, &control), Progress::Exhausted);
                assert!(scan.stats().is_conserved());
                assert_eq!(script.freed.len() as u64, scan.reclaimed());
                // Each priority takes at most its share of what the list said it had, and the
                // hardest does so twice.
                assert!(script.takes <= 3 * 4 * (150 + 1000), "{}", script.takes);
                if lie >= 0 && stolen == 0 && answers.removed == pinfold::Attempt::Done {
                    assert!(scan.reclaimed() >= 50, "{:?}", scan.stats());
                }
            }
        }
    }
}

/// Pages that claim to be of no size are still counted down.
#[test]
fn pages_of_no_size() {
    let pages = vec![Page::file().pinned(1, 0); 10];
    for page in &pages {
        page.size.set(0);
    }
    let mut script = Script::with(Answers {
        lie: 10,
        ..Answers::default()
    });
    script.list(&pages);
    let mut scan = LruScan::new(1);
    assert_eq!(
        scan.run(&mut script, &ScanControl::new(EVERYTHING)),
        Progress::Exhausted
    );
    assert!(script.takes < 13 * 40);
}

#[test]
fn others_count_and_are_asked_at_each_priority() {
    let mut script = Script::with(Answers {
        others: 3,
        ..Answers::default()
    });
    let mut scan = LruScan::new(10);
    let control = ScanControl::new(EVERYTHING);
    assert_eq!(scan.run(&mut script, &control), Progress::Reached);
    assert_eq!(
        (scan.reclaimed(), script.asked_others),
        (12, vec![12, 11, 10, 9])
    );
    let mut script = Script::default();
    let mut scan = LruScan::new(1);
    assert_eq!(scan.run(&mut script, &control), Progress::Exhausted);
    assert_eq!(script.asked_others, (0..=12).rev().collect::<Vec<u8>>());
    // The target is met with the last of them.
    let mut script = Script::with(Answers {
        others: 1,
        ..Answers::default()
    });
    let mut scan = LruScan::new(13);
    assert_eq!(scan.run(&mut script, &control), Progress::Reached);
}

/// While file pages are few, only anonymous ones are scanned; at priority 0, both.
#[test]
fn few_file_pages() {
    let mut pages = vec![Page::anon(); 256];
    pages.extend(vec![Page::file(); 16]);
    let tiny = Watermark { free: 4, high: 20 };
    for (watermark, files_first) in [(tiny, false), (Watermark { free: 5, high: 20 }, true)] {
        let mut script = Script::with(Answers {
            watermark,
            ..Answers::default()
        });
        script.list(&pages);
        for page in &pages {
            page.maps.set(1);
            page.flags
                .set(page.flags.get().difference(PageFlags::SWAP_CACHE));
        }
        let mut scan = LruScan::new(60);
        assert_eq!(
            scan.run(&mut script, &ScanControl::new(EVERYTHING)),
            Progress::Reached
        );
        let file = script
            .freed
            .iter()
            .filter(|page| !page.flags.get().contains(PageFlags::ANON));
        assert_eq!(file.count() > 0, files_first);
    }
}

/// With no anonymous page to scan in their stead, few file pages are scanned as soon as there is a
/// share of them.
#[test]
fn few_file_pages_and_nothing_else() {
    let pages = vec![Page::file(); 16];
    let mut script = Script::with(Answers {
        watermark: Watermark { free: 0, high: 20 },
        ..Answers::default()
    });
    script.list(&pages);
    let mut scan = LruScan::new(1);
    let control = ScanControl::new(EVERYTHING);
    assert_eq!(scan.run(&mut script, &control), Progress::Reached);
    assert_eq!(scan.priority(), 4, "16 pages, shifted by 4");
}

/// Anonymous pages that cannot be had do not keep few file pages from being scanned at last.
#[test]
fn few_file_pages_are_scanned_at_the_hardest_priority() {
    let mut pages = vec![Page::anon(); 64];
    pages.extend(vec![Page::file(); 8]);
    let mut script = Script::with(Answers {
        watermark: Watermark { free: 0, high: 20 },
        ..Answers::default()
    });
    script.list(&pages);
    // Without I/O, there is no swap to be had.
    let control = ScanControl::new(EVERYTHING.difference(ScanFlags::IO));
    let mut scan = LruScan::new(8);
    while scan.priority() > 0 {
        assert_eq!(scan.reclaimed(), 0);
        assert_eq!(scan.step(&mut script, &control, 1), Progress::More);
    }
    assert_eq!(scan.run(&mut script, &control), Progress::Reached);
    assert_eq!(script.freed.len(), 8);
}

/// The inactive list is refilled only while it is shorter than the active one.
#[test]
fn when_pages_are_aged() {
    let kinds: [fn() -> Page; 2] = [Page::file, Page::anon];
    let sizes = [(10, 10, false), (10, 11, true), (0, 3, true)];
    for (page, (inactive, active_pages, aged)) in kinds
        .into_iter()
        .flat_map(|kind| sizes.map(|sizes| (kind, sizes)))
    {
        let mut pages = vec![page(); inactive];
        pages.extend(vec![active(page()); active_pages]);
        let mut script = Script::with(Answers {
            removed: pinfold::Attempt::Refused,
            ..Answers::default()
        });
        script.list(&pages);
        let mut scan = LruScan::new(1);
        let _ = scan.run(&mut script, &ScanControl::new(EVERYTHING));
        assert_eq!(
            scan.stats().refilled > 0,
            aged,
            "{inactive} and {active_pages}"
        );
    }
}
