//! An owner that writes down what it is told.

use pinfold::revoke::{Answer, Level, PinOwner};
use proptest::prelude::*;

pub(crate) const LEVELS: [Level; 3] = [Level::Low, Level::Medium, Level::Critical];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Pressure(Level),
    AllClear,
}

/// An owner that writes down what reached it; calls listed in `fails` do not.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) calls: usize,
    pub(crate) fails: Vec<usize>,
    pub(crate) heard: Vec<Signal>,
    pub(crate) willing: bool,
}

impl Log {
    pub(crate) fn hear(&mut self, signal: Signal) -> Result<(), &'static str> {
        self.calls += 1;
        if self.fails.contains(&(self.calls - 1)) {
            return Err("not reached");
        }
        self.heard.push(signal);
        Ok(())
    }

    /// Pressure that rises, then one all-clear, and so on; whether an all-clear is owed.
    pub(crate) fn owed(&self) -> bool {
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

pub(crate) fn wanted() -> impl Strategy<Value = Option<Level>> {
    proptest::option::weighted(0.7, proptest::sample::select(&LEVELS[..]))
}
