//! The revocation ladder: ask, wait, stop the hardware, give up, each with a deadline.

use crate::debug::debug_fields;
use core::fmt;

/// The state machine that gets pinned pages back from one owner, or gives up.
///
/// Each [`step`](Self::step) takes an [`Event`] and the time, and returns the [`Action`] to take. The
/// time is a tick count in the embedder's unit; a time before the latest one seen counts as the
/// latest.
///
/// # What it guarantees
///
/// - One event moves it by one [`Rung`] at most. So the hardware is stopped only after the owner was
///   asked, and it gives up only after the shrinker was called. A refusal ends a rung early.
/// - It ends. Each deadline is measured from the previous deadline, not from the event that came
///   late. So when all deadlines together have passed since the start, three more events end it. A
///   late event shortens the rungs that follow; feed a [`Tick`](Event::Tick) at the time of
///   [`WaitUntil`](Action::WaitUntil).
/// - It returns one of [`Done`](Action::Done) and [`GiveUp`](Action::GiveUp) once, and afterwards only
///   [`Nothing`](Action::Nothing). With either, the owner is told that all is clear.
///
/// # Examples
///
/// ```
/// use pinfold::revoke::{Action, Deadlines, Event, Ladder};
///
/// let mut ladder = Ladder::new(32, Deadlines { ask: 10, wait: 50, shrink: 100 });
/// assert_eq!(ladder.step(Event::Tick, 1_000), Action::Ask { pages: 32, until: 1_010 });
/// assert_eq!(ladder.step(Event::PagesBack(12), 1_004), Action::WaitUntil(1_010));
/// assert_eq!(ladder.step(Event::Refused, 1_006), Action::WaitUntil(1_056));
/// assert_eq!(ladder.step(Event::Tick, 1_056), Action::Shrink { pages: 20, until: 1_156 });
/// assert_eq!(ladder.step(Event::PagesBack(20), 1_090), Action::Done);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ladder {
    needed: u64,
    back: u64,
    deadlines: Deadlines,
    rung: Rung,
    started: u64,
    due: u64,
    latest: u64,
}

debug_fields!(Ladder {
    needed,
    back,
    deadlines,
    rung,
    started,
    due,
    latest,
});

impl Ladder {
    /// A ladder that is to get `needed` base pages back; the owner is not asked yet.
    #[must_use]
    pub const fn new(needed: u64, deadlines: Deadlines) -> Self {
        Self {
            needed,
            back: 0,
            deadlines,
            rung: Rung::Idle,
            started: 0,
            due: 0,
            latest: 0,
        }
    }

    /// Takes an event at the tick `now`, and returns what to do.
    ///
    /// The first event returns [`Ask`](Action::Ask), or [`Done`](Action::Done) if no page is needed.
    pub fn step(&mut self, event: Event, now: u64) -> Action {
        self.latest = self.latest.max(now);
        if self.rung.is_final() {
            return Action::Nothing;
        }
        if let Event::PagesBack(pages) = event {
            self.back = self.back.saturating_add(pages);
        }
        if self.missing() == 0 {
            self.rung = Rung::Done;
            return Action::Done;
        }
        if self.rung == Rung::Idle {
            self.started = self.latest;
            self.due = self.latest;
        } else if self.latest < self.due && event != Event::Refused {
            return Action::WaitUntil(self.due);
        }
        self.climb(event)
    }

    /// The current rung.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.rung
    }

    /// Pages that came back until it ended.
    #[must_use]
    pub const fn back(&self) -> u64 {
        self.back
    }

    /// Pages that are still missing.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.needed.saturating_sub(self.back)
    }

    /// Takes a step back that was not carried out. The pages that came back stay counted, and
    /// `pages` more.
    pub(super) fn take_back(&mut self, before: Self, pages: u64) {
        let back = self.back.saturating_add(pages);
        *self = Self {
            back,
            latest: self.latest,
            ..before
        };
    }

    fn climb(&mut self, event: Event) -> Action {
        let from = self.due.min(self.latest);
        let pages = self.missing();
        let Deadlines { ask, wait, shrink } = self.deadlines;
        match self.rung {
            Rung::Idle => {
                let until = self.enter(Rung::Asked, from, ask);
                Action::Ask { pages, until }
            }
            Rung::Asked => Action::WaitUntil(self.enter(Rung::Waiting, from, wait)),
            Rung::Waiting => {
                let until = self.enter(Rung::Shrinking, from, shrink);
                Action::Shrink { pages, until }
            }
            Rung::Shrinking => {
                self.rung = Rung::GivenUp;
                Action::GiveUp(Shortfall {
                    needed: self.needed,
                    back: self.back,
                    since: self.started,
                    until: self.latest,
                    why: if event == Event::Refused {
                        WhyShort::Refused
                    } else {
                        WhyShort::Deadline
                    },
                })
            }
            Rung::GivenUp | Rung::Done => Action::Nothing,
        }
    }

    fn enter(&mut self, rung: Rung, from: u64, ticks: u64) -> u64 {
        self.rung = rung;
        self.due = from.saturating_add(ticks);
        self.due
    }
}

/// How long each rung may take, in ticks. After 0 ticks, the next event moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// For the owner to answer, or to give pages back at once.
    pub ask: u64,
    /// For operations that are under way to end.
    pub wait: u64,
    /// For the hardware to be stopped and its pages given back.
    pub shrink: u64,
}

impl Deadlines {
    /// All of them together; saturates.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.ask
            .saturating_add(self.wait)
            .saturating_add(self.shrink)
    }
}

/// A rung of the ladder, in order.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Nobody has been asked.
    Idle,
    /// The owner was asked.
    Asked,
    /// Pins are expected to end by themselves.
    Waiting,
    /// The device's shrinker was called.
    Shrinking,
    /// Time was up, or the shrinker refused. Final.
    GivenUp,
    /// The pages are back. Final.
    Done,
}

impl Rung {
    /// Whether the ladder has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::GivenUp | Self::Done)
    }
}

/// What happened.
///
/// Exhaustive: there are no other events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time went by.
    Tick,
    /// So many pages came back, from anywhere.
    PagesBack(u64),
    /// The owner or the shrinker that was asked last gives nothing back.
    Refused,
}

/// What to do.
///
/// Exhaustive: a caller must know what to do with each.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Tell the owner that pages are needed.
    Ask {
        /// How many.
        pages: u64,
        /// Until when the answer is waited for.
        until: u64,
    },
    /// Wait. Feed events as they happen, and a [`Tick`](Event::Tick) at this time.
    WaitUntil(u64),
    /// Have the device's shrinker stop the hardware and give pages back.
    Shrink {
        /// How many.
        pages: u64,
        /// Until when they are waited for.
        until: u64,
    },
    /// The pages do not come back. Tell the owner that all is clear, and find memory elsewhere.
    GiveUp(Shortfall),
    /// The pages are back. Tell the owner that all is clear, if it was asked.
    Done,
    /// Nothing: it ended before.
    Nothing,
}

/// The pages that were missing when the ladder gave up, for the code that handles being out of
/// memory.
///
/// [`Owners`](crate::pin::Owners) says who has them pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shortfall {
    /// Pages needed.
    pub needed: u64,
    /// Pages that came back.
    pub back: u64,
    /// The tick at which the owner was asked.
    pub since: u64,
    /// The tick at which the ladder gave up.
    pub until: u64,
    /// Why.
    pub why: WhyShort,
}

/// Why the ladder gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhyShort {
    /// Time was up.
    Deadline,
    /// The device cannot be stopped, or has nothing to give.
    Refused,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            WhyShort::Deadline => "time was up",
            WhyShort::Refused => "the device refused",
        };
        let ticks = self.until.saturating_sub(self.since);
        let Self { needed, back, .. } = self;
        write!(
            f,
            "{back} of {needed} pages came back in {ticks} ticks: {why}"
        )
    }
}

impl core::error::Error for Shortfall {}
