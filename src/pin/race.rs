//! How a pinner without locks and an unmapper agree on one page.
//!
//! The pinner finds the page in a page-table entry and pins it. The unmapper takes the entry away,
//! and may then free the page. Neither waits for the other, so each looks twice:
//!
//! ```text
//!  pinner (pin_fast)                     unmapper
//!  ------------------------------        -------------------------------------
//!  1 read the entry: seen
//!                                        a pinned? then leave it         (a hint)
//!  2 take the pin                        b clear the entry
//!  3 fence, SeqCst   <--- partners --->  c fence, SeqCst     (second_look)
//!  4 read the entry again                d pinned? then put the entry back
//!      as seen: the pin is good
//!      changed: drop the pin             e freeze at exactly the expected count,
//!                                          or block; failing: not freed
//!                                        f free
//! ```
//!
//! Each side writes (2, b), then reads what the other writes (4, d). The fences 3 and c are ordered
//! one way or the other: if 3 is first, d sees the pin; if c is first, 4 sees the entry cleared.
//! Weaker fences allow both to read the old value, and then a pinned page loses its entry: the
//! device goes on with a page that the process no longer maps.
//!
//! Step e alone ensures that a pinned page is not *freed*, because it acts on the same counter as
//! step 2: [`PageRefs::freeze`](super::PageRefs::freeze) and
//! [`BiasedRefs::freeze`](super::BiasedRefs::freeze) find more than they expect, or
//! [`PinWord::block`](super::PinWord::block) finds a pin; and if e is first, 2 is refused. With
//! `PinWord` and `PageRefs`, `block` may stand for c and d as well. With `PinWord`, each pin must
//! hold a reference of the count beside it, or the page is freed by whoever drops the last one.
//!
//! A page may be freed and used again between 1 and 2. Then 4 sees the entry changed: what the
//! unmapper did before it let pins in again (`unfreeze`, `unblock`: Release) is seen by whoever gets
//! one afterwards (`pin`: Acquire). An entry that is put back between 1 and 4, or that maps the same
//! page again, is no harm: the entry maps the page, and the page is pinned.
//!
//! `tests/loom.rs` explores each representation, and shows for each step left out what breaks.

use super::{PinError, PinGuard, PinKind, Pinnable, Pins};
use crate::sync::{Ordering, fence};
use core::fmt;

/// Pins a page that was found in an entry, without a lock.
///
/// `seen` is the entry as it was read, `reread` reads it again; both with whatever identifies it
/// (the frame, and the rights that the pin relies on). Linux: `gup_pte_range`, `mm/gup.c`, 5.8.
///
/// If dropping the pin leaves something to do ([`Released`](super::Released)),
/// [`Pinnable::settle`] does it. If `reread` unwinds, the pin is dropped.
///
/// For several pages, all or none: [`PinGuard::pin_with`].
///
/// # Errors
///
/// [`FastPinError`]; no pin is held, and the caller goes to its slow path.
pub fn pin_fast<P, E>(
    page: &P,
    kind: PinKind,
    seen: E,
    reread: impl FnOnce() -> E,
) -> Result<(), FastPinError>
where
    P: Pinnable + ?Sized,
    E: PartialEq,
{
    page.try_pin(kind).map_err(FastPinError::Refused)?;
    // Drops the pin if `reread` unwinds.
    let mut pin = PinGuard::adopt([page], kind);
    // Pairs with the fence in `second_look`: that one sees the pin, or we see the entry cleared.
    fence(Ordering::SeqCst);
    if reread() == seen {
        core::mem::forget(pin);
        return Ok(());
    }
    match pin.release() {
        Ok(()) => Err(FastPinError::Changed),
        Err(failed) => Err(FastPinError::Lost(failed.error)),
    }
}

/// Asks for the pins once more, after the entry was cleared.
///
/// [`Pins::None`]: every pinner who comes from the entry from now on is told
/// [`Changed`](FastPinError::Changed). Anything else: put the entry back, for a pinner may have been
/// told that it was good.
pub fn second_look(read: impl FnOnce() -> Pins) -> Pins {
    fence_unmapper();
    read()
}

/// Between the clearing of an entry and the second look at the pins.
#[inline]
pub(crate) fn fence_unmapper() {
    // Pairs with the fence in `pin_fast`: we see its pin, or it sees the entry cleared.
    fence(Ordering::SeqCst);
}

/// Why a page was not pinned without a lock. No pin is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FastPinError {
    /// The entry changed; the pin was dropped again.
    Changed,
    /// The page refused the pin.
    Refused(PinError),
    /// The entry changed, and the pin could not be dropped because somebody else has released it:
    /// a caller that unpins what it has not pinned.
    Lost(PinError),
}

impl fmt::Display for FastPinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the entry changed while its page was pinned"),
            Self::Refused(error) => write!(f, "the page was not pinned: {error}"),
            Self::Lost(error) => write!(f, "the pin was released by somebody else: {error}"),
        }
    }
}

impl core::error::Error for FastPinError {}

impl From<PinError> for FastPinError {
    fn from(error: PinError) -> Self {
        Self::Refused(error)
    }
}
