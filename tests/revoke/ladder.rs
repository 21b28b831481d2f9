//! The ladder against a naive one, and its text.

use pinfold::revoke::{Action, Deadlines, Event, Ladder, Rung, Shortfall, WhyShort};
use proptest::prelude::*;

/// The ladder written as a list of deadlines that were passed.
struct Naive {
    needed: u128,
    back: u128,
    durations: [u64; 3],
    /// When each rung that was entered began.
    began: Vec<u64>,
    latest: u64,
    over: bool,
}

impl Naive {
    fn step(&mut self, event: Event, now: u64) -> Action {
        self.latest = self.latest.max(now);
        if self.over {
            return Action::Nothing;
        }
        if let Event::PagesBack(n) = event {
            self.back += u128::from(n);
        }
        if self.back >= self.needed {
            self.over = true;
            return Action::Done;
        }
        let pages = u64::try_from(self.needed - self.back).unwrap();
        let Some(&since) = self.began.last() else {
            self.began.push(self.latest);
            let until = self.latest.saturating_add(self.durations[0]);
            return Action::Ask { pages, until };
        };
        let until = since.saturating_add(self.durations[self.began.len() - 1]);
        let next = if self.latest >= until {
            until
        } else if event == Event::Refused {
            self.latest
        } else {
            return Action::WaitUntil(until);
        };
        if self.began.len() == 3 {
            self.over = true;
            let why = if event == Event::Refused {
                WhyShort::Refused
            } else {
                WhyShort::Deadline
            };
            return Action::GiveUp(Shortfall {
                needed: u64::try_from(self.needed).unwrap(),
                back: u64::try_from(self.back).unwrap(),
                since: self.began[0],
                until: self.latest,
                why,
            });
        }
        self.began.push(next);
        let until = next.saturating_add(self.durations[self.began.len() - 1]);
        if self.began.len() == 2 {
            Action::WaitUntil(until)
        } else {
            Action::Shrink { pages, until }
        }
    }
}

fn ticks() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..40, 1 => Just(0), 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Tick),
        3 => (0u64..8).prop_map(Event::PagesBack),
        1 => Just(Event::Refused),
        1 => Just(Event::PagesBack(u64::MAX)),
    ]
}

/// Times that mostly go on, sometimes back, sometimes far ahead.
pub(crate) fn moves() -> impl Strategy<Value = Vec<(Event, i64)>> {
    let time = prop_oneof![8 => 0i64..20, 2 => -30i64..0, 1 => 0i64..500, 1 => Just(i64::MAX)];
    proptest::collection::vec((event(), time), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_ladder_keeps_its_promises(
        needed in prop_oneof![0u64..40, Just(u64::MAX)],
        (ask, wait, shrink) in (ticks(), ticks(), ticks()),
        start in prop_oneof![3 => 0u64..100, 1 => (0u64..50).prop_map(|n| u64::MAX - n)],
        moves in moves(),
    ) {
        let deadlines = Deadlines { ask, wait, shrink };
        let mut ladder = Ladder::new(needed, deadlines);
        let mut naive = Naive {
            needed: u128::from(needed),
            back: 0,
            durations: [ask, wait, shrink],
            began: Vec::new(),
            latest: 0,
            over: false,
        };
        let (mut now, mut latest, mut started) = (start, 0, None);
        let (mut asked, mut shrunk, mut ended) = (0, 0, 0);
        // After the events, three steps that bring the clock to its end from wherever it stands, and
        // then four at the last moment, the first of which may start the ladder: it must be over.
        let last = [(Event::Tick, i64::MAX); 3 + 4];
        for (event, by) in moves.into_iter().chain(last) {
            now = now.saturating_add_signed(by);
            latest = now.max(latest);
            let before = ladder;
            let action = ladder.step(event, now);
            prop_assert_eq!(action, naive.step(event, now));

            let (from, to) = (before.rung(), ladder.rung());
            let next = match from {
                Rung::Idle => Rung::Asked,
                Rung::Asked => Rung::Waiting,
                Rung::Waiting => Rung::Shrinking,
                Rung::Shrinking => Rung::GivenUp,
                Rung::GivenUp | Rung::Done => from,
            };
            prop_assert!(to == from || to == next || (to == Rung::Done && !from.is_final()));
            if from.is_final() {
                prop_assert_eq!((action, to), (Action::Nothing, from));
                continue;
            }
            let first = *started.get_or_insert(latest);
            let end = first.saturating_add(deadlines.sum());
            match action {
                Action::Ask { pages, until } => {
                    asked += 1;
                    prop_assert_eq!((pages, to), (ladder.missing(), Rung::Asked));
                    prop_assert!(until <= end);
                }
                Action::WaitUntil(until) => {
                    prop_assert!(asked == 1 && until <= end);
                    prop_assert!(from != to || latest < until, "or it would wait for ever");
                }
                Action::Shrink { pages, until } => {
                    shrunk += 1;
                    prop_assert_eq!((from, asked), (Rung::Waiting, 1));
                    prop_assert_eq!(pages, ladder.missing());
                    prop_assert!(until <= end);
                }
                Action::GiveUp(short) => {
                    ended += 1;
                    prop_assert_eq!((asked, shrunk), (1, 1));
                    prop_assert_eq!((short.needed, short.back), (needed, ladder.back()));
                    prop_assert!(short.back < short.needed);
                    prop_assert_eq!((short.since, short.until), (first, latest));
                }
                Action::Done => {
                    ended += 1;
                    prop_assert_eq!(ladder.missing(), 0);
                }
                Action::Nothing => prop_assert!(false, "not over yet"),
            }
            prop_assert!(asked <= 1 && shrunk <= 1);
        }
        prop_assert!(ladder.rung().is_final());
        prop_assert_eq!(ended, 1);
    }

    /// From the sum of the deadlines on, three events end it, whatever came before.
    #[test]
    fn three_events_after_the_deadlines(
        (ask, wait, shrink) in (0u64..1_000, 0u64..1_000, 0u64..1_000),
        before in proptest::collection::vec(0u64..3_000, 0..10),
    ) {
        let mut ladder = Ladder::new(1, Deadlines { ask, wait, shrink });
        let _ = ladder.step(Event::Tick, 5);
        let end = 5 + ask + wait + shrink;
        for now in before {
            let _ = ladder.step(Event::Tick, now.min(end));
        }
        for _ in 0..3 {
            let _ = ladder.step(Event::Tick, end);
        }
        prop_assert_eq!(ladder.rung(), Rung::GivenUp);
    }
}

#[test]
fn time_that_goes_back_is_the_latest_seen() {
    let deadlines = Deadlines {
        ask: 10,
        wait: 10,
        shrink: 10,
    };
    let mut ladder = Ladder::new(5, deadlines);
    let _ = ladder.step(Event::Tick, 100);
    assert_eq!(ladder.step(Event::Tick, 105), Action::WaitUntil(110));
    // Refused "at 3" is refused at 105.
    assert_eq!(ladder.step(Event::Refused, 3), Action::WaitUntil(115));
    assert_eq!(ladder.step(Event::Tick, 0), Action::WaitUntil(115));
}

#[test]
fn a_late_tick_skips_no_rung() {
    let deadlines = Deadlines {
        ask: 10,
        wait: 10,
        shrink: 10,
    };
    let mut ladder = Ladder::new(5, deadlines);
    let mut actions = Vec::new();
    for _ in 0..5 {
        actions.push(ladder.step(Event::Tick, if actions.is_empty() { 0 } else { 9_999 }));
    }
    let short = Shortfall {
        needed: 5,
        back: 0,
        since: 0,
        until: 9_999,
        why: WhyShort::Deadline,
    };
    let wanted = [
        Action::Ask {
            pages: 5,
            until: 10,
        },
        Action::WaitUntil(20),
        Action::Shrink {
            pages: 5,
            until: 30,
        },
        Action::GiveUp(short),
        Action::Nothing,
    ];
    assert_eq!(actions, wanted);
    assert_eq!(
        short.to_string(),
        "0 of 5 pages came back in 9999 ticks: time was up"
    );
}
