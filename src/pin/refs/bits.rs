//! What the bits of a [`PageRefs`](super::PageRefs) say, and what follows from them.

use crate::pin::field::Field;
use crate::pin::marks::{BLOCKED, EVER_PINNED, PARKED};
use crate::pin::{PinCount, PinError, PinKind, Released, UnexpectedRefs};

pub(super) const LIVE: u64 = 1 << 3;

pub(super) const REFS: Field = Field::new(4, 22, 20, true);
const SHORT: Field = Field::new(26, 18, 16, false);
const LONGTERM: Field = Field::new(44, 20, 18, false);

/// What a [`PageRefs`](super::PageRefs) says at one instant.
///
/// Complete on purpose: these are all the word's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefsSnapshot {
    /// All references, one for each pin included; 0 for a free page.
    pub refs: i32,
    /// Pins held.
    pub pins: PinCount,
    /// The page is free or frozen.
    pub free: bool,
    /// No pin can be taken.
    pub blocked: bool,
    /// The page is off its list until its last unpin.
    pub parked: bool,
    /// The page was pinned at some time; a refused pin does not count.
    pub ever_pinned: bool,
}

pub(super) const fn field(kind: PinKind) -> Field {
    match kind {
        PinKind::Short => SHORT,
        PinKind::Longterm => LONGTERM,
    }
}

pub(super) const fn unit(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => SHORT.unit,
        PinKind::Longterm => LONGTERM.unit,
    }
}

pub(super) const fn high(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => SHORT.high,
        PinKind::Longterm => LONGTERM.high,
    }
}

pub(super) const fn surely_pinned(bits: u64, kind: PinKind) -> bool {
    match kind {
        PinKind::Short => SHORT.surely_at_least(bits, 1),
        PinKind::Longterm => LONGTERM.surely_at_least(bits, 1),
    }
}

pub(super) const fn decode(bits: u64) -> RefsSnapshot {
    let pins = pins(bits);
    let (free, parked) = (bits & LIVE == 0, bits & PARKED != 0);
    let refs = if free {
        0
    } else {
        // The unpin that is about to take the mark of a parked page still has its reference.
        let unparking = parked && pins.total == 0;
        let others = REFS.count(bits).saturating_add(unparking as u32);
        refs(others.saturating_add(pins.total))
    };
    RefsSnapshot {
        refs,
        pins,
        free,
        blocked: bits & BLOCKED != 0,
        parked,
        ever_pinned: bits & EVER_PINNED != 0,
    }
}

/// The pins that are held. In a free or blocked page there are none, only such as are being refused.
pub(super) const fn pins(bits: u64) -> PinCount {
    let held = if bits & (LIVE | BLOCKED) == LIVE {
        bits
    } else {
        0
    };
    let longterm = LONGTERM.count(held);
    PinCount {
        total: SHORT.count(held).saturating_add(longterm),
        longterm: Some(longterm),
    }
}

/// Why no reference can be taken.
pub(super) fn refuses_refs(bits: u64) -> Option<PinError> {
    (bits & LIVE == 0).then_some(PinError::Free)
}

/// Why no pin can be taken.
pub(super) fn refuses_pins(bits: u64) -> Option<PinError> {
    let blocked = (bits & BLOCKED != 0).then_some(PinError::Blocked);
    refuses_refs(bits).or(blocked)
}

/// The bits once the page is frozen.
pub(super) fn frozen(bits: u64, expected: i32) -> Result<u64, UnexpectedRefs> {
    let found = decode(bits);
    match u32::try_from(expected) {
        Ok(refs)
            if refs > 0 && found.refs == expected && found.pins.total == 0 && !found.parked =>
        {
            Ok(bits.wrapping_sub(REFS.times(refs)) & !LIVE)
        }
        _ => Err(UnexpectedRefs(found.refs)),
    }
}

/// The bits once a free page has `refs` references.
pub(super) fn live(bits: u64, refs: u32) -> Result<u64, UnexpectedRefs> {
    if bits & LIVE != 0 {
        return Err(UnexpectedRefs(decode(bits).refs));
    }
    Ok(bits.wrapping_add(REFS.times(refs)) | LIVE)
}

/// What a word with these bits leaves to do.
pub(super) const fn duty(bits: u64) -> Released {
    if bits & LIVE == 0 || pins(bits).total != 0 {
        return Released::Done;
    }
    match (bits & PARKED != 0, REFS.value(bits) > 0) {
        (false, true) => Released::Done,
        (true, true) => Released::Unpark,
        (false, false) => Released::Free,
        (true, false) => Released::UnparkAndFree,
    }
}

/// The bits once that is somebody's to do.
pub(super) const fn taken(bits: u64) -> Option<u64> {
    match duty(bits) {
        Released::Done => None,
        Released::Unpark => Some(bits.wrapping_add(REFS.unit) & !PARKED),
        Released::Free | Released::UnparkAndFree => Some(bits & !(LIVE | PARKED)),
    }
}

/// Three fields of at most 2^22: far from the end.
#[allow(clippy::cast_possible_wrap)]
const fn refs(count: u32) -> i32 {
    count as i32
}
