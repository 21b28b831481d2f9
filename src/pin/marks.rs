//! The marks in the three lowest bits of a counter word: blocked, ever pinned, parked.
//!
//! [`PinWord`](super::PinWord) and [`PageRefs`](super::PageRefs) have the same marks; `pins` says
//! which pins a word with certain bits counts.

use super::PinCount;
use super::field::update;
use super::refusal::PinStateError;
use crate::sync::{AtomicU64, Ordering};

pub(super) const BLOCKED: u64 = 1 << 0;
pub(super) const EVER_PINNED: u64 = 1 << 1;
pub(super) const PARKED: u64 = 1 << 2;

pub(super) fn block(word: &AtomicU64, pins: impl Fn(u64) -> PinCount) -> Result<(), PinStateError> {
    // Acquire: pairs with the Release of `unpin`, so that whatever was done to the page under a pin
    // is over before the page is anything else.
    update(word, Ordering::Acquire, |bits| {
        let pins = pins(bits);
        if bits & BLOCKED != 0 {
            Err(PinStateError::Blocked)
        } else if pins.total != 0 {
            Err(PinStateError::Pinned(pins))
        } else if bits & PARKED != 0 {
            Err(PinStateError::Parked)
        } else {
            Ok(bits | BLOCKED)
        }
    })
    .map(drop)
}

pub(super) fn unblock(word: &AtomicU64) -> Result<(), PinStateError> {
    // Release: pairs with the Acquire of `pin`. An AND changes no other bit, so it commutes with
    // the operations that are being refused meanwhile.
    let before = word.fetch_and(!BLOCKED, Ordering::Release);
    if before & BLOCKED == 0 {
        Err(PinStateError::NotBlocked)
    } else {
        Ok(())
    }
}

pub(super) fn park(word: &AtomicU64, pins: impl Fn(u64) -> PinCount) -> Result<(), PinStateError> {
    // Release: pairs with the Acquire with which the mark is taken; whoever puts the page back sees
    // it taken off.
    update(word, Ordering::Release, |bits| {
        if bits & PARKED != 0 {
            Err(PinStateError::Parked)
        } else if bits & BLOCKED != 0 {
            Err(PinStateError::Blocked)
        } else if pins(bits).total == 0 {
            Err(PinStateError::NotPinned)
        } else {
            Ok(bits | PARKED)
        }
    })
    .map(drop)
}

pub(super) fn unpark(word: &AtomicU64) -> Result<(), PinStateError> {
    // Acquire: pairs with the Release of `park`.
    let before = word.fetch_and(!PARKED, Ordering::Acquire);
    if before & PARKED == 0 {
        Err(PinStateError::NotParked)
    } else {
        Ok(())
    }
}

/// Sets *ever pinned* in a word that had these bits.
pub(super) fn mark_ever_pinned(word: &AtomicU64, bits: u64) {
    if bits & EVER_PINNED == 0 {
        // Relaxed: a statistic.
        word.fetch_or(EVER_PINNED, Ordering::Relaxed);
    }
}

pub(super) fn clear_ever_pinned(word: &AtomicU64) {
    // Relaxed: a statistic. An AND, since a store would lose refused operations in flight.
    word.fetch_and(!EVER_PINNED, Ordering::Relaxed);
}
