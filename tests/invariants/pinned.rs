//! Pins and walks: `pinned_stays`, `second_look`, `skip_touches_nothing`, `monotone`, `alike`.

use crate::story::{Change, Holds, LEFT, Row, SWAP, Story, TAKEN, changed};
use pinfold::invariants::{
    Broken, EntryKind, WalkEnd, alike, monotone, pinned_stays, second_look, skip_touches_nothing,
};
use pinfold::pin::Pins;
use pinfold::{
    IgnorePins, Outcome, PageFlags, PteFlags, SkipLongterm, SkipPinned, UnmapFlags, Verdict,
};

const PINS: Pins = Pins::Maybe {
    estimate: 1,
    longterm: None,
};

const fn unmapped(pins: u32, taken: u32, address: u64) -> Holds {
    Err(Broken::PinnedUnmapped {
        pins,
        taken,
        address,
    })
}

#[test]
fn a_pin_that_counts_keeps_every_entry() {
    changed(
        &Story::reclaimed(),
        pinned_stays,
        &[
            ("a pin", |s| s.before.pins = 1, unmapped(1, 1, TAKEN)),
            ("a pin that comes later", |s| s.after.pins = 1, Ok(())),
            (
                "two entries",
                |s| {
                    s.before.pins = 2;
                    s.new[1].kind = EntryKind::Empty;
                },
                unmapped(2, 2, TAKEN),
            ),
            (
                "the second entry alone",
                |s| {
                    s.before.pins = 2;
                    s.put_back();
                    s.new[1].kind = EntryKind::Empty;
                },
                unmapped(2, 1, LEFT),
            ),
            (
                "no entry",
                |s| {
                    s.before.pins = 2;
                    s.put_back();
                },
                Ok(()),
            ),
        ],
    );
}

#[test]
fn a_pin_counts_only_where_it_may_hinder() {
    fn pinned(story: &mut Story, flags: UnmapFlags) {
        story.before.pins = 1;
        story.ask(flags);
    }
    let broken = unmapped(1, 1, TAKEN);
    let forced = "a forced unmap";
    changed(
        &Story::reclaimed(),
        pinned_stays,
        &[
            ("migration", |s| pinned(s, UnmapFlags::MIGRATION), broken),
            ("a split", |s| pinned(s, UnmapFlags::SPLIT_FREEZE), broken),
            (forced, |s| pinned(s, UnmapFlags::IGNORE_MLOCK), Ok(())),
            (
                "an opportunistic one",
                |s| pinned(s, UnmapFlags::IGNORE_MLOCK | UnmapFlags::OPPORTUNISTIC),
                broken,
            ),
            ("munlock", |s| pinned(s, UnmapFlags::MUNLOCK), broken),
            (
                "munlock that forces",
                |s| pinned(s, UnmapFlags::MUNLOCK | UnmapFlags::IGNORE_MLOCK),
                broken,
            ),
            (
                "a split of its huge mapping",
                |s| {
                    pinned(s, UnmapFlags::SPLIT_HUGE_PMD);
                    s.put_back();
                    s.old[0].flags |= PteFlags::PMD;
                },
                unmapped(1, 1, TAKEN),
            ),
            (
                "poison handling",
                |s| {
                    pinned(s, UnmapFlags::empty());
                    s.before.page |= PageFlags::HWPOISON;
                },
                Ok(()),
            ),
            (
                "a page that is poisoned later",
                |s| {
                    pinned(s, UnmapFlags::empty());
                    s.after.page |= PageFlags::HWPOISON;
                },
                broken,
            ),
            (
                "a policy that reads no pins",
                |s| {
                    pinned(s, UnmapFlags::empty());
                    s.ask_by(&IgnorePins);
                },
                Ok(()),
            ),
            (
                "a short pin where long-term ones count",
                |s| {
                    s.before.pins = 2;
                    s.ask_by(&<SkipLongterm>::new());
                },
                Ok(()),
            ),
            (
                "a long-term one",
                |s| {
                    (s.before.pins, s.before.longterm) = (2, 1);
                    s.ask_by(&<SkipLongterm>::new());
                },
                broken,
            ),
        ],
    );
}

#[test]
fn an_entry_at_which_a_pin_appears_is_put_back() {
    fn appears(story: &mut Story, at: usize) {
        story.pin_appeared = Some(at);
        story.after.pins = 1;
    }
    fn one_more(story: &mut Story) {
        let left = story.old[1];
        story.new[1] = left;
        story.new[1].kind = EntryKind::Empty;
    }
    const fn went(address: u64) -> Holds {
        Err(Broken::PinAppearedUnmapped { address })
    }
    changed(
        &Story::reclaimed(),
        second_look,
        &[
            ("at the entry", |s| appears(s, 0), went(TAKEN)),
            ("at the next", |s| appears(s, 1), Ok(())),
            ("not", |s| s.after.pins = 1, Ok(())),
            (
                "before an entry that is taken",
                |s| {
                    appears(s, 0);
                    s.put_back();
                    one_more(s);
                },
                went(LEFT),
            ),
            (
                "and the entry is put back",
                |s| {
                    appears(s, 0);
                    s.put_back();
                },
                Ok(()),
            ),
            (
                "and is gone again",
                |s| {
                    appears(s, 0);
                    (s.before.pins, s.after.pins) = (1, 0);
                },
                Ok(()),
            ),
            (
                "under a policy that looks once",
                |s| {
                    appears(s, 0);
                    s.ask_by(&SkipPinned);
                },
                Ok(()),
            ),
            (
                "under a policy that does not count it",
                |s| {
                    appears(s, 0);
                    s.ask_by(&<SkipLongterm>::new());
                },
                Ok(()),
            ),
            (
                "in a forced unmap",
                |s| {
                    appears(s, 0);
                    s.ask(UnmapFlags::IGNORE_MLOCK);
                },
                Ok(()),
            ),
        ],
    );
}

/// All that two worlds can differ in, and the word for it.
const DIFFERENCES: [(&str, Change); 20] = [
    ("page flags", |s| s.after.page |= PageFlags::REFERENCED),
    ("references", |s| s.after.refs -= 1),
    ("map count", |s| s.after.maps -= 1),
    ("entries", |s| s.new[1].flags.toggle(PteFlags::SOFT_DIRTY)),
    ("entries", |s| s.new[2].kind = EntryKind::Empty),
    ("counters", |s| s.after.books.counters.anon -= 1),
    ("counters", |s| s.after.books.counters.file -= 1),
    ("counters", |s| s.after.books.counters.shmem -= 1),
    ("counters", |s| s.after.books.counters.swap_ents += 1),
    ("counters", |s| s.after.books.counters.hugetlb -= 1),
    ("notifier", |s| s.after.books.begins += 1),
    ("notifier", |s| s.after.books.ends += 1),
    ("flushes", |s| s.after.books.flushed += 1),
    ("flushes", |s| s.after.books.deferred += 1),
    ("books", |s| s.after.books.removed += 1),
    ("books", |s| s.after.books.swap_dups += 1),
    ("books", |s| s.after.books.swap_frees += 1),
    ("books", |s| s.after.books.unshares += 1),
    ("books", |s| s.after.books.invalidates += 1),
    ("books", |s| s.after.books.others += 1),
];

const SAID: [(&str, Change); 2] = [
    ("flush debt", |s| s.ending.deferred = 1),
    ("flush debt", |s| s.ending.deferred_dirty = true),
];

#[test]
fn a_skip_touches_nothing() {
    let skips = [
        WalkEnd::InVma(Verdict::NotLocked),
        WalkEnd::InVma(Verdict::NotMigratable),
        WalkEnd::InVma(Verdict::NextVma(PINS)),
        WalkEnd::InVma(Verdict::SkipPage(PINS)),
        WalkEnd::InVma(Verdict::Refused(PINS)),
        WalkEnd::InAll(Outcome::Skipped(PINS)),
        WalkEnd::InAll(Outcome::Refused(PINS)),
    ];
    for how in skips {
        for (what, change) in DIFFERENCES.into_iter().chain(SAID) {
            let rows: [Row; 1] = [(what, change, Err(Broken::SkipTouched { what }))];
            changed(&Story::untouched(how), skip_touches_nothing, &rows);
        }
        let pins: Row = ("others' pins may come", |s| s.after.pins = 1, Ok(()));
        changed(&Story::untouched(how), skip_touches_nothing, &[pins]);
    }
}

#[test]
fn what_is_no_skip_may_touch() {
    for how in [
        WalkEnd::InVma(Verdict::Done),
        WalkEnd::InAll(Outcome::NotFound),
        WalkEnd::Failed,
    ] {
        for (what, change) in DIFFERENCES.into_iter().chain(SAID) {
            let rows: [Row; 1] = [(what, change, Ok(()))];
            changed(&Story::untouched(how), skip_touches_nothing, &rows);
        }
    }
}

#[test]
fn a_skip_stays_one_with_more_pins() {
    let taking = Story::reclaimed();
    let pin_skip = WalkEnd::InVma(Verdict::SkipPage(PINS));
    let broken = Err(Broken::SkipBecameUnmap { taken: 1 });
    for (fewer, expected) in [
        (pin_skip, broken),
        (WalkEnd::InVma(Verdict::NextVma(PINS)), broken),
        (WalkEnd::InAll(Outcome::Refused(PINS)), broken),
        (WalkEnd::InVma(Verdict::NotLocked), Ok(())),
        (WalkEnd::InVma(Verdict::Done), Ok(())),
        (WalkEnd::InAll(Outcome::Unmapped), Ok(())),
        (WalkEnd::Failed, Ok(())),
    ] {
        let fewer = Story::untouched(fewer);
        assert_eq!(monotone(&fewer.walk(), &taking.walk()), expected);
        assert_eq!(monotone(&fewer.walk(), &fewer.walk()), Ok(()));
        assert_eq!(monotone(&taking.walk(), &fewer.walk()), Ok(()));
    }
    let mut two = taking.clone();
    two.new[1].kind = EntryKind::Empty;
    let skip = Story::untouched(pin_skip);
    let broken = Err(Broken::SkipBecameUnmap { taken: 2 });
    assert_eq!(monotone(&skip.walk(), &two.walk()), broken);
}

#[test]
fn alike_walks_leave_alike_worlds() {
    let one = Story::reclaimed();
    let other = |change: Change| {
        let mut story = one.clone();
        change(&mut story);
        alike(&one.walk(), &story.walk())
    };
    assert_eq!(other(|_| ()), Ok(()));
    assert_eq!(
        other(|s| s.before.refs = 9),
        Ok(()),
        "only what is left counts"
    );
    assert_eq!(
        other(|s| s.ask_by(&IgnorePins)),
        Ok(()),
        "whatever was asked"
    );
    for (what, change) in DIFFERENCES {
        assert_eq!(other(change), Err(Broken::Unlike { what }));
    }
    let what = "how the walk ended";
    let failed = other(|s| (s.ending.how, s.after.page) = (WalkEnd::Failed, SWAP));
    assert_eq!(failed, Err(Broken::Unlike { what }));
    let what = "what the walk said that it did";
    let said: [Change; 2] = [
        |s| s.ending.deferred = 1,
        |s| s.ending.deferred_dirty = true,
    ];
    for change in said {
        assert_eq!(other(change), Err(Broken::Unlike { what }));
    }
}
