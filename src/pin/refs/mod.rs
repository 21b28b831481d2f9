//! References and pins of a page in one 64-bit word.

mod bits;

pub use bits::RefsSnapshot;

use super::field::{Field, update};
use super::refusal::PinStateError;
use super::{PinError, PinKind, Pinnable, Released, UnexpectedRefs, marks};
use crate::sync::{AtomicU64, Ordering, const_unless_loom};
use bits::{LIVE, REFS, duty, field, high, refuses_pins, refuses_refs, surely_pinned, unit};
use marks::{BLOCKED, EVER_PINNED, PARKED};

/// A page's references and its pins in one word, in which each pin holds a reference.
///
/// This is the counter for a page that has none yet. Because references and pins are in one word, a
/// page is not freed while it is pinned, whoever drops a reference too many; and freeing, pinning,
/// blocking and parking exclude each other without a lock.
///
/// | bits | field | range |
/// | --- | --- | --- |
/// | 0 | *blocked*: no pin is held and none can be taken | |
/// | 1 | *ever pinned*: sticky | |
/// | 2 | *parked*: the page is off its list, and its last unpin puts it back | |
/// | 3 | *live*: clear while the page is free or frozen, when nobody gets a reference or a pin | |
/// | 4 to 25 | references that are not pins', 22 bits, signed | 0 to [`MAX_REFS`](Self::MAX_REFS) (2^20) |
/// | 26 to 43 | short pins, 18 bits, signed | 0 to [`MAX_SHORT_PINS`](Self::MAX_SHORT_PINS) (2^16) |
/// | 44 to 63 | long-term pins, 20 bits, signed | 0 to [`MAX_LONGTERM_PINS`](Self::MAX_LONGTERM_PINS) (2^18) |
///
/// A word of zero is a free page, so zeroed memory is an array of free pages. The page's reference
/// count is the sum of the three fields. The fields are signed, and reach above their ranges, only
/// for the moment in which a refused operation is taken back ([`PinWord`](super::PinWord) does the
/// same); the room above each range is for as many of those as there can be threads.
///
/// Getting and putting a reference, pinning and unpinning are one atomic addition or subtraction
/// each, and a second step where the last one is put, the page is parked, or the operation is
/// refused.
///
/// # What a put or an unpin can owe
///
/// | answer | the page | its caller |
/// | --- | --- | --- |
/// | [`Done`](Released::Done) | is held by others | does nothing |
/// | [`Unpark`](Released::Unpark) | was parked, and its last pin is gone | puts it back on a list, then calls [`put_ref`](Self::put_ref): the pin's reference is still held, so that the page cannot be freed and used again meanwhile |
/// | [`Free`](Released::Free) | is free | gives it to its allocator |
/// | [`UnparkAndFree`](Released::UnparkAndFree) | was parked and is free | takes it out of the count of parked pages, and gives it to its allocator |
///
/// Each duty is given to exactly one caller.
///
/// # Contract
///
/// Whoever calls anything but [`unfreeze`](Self::unfreeze), [`try_get_ref`](Self::try_get_ref) and
/// [`pin`](Self::pin) holds a reference or a pin: its own, or the page table's that it is about to
/// clear. A put or an unpin too many is refused if no reference or no pin of that kind is held;
/// otherwise it drops another's, whose own is refused instead. It never drops a reference in place
/// of a pin, nor the other way round.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PageRefs, PinError, PinKind, Released};
///
/// let page = PageRefs::new();
/// assert_eq!(page.pin(PinKind::Short), Err(PinError::Free));
/// page.unfreeze(1).unwrap();
///
/// page.pin(PinKind::Longterm)?;
/// assert_eq!(page.snapshot().refs, 2);
/// assert!(page.freeze(1).is_err(), "a pinned page is not freed");
/// page.park().unwrap();
/// assert_eq!(page.put_ref(), Ok(Released::Done), "the pin holds the page");
/// assert_eq!(page.unpin(PinKind::Longterm), Ok(Released::UnparkAndFree));
/// # Ok::<(), PinError>(())
/// ```
///
/// A page that answers both counts from it:
///
/// ```
/// use pinfold::pin::{PageRefs, PinCount};
/// use pinfold::{PageFlags, PageLike};
///
/// struct Frame {
///     flags: PageFlags,
///     maps: u32,
///     count: PageRefs,
/// }
///
/// impl PageLike for Frame {
///     fn flags(&self) -> PageFlags {
///         self.flags
///     }
///     fn map_count(&self) -> u32 {
///         self.maps
///     }
///     fn ref_count(&self) -> i32 {
///         self.count.snapshot().refs
///     }
///     fn exact_pins(&self) -> Option<PinCount> {
///         Some(self.count.snapshot().pins)
///     }
/// }
/// ```
#[derive(Debug)]
pub struct PageRefs {
    bits: AtomicU64,
}

#[cfg(not(loom))]
static_assertions::assert_eq_size!(PageRefs, u64);
static_assertions::assert_impl_all!(PageRefs: Send, Sync);

impl PageRefs {
    /// How many references a page can have beside those of its pins.
    pub const MAX_REFS: u32 = 1 << 20;
    /// How many short pins a page can have.
    pub const MAX_SHORT_PINS: u32 = 1 << 16;
    /// How many long-term pins a page can have: enough for one of each 4 KiB of a 1 GiB page.
    pub const MAX_LONGTERM_PINS: u32 = 1 << 18;

    const_unless_loom! {
        /// A free page that never was pinned. [`unfreeze`](Self::unfreeze) gives it references.
        #[must_use]
        pub fn new() -> Self {
            Self { bits: AtomicU64::new(0) }
        }

        /// A word with these bits, as in the table above.
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
        // Acquire: pairs with the Release of `unpin` and `put_ref`. A reader that finds no pin sees
        // what was done under it.
        self.bits.load(Ordering::Acquire)
    }

    /// The counts and flags at one instant, from one load.
    #[must_use]
    #[inline]
    pub fn snapshot(&self) -> RefsSnapshot {
        Self::decode(self.to_bits())
    }

    /// What the bits of a word say.
    ///
    /// Pure: for representations that keep the word in one of their own. Operations that are being
    /// refused do not show.
    #[must_use]
    #[inline]
    pub const fn decode(bits: u64) -> RefsSnapshot {
        bits::decode(bits)
    }

    /// Takes one reference, unless the page is free or frozen (`get_page_unless_zero`).
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] if it is, [`PinError::Overflow`] at [`MAX_REFS`](Self::MAX_REFS). Nothing
    /// has changed.
    #[inline]
    pub fn try_get_ref(&self) -> Result<(), PinError> {
        // Acquire: pairs with the Release of `unfreeze`. Whoever gets a reference on the page in its
        // new life sees what was changed while it was frozen.
        let before = self.bits.fetch_add(REFS.unit, Ordering::Acquire);
        if before & (LIVE | REFS.high) == LIVE {
            return Ok(());
        }
        let after = before.wrapping_add(REFS.unit);
        REFS.settle_addition(&self.bits, after, refuses_refs)
            .map(drop)
    }

    /// Drops one reference that is not a pin's (`put_page`), and says what that leaves to do.
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if there is no such reference, even if pins are held. Nothing has
    /// changed.
    #[inline]
    pub fn put_ref(&self) -> Result<Released, PinError> {
        // Release: pairs with the Acquire of `freeze` and `release_slow`, so that whatever was done to the
        // page under the reference is over before the page is anything else.
        let before = self.bits.fetch_sub(REFS.unit, Ordering::Release);
        if before & LIVE != 0 && REFS.surely_at_least(before, 2) {
            return Ok(Released::Done);
        }
        self.release_slow(before, REFS)
    }

    /// Takes a pin, which holds a reference, in one atomic step.
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] if the page is free or frozen, [`PinError::Blocked`] if it is being taken
    /// away, [`PinError::Overflow`] at the limit of this kind. Nothing has changed.
    #[inline]
    pub fn pin(&self, kind: PinKind) -> Result<(), PinError> {
        // Acquire: pairs with the Release of `unfreeze` and `unblock`. A pinner without locks adds a
        // fence against the unmapper's (`race::pin_fast`).
        let before = self.bits.fetch_add(unit(kind), Ordering::Acquire);
        if before & (LIVE | BLOCKED | EVER_PINNED | high(kind)) == LIVE | EVER_PINNED {
            return Ok(());
        }
        self.pin_slow(before, kind)
    }

    /// Releases a pin of this kind with its reference, and says what that leaves to do.
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if no pin of this kind is held. Nothing has changed.
    #[inline]
    pub fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        // Release: pairs with the Acquire of `freeze`, `block`, `release_slow` and `to_bits`.
        let before = self.bits.fetch_sub(unit(kind), Ordering::Release);
        if before & (LIVE | BLOCKED | PARKED) == LIVE
            && surely_pinned(before, kind)
            && REFS.surely_at_least(before, 1)
        {
            return Ok(Released::Done);
        }
        self.release_slow(before, field(kind))
    }

    /// Takes the reference count from exactly `expected` to zero, if there is no pin
    /// (`page_ref_freeze`).
    ///
    /// Once it is frozen, nobody gets a reference or a pin until [`unfreeze`](Self::unfreeze). A
    /// page that stays frozen is free.
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] with the reference count that was found, pins included. Also if pins are
    /// among the `expected` references, and for an `expected` below 1. Nothing has changed.
    pub fn freeze(&self, expected: i32) -> Result<(), UnexpectedRefs> {
        // Acquire: pairs with the Release of `put_ref` and `unpin`, so that whatever was done to the
        // page under a reference or a pin is over before the page is anything else.
        update(&self.bits, Ordering::Acquire, |bits| {
            bits::frozen(bits, expected)
        })
        .map(drop)
    }

    /// Gives a free or frozen page `refs` references (`page_ref_unfreeze`).
    ///
    /// A page that is blocked stays blocked.
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] with the reference count that was found if the page is not free. Also for
    /// `refs` below 1 or above [`MAX_REFS`](Self::MAX_REFS), with 0. Nothing has changed.
    pub fn unfreeze(&self, refs: i32) -> Result<(), UnexpectedRefs> {
        let refs = match u32::try_from(refs) {
            Ok(refs @ 1..=Self::MAX_REFS) => refs,
            _ => return Err(UnexpectedRefs(0)),
        };
        // Release: pairs with the Acquire of `try_get_ref` and `pin`.
        update(&self.bits, Ordering::Release, |bits| bits::live(bits, refs)).map(drop)
    }

    /// Blocks new pins, if none is held; references are given as before.
    ///
    /// The unmapper calls it after it has cleared the entries. Then it knows that there is no pin,
    /// and that none will come until [`unblock`](Self::unblock).
    ///
    /// # Errors
    ///
    /// [`PinStateError`] says what is in the way. Nothing has changed.
    pub fn block(&self) -> Result<(), PinStateError> {
        marks::block(&self.bits, bits::pins)
    }

    /// Allows pins again.
    ///
    /// # Errors
    ///
    /// [`PinStateError`] if it was not blocked. Nothing has changed.
    pub fn unblock(&self) -> Result<(), PinStateError> {
        marks::unblock(&self.bits)
    }

    /// Marks a pinned page as parked: the unpin that leaves it without pins answers
    /// [`Unpark`](Released::Unpark) or [`UnparkAndFree`](Released::UnparkAndFree).
    ///
    /// Take the page off its list *first*, then park it. After `Ok` do nothing more with the page
    /// than drop your own reference: its last unpin may be putting it back already. After `Err` the
    /// page is still yours, and you put it back.
    ///
    /// # Errors
    ///
    /// [`PinStateError`] says why not. Nothing has changed.
    pub fn park(&self) -> Result<(), PinStateError> {
        marks::park(&self.bits, bits::pins)
    }

    /// Takes the mark of a parked page, pinned or not: the caller puts it back on a list.
    ///
    /// Of all who unpark, unpin and put, exactly one gets it. The caller's own reference keeps the
    /// page; there is none with the mark.
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
        let field = field(kind);
        let after = before.wrapping_add(field.unit);
        let bits = field.settle_addition(&self.bits, after, refuses_pins)?;
        marks::mark_ever_pinned(&self.bits, bits);
        Ok(())
    }

    /// A put or an unpin that may be the last, or may have to be taken back.
    #[cold]
    fn release_slow(&self, before: u64, field: Field) -> Result<Released, PinError> {
        let after = before.wrapping_sub(field.unit);
        let bits = field.settle_subtraction(&self.bits, after)?;
        if duty(bits) == Released::Done {
            return Ok(Released::Done);
        }
        // Whoever lowers a field to zero comes here, so no duty is forgotten; and each is taken with
        // the flag that stands for it, so none is taken twice. Acquire: pairs with the Release of
        // `put_ref` and `unpin`, and with that of `park`.
        let before = update(&self.bits, Ordering::Acquire, |bits| {
            bits::taken(bits).ok_or(Released::Done)
        });
        Ok(before.map_or_else(|done| done, duty))
    }
}

impl Default for PageRefs {
    fn default() -> Self {
        Self::new()
    }
}

impl Pinnable for PageRefs {
    #[inline]
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.pin(kind)
    }

    #[inline]
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        self.unpin(kind)
    }
}
