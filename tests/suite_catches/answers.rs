//! What a page says of itself, and what is read out of it.

use crate::liar::{Answer, Liar, Lie, with_lie};
use crate::pages::{PackedPage, PlainCells, WordPage};
use pinfold::PageFlags;
use pinfold::conformance::{BuildPage, PageState, check_page, check_readings, suite};
use pinfold::invariants::Broken;
use pinfold::pin::{PinCount, Pins};

const STATE: PageState = PageState {
    flags: PageFlags::ANON
        .union(PageFlags::SWAP_BACKED)
        .union(PageFlags::SWAP_CACHE)
        .union(PageFlags::DIRTY),
    maps: 3,
    unexplained: 5,
    short: 2,
    longterm: 1,
    base_pages: 1,
};
/// Nothing but the caller's reference.
const BARE: PageState = PageState {
    flags: PageFlags::empty(),
    maps: 0,
    unexplained: 0,
    short: 0,
    longterm: 0,
    base_pages: 1,
};

/// The lying page, and what the check says of it.
fn checked<P: BuildPage>(state: &PageState, lie: Lie) -> (Liar<P>, Result<(), Broken>) {
    with_lie(lie, || {
        let page = Liar::<P>::build(state).unwrap();
        let checked = check_page(state, &page);
        (page, checked)
    })
}

#[test]
fn every_wrong_answer_is_caught() {
    let (flags, private) = (i64::from(STATE.flags.bits()), 1 << 16);
    for (answer, what, expected, found) in [
        (Answer::Flags, "flags", flags, flags + private),
        (Answer::MapCount, "map_count", 3, 4),
        (Answer::RefCount, "ref_count", 13, 14),
        (Answer::BasePages, "base_pages", 1, 2),
        (Answer::ExplainedRefs, "explained_refs", 5, 6),
        (
            Answer::SnapshotFlags,
            "snapshot().flags",
            flags,
            flags + private,
        ),
        (Answer::SnapshotRefs, "snapshot().refs", 13, 14),
        // It knew nothing of them: now it says 1.
        (Answer::SnapshotMaps, "snapshot().maps", 3, 1),
        (Answer::ExactPins, "exact_pins", 3, 4),
        (Answer::LongtermPins, "longterm_pins", 1, 2),
    ] {
        let broken = Broken::PageDisagrees {
            what,
            expected,
            found,
        };
        let (_, checked) = checked::<WordPage>(&STATE, Lie::Off(answer, 1, None));
        assert_eq!(checked, Err(broken), "{answer:?}");
    }
}

/// Each answer of a page is wrong once, the first time, the second time and so on: what the check
/// says, as long as it asks. `""`: it does not look at that part of that answer.
fn once<P: BuildPage>(state: &PageState, answer: Answer, expected: &[&str]) {
    let mut found = Vec::new();
    for at in 0.. {
        let (page, checked) = checked::<P>(state, Lie::Off(answer, 1, Some(at)));
        if !page.told() {
            break;
        }
        found.push(match checked {
            Ok(()) => "",
            Err(Broken::PageDisagrees { what, .. }) => what,
            Err(other) => panic!("{answer:?}: {other}"),
        });
    }
    assert_eq!(found, expected, "{answer:?}");
}

#[test]
fn every_answer_through_a_reference_is_compared() {
    for (answer, expected) in [
        (
            Answer::Flags,
            &[
                "flags",
                "&page: flags",
                "&page: explained_refs",
                "&page: flags",
                "&page: explained_refs",
            ][..],
        ),
        (
            Answer::RefCount,
            &[
                "ref_count",
                "snapshot().refs",
                "&page: ref_count",
                "&page: ref_count",
            ],
        ),
        (
            Answer::MapCount,
            &[
                "map_count",
                "&page: map_count",
                "&page: explained_refs",
                "&page: map_count",
                "&page: explained_refs",
            ],
        ),
        (
            Answer::BasePages,
            &["base_pages", "&page: base_pages", "&page: base_pages"],
        ),
        (
            Answer::BaseShift,
            &["size", "&page: base_shift", "&page: base_shift"],
        ),
        (Answer::Size, &["size", "&page: size", "&page: size"]),
        (
            Answer::ExplainedRefs,
            &[
                "explained_refs",
                "&page: explained_refs",
                "&page: explained_refs",
            ],
        ),
        (
            Answer::SnapshotFlags,
            &[
                "snapshot().flags",
                "&page: snapshot, flags",
                "&page: snapshot, flags",
            ],
        ),
        (
            Answer::SnapshotRefs,
            &[
                "snapshot().refs",
                "&page: snapshot, refs",
                "&page: snapshot, refs",
            ],
        ),
        (
            Answer::SnapshotMaps,
            &[
                "snapshot().maps",
                "&page: snapshot, maps",
                "&page: snapshot, maps",
            ],
        ),
        (
            Answer::ExactPins,
            &["exact_pins", "&page: exact_pins", "&page: exact_pins"],
        ),
        (
            Answer::ExactLongterm,
            &[
                "",
                "&page: exact_pins, long-term",
                "&page: exact_pins, long-term",
            ],
        ),
        (
            Answer::LongtermPins,
            &[
                "longterm_pins",
                "&page: longterm_pins",
                "&page: longterm_pins",
            ],
        ),
    ] {
        once::<WordPage>(&STATE, answer, expected);
    }
}

#[test]
fn what_a_page_does_not_know_is_no_number() {
    // It knows one pin once, and nothing of pins before and after.
    let once_known = &["exact_pins", "&page: exact_pins", "&page: exact_pins"];
    once::<PlainCells>(&BARE, Answer::ExactPins, once_known);
    let once_known = &[
        "snapshot().maps",
        "&page: snapshot, maps",
        "&page: snapshot, maps",
    ];
    once::<PlainCells>(&BARE, Answer::SnapshotMaps, once_known);
}

#[test]
fn a_page_that_holds_less_than_it_was_built_with_is_caught() {
    let page = PlainCells::build(&STATE).unwrap();
    let too_many = PageState {
        unexplained: u32::MAX,
        ..STATE
    };
    assert_eq!(
        check_page(&too_many, &page),
        Err(Broken::PageDisagrees {
            what: "ref_count",
            expected: i64::MAX,
            found: 3 * 1024 + 10,
        })
    );
    assert_eq!(check_page(&STATE, &page), Ok(()));
}

fn readings<P: BuildPage>(state: &PageState, answer: Answer, by: i32) -> Result<(), Broken> {
    readings_told::<P>(state, Lie::Off(answer, by, None))
}

fn readings_told<P: BuildPage>(state: &PageState, lie: Lie) -> Result<(), Broken> {
    with_lie(lie, || {
        check_readings(state, &Liar::<P>::build(state).unwrap())
    })
}

#[test]
fn every_wrong_reading_is_caught() {
    let pinned = |short, longterm| PageState {
        short,
        longterm,
        ..STATE
    };
    let count = |total, longterm| PinCount {
        total,
        longterm: Some(longterm),
    };
    let missed = |truth, read| Err(Broken::PinMissed { truth, read });
    let miscounted = |truth, read| Err(Broken::PinMiscounted { truth, read });
    let maybe = |estimate, longterm| Pins::Maybe {
        estimate,
        longterm: Some(longterm),
    };
    let none = Pins::None;

    // A bias too low: the raw reading misses it, or the refined one alone.
    let (short, long) = (pinned(1, 0), pinned(0, 1));
    let found = readings::<PlainCells>(&short, Answer::SnapshotRefs, -1024);
    assert_eq!(found, missed(count(1, 0), none));
    // The references as the refined reading reads them between the mappings and the mappings.
    let found = readings::<PlainCells>(&short, Answer::RefCount, -1024);
    assert_eq!(found, missed(count(1, 0), none));

    let found = readings::<PlainCells>(&long, Answer::LongtermPins, -1);
    assert_eq!(found, missed(count(1, 1), maybe(1, 0)));
    let found = readings::<PlainCells>(&long, Answer::LongtermPins, 1);
    assert_eq!(found, miscounted(count(1, 1), maybe(1, 2)));

    let found = readings::<WordPage>(&short, Answer::ExactPins, -1);
    assert_eq!(found, missed(count(1, 0), none));
    let found = readings::<WordPage>(&short, Answer::ExactPins, 1);
    let read = Pins::Exactly(count(2, 0));
    assert_eq!(found, miscounted(count(1, 0), read));
    let found = readings::<WordPage>(&long, Answer::ExactLongterm, -1);
    let read = Pins::Exactly(count(1, 0));
    assert_eq!(found, missed(count(1, 1), read));

    // Half a bias, which the page's own counts explain: the check asks for them first.
    let mapped = PageState {
        maps: 2000,
        ..pinned(0, 0)
    };
    let invented = Broken::PinInvented {
        unexplained: 5,
        read: maybe(1, 0),
    };
    let lie = |by| Lie::Off(Answer::RefCount, by, Some(1));
    let found = readings_told::<PlainCells>(&mapped, lie(507));
    assert_eq!(found, Err(invented));
    let found = readings_told::<PlainCells>(&mapped, lie(506));
    assert_eq!(found, Ok(()));
    // The same in one load, the third: the raw reading takes one as well.
    let lie = |by| Lie::Off(Answer::SnapshotRefs, by, Some(2));
    let found = readings_told::<PackedPage>(&mapped, lie(507));
    assert!(
        matches!(found, Err(Broken::PinInvented { unexplained: 5, .. })),
        "{found:?}"
    );
    let found = readings_told::<PackedPage>(&mapped, lie(506));
    assert_eq!(found, Ok(()));
}

#[test]
fn the_suite_asks_for_answers_and_readings() {
    let broken = |lie| {
        let failure = with_lie(lie, || suite::<Liar<PlainCells>>(7, 500));
        failure.expect_err("caught").broken
    };
    let disagrees = broken(Lie::Off(Answer::MapCount, 1, None));
    assert!(
        matches!(
            disagrees,
            Broken::PageDisagrees { what: "map_count", expected, found } if found == expected + 1
        ),
        "{disagrees:?}"
    );
    // The check of the page asks three times; the fourth answer is a reading's.
    let missed = broken(Lie::Off(Answer::LongtermPins, 1, Some(3)));
    assert!(matches!(missed, Broken::PinMiscounted { .. }), "{missed:?}");
}
