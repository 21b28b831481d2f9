//! Random worlds: pages of mixed kinds whose pins go at any moment of a pass. Once the pins are
//! gone, what is reclaimable is reclaimed: by the running pass if they went before others were
//! asked for the last time, else by the next. `PROPTEST_CASES=N` sets how many worlds (256).

use crate::model::sequence::EVERYTHING;
use crate::world::{Page, Place, What, When, World};
use pinfold::pin::Refined;
use pinfold::reclaim::{
    Futility, Lists, Lru, LruScan, Parking, Progress, ScanControl, ScanFlags, Watermark, unpark,
};
use pinfold::{IgnorePins, PageFlags, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned};
use proptest::prelude::*;

/// Base pages of a huge page.
const HUGE: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum Kind {
    File,
    DirtyFile,
    Anon,
    SwapCached,
    Huge,
}

#[derive(Debug, Clone)]
struct Spec {
    kind: Kind,
    active: bool,
    young: bool,
    held: bool,
    busy: bool,
    short: u32,
    longterm: u32,
}

#[derive(Debug, Clone)]
struct Plan {
    pages: Vec<Spec>,
    events: Vec<(When, What)>,
    policy: usize,
    parking: usize,
    unparks: bool,
    parks: bool,
    swap: bool,
    high: u64,
    target: u64,
    budget: u32,
}

fn spec() -> impl Strategy<Value = Spec> {
    let kind = prop_oneof![
        4 => Just(Kind::File),
        1 => Just(Kind::DirtyFile),
        2 => Just(Kind::Anon),
        1 => Just(Kind::SwapCached),
        1 => Just(Kind::Huge),
    ];
    let rarely = |n: u32| (0..n).prop_map(|x| x == 0);
    let pins = prop_oneof![
        3 => Just((0, 0)), 3 => Just((1, 0)), 2 => Just((0, 1)), 1 => (0u32..3, 0u32..3)
    ];
    (kind, rarely(5), rarely(6), rarely(10), rarely(12), pins).prop_map(
        |(kind, active, young, held, busy, (short, longterm))| Spec {
            kind,
            active,
            young,
            held,
            busy,
            short,
            longterm,
        },
    )
}

fn event() -> impl Strategy<Value = (When, What)> {
    let when = prop_oneof![
        2 => (0u32..2000).prop_map(When::Call),
        1 => (0u8..=12).prop_map(When::Others),
    ];
    let what = prop_oneof![
        2 => Just(What::UnpinAll),
        4 => any::<usize>().prop_map(What::Unpin),
        1 => any::<usize>().prop_map(What::Pin),
    ];
    (when, what)
}

fn plan() -> impl Strategy<Value = Plan> {
    // Lists of one kind and one pin each, too: there a lap meets nothing but pinned pages.
    let alike = || (spec(), 1usize..160).prop_map(|(spec, count)| vec![spec; count]);
    let pages = prop_oneof![
        3 => prop::collection::vec(spec(), 1..160),
        1 => alike(),
        1 => (alike(), prop::collection::vec(spec(), 1..40))
            .prop_map(|(some, others)| [some, others].concat()),
    ];
    let events = prop::collection::vec(event(), 0..8);
    (
        (pages, events, 0usize..5, 0usize..4),
        (any::<bool>(), 0u8..4, 0u8..4, 0u64..60),
        prop_oneof![3 => Just(u64::MAX), 1 => 1u64..100],
        prop_oneof![2 => Just(u32::MAX), 1 => 1u32..40],
    )
        .prop_map(
            |((pages, events, policy, parking), (unparks, parks, swap, high), target, budget)| {
                Plan {
                    pages,
                    events,
                    policy,
                    parking,
                    unparks,
                    parks: parks > 0,
                    swap: swap > 0,
                    high,
                    target,
                    budget,
                }
            },
        )
}

fn pages(specs: &[Spec]) -> Vec<Page> {
    let mut pages = Vec::new();
    for spec in specs {
        let anon = PageFlags::ANON | PageFlags::SWAP_BACKED;
        let mut flags = match spec.kind {
            Kind::File => PageFlags::PAGE_CACHE,
            Kind::DirtyFile => PageFlags::PAGE_CACHE | PageFlags::DIRTY,
            Kind::Anon => anon,
            Kind::SwapCached => anon | PageFlags::SWAP_CACHE,
            Kind::Huge => anon | PageFlags::THP,
        };
        flags.set(PageFlags::ACTIVE, spec.active);
        let page = Page::new(pages.len(), flags);
        page.young.set(spec.young);
        page.held.set(spec.held);
        page.busy.set(spec.busy);
        page.short.set(spec.short);
        page.longterm.set(spec.longterm);
        let first = pages.len() + 1;
        if matches!(spec.kind, Kind::Huge) {
            page.size.set(HUGE);
            let tails = first..first + HUGE as usize - 1;
            page.tails.replace(tails.collect());
        }
        pages.push(page);
        if matches!(spec.kind, Kind::Huge) {
            for index in first..first + HUGE as usize - 1 {
                let tail = Page::new(index, flags);
                tail.place.set(Place::Tail);
                pages.push(tail);
            }
        }
    }
    pages
}

/// Priorities 12 to 1 look at each page once between them, the hardest twice at most; a list that
/// is empty is found so once at each.
fn bound(pages: &[Page]) -> u64 {
    3 * pages.len() as u64 + 14 * 4
}

fn run<L: PinPolicy>(plan: &Plan, control: &ScanControl<L>) {
    let pages = pages(&plan.pages);
    let mut world = World::new(&pages);
    world.events = plan.events.iter().copied().collect();
    world.unparks = plan.unparks;
    world.parks = plan.parks;
    world.swap = plan.swap;
    world.ignores_pins = plan.policy == 0;
    world.watermark = Watermark {
        free: 1,
        high: plan.high,
    };
    let mut scan = LruScan::new(plan.target);
    let end = loop {
        let progress = scan.step(&mut world, control, plan.budget);
        world.check();
        assert!(scan.stats().is_conserved(), "{scan:?}");
        assert_eq!(world.freed, scan.reclaimed());
        assert!(world.takes <= bound(&pages), "unbounded: {scan:?}");
        if progress != Progress::More {
            break progress;
        }
        world.call();
    };
    match end {
        Progress::Reached => assert!(scan.reclaimed() >= plan.target),
        _ => assert!(scan.reclaimed() < plan.target),
    }
    if end == Progress::Exhausted && world.in_time && !world.ignores_pins {
        assert_eq!(world.asked, (0..=12).rev().collect::<Vec<u8>>());
        let left: Vec<_> = world.left_behind();
        assert!(left.is_empty(), "{} left: {left:?}\n{scan:?}", left.len());
        let futile = Futility::new(1).note(&scan, end, &world);
        assert_eq!(futile.expect("futile").pinned, 0, "{scan:?}");
    }
    afterwards(&mut world, control);
}

/// All pins go, and the parked pages come back: the next pass takes what it may, and a few passes
/// take everything.
fn afterwards<L: PinPolicy>(world: &mut World<'_>, control: &ScanControl<L>) {
    world.events.clear();
    world.unpin_all();
    let swept = unpark::<_, Refined>(world, u32::MAX, |page| Lru::of(page.flags.get()));
    assert!(swept.complete);
    assert_eq!(world.pages_parked(), 0);
    for pass in 0..8 {
        for page in world.pages {
            page.late.set(false);
        }
        (world.takes, world.freed) = (0, 0);
        world.asked.clear();
        let mut scan = LruScan::new(u64::MAX);
        assert_eq!(scan.run(world, control), Progress::Exhausted);
        world.check();
        assert!(world.takes <= bound(world.pages), "unbounded: {scan:?}");
        let left = world.left_behind();
        assert!(left.is_empty(), "pass {pass}: {left:?}\n{scan:?}");
        for page in world.pages {
            page.held.set(false);
            page.busy.set(false);
        }
        world.flusher();
    }
    let scanned = Lru::ALL
        .into_iter()
        .filter(|list| list.is_file() || world.swap);
    let left: u64 = scanned.map(|list| world.pages(list)).sum();
    assert_eq!(left, 0, "{:?}", world.lists);
}

fn with_parking<L: PinPolicy>(plan: &Plan, control: ScanControl<L>) {
    match plan.parking {
        0 => run(plan, &control.with_parking(Parking::Longterm)),
        1 => run(plan, &control.with_parking(Parking::Lazy)),
        2 => run(plan, &control.with_parking(Parking::Rotate)),
        _ => run(plan, &control.with_parking(Parking::Eager)),
    }
}

fn with_policy(plan: &Plan) {
    let control = ScanControl::new(EVERYTHING);
    let late = ScanControl::new(EVERYTHING | ScanFlags::NO_PIN_HINT);
    match plan.policy {
        0 => with_parking(plan, control.with_policy(IgnorePins)),
        1 => with_parking(plan, control.with_policy(SkipPinned)),
        2 => with_parking(plan, late.with_policy(SkipPinned)),
        3 => with_parking(plan, control.with_policy(SkipLongterm::<Refined>::new())),
        _ => with_parking(
            plan,
            control.with_policy(SkipOpportunistic::<Refined>::new()),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_unpinned_is_taken(plan in plan()) {
        with_policy(&plan);
    }
}
