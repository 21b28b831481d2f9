//! What a walk did to the counts: `nothing_lost`, `slots`, `counters`, `flushes`, `notifier`.

use crate::story::{Holds, SWAP, Story, TAKEN, changed};
use pinfold::invariants::{Broken, EntryKind, counters, flushes, nothing_lost, notifier, slots};
use pinfold::{PageFlags, PteFlags, UnmapFlags};

/// The entry that stays goes too.
fn one_more(story: &mut Story) {
    story.new[1].kind = EntryKind::Swap;
}

#[test]
fn what_is_taken_is_one_number() {
    const fn gone(taken: u32) -> Holds {
        Err(Broken::MapsLost { fell: 1, taken })
    }
    const fn maps(fell: i64) -> Holds {
        Err(Broken::MapsLost { fell, taken: 1 })
    }
    const fn refs(fell: i64) -> Holds {
        Err(Broken::RefsLost { fell, taken: 1 })
    }
    const fn rmaps(removed: i64) -> Holds {
        Err(Broken::RmapsLost { removed, taken: 1 })
    }
    changed(
        &Story::reclaimed(),
        nothing_lost,
        &[
            ("none gone", Story::put_back, gone(0)),
            ("two gone", one_more, gone(2)),
            (
                "one that did not map the page goes",
                |s| s.new[2].kind = EntryKind::Empty,
                Ok(()),
            ),
            (
                "one that did not map the page comes",
                |s| s.new[2].kind = EntryKind::Present,
                Ok(()),
            ),
            ("no map", |s| s.after.maps += 1, maps(0)),
            ("two maps", |s| s.after.maps -= 1, maps(2)),
            ("a map more", |s| s.after.maps += 2, maps(-1)),
            ("no reference", |s| s.after.refs += 1, refs(0)),
            ("two references", |s| s.after.refs -= 1, refs(2)),
            ("a reference more", |s| s.after.refs += 2, refs(-1)),
            ("no reverse map", |s| s.after.books.removed -= 1, rmaps(0)),
            ("two reverse maps", |s| s.after.books.removed += 1, rmaps(2)),
        ],
    );
}

#[test]
fn a_swap_entry_holds_its_slot() {
    const fn lost(held: i64, installed: u32) -> Holds {
        Err(Broken::SlotsLost { held, installed })
    }
    changed(
        &Story::reclaimed(),
        slots,
        &[
            ("no reference", |s| s.after.books.swap_dups -= 1, lost(0, 1)),
            (
                "two references",
                |s| s.after.books.swap_dups += 1,
                lost(2, 1),
            ),
            ("given back", |s| s.after.books.swap_frees += 1, lost(0, 1)),
            (
                "one of two given back",
                |s| {
                    s.after.books.swap_dups += 1;
                    s.after.books.swap_frees += 1;
                },
                Ok(()),
            ),
            ("empty", |s| s.new[0].kind = EntryKind::Empty, lost(1, 0)),
            ("two entries", one_more, lost(1, 2)),
        ],
    );
}

#[test]
fn counters_follow_the_entries() {
    const fn resident(change: i64, taken: u32) -> Holds {
        Err(Broken::ResidentLost { change, taken })
    }
    const fn swapped(change: i64, installed: u32) -> Holds {
        Err(Broken::SwapEntsLost { change, installed })
    }
    changed(
        &Story::reclaimed(),
        counters,
        &[
            ("file, not anon", |s| count(s, [1, -1, 0, 0, 0]), Ok(())),
            ("shmem, not anon", |s| count(s, [1, 0, -1, 0, 0]), Ok(())),
            ("hugetlb, not anon", |s| count(s, [1, 0, 0, -1, 0]), Ok(())),
            ("one less", |s| count(s, [-1, 0, 0, 0, 0]), resident(-2, 1)),
            ("one more", |s| count(s, [0, 1, 0, 0, 0]), resident(0, 1)),
            ("two more", |s| count(s, [0, 0, 2, 0, 0]), resident(1, 1)),
            (
                "none in swap",
                |s| count(s, [0, 0, 0, 0, -1]),
                swapped(0, 1),
            ),
            ("two in swap", |s| count(s, [0, 0, 0, 0, 1]), swapped(2, 1)),
            ("two gone", one_more, resident(-1, 2)),
            (
                "a migration entry",
                |s| s.new[0].kind = EntryKind::Migration,
                resident(-1, 0),
            ),
            (
                "a migration entry that is not counted",
                |s| {
                    s.new[0].kind = EntryKind::Migration;
                    count(s, [1, 0, 0, 0, -1]);
                },
                Ok(()),
            ),
            (
                "an empty entry",
                |s| s.new[0].kind = EntryKind::Empty,
                swapped(1, 0),
            ),
        ],
    );
}

/// Tells so much more of anon, file, shmem, hugetlb, and swap entries.
fn count(story: &mut Story, [anon, file, shmem, hugetlb, swap_ents]: [i32; 5]) {
    let counters = &mut story.after.books.counters;
    *counters = counters.plus(pinfold::CounterDelta {
        anon,
        file,
        shmem,
        swap_ents,
        hugetlb,
    });
}

/// So many flushes more were done, were put off, and are in the debt, of which this is known.
fn flush(story: &mut Story, done: u32, put_off: u32, debt: u32, dirty: bool) {
    story.ask(UnmapFlags::BATCH_FLUSH);
    let books = &mut story.after.books;
    books.flushed = story.before.books.flushed + done;
    books.deferred = story.before.books.deferred + put_off;
    story.ending.deferred = debt;
    story.ending.deferred_dirty = dirty;
}

#[test]
fn every_entry_that_is_gone_is_flushed_or_in_the_debt() {
    const fn missing(gone: u32, flushes: i64) -> Holds {
        Err(Broken::FlushMissing { gone, flushes })
    }
    const fn forgotten(deferred: i64, debt: u32) -> Holds {
        Err(Broken::DebtForgotten { deferred, debt })
    }
    changed(
        &Story::reclaimed(),
        flushes,
        &[
            ("done", |s| flush(s, 1, 0, 0, false), Ok(())),
            ("put off", |s| flush(s, 0, 1, 1, true), Ok(())),
            ("both", |s| flush(s, 1, 1, 1, false), Ok(())),
            ("neither", |s| flush(s, 0, 0, 0, false), missing(1, 0)),
            (
                "unasked",
                |s| {
                    flush(s, 0, 1, 1, true);
                    s.ask(UnmapFlags::RMAP_LOCKED);
                },
                Err(Broken::DeferredUnasked { deferred: 1 }),
            ),
            (
                "not in the debt",
                |s| flush(s, 1, 1, 0, false),
                forgotten(1, 0),
            ),
            ("not put off", |s| flush(s, 1, 0, 1, false), forgotten(0, 1)),
            ("more debt", |s| flush(s, 0, 1, 2, true), forgotten(1, 2)),
            (
                "one of two",
                |s| {
                    one_more(s);
                    flush(s, 1, 0, 0, false);
                },
                missing(2, 1),
            ),
            (
                "one done, one put off",
                |s| {
                    one_more(s);
                    flush(s, 1, 1, 1, false);
                },
                Ok(()),
            ),
        ],
    );
}

#[test]
fn a_debt_knows_of_dirty_entries() {
    let address = TAKEN;
    let broken = Err(Broken::DirtyDebtForgotten { address });
    changed(
        &Story::reclaimed(),
        flushes,
        &[
            ("told", |s| flush(s, 0, 1, 1, true), Ok(())),
            ("not told", |s| flush(s, 0, 1, 1, false), broken),
            (
                "not told of a clean one, beside a dirty one that stays",
                |s| {
                    flush(s, 0, 1, 1, false);
                    s.old[0].flags -= PteFlags::DIRTY;
                },
                Ok(()),
            ),
            (
                "not told where another was flushed at once",
                |s| flush(s, 1, 1, 1, false),
                Ok(()),
            ),
            (
                "told of a clean one",
                |s| {
                    flush(s, 0, 1, 1, true);
                    s.old[0].flags -= PteFlags::DIRTY;
                },
                Ok(()),
            ),
            (
                "not told of device-private memory, which has no dirty bit",
                |s| {
                    flush(s, 0, 1, 1, false);
                    s.ask(UnmapFlags::MIGRATION | UnmapFlags::BATCH_FLUSH);
                    s.before.page = SWAP | PageFlags::DEVICE_PRIVATE;
                },
                Ok(()),
            ),
        ],
    );
}

#[test]
fn invalidations_that_begin_end() {
    const fn unpaired(begins: i64, ends: i64) -> Holds {
        Err(Broken::NotifierUnpaired { begins, ends })
    }
    const fn unshared(unshares: i64, invalidates: i64) -> Holds {
        Err(Broken::UnsharedNotInvalidated {
            unshares,
            invalidates,
        })
    }
    changed(
        &Story::reclaimed(),
        notifier,
        &[
            (
                "one more begins",
                |s| s.after.books.begins += 1,
                unpaired(2, 1),
            ),
            ("one more ends", |s| s.after.books.ends += 1, unpaired(1, 2)),
            ("one un-shared", |s| s.after.books.unshares += 1, Ok(())),
            (
                "two un-shared",
                |s| s.after.books.unshares += 2,
                unshared(2, 1),
            ),
            (
                "none invalidated",
                |s| s.after.books.invalidates -= 1,
                Ok(()),
            ),
        ],
    );
}
