//! The revocation ladder: asking, waiting, stopping the hardware, giving up, each in its time.

use crate::debug::debug_fields;
use core::fmt;

/// The way from needing pages that are pinned to having them, or to knowing that they do not come.
///
/// Fed with [`Event`]s and the time, it answers with the [`Action`] to take. The time is a tick
/// count in the embedder's unit; one that is smaller than the latest seen counts as the latest.
///
/// # What it guarantees
///
/// - One event climbs one rung at most, so none is skipped: the hardware is stopped only after its
///   owner was asked, and nobody gives up before the shrinker was called. A "no" ends a rung early.
/// - It ends. A rung that time ended is followed by one whose time counts from when it *should* have
///   ended, so from the sum of the deadlines after the start on, three events end it, whatever
///   came before. A clock that ticks late shortens the rungs above; let it tick at
///   [`WaitUntil`](Action::WaitUntil).
/// - One of [`Done`](Action::Done) and [`GiveUp`](Action::GiveUp) is answered, once, and after it
///   only [`Nothing`](Action::Nothing). Either is when the owner is told that all is clear.
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
    /// `needed` pages are sought; nobody has been asked yet.
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

    /// Takes note of what happened by `now`, and says what to do.
    ///
    /// The first event starts it, with [`Ask`](Action::Ask); if nothing is needed, it is done.
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

    /// Where it stands.
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

/// How long each rung may take, in ticks. 0 goes on with the next event.
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
/// Exhaustive: a driver should know where it stands.
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
    /// Whether the ladder has ended there.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::GivenUp | Self::Done)
    }
}

/// What happened.
///
/// Exhaustive: nothing else moves the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time went by.
    Tick,
    /// So many pages came back, from anywhere.
    PagesBack(u64),
    /// Whoever was asked on this rung will not, or cannot.
    Refused,
}

/// What to do.
///
/// Exhaustive: an action that its driver does not know would not be done.
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
    /// Nothing but to feed what happens, and a [`Tick`](Event::Tick) at this time.
    WaitUntil(u64),
    /// Have the device's shrinker stop the hardware and give pages back.
    Shrink {
        /// How many.
        pages: u64,
        /// Until when they are waited for.
        until: u64,
    },
    /// They do not come. Tell the owner that all is clear, and decide what gives way instead.
    GiveUp(Shortfall),
    /// They are back. Tell the owner that all is clear, if it was asked.
    Done,
    /// It had ended before.
    Nothing,
}

/// What was missing when the ladder gave up: for whoever decides what happens out of memory.
///
/// [`Owners`](crate::pin::Owners) says who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shortfall {
    /// Pages needed.
    pub needed: u64,
    /// Pages that came back.
    pub back: u64,
    /// The tick at which the owner was asked.
    pub since: u64,
    /// The tick at which it was given up.
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
