//! Revocation: signals come in pairs whatever fails, the ladder keeps its promises on any sequence
//! of events, and owners are listed in order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::cmp::Ordering;
use core::num::NonZeroU64;
use pinfold::pin::{OwnerShare, OwnerUse, Owners, PinKind, PinLedger, ask_order};
use pinfold::revoke::{
    Action, Answer, Deadlines, Event, Ladder, Level, PinOwner, Pressure, Rung, Shortfall, Signal,
    WhyShort, drive,
};
use pinfold::shrinker::{Count, Scan, Shrinker};
use proptest::prelude::*;

const LEVELS: [Level; 3] = [Level::Low, Level::Medium, Level::Critical];

/// An owner that writes down what reached it; calls listed in `fails` do not.
#[derive(Debug, Default)]
struct Log {
    calls: usize,
    fails: Vec<usize>,
    heard: Vec<Signal>,
    willing: bool,
}

impl Log {
    fn hear(&mut self, signal: Signal) -> Result<(), &'static str> {
        self.calls += 1;
        if self.fails.contains(&(self.calls - 1)) {
            return Err("not reached");
        }
        self.heard.push(signal);
        Ok(())
    }

    /// Pressure that rises, then one all-clear, and so on; whether an all-clear is owed.
    fn owed(&self) -> bool {
        let mut level = None;
        for signal in &self.heard {
            level = match *signal {
                Signal::Pressure(next) => {
                    assert!(level < Some(next), "did not rise: {:?}", self.heard);
                    Some(next)
                }
                Signal::AllClear => {
                    assert!(level.is_some(), "no pressure before: {:?}", self.heard);
                    None
                }
            };
        }
        level.is_some()
    }
}

impl PinOwner for Log {
    type Error = &'static str;

    fn pressure(&mut self, level: Level) -> Result<Answer, &'static str> {
        self.hear(Signal::Pressure(level))?;
        Ok(if self.willing {
            Answer::WillTry
        } else {
            Answer::No
        })
    }

    fn all_clear(&mut self) -> Result<(), &'static str> {
        self.hear(Signal::AllClear)
    }
}

fn wanted() -> impl Strategy<Value = Option<Level>> {
    proptest::option::weighted(0.7, proptest::sample::select(&LEVELS[..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn signals_come_in_pairs(
        wants in proptest::collection::vec(wanted(), 0..30),
        fails in proptest::collection::vec(0usize..30, 0..8),
    ) {
        let mut owner = Log { fails, willing: true, ..Log::default() };
        let mut pressure = Pressure::new();
        for want in wants {
            let (before, due, calls) = (pressure, pressure.due(want), owner.calls);
            let told = pressure.tell(&mut owner, want);
            prop_assert_eq!(owner.calls - calls, usize::from(due.is_some()));
            match told {
                Err(_) => prop_assert_eq!(pressure, before, "nothing was told"),
                Ok(answer) => {
                    let asked = matches!(due, Some(Signal::Pressure(_)));
                    prop_assert_eq!(answer.is_some(), asked);
                    prop_assert_eq!(pressure.due(want), None, "said once");
                    if due.is_some() {
                        prop_assert_eq!(pressure.level(), want);
                    } else {
                        prop_assert_eq!(pressure, before);
                    }
                }
            }
            prop_assert_eq!(owner.owed(), pressure.level().is_some());
        }
        owner.fails.clear();
        pressure.tell(&mut owner, None).unwrap();
        prop_assert!(!owner.owed());
    }
}

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
fn moves() -> impl Strategy<Value = Vec<(Event, i64)>> {
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

/// A device that holds so many pages and gives back this many at a time.
#[derive(Debug)]
struct Device {
    holds: u64,
    gives: bool,
    scans: u64,
}

impl Shrinker for Device {
    fn count(&mut self) -> Count {
        Count::of(self.holds)
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.scans += 1;
        if !self.gives {
            return Scan::Stop;
        }
        let freed = objects.get().min(self.holds);
        self.holds -= freed;
        Scan::Did {
            scanned: freed,
            freed,
        }
    }
    fn batch(&self) -> u64 {
        4
    }
}

const DEADLINES: Deadlines = Deadlines {
    ask: 10,
    wait: 20,
    shrink: 40,
};

#[test]
fn driven_to_the_shrinker() {
    let mut ladder = Ladder::new(10, DEADLINES);
    let mut pressure = Pressure::new();
    let mut owner = Log::default();
    let mut device = Device {
        holds: 100,
        gives: true,
        scans: 0,
    };
    let mut go = |event, now| {
        let driven = drive(
            &mut ladder,
            &mut pressure,
            &mut owner,
            &mut device,
            event,
            now,
        );
        assert_eq!(driven.undelivered, None);
        (driven.action, owner.heard.clone(), device.scans)
    };
    use Signal::{AllClear, Pressure as Told};
    let medium = vec![Told(Level::Medium)];
    // The owner says no, so it is waited from now on.
    let step = go(Event::Tick, 100);
    assert_eq!(step, (Action::WaitUntil(120), medium.clone(), 0));
    let step = go(Event::PagesBack(3), 110);
    assert_eq!(step, (Action::WaitUntil(120), medium, 0));
    // 7 are missing: two batches of 4.
    let all = vec![Told(Level::Medium), Told(Level::Critical), AllClear];
    assert_eq!(go(Event::Tick, 120), (Action::Done, all.clone(), 2));
    assert_eq!(go(Event::PagesBack(9), 130), (Action::Nothing, all, 2));
    assert_eq!((ladder.rung(), ladder.back()), (Rung::Done, 11));
}

#[test]
fn a_willing_owner_is_waited_for() {
    let mut ladder = Ladder::new(10, DEADLINES);
    let mut pressure = Pressure::new();
    let mut owner = Log {
        willing: true,
        ..Log::default()
    };
    let driven = drive(
        &mut ladder,
        &mut pressure,
        &mut owner,
        &mut (),
        Event::Tick,
        100,
    );
    assert_eq!(
        (driven.action, ladder.rung()),
        (Action::WaitUntil(110), Rung::Asked)
    );
    let back = Event::PagesBack(10);
    let driven = drive(&mut ladder, &mut pressure, &mut owner, &mut (), back, 105);
    assert_eq!(driven.action, Action::Done);
    assert_eq!(
        owner.heard,
        [Signal::Pressure(Level::Medium), Signal::AllClear]
    );
}

#[test]
fn nothing_needed_asks_nobody() {
    let mut owner = Log::default();
    let mut ladder = Ladder::new(0, DEADLINES);
    let mut pressure = Pressure::new();
    let driven = drive(
        &mut ladder,
        &mut pressure,
        &mut owner,
        &mut (),
        Event::Tick,
        1,
    );
    assert_eq!(
        (driven.action, driven.undelivered, owner.calls),
        (Action::Done, None, 0)
    );
}

#[test]
fn an_empty_device_is_not_waited_for() {
    let mut ladder = Ladder::new(1, DEADLINES);
    let mut pressure = Pressure::new();
    let mut action = Action::Nothing;
    for now in [0, 20] {
        action = drive(
            &mut ladder,
            &mut pressure,
            &mut (),
            &mut (),
            Event::Tick,
            now,
        )
        .action;
    }
    let short = Shortfall {
        needed: 1,
        back: 0,
        since: 0,
        until: 20,
        why: WhyShort::Refused,
    };
    assert_eq!(action, Action::GiveUp(short));
    assert_eq!(pressure.level(), None);
}

#[test]
fn a_device_that_stops_has_until_its_deadline() {
    let mut ladder = Ladder::new(1, DEADLINES);
    let mut pressure = Pressure::new();
    let mut device = Device {
        holds: 9,
        gives: false,
        scans: 0,
    };
    let mut actions = Vec::new();
    for now in [0, 20, 59, 60] {
        let driven = drive(
            &mut ladder,
            &mut pressure,
            &mut (),
            &mut device,
            Event::Tick,
            now,
        );
        actions.push(driven.action);
    }
    assert_eq!(actions[..3], [20, 60, 60].map(Action::WaitUntil));
    assert!(matches!(actions[3], Action::GiveUp(short) if short.why == WhyShort::Deadline));
    assert_eq!(device.scans, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// Whatever does not reach the owner, it hears pairs, and at the end it is owed an all-clear
    /// only if that is what did not reach it.
    #[test]
    fn driven_signals_come_in_pairs(
        needed in 0u64..20,
        willing in any::<bool>(),
        gives in any::<bool>(),
        holds in 0u64..30,
        fails in proptest::collection::vec(0usize..4, 0..4),
        moves in moves(),
    ) {
        let mut ladder = Ladder::new(needed, DEADLINES);
        let mut pressure = Pressure::new();
        let mut owner = Log { fails, willing, ..Log::default() };
        let mut device = Device { holds, gives, scans: 0 };
        let (mut now, mut ends) = (100u64, 0);
        for (event, by) in moves.into_iter().chain([(Event::Tick, i64::MAX); 5]) {
            now = now.saturating_add_signed(by);
            let driven =
                drive(&mut ladder, &mut pressure, &mut owner, &mut device, event, now);
            let action = driven.action;
            let undone = matches!(action, Action::Ask { .. } | Action::Shrink { .. });
            prop_assert!(!undone);
            let end = matches!(action, Action::Done | Action::GiveUp(_));
            ends += u32::from(end);
            prop_assert_eq!(owner.owed(), pressure.level().is_some());
            if ladder.rung().is_final() {
                if end && driven.undelivered.is_none() {
                    prop_assert!(!owner.owed());
                }
                let _ = pressure.tell(&mut owner, None);
            }
        }
        prop_assert_eq!(ends, 1);
        prop_assert!(holds - device.holds <= needed + 3, "at most a batch too many");
    }
}

fn usage() -> impl Strategy<Value = OwnerUse> {
    let small = 0u64..6;
    (
        0u64..50,
        small.clone(),
        small.clone(),
        small.clone(),
        proptest::option::of(small),
    )
        .prop_map(|(id, limit, live_short, live_longterm, oldest)| OwnerUse {
            id,
            limit,
            live_short,
            live_longterm,
            acquired: 100,
            released: 0,
            oldest,
        })
}

/// The rule as it is written down, clause by clause.
fn earlier(a: &OwnerUse, b: &OwnerUse) -> Ordering {
    let over = |o: &OwnerUse| o.live().saturating_sub(o.limit);
    let age = |o: &OwnerUse| o.oldest.map_or(u64::MAX, |since| since);
    if over(a) != over(b) {
        return over(b).cmp(&over(a));
    }
    if (a.live_longterm > 0) != (b.live_longterm > 0) {
        return if a.live_longterm > 0 {
            Ordering::Less
        } else {
            Ordering::Greater
        };
    }
    if age(a) != age(b) {
        return age(a).cmp(&age(b));
    }
    if a.live_longterm != b.live_longterm {
        return b.live_longterm.cmp(&a.live_longterm);
    }
    if a.live() != b.live() {
        return b.live().cmp(&a.live());
    }
    a.id.cmp(&b.id)
}

proptest! {
    #[test]
    fn owners_are_the_first_of_the_sorted(
        usages in proptest::collection::vec(usage(), 0..12),
    ) {
        let mut sorted: Vec<_> = usages.iter().copied().filter(|u| u.live() > 0).collect();
        sorted.sort_by(earlier);
        let ids = |n: usize| sorted.iter().take(n).map(|u| (u.id, u.live(), u.oldest));
        let check = |found: Vec<(u64, u64, Option<u64>)>, n: usize, left: (usize, u64)| {
            assert_eq!(found, ids(n).collect::<Vec<_>>());
            let rest = sorted.iter().skip(n);
            assert_eq!(left, (rest.clone().count(), rest.map(OwnerUse::live).sum()));
        };
        macro_rules! with {
            ($($n:literal)*) => {$(
                let owners = Owners::<$n>::collect(usages.iter().copied());
                let found = owners.iter().map(|o| (o.id, o.pages, o.since)).collect();
                check(found, $n, (owners.left_out(), owners.left_out_pages()));
                let all = sorted.iter().map(OwnerUse::live).sum::<u64>();
                assert_eq!(owners.pages(), all);
                assert_eq!(owners.first(), owners.iter().next());
            )*};
        }
        with!(0 1 3 16);
        for (a, b) in sorted.iter().zip(sorted.iter().skip(1)) {
            let (a, b) = (OwnerShare::from(*a), OwnerShare::from(*b));
            prop_assert!(ask_order(&a, &b).is_le() && ask_order(&b, &a).is_ge());
        }
    }
}

#[test]
fn owners_from_a_ledger() {
    let mut ledger = PinLedger::<4, 16>::new();
    let ids = [1, 2, 3].map(|id| ledger.add_owner(id, 100).unwrap());
    let _short = ledger.charge(ids[0], PinKind::Short, 80, 1).unwrap();
    let _old = ledger.charge(ids[1], PinKind::Longterm, 5, 10).unwrap();
    let _new = ledger.charge(ids[2], PinKind::Longterm, 90, 20).unwrap();
    let order = |ledger: &PinLedger<4, 16>| {
        let owners = Owners::<4>::collect(ledger.usages());
        owners.iter().map(|owner| owner.id).collect::<Vec<_>>()
    };
    assert_eq!(order(&ledger), [2, 3, 1]);
    ledger.set_limit(ids[0], 79).unwrap();
    assert_eq!(order(&ledger), [1, 2, 3], "over its limit");

    assert_eq!(
        Owners::<2>::collect(ledger.usages()).to_string(),
        "owner 1: 80 pages since 1; owner 2: 5 pages since 10; 1 more: 90 pages"
    );
    assert_eq!(
        Owners::<0>::collect(ledger.usages()).to_string(),
        "3 owners: 175 pages"
    );
    assert_eq!(Owners::<2>::default().to_string(), "nobody");
}
