//! The ladder driven through an owner and a device.

use crate::ladder::moves;
use crate::log::{Log, Signal};
use core::num::NonZeroU64;
use pinfold::revoke::{
    Action, Deadlines, Event, Ladder, Level, Pressure, Rung, Shortfall, WhyShort, drive,
};
use pinfold::shrinker::{Scan, Shrinker};
use proptest::prelude::*;

/// A device that holds so many pages and gives back this many at a time.
#[derive(Debug)]
struct Device {
    holds: u64,
    gives: bool,
    scans: u64,
}

impl Shrinker for Device {
    fn count(&mut self) -> Option<u64> {
        Some(self.holds)
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
            &mut (&mut owner, &mut device),
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
        &mut (&mut owner, ()),
        Event::Tick,
        100,
    );
    assert_eq!(
        (driven.action, ladder.rung()),
        (Action::WaitUntil(110), Rung::Asked)
    );
    let back = Event::PagesBack(10);
    let driven = drive(&mut ladder, &mut pressure, &mut (&mut owner, ()), back, 105);
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
        &mut (&mut owner, ()),
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
        action = drive(&mut ladder, &mut pressure, &mut ((), ()), Event::Tick, now).action;
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
            &mut ((), &mut device),
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
                drive(&mut ladder, &mut pressure, &mut (&mut owner, &mut device), event, now);
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
