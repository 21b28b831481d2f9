//! Pins that come while the pages of a batch are between their unmapping and their end.

use crate::node::{Did, EVERYTHING, Frame, Node, Place, When};
use pinfold::pin::Pins;
use pinfold::reclaim::{KeepReason, LruScan, Parking, Progress, ScanControl};
use pinfold::{IgnorePins, PageFlags};
use proptest::prelude::*;

const PAGES: usize = 24;

/// A page of each kind that is freed at once, written first, or has its swap already.
fn mixed(index: usize) -> Frame {
    match index % 3 {
        0 => Frame::file(),
        1 => Frame::anon(),
        _ => Frame::swap_cached().with(PageFlags::DIRTY),
    }
}

/// A pass during which `index` is pinned; it keeps its page, and the others are freed. Returns
/// whether it was pinned in time, and whether it was unmapped then.
fn pinned_meanwhile(when: When, index: usize, parking: Parking) -> (bool, bool) {
    let pages: Vec<_> = (0..PAGES).map(mixed).collect();
    let mut node = Node::new(&pages);
    node.pinned = vec![(when, index)];
    let mut scan = LruScan::new(u64::MAX);
    let control = ScanControl::new(EVERYTHING).with_parking(parking);
    assert_eq!(scan.run(&mut node, &control), Progress::Exhausted);
    assert!(scan.stats().is_conserved());
    node.check();
    if pages[index].pins.get() == 0 {
        assert_eq!(scan.reclaimed() as usize, PAGES);
        return (false, true);
    }
    let what = format!("{when:?}, page {index}, {parking:?}: {:?}", node.log);
    assert!(!node.did(Did::Write(index)), "written, {what}");
    assert!(!node.did(Did::Remove(index)), "removed, {what}");
    let place = match parking {
        Parking::Lazy => Place::Parked,
        _ => Place::Listed,
    };
    assert_eq!(pages[index].place.get(), place, "{what}");
    assert_eq!(scan.reclaimed() as usize, PAGES - 1, "{what}");
    let kept = scan.stats().kept_for(KeepReason::Pinned(Pins::None));
    assert_eq!(kept > 0, parking != Parking::Lazy);
    (true, pages[index].maps.get() == 0)
}

#[test]
fn a_pin_that_comes_while_another_page_is_unmapped() {
    let mut seen = [0; 2];
    for pinned in 0..PAGES {
        for other in (0..PAGES).filter(|&other| other != pinned) {
            for parking in [Parking::Rotate, Parking::Lazy] {
                let when = When::After(Did::Unmap(other));
                let (in_time, unmapped) = pinned_meanwhile(when, pinned, parking);
                seen[usize::from(unmapped)] += usize::from(in_time);
            }
        }
    }
    assert!(
        seen.iter().all(|&seen| seen > 50),
        "mapped, unmapped: {seen:?}"
    );
}

/// The flush of the batch takes long, and each page of it is looked at again after it.
#[test]
fn a_pin_that_comes_during_the_flush() {
    for index in 0..16 {
        for parking in [Parking::Rotate, Parking::Lazy] {
            let pages: Vec<_> = (0..16).map(|_| Frame::anon()).collect();
            let mut node = Node::new(&pages);
            node.pinned = vec![(When::After(Did::Flush), index)];
            let stats = node.one_batch(parking);
            assert_eq!((stats.freed, node.flushes()), (15, 1));
            assert_eq!((pages[index].pins.get(), pages[index].maps.get()), (1, 0));
            assert!(!node.did(Did::Write(index)), "{index}: {:?}", node.log);
            assert!(!node.did(Did::Remove(index)), "{index}: {:?}", node.log);
            let parked = u64::from(parking == Parking::Lazy);
            assert_eq!((stats.parked, stats.kept), (parked, 1 - parked));
        }
    }
}

/// While a page is written, one that comes after it in the batch is pinned.
#[test]
fn a_pin_that_comes_while_another_page_is_written() {
    let mut unmapped = 0;
    for pinned in 0..PAGES {
        for other in (0..PAGES).filter(|&other| other != pinned) {
            for did in [Did::Write(other), Did::Free(other)] {
                let seen = pinned_meanwhile(When::After(did), pinned, Parking::Rotate);
                unmapped += usize::from(seen == (true, true));
            }
        }
    }
    assert!(unmapped > 50, "{unmapped}");
}

/// Without a policy, the count of references keeps the page, as in Linux.
#[test]
fn without_a_policy_pinned_pages_are_written_and_not_freed() {
    let pages: Vec<_> = (0..8).map(|_| Frame::anon()).collect();
    let mut node = Node::new(&pages);
    node.guards_pins = false;
    node.pinned = (0..8).map(|at| (When::After(Did::Flush), at)).collect();
    let mut scan = LruScan::new(u64::MAX);
    let control = ScanControl::new(EVERYTHING).with_policy(IgnorePins);
    let _ = scan.run(&mut node, &control);
    node.check();
    assert_eq!(scan.reclaimed(), 0);
    assert_eq!(node.count(|did| matches!(did, Did::Write(_))), 8);
    assert!(scan.stats().kept_for(KeepReason::Held) > 0);
}

#[derive(Debug, Clone)]
struct Plan {
    kinds: Vec<usize>,
    pinned: Vec<(usize, usize)>,
    defers: bool,
    slow_writes: bool,
    limit: u32,
    target: u64,
    budget: u32,
    parking: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let kinds = prop::collection::vec(0usize..5, 1..90);
    let pinned = prop::collection::vec((0usize..400, 0usize..90), 0..20);
    let limit = prop_oneof![2 => Just(u32::MAX), 1 => 0u32..6];
    let target = prop_oneof![1 => Just(u64::MAX), 1 => 1u64..60];
    let budget = prop_oneof![1 => Just(u32::MAX), 1 => 1u32..40];
    (
        (kinds, pinned, any::<bool>(), any::<bool>()),
        (limit, target, budget, 0usize..3),
    )
        .prop_map(
            |((kinds, pinned, defers, slow_writes), (limit, target, budget, parking))| Plan {
                kinds,
                pinned,
                defers,
                slow_writes,
                limit,
                target,
                budget,
                parking,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Pins at any call: no pinned page is written or removed, and each page is in one place after
    /// each batch (see [`Node`]).
    #[test]
    fn pins_at_any_call(plan in plan()) {
        let kind = |&kind: &usize| match kind {
            3 => Frame::file().with(PageFlags::WRITEBACK | PageFlags::RECLAIM),
            4 => {
                let page = Frame::swap_cached();
                page.entry.set(pinfold::PteFlags::DIRTY);
                page
            }
            other => mixed(other),
        };
        let pages: Vec<_> = plan.kinds.iter().map(kind).collect();
        let mut node = Node::new(&pages);
        node.defers = plan.defers;
        node.slow_writes = plan.slow_writes;
        node.write_limit = plan.limit;
        let pins = plan.pinned.iter();
        node.pinned = pins.map(|&(at, page)| (When::Calls(at), page % pages.len())).collect();
        let parking = [Parking::Rotate, Parking::Lazy, Parking::Longterm][plan.parking];
        let control = ScanControl::new(EVERYTHING).with_parking(parking);
        let mut scan = LruScan::new(plan.target);
        while scan.step(&mut node, &control, plan.budget) == Progress::More {
            node.check();
        }
        node.check();
        prop_assert!(scan.stats().is_conserved(), "{:?}", scan);
        prop_assert!(scan.reclaimed() <= plan.target);
        let freed = pages.iter().filter(|page| page.place.get() == Place::Freed).count();
        prop_assert_eq!(scan.reclaimed(), freed as u64);
    }
}
