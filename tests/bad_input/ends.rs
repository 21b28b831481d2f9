//! Counts, sizes and addresses at their ends.

use crate::{ADDRESS, BITS, Odd, VMA, refused_at_once, taken, vmas, walk};
use pinfold::conformance::{Faults, Recorded};
use pinfold::pin::{Biased, PinReading, Pins, Refined};
use pinfold::unmap::{FlushDebt, UnmapError, Verdict};
use pinfold::{
    CounterDelta, IgnorePins, Outcome, PageFlags, PageLike, SkipOpportunistic, SkipPinned,
    UnmapFlags, UnmapRequest, try_to_unmap,
};

#[test]
fn reference_counts_at_their_ends() {
    for refs in [i32::MIN, i32::MIN + 1, -1, i32::MAX] {
        let page = Odd::new(PageFlags::PAGE_CACHE);
        page.refs.set(refs);
        assert!(Biased::read(&page).maybe_pinned(), "{refs}");
        assert!(Refined::read(&page).maybe_pinned(), "{refs}");
        let place = (VMA, ADDRESS, ADDRESS);
        let none = UnmapFlags::empty();
        let (skipped, told) = walk(&page, place.clone(), (none, SkipPinned), &[BITS]);
        assert!(matches!(skipped.unwrap(), Verdict::NextVma(_)), "{refs}");
        assert_eq!(told, Recorded::default());
        let (skipped, told) = walk(
            &page,
            place.clone(),
            (none, <SkipOpportunistic>::new()),
            &[BITS],
        );
        assert!(matches!(skipped.unwrap(), Verdict::SkipPage(_)), "{refs}");
        assert_eq!(told, Recorded::default());
        let (done, told) = walk(&page, place, (none, IgnorePins), &[BITS]);
        assert_eq!(done, Ok(Verdict::Done), "{refs}");
        assert_eq!(told.books().removed, 1, "{refs}");
    }
}

#[test]
fn map_counts_at_their_ends() {
    let page = Odd::new(PageFlags::PAGE_CACHE | PageFlags::PRIVATE);
    page.maps.set(u32::MAX);
    assert_eq!(
        page.explained_refs(page.flags(), u32::MAX),
        u32::MAX,
        "saturates"
    );
    assert_eq!(Refined::read(&page), Pins::None, "10 references are no pin");
    page.refs.set(5000);
    assert!(
        Refined::read(&page).maybe_pinned(),
        "counts that cannot be are not trusted"
    );
    let faults = Faults::none();
    let mut world = vmas(&page, [&[BITS], &[]], &faults);
    let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
    let request = request.with_policy(IgnorePins);
    let outcome = try_to_unmap(&page, &request, &mut world, &mut FlushDebt::none());
    assert_eq!(outcome, Ok(Outcome::NotFound));
    assert_eq!(taken(&world), [1, 0]);
    assert_eq!(page.maps.get(), u32::MAX - 1);
}

#[test]
fn sizes_at_their_ends() {
    let mut page = Odd::new(PageFlags::PAGE_CACHE);
    page.base_pages = u32::MAX;
    page.base_shift = 63;
    assert_eq!(page.size(), u64::MAX, "saturates");
    for shift in [64, 200, u32::MAX] {
        page.base_shift = shift;
        assert_eq!(page.size(), u64::MAX, "saturates");
        // No address but 0 is a multiple of such a page.
        let error = UnmapError::Misaligned { address: ADDRESS };
        refused_at_once(&page, &VMA, ADDRESS, error, "0x200000 is not page-aligned");
    }
    page.base_pages = 3;
    page.base_shift = 14;
    let by_reference: &dyn PageLike = &&page;
    let said = (by_reference.base_shift(), by_reference.size());
    assert_eq!(said, (14, 3 << 14), "a reference says the same");
    page.base_pages = 0;
    assert_eq!(page.size(), 0);
}

#[test]
fn addresses_at_their_ends() {
    let last = !0xfffu64;
    let page = Odd::new(PageFlags::PAGE_CACHE | PageFlags::THP);
    let (result, told) = walk(
        &page,
        (0..u64::MAX, last, last),
        (UnmapFlags::empty(), IgnorePins),
        &[BITS],
    );
    assert_eq!((result, told.books().removed), (Ok(Verdict::Done), 1));
    let (result, told) = walk(
        &page,
        (0..u64::MAX, 0, 0),
        (UnmapFlags::empty(), IgnorePins),
        &[BITS],
    );
    assert_eq!((result, told.books().removed), (Ok(Verdict::Done), 1));
}

#[test]
fn counter_changes_saturate() {
    let least = CounterDelta {
        anon: i32::MIN,
        file: i32::MAX,
        ..CounterDelta::NONE
    };
    let undone = least.undone();
    assert_eq!((undone.anon, undone.file), (i32::MAX, -i32::MAX));
    let sum = least.plus(least);
    assert_eq!((sum.anon, sum.file), (i32::MIN, i32::MAX));
}
