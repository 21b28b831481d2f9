//! Cases by hand: plans, batches, what is put off, and several shrinkers in turn.

use crate::script::{Answer, Scripted};
use core::num::NonZeroU64;
use pinfold::Shrinker;
use pinfold::shrinker::{
    Deferred, Ended, Pass, Plan, PriorityError, Registered, Scan, shrink_all, shrink_slab,
};

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
        let plan = Plan::new(freeable, deferred, priority, seeks).unwrap();
        assert_eq!((plan.delta, plan.total, plan.owed), wanted, "{freeable}");
    }
}

#[test]
fn batches() {
    let next = |left, freeable, batch| Plan::next_batch(left, freeable, batch).map(NonZeroU64::get);
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
    assert_eq!((shrunk.scanned, shrunk.deferred), (Plan::BATCH, 0));
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
        assert_eq!(Plan::new(1, 0, priority, 2), Err(error));
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
    for (count, ended) in [(Some(0), Ended::Empty), (None, Ended::Unknown)] {
        let mut shrinker = Scripted::new(1);
        shrinker.count = count;
        let mut deferred = Deferred::new(500);
        let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
        assert_eq!((shrunk.ended, shrunk.deferred), (ended, 500));
        assert_eq!((shrinker.calls, deferred.get()), (0, 500));
        assert_eq!(Pass::shrink_pages(&mut shrinker, 9).ended, ended);
    }
}

#[test]
fn a_shrinker_without_end_is_left() {
    let mut shrinker = Scripted::new(u64::MAX);
    let mut deferred = Deferred::new(u64::MAX);
    let shrunk = shrink_slab(&mut shrinker, &mut deferred, 0).unwrap();
    assert_eq!(
        (shrinker.calls, shrunk.ended),
        (Pass::MAX_BATCHES, Ended::Budget)
    );
    assert_eq!(deferred.get(), u64::MAX - Pass::MAX_BATCHES * Plan::BATCH);

    // A crawl: one object per call.
    shrinker.rest = Answer::Says(1, 0);
    shrinker.calls = 0;
    assert_eq!(Pass::shrink_pages(&mut shrinker, 1).ended, Ended::Budget);
    assert_eq!(shrinker.calls, Pass::MAX_BATCHES);
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
    assert_eq!((pass.step(&mut shrinker), pass.pages()), (None, 128));
    let shrunk = pass.finish(&mut deferred);
    assert_eq!(shrunk.ended, Ended::Budget, "finished before its end");
    assert_eq!(deferred.get(), 7 + 100 + 2048 - 128);
    deferred.put(u64::MAX);
    assert_eq!(deferred.get(), u64::MAX);
}

/// Ten objects to a page.
struct Slab(Scripted);

impl Shrinker for Slab {
    fn count(&mut self) -> Option<u64> {
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
    let shrunk = Pass::shrink_pages(&mut shrinker, 200);
    assert_eq!((shrunk.ended, shrunk.pages), (Ended::TargetMet, 256));
    assert_eq!((shrinker.calls, shrunk.deferred), (2, 0));

    // Once through everything, the last batch smaller.
    let mut shrinker = Scripted::new(1000);
    shrinker.rest = Answer::Honest { freed_percent: 10 };
    let shrunk = Pass::shrink_pages(&mut shrinker, 200);
    assert_eq!((shrunk.ended, shrunk.scanned), (Ended::Complete, 1000));

    let mut shrinker = Scripted::new(1000);
    assert_eq!(Pass::shrink_pages(&mut shrinker, 0).ended, Ended::TargetMet);
    assert_eq!(shrinker.calls, 0);
}

#[test]
fn traits_are_forwarded() {
    let mut inner = Slab(Scripted::new(1000));
    let mut slab: &mut dyn Shrinker = &mut inner;
    let through = &mut slab;
    assert_eq!(Shrinker::count(&mut *through), Some(1000));
    assert_eq!(Shrinker::pages(&*through, 50), 5);
    assert_eq!((through.seeks(), through.batch()), (2, Plan::BATCH));
    let mut odd = Scripted::new(5);
    (odd.seeks, odd.batch) = (7, 9);
    let odd = &mut odd;
    assert_eq!((Shrinker::seeks(&odd), Shrinker::batch(&odd)), (7, 9));
    assert_eq!(().count(), Some(0));
    assert_eq!(().scan(NonZeroU64::MIN), Scan::Stop);
}
