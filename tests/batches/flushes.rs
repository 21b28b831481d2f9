//! How often the TLB is flushed, and that nothing is left of a batch.

use crate::node::{Did, EVERYTHING, Frame, Node, Place};
use pinfold::reclaim::{KeepReason, LruScan, Parking, Progress, ScanControl};
use pinfold::{IgnorePins, PageFlags, PteFlags};

fn pages(count: usize, page: fn() -> Frame) -> Vec<Frame> {
    (0..count).map(|_| page()).collect()
}

/// A pass for so many pages; everything is in its place after it.
fn pass(node: &mut Node<'_>, target: u64) -> LruScan {
    let mut scan = LruScan::new(target);
    let end = scan.run(node, &ScanControl::new(EVERYTHING));
    assert_eq!(end == Progress::Reached, scan.reclaimed() >= target);
    assert!(scan.stats().is_conserved(), "{scan:?}");
    node.check();
    scan
}

/// Runs of calls of one kind: how many there are, and the longest.
fn runs(log: &[Did], is: impl Fn(Did) -> bool) -> (usize, usize) {
    let (mut runs, mut longest, mut this) = (0, 0, 0);
    for &did in log {
        if matches!(did, Did::Unmap(_) | Did::Flush) {
            runs += usize::from(is(did) && this == 0);
            this = if is(did) { this + 1 } else { 0 };
            longest = longest.max(this);
        }
    }
    (runs, longest)
}

#[test]
fn a_batch_is_flushed_once() {
    for count in [1, 2, 31, 32, 33, 200] {
        let pages = pages(count, Frame::file);
        let mut node = Node::new(&pages);
        let scan = pass(&mut node, count as u64);
        assert_eq!(scan.reclaimed(), count as u64);
        let (batches, longest) = runs(&node.log, |did| matches!(did, Did::Unmap(_)));
        assert_eq!(node.flushes(), batches);
        assert!(longest <= LruScan::BATCH);
        assert_eq!(node.count(|did| did == Did::Submit), batches);
        if count == 200 {
            assert_eq!(longest, LruScan::BATCH);
        }
    }
}

#[test]
fn without_deferred_entries_there_is_no_flush() {
    let pages: Vec<_> = (0..60)
        .map(|at| {
            if at % 2 == 0 {
                Frame::file()
            } else {
                Frame::anon()
            }
        })
        .collect();
    for page in pages.iter().step_by(3) {
        page.maps.set(0);
    }
    let mut node = Node::new(&pages);
    node.defers = false;
    let scan = pass(&mut node, u64::MAX);
    assert_eq!((scan.reclaimed(), node.flushes()), (60, 0));
}

/// Issue 17's figure: a flush for each 25 pages or fewer flushes, from the gentlest priority on.
#[test]
fn a_thousand_dirty_pages_need_few_flushes() {
    let pages = pages(1000, || Frame::anon().with(PageFlags::DIRTY));
    let mut node = Node::new(&pages);
    let scan = pass(&mut node, 1000);
    assert_eq!((scan.reclaimed(), scan.stats().pageout), (1000, 1000));
    assert!(node.flushes() <= 40, "{} flushes", node.flushes());
    assert!(node.flushes() >= 1000_usize.div_ceil(LruScan::BATCH));
}

#[test]
fn a_target_is_not_overshot() {
    for target in 1..=70 {
        for budget in [1, 7, u32::MAX] {
            // Every fifth page is not freed, which shows at the end of its batch.
            let pages = pages(150, Frame::file);
            for page in pages.iter().step_by(5) {
                page.pins.set(1);
            }
            let mut node = Node::new(&pages);
            node.guards_pins = false;
            let control = ScanControl::new(EVERYTHING).with_policy(IgnorePins);
            let mut scan = LruScan::new(target);
            while scan.step(&mut node, &control, budget) == Progress::More {
                node.check();
            }
            node.check();
            let freed = pages.iter().filter(|page| page.place.get() == Place::Freed);
            assert_eq!((scan.reclaimed(), freed.count() as u64), (target, target));
        }
    }
}

/// Entries that were cleared before the page tables could not be read are flushed with the others.
#[test]
fn an_error_leaves_no_debt() {
    for broken in 0..6 {
        let pages = pages(6, Frame::file);
        for page in &pages {
            page.maps.set(3);
        }
        pages[broken].unreadable.set(Some(1));
        let mut node = Node::new(&pages);
        let stats = node.one_batch(Parking::Rotate);
        assert_eq!((stats.freed, node.errors), (5, 1));
        assert_eq!(stats.kept_for(KeepReason::Failed), 1);
        assert_eq!(node.flushes(), 1);
        assert_eq!(pages[broken].maps.get(), 1, "two entries are gone");
    }
}

/// No page of the batch comes to its second half, and entries are gone all the same.
#[test]
fn a_batch_of_which_nothing_is_left_is_flushed() {
    let pages = pages(4, Frame::file);
    for page in &pages {
        page.maps.set(2);
        page.unreadable.set(Some(1));
    }
    let mut node = Node::new(&pages);
    let stats = node.one_batch(Parking::Rotate);
    assert_eq!((stats.freed, node.errors), (0, 4));
    assert_eq!(node.flushes(), 1);
    assert_eq!(
        node.count(|did| did == Did::Submit),
        0,
        "nothing was written"
    );
}

/// An entry that was young stops the walk, and the entries before it are flushed.
#[test]
fn a_page_that_stays_mapped_is_flushed_with_the_others() {
    let pages = pages(3, Frame::file);
    pages[1].entry.set(PteFlags::YOUNG);
    let mut node = Node::new(&pages);
    let scan = pass(&mut node, u64::MAX);
    assert_eq!((scan.reclaimed(), scan.stats().unmap_fail), (2, 1));
    assert_eq!(pages[1].maps.get(), 1);
}

#[test]
fn writeback_is_waited_for_with_no_page_locked() {
    let marked = PageFlags::WRITEBACK | PageFlags::RECLAIM;
    for at in 0..20 {
        let pages: Vec<_> = (0..20)
            .map(|index| match index {
                _ if index == at => Frame::file().with(marked),
                _ => Frame::file(),
            })
            .collect();
        let mut node = Node::new(&pages);
        let scan = pass(&mut node, u64::MAX);
        assert_eq!(scan.reclaimed(), 20);
        assert!(node.did(Did::Wait(at)), "{at}");
        assert_eq!(scan.stats().rescanned, 1);
        assert_eq!(node.flushes(), node.count(|did| did == Did::Submit));
    }
}
