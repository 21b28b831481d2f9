//! What is made of a walk's result.

use crate::debts::{deferred, owed_counters, owed_end, owed_entry, owed_invalidate, owed_slot};
use pinfold::invariants::{Ending, How};
use pinfold::pin::Pins;
use pinfold::unmap::Stop;
use pinfold::{CounterDelta, Outcome, PteFlags, Verdict};

const PINS: Pins = Pins::Maybe {
    estimate: 1,
    longterm: None,
};

#[test]
fn a_skip_is_a_verdict_that_touches_nothing() {
    let stopped = Verdict::Stopped(Stop::PinAppeared(PINS));
    // How the walk ended, whether it skipped, whether for the pins.
    let rows = [
        (How::InVma(Verdict::Done), false, false),
        (How::InVma(Verdict::Unshared), false, false),
        (How::InVma(Verdict::NotLocked), true, false),
        (How::InVma(Verdict::NotMigratable), true, false),
        (How::InVma(Verdict::NextVma(PINS)), true, true),
        (How::InVma(Verdict::SkipPage(PINS)), true, true),
        (How::InVma(Verdict::Refused(PINS)), true, true),
        (How::InVma(stopped), false, false),
        (How::InAll(Outcome::Unmapped), false, false),
        (How::InAll(Outcome::NotFound), false, false),
        (How::InAll(Outcome::Skipped(PINS)), true, true),
        (How::InAll(Outcome::Refused(PINS)), true, true),
        (How::Failed, false, false),
    ];
    for (how, skip, pin_skip) in rows {
        assert_eq!(
            (how.is_skip(), how.is_pin_skip()),
            (skip, pin_skip),
            "{how:?}"
        );
    }
}

#[test]
fn an_ending_says_what_the_walk_said() {
    for (bits, deferred_dirty) in [(PteFlags::empty(), false), (PteFlags::DIRTY, true)] {
        let told = |how| Ending {
            how,
            deferred: 2,
            deferred_dirty,
            ..Ending::done(2)
        };
        let walk = || deferred(bits, None);
        let done = told(How::InVma(Verdict::Done));
        assert_eq!(Ending::of_walk(&walk()), done);

        let Walked { taken, flush, .. } = walk().unwrap();
        let outcome = Outcome::NotFound;
        let all = Ending::of_all::<()>(&Ok(Unmapped {
            outcome,
            vmas: 1,
            taken,
            flush,
        }));
        assert_eq!(all, told(How::InAll(outcome)));
    }
    let skipped = Ending::of_walk::<()>(&Ok(Walked {
        verdict: Verdict::SkipPage(PINS),
        taken: 0,
        flush: pinfold::FlushDebt::none(),
    }));
    let how = How::InVma(Verdict::SkipPage(PINS));
    assert_eq!(
        skipped,
        Ending {
            how,
            ..Ending::done(0)
        }
    );
}

#[test]
fn a_failure_says_what_it_leaves() {
    for bits in [PteFlags::empty(), PteFlags::DIRTY] {
        // Some call fails while the second entry is taken: one is gone, the flush of both is owed.
        let mut failure = (0..40)
            .filter_map(|call| deferred(bits, Some(call)).err())
            .find(|failure| failure.taken == 1 && failure.flush.entries() == 2)
            .unwrap();
        failure.owed = owed_slot();
        let expected = Ending {
            how: How::Failed,
            taken: 1,
            deferred: 2,
            deferred_dirty: !bits.is_empty(),
            owed: owed_slot(),
        };
        let walk = Err(failure);
        assert_eq!(Ending::of_walk(&walk), expected);
        assert_eq!(Ending::of_all(&walk.map(|_| unreachable!())), expected);
    }
}

/// What the rows of the other modules lean on.
#[test]
fn each_debt_owes_one_thing() {
    let parts = |owed: &Owed| {
        [
            owed.entry().is_some(),
            owed.swap_slot().is_some(),
            owed.counters() != CounterDelta::NONE,
            owed.invalidate(),
            owed.invalidate_end(),
        ]
    };
    let debts = [
        owed_entry(),
        owed_slot(),
        owed_counters(),
        owed_invalidate(),
        owed_end(),
    ];
    for (at, owed) in debts.iter().enumerate() {
        assert_eq!(
            parts(owed),
            core::array::from_fn(|part| part == at),
            "{owed:?}"
        );
        assert!(!owed.is_none());
    }
    let undone = CounterDelta {
        anon: 1,
        swap_ents: -1,
        ..CounterDelta::NONE
    };
    assert_eq!(owed_counters().counters(), undone);
}
