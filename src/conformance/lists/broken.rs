//! What an embedder's lists or page operations did wrong.

use super::Whereabouts;
use crate::debug::{Text, debug_variants};
use crate::invariants::Broken;
use crate::reclaim::Place;
use core::fmt;

/// A rule that an embedder's lists or page operations broke, with what disagrees.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListsBroken {
    /// The page is not where it should be.
    Misplaced {
        /// Where it should be.
        expected: Whereabouts,
        /// Where it is.
        found: Whereabouts,
    },
    /// A list, or the parked pages, do not have the length that they say, in base pages.
    Length {
        /// Which.
        place: Place,
        /// Pages there.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// A list gave another page than its oldest, or none though it has some.
    NotOldest {
        /// The oldest page.
        oldest: usize,
    },
    /// The reference count is not that of the page's mappings, state, holders and pins.
    References {
        /// The references that there should be.
        expected: i64,
        /// The count.
        found: i64,
    },
    /// The map count is not the number of entries that map the page.
    Mappings {
        /// Entries that map it.
        entries: u32,
        /// The map count.
        maps: u32,
    },
    /// The page lock is held and should not be, or the reverse.
    Lock {
        /// Whether it should be held.
        expected: bool,
    },
    /// A write to the page is lost.
    ContentLost {
        /// What was last written.
        expected: u64,
        /// What would be read.
        found: u64,
    },
    /// The page's swap slot is not held by the swap entries that name it; `None`: no slot.
    SlotUsers {
        /// Entries that name it.
        expected: Option<u32>,
        /// References on it.
        found: Option<u32>,
    },
    /// Not as many swap slots are in use as pages have one.
    SlotsInUse {
        /// Pages that have one.
        expected: u32,
        /// Slots in use.
        found: u32,
    },
    /// A callback said that it did what it was asked, and did something else.
    NotDone {
        /// What is not as it should be.
        what: &'static str,
    },
    /// A callback failed or refused, or was none of this page's, and has changed it.
    Touched {
        /// What changed.
        what: &'static str,
    },
    /// A page was written out, removed or freed that must not be.
    Forbidden {
        /// Why not.
        why: &'static str,
    },
    /// A pass took more pages than it can have had to.
    Endless {
        /// How many it took.
        taken: u32,
    },
    /// Nobody holds the page, and it was not reclaimed.
    NotReclaimed {
        /// Where it is.
        whereabouts: Whereabouts,
    },
    /// A walk, or a reading of pins, broke an invariant.
    Invariant {
        /// Which.
        broken: Broken,
    },
}

debug_variants!(ListsBroken {
    Misplaced { expected, found },
    Length { place, expected, found },
    NotOldest { oldest },
    References { expected, found },
    Mappings { entries, maps },
    Lock { expected },
    ContentLost { expected, found },
    SlotUsers { expected, found },
    SlotsInUse { expected, found },
    NotDone { what as Text },
    Touched { what as Text },
    Forbidden { why as Text },
    Endless { taken },
    NotReclaimed { whereabouts },
    Invariant { broken },
});

impl fmt::Display for ListsBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Misplaced { expected, found } => {
                write!(f, "it is {found:?}, not {expected:?}")
            }
            Self::Length {
                place,
                expected,
                found,
            } => write!(f, "{place:?} has {expected} pages, and says {found}"),
            Self::NotOldest { oldest } => {
                write!(f, "page {oldest} is the oldest of the list")
            }
            Self::References { expected, found } => {
                write!(f, "{found} references, not {expected}")
            }
            Self::Mappings { entries, maps } => {
                write!(f, "{entries} entries map it, its map count is {maps}")
            }
            Self::Lock { expected: true } => f.write_str("its lock is not held"),
            Self::Lock { expected: false } => f.write_str("its lock is held"),
            Self::ContentLost { expected, found } => {
                write!(f, "it reads {found}, last written was {expected}")
            }
            Self::SlotUsers { expected, found } => write!(
                f,
                "references on its swap slot: {found:?}, swap entries: {expected:?}"
            ),
            Self::SlotsInUse { expected, found } => {
                write!(
                    f,
                    "{found} swap slots are in use, {expected} pages have one"
                )
            }
            Self::NotDone { what } => write!(f, "not done: {what}"),
            Self::Touched { what } => write!(f, "it must not change, but did: {what}"),
            Self::Forbidden { why } => write!(f, "not allowed: {why}"),
            Self::Endless { taken } => write!(f, "the pass does not end: {taken} pages taken"),
            Self::NotReclaimed { whereabouts } => {
                write!(
                    f,
                    "nobody holds it, and it is not reclaimed but {whereabouts:?}"
                )
            }
            Self::Invariant { broken } => broken.fmt(f),
        }
    }
}

impl core::error::Error for ListsBroken {}

impl From<Broken> for ListsBroken {
    fn from(broken: Broken) -> Self {
        Self::Invariant { broken }
    }
}

/// Where a suite of lists failed: the first rule that was broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ListsFailure {
    /// In which round, counted from 0; the last is the one in which everything is reclaimed.
    pub round: u32,
    /// In which callback or act, by its name.
    pub during: &'static str,
    /// How many callbacks there were before.
    pub callbacks: u64,
    /// The page.
    pub page: usize,
    /// What broke.
    pub broken: ListsBroken,
}

impl fmt::Debug for ListsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListsFailure")
            .field("round", &self.round)
            .field("during", &Text(&self.during))
            .field("callbacks", &self.callbacks)
            .field("page", &self.page)
            .field("broken", &self.broken)
            .finish()
    }
}

impl fmt::Display for ListsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            during,
            callbacks,
            page,
            broken,
        } = self;
        write!(
            f,
            "round {round}, callback {callbacks}, {during} of page {page}: {broken}"
        )
    }
}

impl core::error::Error for ListsFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.broken)
    }
}
