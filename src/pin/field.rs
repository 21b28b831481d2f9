//! Counts in fields of one 64-bit word, each changed by one atomic addition or subtraction.
//!
//! An addition or a subtraction is made first and judged by the value before it. One that is
//! refused is taken back, so for a moment a field may be above its range or below zero. The flags
//! are at the bottom of the word, where no carry or borrow arrives, and a field below zero borrows
//! from the one above it, which [`Field::value`] corrects. So taking back restores every bit, in
//! whatever order operations mix.
//!
//! A refused operation looks at the word again before it is taken back, because the word may have
//! changed since:
//!
//! - A refused subtraction finds the field at zero or above: another operation has added what it
//!   subtracted. It is not taken back, and has succeeded.
//! - A refused addition finds that nothing refuses it any more: it is not taken back, and has
//!   succeeded.
//! - A refused addition finds the field at zero or below: another operation has subtracted what it
//!   added. There is nothing to take back.
//!
//! So at rest no field is below zero, and a field that is closed to additions is zero: what is taken
//! back is always still there.

use super::PinError;
use crate::sync::{AtomicU64, Ordering};

/// A field of a word, as a signed digit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// One, at the field's place.
    pub(super) unit: u64,
    /// The bits of the field that are clear from 0 to `max` - 1.
    pub(super) high: u64,
    max: i64,
    /// How many bits are above the field.
    above: u32,
    /// How many bits of the word are not the field's.
    others: u32,
    /// The sign of the field below; 0 if there are only flags below.
    borrow: u64,
}

impl Field {
    /// The field of `width` bits above `below` bits, of which the lowest field has only flags below
    /// it. It counts up to 2 to the power of `max_log2`, which leaves room above it for refused
    /// additions.
    #[allow(clippy::arithmetic_side_effects)] // evaluated at compile time
    pub(super) const fn new(below: u32, width: u32, max_log2: u32, lowest: bool) -> Self {
        let above = 64 - below - width;
        Self {
            unit: 1 << below,
            high: (u64::MAX << (below + max_log2)) << above >> above,
            max: 1 << max_log2,
            above,
            others: 64 - width,
            borrow: if lowest { 0 } else { 1 << (below - 1) },
        }
    }

    /// `count`, at the field's place.
    #[inline]
    pub(super) const fn times(self, count: u32) -> u64 {
        self.unit.wrapping_mul(count as u64)
    }

    /// What the field counts.
    #[inline]
    pub(super) const fn value(self, bits: u64) -> i64 {
        let digit = signed(bits.wrapping_shl(self.above)).wrapping_shr(self.others);
        let borrowed = bits & self.borrow != 0;
        digit.wrapping_add(borrowed as i64)
    }

    /// What the field counts, or 0 while it is below zero.
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 31 bits at most, checked
    pub(super) const fn count(self, bits: u64) -> u32 {
        let value = self.value(bits);
        if value < 0 { 0 } else { value as u32 }
    }

    /// Whether the field is at least `count` even if another one borrows from it: cheaper than
    /// [`value`](Self::value).
    #[inline]
    pub(super) const fn surely_at_least(self, bits: u64, count: i64) -> bool {
        signed(bits.wrapping_shl(self.above)) >= count.wrapping_shl(self.others)
    }

    /// Takes back an addition of one to `word`, after which it was `bits`, unless it need not be.
    ///
    /// `refusal` says why a word with these bits takes no addition.
    #[cold]
    pub(super) fn settle_addition(
        self,
        word: &AtomicU64,
        mut bits: u64,
        refusal: impl Fn(u64) -> Option<PinError>,
    ) -> Result<u64, PinError> {
        loop {
            let value = self.value(bits);
            let why = match refusal(bits) {
                Some(why) => why,
                None if value > self.max => PinError::Overflow,
                None => return Ok(bits),
            };
            if value <= 0 {
                return Err(why);
            }
            // Relaxed on success: a refused addition did nothing that anybody must see. Acquire on
            // failure: pairs with the Release that opens the field, as `unblock` does.
            match word.compare_exchange_weak(
                bits,
                bits.wrapping_sub(self.unit),
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return Err(why),
                Err(now) => bits = now,
            }
        }
    }

    /// Takes back a subtraction of one from `word`, after which it was `bits`, if the field is below
    /// zero. Otherwise gives the bits that it was judged by.
    #[cold]
    pub(super) fn settle_subtraction(
        self,
        word: &AtomicU64,
        mut bits: u64,
    ) -> Result<u64, PinError> {
        while self.value(bits) < 0 {
            // Relaxed: a refused subtraction did nothing that anybody must see, and one that is not
            // refused was a Release when it was made.
            match word.compare_exchange_weak(
                bits,
                bits.wrapping_add(self.unit),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Err(PinError::Underflow),
                Err(now) => bits = now,
            }
        }
        Ok(bits)
    }
}

/// Changes `word` as `decide` says, and gives the bits before. What a refusal saw is only reported,
/// so it is read with Relaxed.
pub(super) fn update<E>(
    word: &AtomicU64,
    success: Ordering,
    decide: impl Fn(u64) -> Result<u64, E>,
) -> Result<u64, E> {
    let mut found = word.load(Ordering::Relaxed);
    loop {
        let next = decide(found)?;
        match word.compare_exchange_weak(found, next, success, Ordering::Relaxed) {
            Ok(before) => return Ok(before),
            Err(now) => found = now,
        }
    }
}

const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}
