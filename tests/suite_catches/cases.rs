//! The random cases reach what they say, and are the same on every machine.

use pinfold::conformance::{Answers, Case, MAX_ENTRIES, MAX_VMAS, PageState, Rng};
use pinfold::pin::{PIN_BIAS, PinKind};
use pinfold::{Operation, PageFlags, PteFlags, UnmapFlags, VmFlags};
use std::collections::{BTreeMap, BTreeSet};

const CASES: u64 = 2000;

fn cases() -> impl Iterator<Item = Case> {
    (0..CASES).map(Case::random)
}

/// Splits the cases by what `of` says, and counts them.
fn split<K: Ord>(of: impl Fn(&Case) -> K) -> BTreeMap<K, u64> {
    let mut found = BTreeMap::new();
    for case in cases() {
        *found.entry(of(&case)).or_default() += 1;
    }
    found
}

fn all<K: Ord + Copy>(of: impl Fn(&Case) -> K) -> BTreeSet<K> {
    split(of).into_keys().collect()
}

/// That every bit of `all` is set in some of the sets, and clear in others.
fn both_ways(what: &str, all: u32, sets: impl Iterator<Item = u32> + Clone) {
    let (some, every) = sets.fold((0, u32::MAX), |(some, every), set| {
        (some | set, every & set)
    });
    assert_eq!(
        (some, every & all),
        (all, 0),
        "{what}: {some:#x}, {every:#x}"
    );
}

#[test]
fn every_bit_occurs_set_and_clear() {
    let cases: Vec<Case> = cases().collect();
    let each = || cases.iter();
    let asked = each().map(|case| case.flags.bits());
    both_ways("asked", UnmapFlags::all().bits(), asked);
    let page = each().map(|case| case.page.flags.bits());
    both_ways("page", PageFlags::all().bits(), page);
    for at in 0..MAX_VMAS {
        let vma = each().map(|case| case.vmas[at].bits());
        both_ways("vma", VmFlags::all().bits(), vma);
    }
    for at in 0..MAX_ENTRIES {
        let entry = each().map(|case| case.entries[at].bits());
        both_ways("entry", PteFlags::all().bits(), entry);
    }
}

#[test]
fn every_operation_is_asked_for() {
    let operations = split(|case| Operation::of(case.flags, case.page.flags).to_string());
    let names: Vec<&str> = operations.keys().map(String::as_str).collect();
    let expected = [
        "demote", "migrate", "munlock", "poison", "reclaim", "split", "unmap",
    ];
    assert_eq!(names, expected);
    for (name, &count) in &operations {
        assert!(count * 25 >= CASES, "{name}: {count}");
    }
    // Whether the lock is held decides about hugetlb alone: half and half, whatever is asked.
    let locked = split(|case| case.flags.contains(UnmapFlags::RMAP_LOCKED))[&true];
    assert!((CASES / 2..CASES * 2 / 3).contains(&locked), "{locked}");
    // Who looks at the young bit takes few entries.
    let ignores = split(|case| case.flags.contains(UnmapFlags::IGNORE_ACCESS))[&true];
    assert!((CASES / 2..CASES * 3 / 4).contains(&ignores), "{ignores}");
}

#[test]
fn counts_are_often_none_and_else_near_the_bias() {
    let short = all(|case| case.page.short);
    assert!(BTreeSet::from([0, 1, 2, 3, 100]).is_subset(&short));
    let longterm = all(|case| case.page.longterm);
    assert!(BTreeSet::from([0, 1, 2, 100]).is_subset(&longterm));
    let near = [511, 512, 513, 1023, 1024, 1025];
    let unexplained = all(|case| case.page.unexplained);
    assert!(
        near.iter().all(|n| unexplained.contains(n)),
        "{unexplained:?}"
    );
    let others = all(|case| case.page.maps - case.len as u32);
    assert!(others.contains(&0) && others.contains(&1024), "{others:?}");
    for (what, zero) in [
        ("short", split(|case| case.page.short == 0)[&true]),
        ("longterm", split(|case| case.page.longterm == 0)[&true]),
        (
            "unexplained",
            split(|case| case.page.unexplained == 0)[&true],
        ),
    ] {
        assert!((CASES / 2..CASES * 4 / 5).contains(&zero), "{what}: {zero}");
    }
}

#[test]
fn counts_come_to_the_edge_of_every_width() {
    // How often a number has so many bits.
    let widths = |of: fn(&Case) -> u32| split(|case| u32::BITS - of(case).leading_zeros());
    for (what, widest, of) in [
        ("short", 21, (|case| case.page.short) as fn(&Case) -> u32),
        ("longterm", 21, |case| case.page.longterm),
        ("maps", 31, |case| case.page.maps),
        ("unexplained", 32, |case| case.page.unexplained),
    ] {
        let found: BTreeSet<u32> = widths(of).into_keys().collect();
        assert_eq!(found, (0..=widest).collect(), "{what}");
    }
    // Each fits a count with biased pins, and many have overflowed.
    let refs: Vec<i32> = cases()
        .map(|case| case.page.refs(PIN_BIAS).unwrap())
        .collect();
    let negative = refs.iter().filter(|refs| refs.is_negative()).count();
    assert!((100..300).contains(&negative), "{negative}");
    let bias = PIN_BIAS as i32;
    for end in [i32::MAX - bias, -bias - 1] {
        assert!(refs.contains(&end), "{end}");
    }
    let last_above_the_sign = |case: Case| {
        let refs = case.page.refs(PIN_BIAS).unwrap();
        i64::from(refs) - i64::from(case.page.maps) == i64::from(i32::MIN)
    };
    assert!(cases().any(last_above_the_sign));
}

#[test]
fn a_count_that_would_change_its_sign_does_not_fit() {
    let state = |unexplained| PageState {
        flags: PageFlags::empty(),
        maps: 10,
        unexplained,
        short: 1,
        longterm: 0,
        base_pages: 1,
    };
    // The caller's reference, 10 mappings, one pin; and room for another.
    let sign = 1u32 << 31;
    for (unexplained, per_pin, refs) in [
        (0, 1024, Some(1035)),
        (sign - 11 - 2048 - 1, 1024, Some(i32::MAX - 1024)),
        (sign - 11 - 2048, 1024, None),
        (sign - 11 - 2 - 1, 1, Some(i32::MAX - 1)),
        (sign - 11 - 2, 1, None),
        (sign - 1024 - 2, 1024, None),
        (sign - 1024 - 1, 1024, Some(i32::MIN + 10)),
        (u32::MAX - 11 - 2048, 1024, Some(-1025)),
        (u32::MAX - 11 - 2047, 1024, None),
        (u32::MAX, 0, None),
    ] {
        assert_eq!(state(unexplained).refs(per_pin), refs, "{unexplained}");
    }
}

#[test]
fn a_page_has_as_many_entries_as_its_kind_can() {
    let lens = all(|case| {
        (
            case.page.flags.is_compound(),
            case.page.base_pages,
            case.len,
        )
    });
    let small = (0..=MAX_VMAS).map(|len| (false, 1, len));
    let huge = (0..=MAX_ENTRIES).map(|len| (true, 512, len));
    assert_eq!(lens, small.chain(huge).collect());
    for case in cases() {
        assert_eq!(case.entries(), &case.entries[..case.len]);
    }
    let mut more = Case::random(0);
    more.len = MAX_ENTRIES + 1;
    assert_eq!(more.entries().len(), MAX_ENTRIES);
}

#[test]
fn every_answer_fault_and_pin_occurs() {
    for (what, of) in [
        (
            "unshares",
            (|case| case.answers.unshares) as fn(&Case) -> bool,
        ),
        ("arch_refuses", |case| case.answers.arch_refuses),
        ("slot_refuses", |case| case.answers.slot_refuses),
        ("defers", |case| case.answers.defers),
        ("pin_at", |case| case.answers.pin_at.is_some()),
        ("write_at", |case| case.write_at.is_some()),
        ("fail", |case| case.fail.is_some()),
    ] {
        let found = split(of);
        assert!(
            found[&true] > 100 && found[&false] > 100,
            "{what}: {found:?}"
        );
    }
    let pins: BTreeSet<(usize, bool)> = cases()
        .filter_map(|case| case.answers.pin_at)
        .map(|(at, kind)| (at, kind == PinKind::Longterm))
        .collect();
    assert_eq!(pins.len(), 2 * MAX_ENTRIES, "at every entry, of both kinds");
    let writes: BTreeSet<usize> = cases().filter_map(|case| case.write_at).collect();
    assert_eq!(writes, (0..MAX_ENTRIES).collect());

    let faults: BTreeSet<u32> = cases().filter_map(|case| case.fail).collect();
    assert_eq!(faults, (0..20).collect());
}

#[test]
fn a_case_without_something_is_the_same_but_for_that() {
    for case in cases() {
        let quiet = case.without_faults();
        assert_eq!(quiet.fail, None);
        let fail = case.fail;
        assert_eq!(Case { fail, ..quiet }, case);

        let unpinned = case.without_pins();
        let PageState {
            short, longterm, ..
        } = unpinned.page;
        assert_eq!((short, longterm, unpinned.answers.pin_at), (0, 0, None));
        let page = PageState {
            short: case.page.short,
            longterm: case.page.longterm,
            ..unpinned.page
        };
        let answers = Answers {
            pin_at: case.answers.pin_at,
            ..unpinned.answers
        };
        let pinned = Case {
            page,
            answers,
            ..unpinned
        };
        assert_eq!(pinned, case);

        for kind in [PinKind::Short, PinKind::Longterm] {
            let mut more = case.with_pin(kind);
            let pins = more.page.pins();
            let longterm = case.page.longterm + u32::from(kind == PinKind::Longterm);
            assert_eq!(pins.total, case.page.pins().total + 1);
            assert_eq!(pins.longterm, Some(longterm));
            more.page = case.page;
            assert_eq!(more, case);
        }
    }
}

#[test]
fn the_generator_is_split_mix_64() {
    // The published sequence of this seed.
    let mut rng = Rng::new(1_234_567);
    for expected in [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ] {
        assert_eq!(rng.next_u64(), expected);
    }
    assert_eq!(Case::random(3), Case::random(3));
    assert_ne!(Case::random(3), Case::random(4));
}

#[test]
fn chances_come_as_often_as_they_say() {
    let mut rng = Rng::new(5);
    assert_eq!(rng.below(0), 0);
    for n in [1, 2, 3, 40] {
        let mut found = vec![0u32; n as usize];
        for _ in 0..1000 * n {
            found[rng.below(n) as usize] += 1;
        }
        let even = |&count: &u32| (800..1200).contains(&count);
        assert!(found.iter().all(even), "below {n}: {found:?}");
        let times = (0..1000 * n).filter(|_| rng.one_in(n)).count();
        assert!((800..1200).contains(&times), "one in {n}: {times}");
    }
}
