//! An exact count of pins in one 64-bit word, with the bits that close its races.

use super::refusal::{BlockError, NotBlocked, NotParked, ParkError};
use super::{PinCount, PinError, PinKind, Unpinned};
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
/// whether it counts. One that does not is taken back, so for an instant a field may be above its
/// range, or below zero. Fields are decoded as balanced signed digits and the flags are at the
/// bottom, where no carry or borrow goes: taking back restores every bit, in whatever order
/// operations mix, and the space above 2^28 holds as many refused pins in flight as there can be
/// threads.
///
/// A refused pin looks once more before it goes back: if the reason has gone (the page was
/// unblocked), it stays and is a pin like any other. So a refused pin never lets a word that is
/// not blocked fall to zero, and [`park`](Self::park) cannot be fooled by one that is on its way
/// out.
///
/// [`block`](Self::block) is a compare-and-swap from zero pins, so it fails while any pin is held;
/// it fails for nothing, too, while a refused pin is on its way out. That is harmless: the page
/// stays where it is.
///
/// # Contract
///
/// An unpin belongs to a pin of the same kind ([`PinGuard`](super::PinGuard) sees to it). One
/// without, at zero, is refused and taken back; what others may see while that lasts is what they
/// would see had it come a moment earlier or later and released somebody's pin, which no count can
/// tell: a pin less, or an unpin that is refused.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{BlockError, PinError, PinKind, PinWord, Unpinned};
///
/// let word = PinWord::new();
/// word.pin(PinKind::Longterm)?;
/// assert!(matches!(word.block(), Err(BlockError::Pinned(_))));
///
/// assert!(word.park().is_ok(), "pinned, so it may wait off its list");
/// assert_eq!(word.unpin(PinKind::Longterm), Ok(Unpinned::Unpark));
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
        // Acquire: pairs with the Release of `unpin`. Who reads zero pins sees what was done under
        // them.
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
    /// Pure: for representations that keep the word in one of their own. A field that is negative,
    /// which it is only while a refused unpin is taken back, reads as 0.
    #[must_use]
    #[inline]
    pub const fn decode(bits: u64) -> WordSnapshot {
        let short = clamp(field(bits, PinKind::Short));
        let longterm = clamp(field(bits, PinKind::Longterm));
        WordSnapshot {
            pins: PinCount {
                total: short.saturating_add(longterm),
                longterm: Some(longterm),
            },
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
        // Acquire: pairs with the Release of `unblock`. Who gets a pin on the page in its new life
        // sees what was changed while it was blocked, such as the entry that no longer maps it. A
        // pinner without locks adds a fence against the unmapper's (`race::pin_fast`).
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
    pub fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        // Release: pairs with the Acquire of `block` and of `to_bits`.
        let before = self.bits.fetch_sub(unit(kind), Ordering::Release);
        if before & (BLOCKED | PARKED) == 0 && surely_pinned(before, kind) {
            return Ok(Unpinned::Done);
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
    /// [`BlockError`] says what is in the way. Nothing has changed.
    pub fn block(&self) -> Result<(), BlockError> {
        // Acquire: pairs with the Release of `unpin`, so that whatever was done to the page under a
        // pin is over before the page is anything else. Relaxed for the read that refuses: what it
        // saw is only reported.
        self.update(Ordering::Acquire, |bits| {
            if bits & BLOCKED != 0 {
                Err(BlockError::AlreadyBlocked)
            } else if !no_pins(bits) {
                Err(BlockError::Pinned(Self::decode(bits).pins))
            } else if bits & PARKED != 0 {
                Err(BlockError::Parked)
            } else {
                Ok(bits | BLOCKED)
            }
        })
    }

    /// Lets pins in again.
    ///
    /// # Errors
    ///
    /// [`NotBlocked`] if it was not blocked. Nothing has changed.
    pub fn unblock(&self) -> Result<(), NotBlocked> {
        // Release: pairs with the Acquire of `pin`. An AND touches no other bit, so it commutes with
        // the pins that are being refused meanwhile.
        let before = self.bits.fetch_and(!BLOCKED, Ordering::Release);
        if before & BLOCKED == 0 {
            Err(NotBlocked)
        } else {
            Ok(())
        }
    }

    /// Marks a pinned page as parked: the unpin that brings its pins to zero says
    /// [`Unpinned::Unpark`], and whoever that is puts it back on a list.
    ///
    /// The handshake that forgets no page: take the page off its list *first*, then park it. `Ok`:
    /// leave it alone from here on, for its last unpin may be putting it back already. `Err`: it is
    /// still yours, and you put it back.
    ///
    /// # Errors
    ///
    /// [`ParkError`] says why not. Nothing has changed.
    pub fn park(&self) -> Result<(), ParkError> {
        // Release: pairs with the Acquire with which `take_parked` takes the mark; who puts the page
        // back sees it taken off.
        self.update(Ordering::Release, |bits| {
            if bits & PARKED != 0 {
                Err(ParkError::AlreadyParked)
            } else if bits & BLOCKED != 0 {
                Err(ParkError::Blocked)
            } else if no_pins(bits) {
                Err(ParkError::NotPinned)
            } else {
                Ok(bits | PARKED)
            }
        })
    }

    /// Takes the mark of a parked page, pinned or not: the caller puts it back on a list.
    ///
    /// Of all who unpark and unpin, exactly one gets it.
    ///
    /// # Errors
    ///
    /// [`NotParked`] if it was not parked, or another was faster. Nothing has changed.
    pub fn unpark(&self) -> Result<(), NotParked> {
        // Acquire: pairs with the Release of `park`.
        let before = self.bits.fetch_and(!PARKED, Ordering::Acquire);
        if before & PARKED == 0 {
            Err(NotParked)
        } else {
            Ok(())
        }
    }

    /// Clears *ever pinned*: for an allocator that gives the frame to a new owner.
    pub fn clear_ever_pinned(&self) {
        // Relaxed: a statistic. An AND, since a store would lose refused pins in flight.
        self.bits.fetch_and(!EVER_PINNED, Ordering::Relaxed);
    }

    fn update<E>(
        &self,
        success: Ordering,
        decide: impl Fn(u64) -> Result<u64, E>,
    ) -> Result<(), E> {
        let mut found = self.bits.load(Ordering::Relaxed);
        loop {
            let next = decide(found)?;
            match self
                .bits
                .compare_exchange_weak(found, next, success, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => found = now,
            }
        }
    }

    /// The first pin of a page, or one that may have to be taken back.
    #[cold]
    fn pin_slow(&self, before: u64, kind: PinKind) -> Result<(), PinError> {
        let mut bits = before.wrapping_add(unit(kind));
        loop {
            let refusal = if bits & BLOCKED != 0 {
                PinError::Blocked
            } else if field(bits, kind) > MAX {
                PinError::Overflow
            } else {
                if bits & EVER_PINNED == 0 {
                    // Relaxed: a statistic.
                    self.bits.fetch_or(EVER_PINNED, Ordering::Relaxed);
                }
                return Ok(());
            };
            // The pin may go back only from a word that refuses it. Where that has ended, it stays:
            // leaving could take a page to zero that was parked for its sake, with nobody to put it
            // back. Relaxed on success: a refused pin did nothing that anybody must see. Acquire on
            // failure: pairs with the Release of `unblock`.
            match self.bits.compare_exchange_weak(
                bits,
                bits.wrapping_sub(unit(kind)),
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return Err(refusal),
                Err(now) => bits = now,
            }
        }
    }

    /// An unpin of a parked page, or one that has to be taken back.
    #[cold]
    fn unpin_slow(&self, before: u64, kind: PinKind) -> Result<Unpinned, PinError> {
        // In a blocked word, only refused pins are counted.
        if before & BLOCKED != 0 || field(before, kind) <= 0 {
            // Relaxed: a refused unpin did nothing that anybody must see.
            self.bits.fetch_add(unit(kind), Ordering::Relaxed);
            return Err(PinError::Underflow);
        }
        if before & PARKED != 0 && no_pins(before.wrapping_sub(unit(kind))) {
            return Ok(self.take_parked());
        }
        Ok(Unpinned::Done)
    }

    fn take_parked(&self) -> Unpinned {
        // A page that was pinned again meanwhile stays parked: that pin's end comes here too.
        // Acquire: pairs with the Release of `park`, and with that of the unpins before.
        let taken = self.update(Ordering::Acquire, |bits| {
            if bits & PARKED != 0 && no_pins(bits) {
                Ok(bits & !PARKED)
            } else {
                Err(())
            }
        });
        match taken {
            Ok(()) => Unpinned::Unpark,
            Err(()) => Unpinned::Done,
        }
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

const BLOCKED: u64 = 1 << 0;
const EVER_PINNED: u64 = 1 << 1;
const PARKED: u64 = 1 << 2;
const FLAG_BITS: u32 = 3;
const SHORT_BITS: u32 = 31;
const LONGTERM_SHIFT: u32 = FLAG_BITS + SHORT_BITS;
const MAX: i64 = PinWord::MAX_PINS as i64;

const fn unit(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => 1 << FLAG_BITS,
        PinKind::Longterm => 1 << LONGTERM_SHIFT,
    }
}

/// The bits of a field that are clear while it is from 0 to [`MAX`] - 1.
const fn high(kind: PinKind) -> u64 {
    match kind {
        PinKind::Short => 0b111 << (FLAG_BITS + 28),
        PinKind::Longterm => 0b11 << (LONGTERM_SHIFT + 28),
    }
}

static_assertions::const_assert_eq!(high(PinKind::Short) >> LONGTERM_SHIFT, 0);
static_assertions::const_assert_eq!(high(PinKind::Longterm).leading_zeros(), 0);

/// The field as a balanced signed digit: short pins by their own sign, long-term pins without the
/// borrow of a negative short field.
const fn field(bits: u64, kind: PinKind) -> i64 {
    let short = signed(bits << (64 - LONGTERM_SHIFT)) >> (64 - SHORT_BITS);
    match kind {
        PinKind::Short => short,
        PinKind::Longterm => {
            let borrow = if short < 0 { 1 } else { 0 };
            (signed(bits) >> LONGTERM_SHIFT).wrapping_add(borrow)
        }
    }
}

/// Whether a field is above 0 even if another one borrows from it: the cheap half of [`field`].
const fn surely_pinned(bits: u64, kind: PinKind) -> bool {
    match kind {
        PinKind::Short => signed(bits << (64 - LONGTERM_SHIFT)) >= 1 << (64 - SHORT_BITS),
        PinKind::Longterm => signed(bits) >= 1 << LONGTERM_SHIFT,
    }
}

const fn no_pins(bits: u64) -> bool {
    bits >> FLAG_BITS == 0
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 31 bits at most, checked
const fn clamp(field: i64) -> u32 {
    if field < 0 { 0 } else { field as u32 }
}

const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}
