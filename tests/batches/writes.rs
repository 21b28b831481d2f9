//! Writes of a batch: after the flush, as many as there is room for, submitted once.

use crate::node::{Did, EVERYTHING, Frame, Node, Place, When};
use pinfold::reclaim::{Fate, KeepReason, LruScan, Parking, ScanControl, Stats, shrink_page};
use pinfold::{PageFlags, PteFlags};

fn written(node: &Node<'_>) -> usize {
    node.count(|did| matches!(did, Did::Write(_)))
}

#[test]
fn writes_come_after_the_flush_and_are_submitted_once() {
    let pages: Vec<_> = (0..96).map(|_| Frame::anon()).collect();
    let mut node = Node::new(&pages);
    let mut scan = LruScan::new(96);
    let _ = scan.run(&mut node, &ScanControl::new(EVERYTHING));
    node.check();
    assert_eq!((scan.reclaimed(), written(&node)), (96, 96));
    // In each batch: all are unmapped, then one flush, then all are written, then one submit.
    let mut phase = 0;
    for &did in &node.log {
        let next = match did {
            Did::Unmap(_) => 0,
            Did::Flush => 1,
            Did::Write(_) => 2,
            Did::Submit => 3,
            _ => continue,
        };
        let follows = match next {
            0 => phase == 0 || phase == 3,
            2 => phase == 1 || phase == 2,
            _ => phase + 1 == next,
        };
        assert!(follows, "{did:?} in phase {phase}");
        phase = next;
    }
    assert_eq!(phase, 3);
}

/// Slow writes are kept, and freed by a later pass, once they are done.
#[test]
fn pages_under_writeback_go_back_to_their_list() {
    let pages: Vec<_> = (0..8).map(|_| Frame::anon()).collect();
    let mut node = Node::new(&pages);
    node.slow_writes = true;
    let mut scan = LruScan::new(8);
    let _ = scan.run(&mut node, &ScanControl::new(EVERYTHING));
    node.check();
    assert_eq!((scan.reclaimed(), written(&node)), (0, 8));
    for page in &pages {
        page.set(PageFlags::WRITEBACK | PageFlags::ACTIVE, false);
        page.place.set(Place::Listed);
    }
    let mut node = Node::new(&pages);
    let mut scan = LruScan::new(8);
    let _ = scan.run(&mut node, &ScanControl::new(EVERYTHING));
    node.check();
    assert_eq!((scan.reclaimed(), written(&node)), (8, 0));
}

#[test]
fn dirty_pages_beyond_the_limit_are_kept_before_they_get_swap() {
    for limit in [0, 1, 3, 9, 10, 11] {
        let pages: Vec<_> = (0..10).map(|_| Frame::anon()).collect();
        let mut node = Node::new(&pages);
        node.write_limit = limit;
        let stats = node.one_batch(Parking::Rotate);
        let freed = u64::from(limit.min(10));
        assert_eq!((stats.freed, written(&node) as u64), (freed, freed));
        assert_eq!(stats.kept_for(KeepReason::WriteLimit), 10 - freed);
        for (index, page) in pages.iter().enumerate().skip(limit as usize) {
            assert!(!node.did(Did::Swap(index)), "page {index} got swap");
            assert!(!node.did(Did::Unmap(index)), "page {index} was unmapped");
            assert_eq!(page.flags.get(), PageFlags::ANON | PageFlags::SWAP_BACKED);
        }
    }
}

/// Clean pages are freed however many writes there are.
#[test]
fn the_limit_does_not_hold_up_clean_pages() {
    let pages: Vec<_> = (0..30)
        .map(|at| match at % 3 {
            0 => Frame::anon(),
            1 => Frame::swap_cached(),
            _ => Frame::file(),
        })
        .collect();
    let mut node = Node::new(&pages);
    node.write_limit = 0;
    let mut scan = LruScan::new(u64::MAX);
    let _ = scan.run(&mut node, &ScanControl::new(EVERYTHING));
    node.check();
    assert_eq!((scan.reclaimed(), written(&node)), (20, 0));
}

/// Not dirty itself, but an entry of it is.
fn dirty_entry() -> Frame {
    let page = Frame::swap_cached();
    page.entry.set(PteFlags::DIRTY);
    page
}

/// Which of these pages are freed in one batch with this limit.
fn freed(pages: &[Frame], limit: u32, pinned: &[(When, usize)]) -> Vec<usize> {
    let mut node = Node::new(pages);
    node.write_limit = limit;
    node.pinned = pinned.to_vec();
    let stats = node.one_batch(Parking::Rotate);
    let place = |&index: &usize| pages[index].place.get() == Place::Freed;
    let freed: Vec<_> = (0..pages.len()).filter(place).collect();
    assert_eq!(
        (stats.freed, written(&node)),
        (freed.len() as u64, freed.len())
    );
    let kept = pages.len() - freed.len() - pinned.len() - node.errors as usize;
    assert_eq!(stats.kept_for(KeepReason::WriteLimit), kept as u64);
    freed
}

/// Whether a page is dirty is not known before its entries are cleared.
#[test]
fn a_page_that_its_entry_made_dirty_counts_against_the_limit() {
    let pages = [dirty_entry(), dirty_entry(), dirty_entry()];
    assert_eq!(freed(&pages, 0, &[]), []);
    assert_eq!(pages[0].maps.get(), 0, "it is unmapped");
    let pages = [dirty_entry(), dirty_entry(), dirty_entry()];
    assert_eq!(freed(&pages, 2, &[]), [0, 1]);
    // It does not take the room of a page that was found dirty, which has its swap already.
    let pages = [dirty_entry(), Frame::anon(), dirty_entry()];
    assert_eq!(freed(&pages, 1, &[]), [1]);
}

/// Room that a page was sure of and did not use goes to the next.
#[test]
fn room_that_is_not_used_is_given_on() {
    let fails = Frame::swap_cached().with(PageFlags::DIRTY);
    fails.unreadable.set(Some(1));
    let pages = [fails, Frame::anon(), Frame::anon(), Frame::anon()];
    assert_eq!(freed(&pages, 2, &[]), [1, 2]);
    // Pinned during the flush, so that it is not written.
    let pages = [Frame::anon(), dirty_entry(), dirty_entry()];
    let pinned = [(When::After(Did::Flush), 0)];
    assert_eq!(freed(&pages, 1, &pinned), [1]);
}

#[test]
fn one_page_alone_has_the_same_limit() {
    let pages = [Frame::anon(), Frame::anon()];
    let mut node = Node::new(&pages);
    let control = ScanControl::new(EVERYTHING);
    for (limit, page, fate) in [
        (0, &pages[0], Fate::Kept(KeepReason::WriteLimit)),
        (1, &pages[1], Fate::Freed),
    ] {
        node.write_limit = limit;
        let found = shrink_page(&page, &control, &mut node, &mut Stats::default());
        assert_eq!(found, fate);
        assert!(!page.locked.get());
    }
    assert_eq!((node.flushes(), written(&node)), (1, 1));
}
