//! The question put to one page, and to many in one call.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use pinfold::pin::{PinCount, Pins};
use pinfold::unmap::Stop;
use pinfold::{
    FlushDebt, IgnorePins, PageFlags, PageLike, PinPolicy, PinVerdict, PlainPage, SkipLongterm,
    SkipOpportunistic, SkipPinned, UnmapFlags, UnmapRequest, Verdict,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn page() -> impl Strategy<Value = PlainPage> {
    let pins = prop_oneof![
        6 => Just(None),
        1 => (0u32..3, 0u32..3).prop_map(|(short, longterm)| Some(PinCount {
            total: short.saturating_add(longterm),
            longterm: Some(longterm),
        })),
    ];
    let refs = prop_oneof![20 => 1i32..1024, 1 => 1020i32..3000, 1 => Just(-1)];
    (any::<u32>(), refs, 0u32..2000, pins).prop_map(|(flags, refs, maps, pins)| PlainPage {
        flags: PageFlags::from_bits_truncate(flags),
        refs,
        maps,
        pins,
        base_pages: 1,
    })
}

/// What all pages are told in one call, beside what each is told alone.
fn alike<P: PageLike, L: PinPolicy + Copy>(
    flags: UnmapFlags,
    policy: L,
    pages: &[P],
) -> Result<usize, TestCaseError> {
    let Ok(request) = UnmapRequest::under(flags, policy) else {
        return Ok(0);
    };
    let mut together = Vec::new();
    request.ask_all(pages, |index, verdict, pins| {
        together.push((index, verdict, pins));
    });
    let one = |(index, page): (usize, &P)| {
        let (verdict, pins) = request.ask(page);
        (!verdict.proceeds()).then_some((index, verdict, pins))
    };
    let alone: Vec<_> = pages.iter().enumerate().filter_map(one).collect();
    prop_assert_eq!(&together, &alone);
    Ok(alone.len())
}

proptest! {
    #[test]
    fn many_pages_are_told_what_each_is(
        pages in vec(page(), 0..150),
        flags in any::<u32>(),
    ) {
        let flags = UnmapFlags::from_bits_truncate(flags);
        alike(flags, SkipOpportunistic::<pinfold::pin::Refined>::new(), &pages)?;
        alike(flags, SkipLongterm::<pinfold::pin::Refined>::new(), &pages)?;
        alike(flags, SkipPinned, &pages)?;
        prop_assert_eq!(alike(flags, IgnorePins, &pages)?, 0);
    }
}

/// A page of 4 bytes and padding: how many are asked together depends on the size.
#[derive(Debug, Clone, Copy)]
struct Padded<const BYTES: usize> {
    refs: i32,
    _padding: [u8; BYTES],
}

impl<const BYTES: usize> PageLike for Padded<BYTES> {
    fn flags(&self) -> PageFlags {
        PageFlags::PAGE_CACHE
    }
    fn ref_count(&self) -> i32 {
        self.refs
    }
    fn map_count(&self) -> u32 {
        1
    }
}

fn found_wherever_it_is<const BYTES: usize>() {
    let free = Padded::<BYTES> {
        refs: 3,
        _padding: [0; BYTES],
    };
    for many in [1, 2, 7, 8, 9, 16, 100] {
        for at in 0..many {
            let mut pages = vec![free; many];
            pages.get_mut(at).unwrap().refs = 3 + 1024;
            let found = alike(UnmapFlags::BATCH_FLUSH, SkipPinned, &pages);
            assert_eq!(found.unwrap(), 1, "page {at} of {many}, {BYTES}");
        }
    }
}

#[test]
fn a_pinned_page_is_found_wherever_it_is() {
    found_wherever_it_is::<0>();
    found_wherever_it_is::<4>();
    found_wherever_it_is::<8>();
    found_wherever_it_is::<28>();
    found_wherever_it_is::<60>();
    found_wherever_it_is::<252>();
}

/// A page that is all in its type: always pinned.
#[derive(Debug)]
struct Nothing;

impl PageLike for Nothing {
    fn flags(&self) -> PageFlags {
        PageFlags::PAGE_CACHE
    }
    fn ref_count(&self) -> i32 {
        5000
    }
    fn map_count(&self) -> u32 {
        1
    }
}

#[test]
fn pages_of_no_size_are_asked_as_well() {
    let pages = [Nothing, Nothing, Nothing];
    assert_eq!(size_of_val(&pages), 0);
    let found = alike(UnmapFlags::BATCH_FLUSH, SkipPinned, &pages);
    assert_eq!(found.unwrap(), 3);
}

#[test]
fn without_pins_there_is_nothing_to_say() {
    let request = UnmapRequest::new(UnmapFlags::MIGRATION).unwrap();
    let free = PlainPage {
        flags: PageFlags::ANON,
        refs: 2,
        maps: 1,
        pins: None,
        base_pages: 1,
    };
    assert_eq!(request.ask(&free), (PinVerdict::Proceed, Pins::None));
}

#[test]
fn a_flush_debt_of_nothing() {
    let mut debt = FlushDebt::none();
    debt.absorb(FlushDebt::none());
    assert!(debt.is_none() && !debt.is_dirty());
    debt.flush(|| unreachable!("nothing is owed"));
}

#[test]
fn which_verdicts_are_for_the_pins_sake() {
    let pins = Pins::Maybe {
        estimate: 1,
        longterm: None,
    };
    let rows = [
        (Verdict::Done, false, true),
        (Verdict::Unshared, false, true),
        (Verdict::NotLocked, false, true),
        (Verdict::NotMigratable, false, true),
        (Verdict::NextVma(pins), true, true),
        (Verdict::SkipPage(pins), true, true),
        (Verdict::Refused(pins), true, false),
        // Something was touched: the entry was cleared and put back.
        (Verdict::Stopped(Stop::PinAppeared(pins)), false, false),
        (Verdict::Stopped(Stop::Young), false, false),
    ];
    for (verdict, skip, goes_on) in rows {
        assert_eq!(verdict.is_pin_skip(), skip, "{verdict:?}");
        assert_eq!(verdict.goes_on(), goes_on, "{verdict:?}");
    }
}
