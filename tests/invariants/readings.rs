//! `reading` and `refined_reading`, and what `policy` finds at the edges of its readings.

use pinfold::invariants::{Broken, policy, reading, refined_reading};
use pinfold::pin::{PIN_BIAS, PinCount, Pins, Refined};
use pinfold::{Context, Operation, PinPolicy, PinVerdict};

const fn count(total: u32, longterm: Option<u32>) -> PinCount {
    PinCount { total, longterm }
}

const fn maybe(estimate: u32, longterm: Option<u32>) -> Pins {
    Pins::Maybe { estimate, longterm }
}

const fn exactly(total: u32, longterm: Option<u32>) -> Pins {
    Pins::Exactly(count(total, longterm))
}

#[test]
fn a_reading_misses_no_pin_and_is_as_exact_as_it_says() {
    enum Said {
        Fine,
        Missed,
        Miscounted,
    }
    use Said::{Fine, Miscounted, Missed};
    let (none, short, mixed) = (count(0, Some(0)), count(2, Some(0)), count(2, Some(1)));
    let unknown = count(2, None);
    for (truth, read, said) in [
        (none, Pins::None, Fine),
        (none, maybe(1, None), Fine),
        (none, maybe(1, Some(0)), Fine),
        (none, maybe(1, Some(1)), Miscounted),
        (none, exactly(1, None), Miscounted),
        (count(0, None), Pins::None, Fine),
        (count(1, None), Pins::None, Missed),
        (count(1, Some(0)), Pins::None, Missed),
        (count(1, Some(1)), Pins::None, Missed),
        (short, maybe(1, None), Fine),
        (short, maybe(3, Some(0)), Fine),
        (short, maybe(3, Some(1)), Miscounted),
        (short, exactly(2, Some(0)), Fine),
        (short, exactly(2, None), Fine),
        (short, exactly(1, Some(0)), Miscounted),
        (short, exactly(3, Some(0)), Miscounted),
        (short, exactly(3, None), Miscounted),
        (short, exactly(2, Some(1)), Miscounted),
        (mixed, maybe(1, None), Fine),
        (mixed, maybe(1, Some(0)), Missed),
        (mixed, maybe(1, Some(1)), Fine),
        (mixed, maybe(1, Some(2)), Miscounted),
        (mixed, exactly(2, Some(0)), Missed),
        (mixed, exactly(2, Some(1)), Fine),
        (mixed, exactly(2, Some(2)), Miscounted),
        (unknown, maybe(1, None), Fine),
        (unknown, exactly(2, None), Fine),
        (unknown, exactly(2, Some(0)), Miscounted),
    ] {
        let expected = match said {
            Fine => Ok(()),
            Missed => Err(Broken::PinMissed { truth, read }),
            Miscounted => Err(Broken::PinMiscounted { truth, read }),
        };
        assert_eq!(reading(truth, read), expected, "{truth:?}, {read:?}");
        // So many references that the refined reading may see anything.
        let counts = (100_000, 0);
        assert_eq!(refined_reading(truth, counts, read), expected);
    }
}

#[test]
fn the_refined_reading_invents_no_pin_below_half_a_bias() {
    let half = i32::try_from(PIN_BIAS / 2).unwrap();
    assert_eq!(half, 512, "as documented");
    let (none, read) = (count(0, Some(0)), maybe(1, None));
    for (refs, explained, invented) in [
        (0, 0, true),
        (half - 1, 0, true),
        (half, 0, false),
        (half + 6, 7, true),
        (half + 7, 7, false),
        // Fewer than the page's state explains.
        (3, 5, true),
        // Overflowed: read as pinned, whatever explains it.
        (-1, 0, false),
        (i32::MIN, u32::MAX, false),
        (i32::MAX, 0, false),
    ] {
        let counts = (refs, explained);
        let unexplained = i64::from(refs) - i64::from(explained);
        let broken = Err(Broken::PinInvented { unexplained, read });
        let expected = if invented { broken } else { Ok(()) };
        assert_eq!(refined_reading(none, counts, read), expected, "{counts:?}");
        assert_eq!(refined_reading(none, counts, Pins::None), Ok(()));
        let pinned = count(1, Some(0));
        assert_eq!(refined_reading(pinned, counts, read), Ok(()), "{counts:?}");
    }
}

/// Skips where it says.
struct Skips(fn(Pins) -> bool);

impl PinPolicy for Skips {
    type Reading = Refined;

    fn verdict(&self, _: Operation, _: Context, pins: Pins) -> PinVerdict {
        if (self.0)(pins) {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Proceed
        }
    }
}

#[test]
fn a_policy_may_not_let_go_on_more_pins() {
    let operation = Operation::Reclaim;
    let given_back = |fewer, more| {
        Err(Broken::PolicyGivesBack {
            operation,
            fewer,
            more,
        })
    };
    let unknown: fn(Pins) -> bool =
        |pins| matches!(pins, Pins::Exactly(n) if n.longterm.is_none() && n.total < 3);
    let few: fn(Pins) -> bool =
        |pins| matches!(pins, Pins::Maybe { estimate, longterm: Some(_) } if estimate < 2);
    let one_longterm: fn(Pins) -> bool =
        |pins| matches!(pins, Pins::Exactly(n) if n.longterm == Some(1));
    for (skips, expected) in [
        (unknown, given_back(exactly(1, None), exactly(3, None))),
        (few, given_back(maybe(1, Some(0)), maybe(2, Some(0)))),
        (
            one_longterm,
            given_back(exactly(1, Some(1)), exactly(2, Some(2))),
        ),
        // A reading of another kind is neither more nor less.
        (|pins| matches!(pins, Pins::Exactly(_)), Ok(())),
        (|pins| matches!(pins, Pins::Maybe { .. }), Ok(())),
        (
            |pins| pins.maybe_pinned() && pins.longterm().is_none(),
            Ok(()),
        ),
        (|pins| pins.longterm().is_some_and(|n| n > 1), Ok(())),
        (
            |pins| matches!(pins, Pins::Exactly(n) if n.total > 2),
            Ok(()),
        ),
    ] {
        assert_eq!(policy(&Skips(skips)), expected);
    }
    let stops = policy(&Skips(|_| true));
    assert_eq!(stops, Err(Broken::PolicyStopsUnpinned { operation }));
}
