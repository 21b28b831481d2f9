//! Beside two models: exact arithmetic, and Linux's signed longs; and shrinkers that lie.

use crate::script::{Answer, Scripted};
use pinfold::shrinker::{Deferred, Pass, Plan, shrink_slab};
use proptest::prelude::*;

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
        let found = Plan::new(freeable, deferred, priority, seeks).unwrap();
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
        let mut calls = 0;
        let ended = loop {
            let step = pass.step(&mut stepped);
            prop_assert!(stepped.calls <= calls + 1);
            calls = stepped.calls;
            if let Some(ended) = step {
                break ended;
            }
        };
        prop_assert_eq!(pass.step(&mut stepped), Some(ended));
        prop_assert_eq!(stepped.calls, calls, "ended is ended");
        prop_assert_eq!(pass.pages(), shrunk.pages);
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
        let plan = Plan::new(freeable, deferred, priority, 2).unwrap();
        let mut owed = Deferred::new(deferred);
        let shrunk = shrink_slab(&mut shrinker, &mut owed, priority).unwrap();
        prop_assert!(shrinker.calls <= plan.total.min(2 * freeable));
        prop_assert!(shrinker.asked.iter().all(|&n| n <= plan.total));
        prop_assert_eq!(owed.get(), plan.owed.saturating_sub(shrunk.scanned));
    }
}
