//! The shrinker arithmetic against two models that were written apart from it: exact 128-bit
//! arithmetic, and Linux's own statements with its signed longs; and shrinkers that lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

use core::num::NonZeroU64;
use pinfold::Shrinker;
use pinfold::shrinker::{
    Count, Deferred, Ended, MAX_BATCHES, Pass, PriorityError, Registered, SHRINK_BATCH, Scan, Step,
    next_batch, plan, shrink_all, shrink_pages, shrink_slab,
};
use proptest::prelude::*;

/// A shrinker that says what it was told to say, and writes down what it was asked.
#[derive(Debug, Clone)]
struct Scripted {
    count: Count,
    seeks: u32,
    batch: u64,
    /// Answers in order; when they are used up, `rest` for ever.
    script: Vec<Answer>,
    rest: Answer,
    asked: Vec<u64>,
    calls: u64,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    /// As many as asked, and frees this share of them.
    Honest {
        freed_percent: u64,
    },
    /// These numbers.
    Says(u64, u64),
    Stop,
}

impl Scripted {
    fn new(count: u64) -> Self {
        Self {
            count: Count::of(count),
            seeks: 2,
            batch: 0,
            script: Vec::new(),
            rest: Answer::Honest { freed_percent: 100 },
            asked: Vec::new(),
            calls: 0,
        }
    }

    fn answer(&self, asked: u64) -> Option<(u64, u64)> {
        let answer = self.script.get(self.calls as usize).unwrap_or(&self.rest);
        match *answer {
            Answer::Honest { freed_percent } => {
                let freed = u128::from(asked) * u128::from(freed_percent) / 100;
                Some((asked, freed as u64))
            }
            Answer::Says(scanned, freed) => Some((scanned, freed)),
            Answer::Stop => None,
        }
    }
}

impl Shrinker for Scripted {
    fn count(&mut self) -> Count {
        self.count
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        let answer = self.answer(objects.get());
        self.calls += 1;
        if self.asked.len() < 64 {
            self.asked.push(objects.get());
        }
        match answer {
            Some((scanned, freed)) => Scan::Did { scanned, freed },
            None => Scan::Stop,
        }
    }
    fn seeks(&self) -> u32 {
        self.seeks
    }
    fn batch(&self) -> u64 {
        self.batch
    }
}

/// The plan in arithmetic that does not overflow.
fn exact(freeable: u64, deferred: u64, priority: u8, seeks: u32) -> (u64, u64, u64) {
    let max = u128::from(u64::MAX);
    let freeable = u128::from(freeable);
    let delta = if seeks == 0 {
        freeable / 2
    } else {
        ((freeable >> priority) * 4 / u128::from(seeks)).min(max)
    };
    let owed = (u128::from(deferred) + delta).min(max);
    let mut total = owed;
    if delta < freeable / 4 && total > freeable / 2 {
        total = freeable / 2;
    }
    if total > freeable * 2 {
        total = freeable * 2;
    }
    (delta as u64, total.min(max) as u64, owed as u64)
}

struct Linux {
    freed: u64,
    scanned: i64,
    nr_deferred: i64,
    asked: Vec<u64>,
}

/// `do_shrink_slab` of Linux 5.8, in its types, for numbers with which they do not overflow.
fn linux(script: &Scripted, freeable: i64, nr_deferred: i64, priority: u8) -> Linux {
    let mut shrinker = script.clone();
    let (mut freed, mut scanned, mut asked) = (0u64, 0i64, Vec::new());
    let batch_size = if script.batch != 0 {
        script.batch as i64
    } else {
        128
    };
    if freeable == 0 {
        return Linux {
            freed,
            scanned,
            nr_deferred,
            asked,
        };
    }
    let nr = nr_deferred;
    let delta = if script.seeks != 0 {
        ((freeable as u64) >> priority) * 4 / u64::from(script.seeks)
    } else {
        freeable as u64 / 2
    };
    let mut total_scan = nr + delta as i64;
    let mut next_deferred = if total_scan < 0 {
        total_scan = freeable;
        nr
    } else {
        total_scan
    };
    if (delta as i64) < freeable / 4 {
        total_scan = total_scan.min(freeable / 2);
    }
    if total_scan > freeable * 2 {
        total_scan = freeable * 2;
    }
    while total_scan >= batch_size || total_scan >= freeable {
        let nr_to_scan = batch_size.min(total_scan);
        asked.push(nr_to_scan as u64);
        let Some((nr_scanned, ret)) = shrinker.answer(nr_to_scan as u64) else {
            break;
        };
        shrinker.calls += 1;
        freed += ret;
        total_scan -= nr_scanned as i64;
        scanned += nr_scanned as i64;
        if nr_scanned == 0 {
            break; // Linux would go on for ever.
        }
    }
    if next_deferred >= scanned {
        next_deferred -= scanned;
    } else {
        next_deferred = 0;
    }
    Linux {
        freed,
        scanned,
        nr_deferred: next_deferred,
        asked,
    }
}

fn extreme() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..2_000,
        any::<u64>(),
        (0u32..64, 0u64..3).prop_map(|(shift, off)| (1u64 << shift).wrapping_sub(1) + off),
        (0u64..5).prop_map(|off| u64::MAX - off),
        (0u64..5).prop_map(|off| u64::MAX / 2 + off),
        (0u64..5).prop_map(|off| u64::MAX / 4 + off),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => (0u64..=100).prop_map(|freed_percent| Answer::Honest { freed_percent }),
        3 => (1u64..400, 0u64..400).prop_map(|(scanned, freed)| Answer::Says(scanned, freed)),
        1 => (0u64..10).prop_map(|freed| Answer::Says(0, freed)),
        1 => Just(Answer::Stop),
    ]
}

fn script(freeable: u64) -> impl Strategy<Value = Scripted> {
    let seeks = prop_oneof![Just(0u32), Just(2), 1u32..40, Just(u32::MAX)];
    let batch = prop_oneof![Just(0u64), 1u64..2_000];
    let answers = proptest::collection::vec(answer(), 0..12);
    (seeks, batch, answers).prop_map(move |(seeks, batch, script)| Scripted {
        seeks,
        batch,
        script,
        ..Scripted::new(freeable)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn plans_are_exact_or_saturated(
        freeable in extreme(),
        deferred in extreme(),
        priority in 0u8..=12,
        seeks in prop_oneof![Just(0u32), 1u32..10, any::<u32>(), Just(u32::MAX)],
    ) {
        let found = plan(freeable, deferred, priority, seeks).unwrap();
        let (delta, total, owed) = exact(freeable, deferred, priority, seeks);
        prop_assert_eq!((found.delta, found.total, found.owed), (delta, total, owed));
    }

    #[test]
    fn turns_are_linuxs(
        (freeable, script) in (0u64..50_000).prop_flat_map(|n| (Just(n), script(n))),
        deferred in 0u64..200_000,
        priority in 0u8..=12,
    ) {
        let theirs = linux(&script, freeable as i64, deferred as i64, priority);
        let mut ours = script;
        let mut owed = Deferred::new(deferred);
        let shrunk = shrink_slab(&mut ours, &mut owed, priority).unwrap();
        prop_assert_eq!(shrunk.freed, theirs.freed);
        prop_assert_eq!(shrunk.scanned, theirs.scanned as u64);
        prop_assert_eq!(owed.get(), theirs.nr_deferred as u64);
        prop_assert_eq!(shrunk.deferred, owed.get());
        prop_assert_eq!(ours.calls, theirs.asked.len() as u64);
        let kept = theirs.asked.len().min(64);
        prop_assert_eq!(&ours.asked[..], &theirs.asked[..kept]);
    }

    /// A step at a time comes to what the loop comes to, and asks the shrinker once per step.
    #[test]
    fn steps_are_the_loop(
        (_, script) in (1u64..50_000).prop_flat_map(|n| (Just(n), script(n))),
        deferred in 0u64..200_000,
        priority in 0u8..=12,
    ) {
        let (mut whole, mut stepped) = (script.clone(), script);
        let (mut a, mut b) = (Deferred::new(deferred), Deferred::new(deferred));
        let shrunk = shrink_slab(&mut whole, &mut a, priority).unwrap();
        let mut pass = Pass::begin(&mut stepped, &mut b, priority).unwrap();
        prop_assert_eq!(b.get(), 0, "taken over");
        let (mut pages, mut calls) = (0u64, 0);
        let ended = loop {
            let step = pass.step(&mut stepped);
            prop_assert!(stepped.calls <= calls + 1);
            calls = stepped.calls;
            match step {
                Step::Scanned { pages: more, .. } => pages += more,
                Step::Ended(ended) => break ended,
            }
        };
        prop_assert_eq!(pass.step(&mut stepped), Step::Ended(ended));
        prop_assert_eq!(stepped.calls, calls, "ended is ended");
        prop_assert!(pass.pages() >= pages);
        prop_assert_eq!(pass.finish(&mut b), shrunk);
        prop_assert_eq!((a, ended), (b, shrunk.ended));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever a shrinker says, the calls are bounded by what it claimed, and what is put off by
    /// what was owed.
    #[test]
    fn lies_are_bounded(
        freeable in 1u64..500,
        batch in prop_oneof![Just(0u64), 1u64..300, Just(u64::MAX)],
        deferred in extreme(),
        priority in 0u8..=12,
        answers in proptest::collection::vec(
            prop_oneof![
                (extreme(), extreme()).prop_map(|(scanned, freed)| Answer::Says(scanned, freed)),
                answer(),
            ],
            0..20,
        ),
    ) {
        let mut shrinker = Scripted {
            batch,
            script: answers,
            rest: Answer::Says(1, u64::MAX),
            ..Scripted::new(freeable)
        };
        let plan = plan(freeable, deferred, priority, 2).unwrap();
        let mut owed = Deferred::new(deferred);
        let shrunk = shrink_slab(&mut shrinker, &mut owed, priority).unwrap();
        prop_assert!(shrinker.calls <= plan.total.min(2 * freeable));
        prop_assert!(shrinker.asked.iter().all(|&n| n <= plan.total));
        prop_assert_eq!(owed.get(), plan.owed.saturating_sub(shrunk.scanned));
    }
}

#[test]
fn by_hand() {
    // (freeable, deferred, priority, seeks) and (delta, total, owed), by hand from mm/vmscan.c.
    let rows = [
        ((4096, 0, 12, 2), (2, 2, 2)),
        ((4096, 0, 0, 2), (8192, 8192, 8192)),
        ((4096, 0, 0, 1), (16384, 8192, 16384)),
        ((4096, 0, 6, 0), (2048, 2048, 2048)),
        ((4096, 10_000, 12, 2), (2, 2048, 10_002)),
        ((4096, 10_000, 3, 2), (1024, 8192, 11_024)),
        ((4096, 10_000, 2, 2), (2048, 8192, 12_048)),
        ((4095, 10_000, 4, 2), (510, 2047, 10_510)),
        ((1, 0, 0, 3), (1, 1, 1)),
        ((0, 77, 0, 2), (0, 0, 77)),
    ];
    for ((freeable, deferred, priority, seeks), wanted) in rows {
        let plan = plan(freeable, deferred, priority, seeks).unwrap();
        assert_eq!((plan.delta, plan.total, plan.owed), wanted, "{freeable}");
    }
}

#[test]
fn batches() {
    let next = |left, freeable, batch| next_batch(left, freeable, batch).map(NonZeroU64::get);
    assert_eq!(next(128, 4096, 0), Some(128));
    assert_eq!(next(127, 4096, 0), None, "too little, and not all");
    assert_eq!(next(127, 127, 0), Some(127), "all it has");
    assert_eq!(
        next(300, 20, 128),
        Some(128),
        "twice what it has, batch by batch"
    );
    assert_eq!(next(0, 4096, 1), None);
    assert_eq!(next(0, 0, 0), None);
    assert_eq!(next(u64::MAX, u64::MAX, u64::MAX), Some(u64::MAX));
}

#[test]
fn what_is_put_off_grows_into_a_batch() {
    let mut shrinker = Scripted::new(4096);
    let mut deferred = Deferred::default();
    for turn in 1..64u64 {
        let shrunk = shrink_slab(&mut shrinker, &mut deferred, 12).unwrap();
        assert_eq!((shrunk.ended, shrunk.deferred), (Ended::PutOff, 2 * turn));
    }
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 12).unwrap();
    assert_eq!((shrunk.scanned, shrunk.deferred), (SHRINK_BATCH, 0));
    assert_eq!(shrunk.ended, Ended::Complete);
}

#[test]
fn windup_is_remembered_beyond_the_cut() {
    // total is cut to half, what is put off is not: Linux counts from before the cut.
    let mut shrinker = Scripted::new(4096);
    let mut deferred = Deferred::new(1_000_000);
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 12).unwrap();
    assert_eq!((shrunk.scanned, deferred.get()), (2048, 1_000_002 - 2048));
}

#[test]
fn priorities_out_of_range_touch_nothing() {
    for priority in [13, 63, 64, 65, 128, u8::MAX] {
        let mut shrinker = Scripted::new(4096);
        let mut deferred = Deferred::new(500);
        let error = PriorityError(priority);
        assert_eq!(plan(1, 0, priority, 2), Err(error));
        assert_eq!(
            shrink_slab(&mut shrinker, &mut deferred, priority),
            Err(error)
        );
        let mut all = [Registered::new(shrinker)];
        assert_eq!(shrink_all(&mut all, priority, 1), Err(error));
        assert_eq!(shrink_all(&mut all[..0], priority, 1), Err(error));
        assert_eq!((all[0].shrinker.calls, deferred.get()), (0, 500));
    }
}

#[test]
fn empty_and_unknown_keep_what_was_put_off() {
    for (count, ended) in [
        (Count::Empty, Ended::Empty),
        (Count::Unknown, Ended::Unknown),
    ] {
        let mut shrinker = Scripted::new(1);
        shrinker.count = count;
        let mut deferred = Deferred::new(500);
        let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
        assert_eq!((shrunk.ended, shrunk.deferred), (ended, 500));
        assert_eq!((shrinker.calls, deferred.get()), (0, 500));
        assert_eq!(shrink_pages(&mut shrinker, 9).ended, ended);
    }
    assert_eq!(Count::of(0), Count::Empty);
}

#[test]
fn a_shrinker_without_end_is_left() {
    let mut shrinker = Scripted::new(u64::MAX);
    let mut deferred = Deferred::new(u64::MAX);
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
    assert_eq!((shrinker.calls, shrunk.ended), (MAX_BATCHES, Ended::Budget));
    assert_eq!(deferred.get(), u64::MAX - MAX_BATCHES * SHRINK_BATCH);

    // A crawl: one object per call.
    shrinker.rest = Answer::Says(1, 0);
    shrinker.calls = 0;
    assert_eq!(shrink_pages(&mut shrinker, 1).ended, Ended::Budget);
    assert_eq!(shrinker.calls, MAX_BATCHES);
}

#[test]
fn a_shrinker_that_scans_nothing_is_asked_once() {
    let mut shrinker = Scripted::new(4096);
    shrinker.rest = Answer::Says(0, 3);
    let mut deferred = Deferred::default();
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
    assert_eq!((shrinker.calls, shrunk.ended), (1, Ended::NoProgress));
    assert_eq!((shrunk.freed, deferred.get()), (3, 8192));
}

#[test]
fn a_batch_that_is_stopped_was_not_scanned() {
    let mut shrinker = Scripted::new(4096);
    shrinker.script = vec![Answer::Honest { freed_percent: 50 }];
    shrinker.rest = Answer::Stop;
    let mut deferred = Deferred::default();
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
    assert_eq!((shrunk.scanned, shrunk.freed), (128, 64));
    assert_eq!((shrunk.ended, deferred.get()), (Ended::Stopped, 8192 - 128));
}

#[test]
fn what_others_put_off_meanwhile_is_kept() {
    let mut shrinker = Scripted::new(4096);
    let mut deferred = Deferred::new(100);
    let mut pass = Pass::begin(&mut shrinker, &mut deferred, 2).unwrap();
    deferred.put(7);
    assert_eq!(
        pass.step(&mut shrinker),
        Step::Scanned {
            freed: 128,
            pages: 128
        }
    );
    let shrunk = pass.finish(&mut deferred);
    assert_eq!(shrunk.ended, Ended::Budget, "finished before its end");
    assert_eq!(deferred.get(), 7 + 100 + 2048 - 128);
    deferred.put(u64::MAX);
    assert_eq!(deferred.get(), u64::MAX);
}

/// Ten objects to a page.
struct Slab(Scripted);

impl Shrinker for Slab {
    fn count(&mut self) -> Count {
        self.0.count()
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.0.scan(objects)
    }
    fn pages(&self, freed: u64) -> u64 {
        freed / 10
    }
}

#[test]
fn all_in_turn_until_the_target() {
    let registered = || Registered::new(Scripted::new(1000));
    let (mut a, mut b) = (registered(), Registered::new(Slab(Scripted::new(1000))));
    let (mut c, mut d) = (registered(), registered());
    c.shrinker.rest = Answer::Stop;
    {
        let all: [&mut Registered<dyn Shrinker>; 4] = [&mut a, &mut b, &mut c, &mut d];
        // a gives 15 batches of 128 (of twice what it has), b 12 pages a batch.
        let all = shrink_all(all, 0, 2_020).unwrap();
        assert_eq!((all.asked, all.pages, all.stopped), (2, 2_028, 0));
        assert_eq!((all.scanned, all.freed), (1_920 + 9 * 128, 1_920 + 9 * 128));
    }
    assert_eq!((a.shrinker.calls, b.shrinker.0.calls), (15, 9));
    assert_eq!(
        b.deferred.get(),
        2_000 - 9 * 128,
        "the rest of its turn is put off"
    );
    assert_eq!((c.shrinker.calls, d.shrinker.calls), (0, 0));
    {
        let all: [&mut Registered<dyn Shrinker>; 2] = [&mut c, &mut d];
        let all = shrink_all(all, 0, u64::MAX).unwrap();
        assert_eq!((all.asked, all.stopped, all.pages), (2, 1, 1_920));
    }
    let none = shrink_all(&mut [a], 0, 0).unwrap();
    assert_eq!((none.asked, none.pages), (0, 0), "nothing is sought");
}

#[test]
fn so_many_pages() {
    let mut shrinker = Scripted::new(1000);
    let shrunk = shrink_pages(&mut shrinker, 200);
    assert_eq!((shrunk.ended, shrunk.pages), (Ended::TargetMet, 256));
    assert_eq!((shrinker.calls, shrunk.deferred), (2, 0));

    // Once through everything, the last batch smaller.
    let mut shrinker = Scripted::new(1000);
    shrinker.rest = Answer::Honest { freed_percent: 10 };
    let shrunk = shrink_pages(&mut shrinker, 200);
    assert_eq!((shrunk.ended, shrunk.scanned), (Ended::Complete, 1000));

    let mut shrinker = Scripted::new(1000);
    assert_eq!(shrink_pages(&mut shrinker, 0).ended, Ended::TargetMet);
    assert_eq!(shrinker.calls, 0);
}

#[test]
fn traits_are_forwarded() {
    let mut inner = Slab(Scripted::new(1000));
    let mut slab: &mut dyn Shrinker = &mut inner;
    let through = &mut slab;
    assert_eq!(Shrinker::count(&mut *through), Count::of(1000));
    assert_eq!(Shrinker::pages(&*through, 50), 5);
    assert_eq!((through.seeks(), through.batch()), (2, SHRINK_BATCH));
    let mut odd = Scripted::new(5);
    (odd.seeks, odd.batch) = (7, 9);
    let odd = &mut odd;
    assert_eq!((Shrinker::seeks(&odd), Shrinker::batch(&odd)), (7, 9));
    assert_eq!(().count(), Count::Empty);
    assert_eq!(().scan(NonZeroU64::MIN), Scan::Stop);
}
