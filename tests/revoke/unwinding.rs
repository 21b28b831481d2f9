//! Owners and devices whose code unwinds: the ladder stays where it was, and no page is forgotten.

use core::num::NonZeroU64;
use core::panic::AssertUnwindSafe;
use pinfold::revoke::{
    Action, Answer, Deadlines, Event, Ladder, Level, PinOwner, Pressure, Rung, drive,
};
use pinfold::shrinker::{Scan, Shrinker};

const DEADLINES: Deadlines = Deadlines {
    ask: 10,
    wait: 20,
    shrink: 40,
};

/// Writes down what it is told, and panics at one of its calls.
#[derive(Default)]
struct Device {
    calls: usize,
    panics_at: Option<usize>,
    heard: Vec<Option<Level>>,
    given: u64,
}

impl Device {
    fn call(&mut self) {
        self.calls += 1;
        assert_ne!(Some(self.calls - 1), self.panics_at, "on purpose");
    }
}

impl PinOwner for Device {
    type Error = core::convert::Infallible;

    fn pressure(&mut self, level: Level) -> Result<Answer, Self::Error> {
        self.call();
        self.heard.push(Some(level));
        Ok(Answer::WillTry)
    }
    fn all_clear(&mut self) -> Result<(), Self::Error> {
        self.call();
        self.heard.push(None);
        Ok(())
    }
}

impl Shrinker for Device {
    fn count(&mut self) -> Option<u64> {
        self.call();
        Some(100)
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.call();
        self.given += objects.get();
        Scan::Did {
            scanned: objects.get(),
            freed: objects.get(),
        }
    }
    fn batch(&self) -> u64 {
        4
    }
}

/// The same events again after each panic: what the device hears and gives is what it is without.
#[test]
fn the_step_that_unwound_is_taken_again() {
    // Calls: pressure; pressure, count, scan, scan, scan, all-clear.
    for panics_at in (0..7).map(Some).chain([None]) {
        let mut device = Device {
            panics_at,
            ..Device::default()
        };
        let mut ladder = Ladder::new(12, DEADLINES);
        let mut pressure = Pressure::new();
        let mut unwound = 0;
        for now in [100, 110, 130] {
            let mut drive = || {
                std::panic::catch_unwind(AssertUnwindSafe(|| {
                    drive(&mut ladder, &mut pressure, &mut device, Event::Tick, now)
                }))
            };
            let driven = drive().or_else(|_| {
                unwound += 1;
                drive()
            });
            let wanted = match now {
                100 => Action::WaitUntil(110),
                110 => Action::WaitUntil(130),
                _ => Action::Done,
            };
            assert_eq!(driven.unwrap().action, wanted, "{panics_at:?} at {now}");
        }
        assert_eq!(unwound, u32::from(panics_at.is_some()));
        let heard = [Some(Level::Medium), Some(Level::Critical), None];
        assert_eq!(device.heard, heard, "{panics_at:?}");
        assert_eq!(device.given, 12, "{panics_at:?}: no more than needed");
        assert_eq!((ladder.rung(), ladder.back()), (Rung::Done, 12));
    }
}

/// Pages that came back are counted once, though the step that they caused unwound.
#[test]
fn pages_that_came_back_are_counted() {
    let mut device = Device {
        panics_at: Some(1),
        ..Device::default()
    };
    let mut ladder = Ladder::new(5, DEADLINES);
    let mut pressure = Pressure::new();
    let mut go = |event| {
        std::panic::catch_unwind(AssertUnwindSafe(|| {
            drive(&mut ladder, &mut pressure, &mut device, event, 100).action
        }))
    };
    assert_eq!(go(Event::Tick).unwrap(), Action::WaitUntil(110));
    assert!(go(Event::PagesBack(5)).is_err(), "the all-clear");
    assert_eq!(go(Event::Tick).unwrap(), Action::Done);
    assert_eq!((ladder.rung(), ladder.back()), (Rung::Done, 5));
    assert_eq!(pressure.level(), None);
}
