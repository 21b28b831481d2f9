//! An exact count of pins in one 64-bit word, with the flags that close its races.

use super::field::{Field, update};
use super::marks::{self, BLOCKED, EVER_PINNED, PARKED};
use super::refusal::PinStateError;
use super::{PinCount, PinError, PinKind, Released};
use crate::sync::{AtomicU64, Ordering, const_unless_loom};

/// An exact pin count for any page: short and long-term pins, and three flags, in one word.
///
/// | bits | field | range |
/// | --- | --- | --- |
/// | 0 | *blocked*: no pin is held and none can be taken | |
/// | 1 | *ever pinned*: sticky | |
/// | 2 | *parked*: the page is off its list, the last unpin puts it back; never with *blocked* | |
/// | 3 to 33 | short pins, 31 bits, signed | 0 to [`MAX_PINS`](Self::MAX_PINS) (2^28) |
/// | 34 to 63 | long-term pins, 30 bits, signed | 0 to [`MAX_PINS`](Self::MAX_PINS) (2^28) |
///
/// All zero is a page that is not pinned. A word of a free page is zero or blocked.
///
/// # How it works
///
/// A pin is one `fetch_add` of its field's unit, an unpin one `fetch_sub`; the value before says
/// whether it counts. One that is refused is taken back, so for a moment a field may be above its
/// range, or below zero. The room above 2^28 is for refused pins that are being taken back, as many
/// as there can be threads. The flags are at the bottom, where no carry or borrow arrives.
///
/// A refused pin or unpin looks at the word again before it is taken back. If what refused it is
/// gone (the page was unblocked, or a pin has come that the unpin can release), it stays and has
/// succeeded. So a word at rest holds as many pins as were taken less those that were released, and
/// never the parked mark without a pin.
///
/// [`block`](Self::block) is a compare-and-swap from zero pins, so it fails while any pin is held.
/// It may fail spuriously while a refused pin is being taken back, which is harmless: the page stays
/// where it is.
///
/// # Contract
///
/// Each unpin releases a pin of the same kind that its caller holds ([`PinGuard`](super::PinGuard)
/// sees to that). One unpin too many is refused if no pin of that kind is held. If one is, it
/// releases that one, and its owner's unpin is refused instead: no count can tell the two apart. For
/// the moment that a refusal takes, other threads may see one pin less. In either case the word at
/// rest is right, and the unpin that leaves a parked page without pins answers
/// [`Released::Unpark`].
///
/// **Beside a reference count, each pin must hold a reference.** This word does not keep a page from
/// being freed: a count beside it, such as [`BiasedRefs`](super::BiasedRefs), says "free" when *its*
/// last reference is dropped, whatever pins are held here. So take a reference before the pin, and
/// drop it after the unpin and after what the unpin left to do. [`PageRefs`](super::PageRefs) holds
/// references and pins in one word and keeps this rule itself.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PinStateError, PinError, PinKind, PinWord, Released};
///
/// let word = PinWord::new();
/// word.pin(PinKind::Longterm)?;
/// assert!(matches!(word.block(), Err(PinStateError::Pinned(_))));
///
/// assert!(word.park().is_ok(), "pinned, so it may wait off its list");
/// assert_eq!(word.unpin(PinKind::Longterm), Ok(Released::Unpark));
///
/// assert!(word.block().is_ok());
/// assert_eq!(word.pin(PinKind::Short), Err(PinError::Blocked));
/// # Ok::<(), PinError>(())
/// ```
#[derive(Debug)]
pub struct PinWord {
    bits: AtomicU64,
}

#[cfg(not(loom))]
static_assertions::assert_eq_size!(PinWord, u64);
static_assertions::assert_impl_all!(PinWord: Send, Sync);

impl PinWord {
    /// How many pins of each kind a page can have.
    pub const MAX_PINS: u32 = 1 << 28;

    const_unless_loom! {
        /// A page that is not pinned, not blocked, and never was pinned.
        #[must_use]
        pub fn new() -> Self {
            Self { bits: AtomicU64::new(0) }
        }

        /// A word with these bits, as in the table above; see [`decode`](Self::decode).
        ///
        /// For restoring a state, and for tests at the limits.
        #[must_use]
        pub fn from_bits(bits: u64) -> Self {
            Self { bits: AtomicU64::new(bits) }
        }
    }

    /// The bits, as in the table above.
    #[must_use]
    #[inline]
    pub fn to_bits(&self) -> u64 {
        // Acquire: pairs with the Release of `unpin`. A reader that finds no pin sees
        // what was done under the pins.
        self.bits.load(Ordering::Acquire)
    }

    /// The counts and flags at one instant.
    #[must_use]
    #[inline]
    pub fn snapshot(&self) -> WordSnapshot {
        Self::decode(self.to_bits())
    }

    /// What the bits of a word say.
    ///
    /// Pure: for representations that keep the word in one of their own. A field below zero, which
    /// occurs only while a refused unpin is being taken back, reads as 0.
    #[must_use]
    #[inline]
    pub const fn decode(bits: u64) -> WordSnapshot {
        WordSnapshot {
            pins: pins(bits),
            blocked: bits & BLOCKED != 0,
            parked: bits & PARKED != 0,
            ever_pinned: bits & EVER_PINNED != 0,
        }
    }

    /// Takes a pin, in one atomic step.
    ///
    /// # Errors
    ///
    /// [`PinError::Blocked`] if the page is being taken away, [`PinError::Overflow`] at
    /// [`MAX_PINS`](Self::MAX_PINS) of this kind. Nothing has changed.
    #[inline]
    pub fn pin(&self, kind: PinKind) -> Result<(), PinError> {
        // Acquire: pairs with the Release of `unblock`. A new pinner sees what was changed while
        // the page was blocked, such as the entry that no longer maps it. A pinner without locks
        // adds a fence against the unmapper's (`race::pin_fast`).
        let before = self.bits.fetch_add(unit(kind), Ordering::Acquire);
        if before & (BLOCKED | EVER_PINNED | high(kind)) == EVER_PINNED {
            return Ok(());
        }
        self.pin_slow(before, kind)
    }

    /// Releases a pin of this kind, in one atomic step (two, for the last pin of a parked page).
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if no pin of this kind is held. Nothing has changed.
    #[inline]
    pub fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        // Release: pairs with the Acquire of `block` and of `to_bits`.
        let before = self.bits.fetch_sub(unit(kind), Ordering::Release);
        if before & (BLOCKED | PARKED) == 0 && field(kind).surely_at_least(before, 1) {
            return Ok(Released::Done);
        }
        self.unpin_slow(before, kind)
    }

    /// Blocks new pins, if none is held: the page is being taken away.
    ///
    /// The unmapper calls it after it has cleared the entries, and with it has both: the certainty
    /// that there is no pin, and that none will come until [`unblock`](Self::unblock).
    ///
    /// # Errors
    ///
    /// [`PinStateError`] says what is in the way. Nothing has changed.
    pub fn block(&self) -> Result<(), PinStateError> {
        marks::block(&self.bits, pins)
    }

    /// Allows pins again.
    ///
    /// # Errors
    ///
    /// [`PinStateError`] if it was not blocked. Nothing has changed.
    pub fn unblock(&self) -> Result<(), PinStateError> {
        marks::unblock(&self.bits)
    }

    /// Marks a pinned page as parked: the unpin that brings its pins to zero says
    /// [`Released::Unpark`], and whoever that is puts it back on a list.
    ///
    /// The handshake that forgets no page: take the page off its list *first*, then park it. `Ok`:
    /// leave it alone from here on, for its last unpin may be putting it back already. `Err`: it is
    /// still yours, and you put it back.
    ///
    /// # Errors
    ///
    /// [`PinStateError`] says why not. Nothing has changed.
    pub fn park(&self) -> Result<(), PinStateError> {
        marks::park(&self.bits, pins)
    }

    /// Takes the mark of a parked page, pinned or not: the caller puts it back on a list.
    ///
    /// Of all who unpark and unpin, exactly one gets it.
    ///
    /// # Errors
    ///
    /// [`PinStateError`] if it was not parked, or another was faster. Nothing has changed.
    pub fn unpark(&self) -> Result<(), PinStateError> {
        marks::unpark(&self.bits)
    }

    /// Clears *ever pinned*: for an allocator that gives the frame to a new owner.
    pub fn clear_ever_pinned(&self) {
        marks::clear_ever_pinned(&self.bits);
    }

    /// The first pin of a page, or one that may have to be taken back.
    #[cold]
    fn pin_slow(&self, before: u64, kind: PinKind) -> Result<(), PinError> {
        let after = before.wrapping_add(unit(kind));
        let blocked = |bits| (bits & BLOCKED != 0).then_some(PinError::Blocked);
        let bits = field(kind).settle_addition(&self.bits, after, blocked)?;
        marks::mark_ever_pinned(&self.bits, bits);
        Ok(())
    }

    /// An unpin of a parked page, or one that may have to be taken back.
    #[cold]
    fn unpin_slow(&self, before: u64, kind: PinKind) -> Result<Released, PinError> {
        let after = before.wrapping_sub(unit(kind));
        let bits = field(kind).settle_subtraction(&self.bits, after)?;
        if bits & PARKED == 0 || pins(bits).total != 0 {
            return Ok(Released::Done);
        }
        // A page that was pinned again meanwhile stays parked: that pin's unpin comes here too.
        // Acquire: pairs with the Release of `park`, and with that of the unpins before.
        let taken = update(&self.bits, Ordering::Acquire, |bits| {
            if bits & PARKED != 0 && pins(bits).total == 0 {
                Ok(bits & !PARKED)
            } else {
                Err(Released::Done)
            }
        });
        Ok(taken.map_or_else(|done| done, |_| Released::Unpark))
    }
}

impl Default for PinWord {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`PinWord`] says at one instant.
///
/// Exhaustive: these are all the word's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WordSnapshot {
    /// Pins held, and for an instant such as are being refused.
    pub pins: PinCount,
    /// No pin can be taken.
    pub blocked: bool,
    /// The page is off its list until its last unpin.
    pub parked: bool,
    /// The page was pinned at some time; a refused pin does not count.
    pub ever_pinned: bool,
}

const SHORT: Field = Field::new(3, 31, 28, true);
const LONGTERM: Field = Field::new(34, 30, 28, false);

const fn field(kind: PinKind) -> Field {
    match kind {
        PinKind::Short => SHORT,
        PinKind::Longterm => LONGTERM,
    }
}

const fn unit(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => SHORT.unit,
        PinKind::Longterm => LONGTERM.unit,
    }
}

const fn high(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => SHORT.high,
        PinKind::Longterm => LONGTERM.high,
    }
}

const fn pins(bits: u64) -> PinCount {
    let longterm = LONGTERM.count(bits);
    PinCount {
        total: SHORT.count(bits).saturating_add(longterm),
        longterm: Some(longterm),
    }
}
