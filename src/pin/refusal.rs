//! Why a [`PinWord`](super::PinWord) or [`PageRefs`](super::PageRefs) refuses an operation. Nothing has
//! changed.

use super::PinCount;
use core::fmt;

/// Why pins could not be blocked. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockError {
    /// These pins are held, or for an instant being refused.
    Pinned(PinCount),
    /// The page is parked and its last pin just gone: it is about to be put back.
    Parked,
    /// Somebody else has blocked them.
    AlreadyBlocked,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pins) => write!(f, "{} pins are held", pins.total),
            Self::Parked => f.write_str("the page is parked"),
            Self::AlreadyBlocked => f.write_str("pins are blocked already"),
        }
    }
}

impl core::error::Error for BlockError {}

/// Why a page could not be parked: it stays with the caller. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParkError {
    /// No pin is held, so no unpin would put it back.
    NotPinned,
    /// Somebody else has parked it.
    AlreadyParked,
    /// Pins are blocked: the page is being taken away.
    Blocked,
}

impl fmt::Display for ParkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPinned => "the page is not pinned",
            Self::AlreadyParked => "the page is parked already",
            Self::Blocked => "pins are blocked on this page",
        })
    }
}

impl core::error::Error for ParkError {}

/// Pins were not blocked. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotBlocked;

impl fmt::Display for NotBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pins are not blocked on this page")
    }
}

impl core::error::Error for NotBlocked {}

/// The page was not parked. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotParked;

impl fmt::Display for NotParked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the page is not parked")
    }
}

impl core::error::Error for NotParked {}
