//! What readings make of pages that keep still.

use pinfold::pin::{Biased, PinCount, PinReading, Pins, Refined};
use pinfold::{PageFlags, PageLike, PageSnapshot, PlainPage};
use proptest::prelude::*;

fn page(flags: u32, maps: u32, base_pages: u32) -> PlainPage {
    let flags = PageFlags::from_bits_truncate(flags);
    PlainPage {
        flags,
        refs: 0,
        maps,
        pins: None,
        base_pages,
    }
}

proptest! {
    #[test]
    fn readings_of_quiet_pages(
        flags in any::<u32>(),
        maps in prop_oneof![0u32..4, 0u32..100_000],
        base_pages in prop_oneof![Just(1u32), Just(512)],
        pins in prop_oneof![Just(0u32), 0u32..5, 0u32..10_000],
        stray in prop_oneof![0u32..4, 505u32..520, 1020u32..1030, 0u32..3000],
    ) {
        let mut page = page(flags, maps, base_pages);
        let explained = page.explained_refs(page.flags, page.maps);
        page.refs = i32::try_from(u64::from(explained) + u64::from(stray) + u64::from(pins) * 1024).unwrap();
        let (biased, refined) = (Biased::read(&page), Refined::read(&page));
        if pins > 0 {
            prop_assert!(biased.maybe_pinned() && refined.maybe_pinned());
        }
        prop_assert_eq!(biased.maybe_pinned(), page.refs >= 1024);
        // Without an exact count a large page is not refined.
        let high = pins > 0 || stray >= 512 || base_pages > 1;
        prop_assert_eq!(refined.maybe_pinned(), high && page.refs >= 1024);
    }

    #[test]
    fn an_overflowed_count_reads_as_pinned(refs in i32::MIN..0, maps in any::<u32>()) {
        let page = PlainPage { refs, ..page(0, maps, 1) };
        prop_assert!(Biased::read(&page).maybe_pinned() && Refined::read(&page).maybe_pinned());
    }

    #[test]
    fn an_exact_count_is_the_only_one_asked(refs in any::<i32>(), total in 0u32..3) {
        let count = PinCount { total, longterm: None };
        let page = PlainPage { refs, pins: Some(count), ..page(0, 0, 1) };
        let expected = if total == 0 { Pins::None } else { Pins::Exactly(count) };
        prop_assert_eq!((Biased::read(&page), Refined::read(&page)), (expected, expected));
    }
}

#[test]
fn a_large_page_is_refined_only_from_one_load() {
    let cached = PageFlags::SWAP_CACHE.bits();
    for base_pages in [2, 512, 513, 1024] {
        let mut page = page(cached, 2000, base_pages);
        let explained = page.explained_refs(page.flags, page.maps);
        page.refs = i32::try_from(explained).unwrap();
        let seen = page.snapshot();
        let maps = Some(page.maps);
        assert!(Refined::read(&page).maybe_pinned(), "read piece by piece");
        let at_once = PageSnapshot { maps, ..seen };
        assert_eq!(Refined::read_with(&page, at_once), Pins::None);
        page.refs = 1023;
        assert_eq!(Refined::read(&page), Pins::None, "as the raw reading says");
        page.refs = 1024;
        assert!(Refined::read(&page).maybe_pinned());
    }
}
