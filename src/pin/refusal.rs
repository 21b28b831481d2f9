//! An operation on the marks of a counter word that was refused.

use super::PinCount;
use core::fmt;

/// Why [`PageRefs`](super::PageRefs) or [`PinWord`](super::PinWord) refused to block, unblock, park
/// or unpark a page. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinStateError {
    /// These pins are held, or are being refused at this instant.
    Pinned(PinCount),
    /// No pin is held, so no unpin would put the page back.
    NotPinned,
    /// Pins are blocked already.
    Blocked,
    /// Pins are not blocked.
    NotBlocked,
    /// The page is parked. When pins are to be blocked: its last pin was just dropped, and it is about
    /// to be put back.
    Parked,
    /// The page is not parked.
    NotParked,
}

impl fmt::Display for PinStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned(pins) => return write!(f, "{} pins are held", pins.total),
            Self::NotPinned => "the page is not pinned",
            Self::Blocked => "pins are blocked on this page",
            Self::NotBlocked => "pins are not blocked on this page",
            Self::Parked => "the page is parked",
            Self::NotParked => "the page is not parked",
        })
    }
}

impl core::error::Error for PinStateError {}
