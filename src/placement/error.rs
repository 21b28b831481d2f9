//! Why an object was not pinned.

use super::check::PinnedError;
use super::zone::Zone;
use crate::pin::PinError;
use core::fmt;

/// Why an object was not pinned. No page of it is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaceError<E> {
    /// The index of the page that was refused.
    pub index: usize,
    /// Why it was refused.
    pub stop: PlaceStop<E>,
    /// How many of the pins taken for the object were gone when they were to be given back: 0, unless
    /// somebody unpins what it has not pinned.
    pub lost: usize,
}

/// Why a page of an object was refused. After attempts to migrate it, the last failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlaceStop<E> {
    /// The page refused the pin.
    Refused(PinError),
    /// No long-term pin is allowed in this zone, and the page cannot be migrated out of it (filesystem
    /// DAX) or is still there after all attempts.
    NotAllowed(Zone),
    /// The page has to be migrated, and others hold it pinned.
    Held(PinnedError),
    /// The page has to be migrated out of this zone, and `migrate` failed.
    NotMigrated(Zone, E),
}

impl<E: fmt::Display> fmt::Display for PlaceStop<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::NotAllowed(zone) => write!(f, "a long-term pin is not allowed in {zone}"),
            Self::Held(error) => error.fmt(f),
            Self::NotMigrated(zone, error) => {
                write!(f, "it was not migrated out of {zone}: {error}")
            }
        }
    }
}

impl<E: fmt::Display> fmt::Display for PlaceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} was not pinned: {}", self.index, self.stop)?;
        match self.lost {
            0 => Ok(()),
            lost => write!(f, "; {lost} pins were already lost"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> core::error::Error for PlaceError<E> {}
