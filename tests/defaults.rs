//! What an embedder gets who writes no more than a trait requires, and that a reference to an
//! embedder's type says what the type says.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use core::convert::Infallible;
use pinfold::pin::{
    Biased, LargePageRefs, Owners, PinCount, PinError, PinKind, PinLedger, PinReading, Pins,
    Refined, UnexpectedRefs,
};
use pinfold::placement::{Placed, Zone};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::{
    Attempt, Context, Entry, FlushDebt, Outcome, PageFlags, PageLike, PageSnapshot, PinPolicy,
    PlainPage, PlainVma, PteFlags, Requester, UnmapError, UnmapFlags, UnmapRequest, VmFlags, Vma,
};

#[path = "defaults/walk.rs"]
mod walk;

const ENTRY: Entry = Entry {
    address: 0x1000,
    flags: PteFlags::empty(),
};

fn page(refs: i32, pins: Option<PinCount>) -> PlainPage {
    PlainPage {
        flags: PageFlags::PAGE_CACHE,
        refs,
        maps: 4,
        pins,
        base_pages: 1,
    }
}

/// The required methods of [`PageLike`], with an exact count of pins.
struct Bare(Option<PinCount>);

impl PageLike for Bare {
    fn flags(&self) -> PageFlags {
        PageFlags::PAGE_CACHE | PageFlags::PRIVATE
    }
    fn ref_count(&self) -> i32 {
        2000
    }
    fn map_count(&self) -> u32 {
        7
    }
    fn exact_pins(&self) -> Option<PinCount> {
        self.0
    }
}

impl Placed for Bare {}

#[test]
fn a_bare_page() {
    let pins = PinCount {
        total: 3,
        longterm: Some(2),
    };
    let (counted, uncounted) = (Bare(Some(pins)), Bare(None));
    assert_eq!(
        counted.longterm_pins(),
        Some(2),
        "what the exact count says"
    );
    assert_eq!(uncounted.longterm_pins(), None);
    assert_eq!((counted.base_pages(), counted.base_shift()), (1, 12));
    assert_eq!(counted.size(), 4096);
    let seen = uncounted.snapshot();
    assert_eq!((seen.flags, seen.refs), (uncounted.flags(), 2000));
    assert_eq!(seen.maps, None, "not read at the same instant");
    let counts = Refined::counts(&uncounted, seen);
    assert_eq!(counts, (2000, 7 + 1 + 1 + 1));
    assert_eq!(counted.zone(), Zone::Normal);
    assert_eq!(counted.pinnable(PinKind::Longterm), Ok(()));
}

#[test]
fn a_snapshot_with_the_mappings_is_all_that_is_read() {
    let page = page(5000, None);
    let seen = PageSnapshot {
        flags: PageFlags::empty(),
        refs: 4000,
        maps: Some(3000),
    };
    let counts = Refined::counts(&page, seen);
    assert_eq!(counts, (4000, 3000 + 1));
    let pinned = |seen| Refined::read_with(&page, seen).maybe_pinned();
    assert!(!pinned(PageSnapshot { refs: 3512, ..seen }));
    assert!(pinned(PageSnapshot { refs: 3513, ..seen }));
    // From 1024 references on, as in Linux, even if no page with a pin has so few.
    let (maps, edge) = (Some(0), 1024);
    assert!(pinned(PageSnapshot {
        refs: edge,
        maps,
        ..seen
    }));
    assert!(!pinned(PageSnapshot {
        refs: edge - 1,
        maps,
        ..seen
    }));
    // Without them the page is asked again.
    let counts = Refined::counts(&page, PageSnapshot { maps: None, ..seen });
    assert_eq!(counts, (5000, 4 + 1));
}

#[test]
fn a_plain_page_says_its_fields() {
    let page = page(9, None);
    assert_eq!((page.map_count(), page.ref_count()), (4, 9));
    assert_eq!(page.explained_refs(page.flags, 9), 9 + 1 + 1);
}

#[test]
fn references_to_areas() {
    let mut vma = PlainVma {
        flags: VmFlags::LOCKED,
        range: 0x1000..0x3000,
    };
    fn of<V: Vma>(vma: V) -> (VmFlags, core::ops::Range<u64>) {
        (vma.flags(), vma.range())
    }
    assert_eq!(of(&vma), (VmFlags::LOCKED, 0x1000..0x3000));
    assert_eq!(of(&mut vma), (VmFlags::LOCKED, 0x1000..0x3000));
}

/// A reading with no more than it must have.
struct Odd;

impl PinReading for Odd {
    fn read_with<P: PageLike + ?Sized>(_: &P, seen: PageSnapshot) -> Pins {
        if seen.refs % 2 == 0 {
            return Pins::None;
        }
        Pins::Maybe {
            estimate: 1,
            longterm: None,
        }
    }
}

fn consistent<R: PinReading>(page: &PlainPage) {
    let pins = R::read(page);
    assert_eq!(R::read_with(page, page.snapshot()), pins, "{page:?}");
    if R::evidence(page) == 0 {
        assert_eq!(pins, Pins::None, "no evidence, and yet: {page:?}");
    }
}

#[test]
fn a_reading_is_one_whichever_way_it_is_asked() {
    assert_eq!(
        (Odd::evidence(&page(2, None)), Odd::evidence(&page(3, None))),
        (0, 1)
    );
    for refs in [1, 2, 3, 1023, 1024, 1025, 1540, 1541, 5000, i32::MAX, -1] {
        for total in [None, Some(0), Some(2)] {
            let longterm = None;
            let page = page(refs, total.map(|total| PinCount { total, longterm }));
            consistent::<Odd>(&page);
            consistent::<Biased>(&page);
            consistent::<Refined>(&page);
            let enough_for = total.unwrap_or(refs.cast_unsigned() / 1024);
            assert_eq!(Biased::evidence(&page), enough_for, "{page:?}");
            assert_eq!(Refined::evidence(&page), enough_for, "{page:?}");
        }
    }
}

/// Lists, and operations on their pages, with no more than they must have.
struct BareLists;

impl PageOps for BareLists {
    type Page = PlainPage;
    type Error = Infallible;

    fn update(&mut self, _: &PlainPage, _: PageFlags, _: PageFlags) {}
    fn referenced(&mut self, _: &PlainPage) -> Referenced {
        Referenced::default()
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        _: &PlainPage,
        _: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        unreachable!("no test here unmaps")
    }
    fn remove(&mut self, _: &PlainPage, _: Removal) -> Attempt {
        Attempt::Done
    }
    fn flush_tlb(&mut self) {}
}

impl Lists for BareLists {
    fn take(&mut self, _: Lru) -> Option<PlainPage> {
        None
    }
    fn put(&mut self, _: Lru, _: PlainPage) {}
    fn pages(&self, _: Lru) -> u64 {
        0
    }
    fn free(&mut self, _: PlainPage) {}
}

#[test]
fn bare_operations_on_pages() {
    let (mut ops, page) = (BareLists, page(3, None));
    assert!(!ops.is_congested(&page));
    assert!(!ops.is_swap_full(&page));
    assert!(!ops.can_split(&page));
    assert!(!ops.is_pmd_mapped(&page));
    assert_eq!(ops.try_lock(&page), Attempt::Done);
    assert_eq!(ops.add_to_swap(&page), Attempt::Refused);
    assert_eq!(ops.split(&page), Attempt::Refused);
    assert_eq!(ops.release_buffers(&page), Attempt::Refused);
    assert_eq!(ops.write_room(), u32::MAX, "no limit");
    assert_eq!(ops.write_out(&page), PageOut::Keep);
    assert_eq!(ops.put_last(&page), None, "kept");
}

#[test]
fn bare_lists() {
    let (mut lists, page) = (BareLists, page(3, None));
    assert_eq!(lists.park(page, Pins::None), Err(page), "handed back");
    assert_eq!(lists.take_parked(), None);
    assert_eq!(lists.pages_parked(), 0);
    assert_eq!(lists.pin_owners(), Owners::default());
    assert!(lists.has_swap());
    assert_eq!(lists.watermark(), Watermark { free: 0, high: 0 });
    assert_eq!(lists.shrink_others(0), 0);
}

#[test]
fn a_large_page_freezes_at_its_count_alone() {
    let page = LargePageRefs::new(3);
    assert_eq!(page.freeze(2), Err(UnexpectedRefs(3)));
    assert_eq!(page.unfreeze(1), Err(UnexpectedRefs(3)));
    assert_eq!(page.freeze(3), Ok(()));
    assert_eq!(page.pin(), Err(PinError::Free));
    assert_eq!(page.unfreeze(5), Ok(()));
    assert_eq!(page.freeze(5), Ok(()));
}

#[test]
fn the_age_of_the_oldest_pages_of_an_owner() {
    let mut ledger = PinLedger::<1, 2>::new();
    let owner = ledger.add_owner(7, 100).unwrap();
    assert_eq!(ledger.usage(owner).unwrap().oldest_age(50), None);
    let _first = ledger.charge(owner, PinKind::Short, 1, 10).unwrap();
    let _second = ledger.charge(owner, PinKind::Longterm, 1, 30).unwrap();
    let usage = ledger.usage(owner).unwrap();
    assert_eq!(usage.oldest_age(50), Some(40));
    assert_eq!(usage.oldest_age(5), Some(0), "a clock that went back");
}

#[test]
fn a_request_says_who_asks() {
    let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH).unwrap();
    assert_eq!(request.context(), Context::default());
    let context = Context {
        requester: Requester::Compaction,
        priority: 3,
    };
    let request = request.with_context(context);
    assert_eq!(request.context(), context);
    assert_eq!(request.flags(), UnmapFlags::BATCH_FLUSH);
}
