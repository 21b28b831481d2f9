//! Pins in the reference count, 1024 references each: Linux's representation for small pages.

use super::{PinError, Released};
use crate::sync::{AtomicI32, Ordering, const_unless_loom, fence};
use core::fmt;

/// How many references one pin counts for (`GUP_PIN_COUNTING_BIAS`, `include/linux/mm.h`, 5.8).
pub const PIN_BIAS: u32 = 1024;

/// A page's reference count in which a pin counts for [`PIN_BIAS`] references.
///
/// | count | means |
/// | --- | --- |
/// | below 0 | overflowed by somebody else; nothing is taken from it or added to it here |
/// | 0 | free, or frozen by [`freeze`](Self::freeze); nobody gets a reference |
/// | 1 to 1023 | that many references, no pin |
/// | 1024 to [`i32::MAX`] | references and pins; which, the count does not say |
///
/// A refusal changes nothing: the bits before and after are the same, and no other thread sees a
/// value in between.
///
/// # Contract
///
/// References and pins look alike. An unpin without a pin, on a page with 1024 ordinary references,
/// releases those: no count can tell.
///
/// This count knows only the pins that are taken from it. Where pins are counted elsewhere, as in a
/// [`PinWord`](super::PinWord) beside it, each of those pins must hold a reference here: taken
/// before the pin, and dropped after the unpin. Otherwise [`put_ref`](Self::put_ref) answers
/// [`Released::Free`] and [`freeze`](Self::freeze) succeeds while the page is pinned.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinError, Released};
///
/// let refs = BiasedRefs::new(1);
/// refs.pin()?;
/// assert_eq!(refs.get(), 1025);
/// assert!(refs.freeze(1).is_err(), "a pinned page is not freed");
/// assert_eq!(refs.unpin(), Ok(Released::Done));
/// assert_eq!(refs.unpin(), Err(PinError::Underflow));
/// assert!(refs.freeze(1).is_ok());
/// assert_eq!(refs.pin(), Err(PinError::Free));
/// # Ok::<(), PinError>(())
/// ```
#[derive(Debug)]
pub struct BiasedRefs {
    refs: AtomicI32,
}

#[cfg(not(loom))]
static_assertions::assert_eq_size!(BiasedRefs, i32);
static_assertions::assert_impl_all!(BiasedRefs: Send, Sync);

impl BiasedRefs {
    const_unless_loom! {
        /// A count of `refs` references, pins included; 0 is a free page.
        #[must_use]
        pub fn new(refs: i32) -> Self {
            Self { refs: AtomicI32::new(refs) }
        }
    }

    /// The count: what [`PageLike::ref_count`](crate::PageLike::ref_count) asks for.
    #[must_use]
    pub fn get(&self) -> i32 {
        // Acquire: pairs with the Release of every change of the count, so that what is read after
        // it (the mappings, for a refined reading) is at least as new.
        self.refs.load(Ordering::Acquire)
    }

    /// Takes one reference, unless the page is free or frozen (`get_page_unless_zero`).
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] at zero, [`PinError::Overflow`] at the end of the counter or when it has
    /// overflowed already. Nothing has changed.
    pub fn try_get_ref(&self) -> Result<(), PinError> {
        self.add(1)
    }

    /// Drops one reference (`put_page_testzero`).
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if none is left. Nothing has changed.
    pub fn put_ref(&self) -> Result<Released, PinError> {
        self.sub(1)
    }

    /// Pins the page: takes [`PIN_BIAS`] references at once (`try_grab_page`).
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] at zero, [`PinError::Overflow`] if the count has no room for another
    /// 1024 or has overflowed already. Nothing has changed.
    pub fn pin(&self) -> Result<(), PinError> {
        self.add(BIAS)
    }

    /// Releases one pin (`unpin_user_page`).
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if there are fewer than 1024 references. Nothing has changed.
    pub fn unpin(&self) -> Result<Released, PinError> {
        self.sub(BIAS)
    }

    /// Takes the count from exactly `expected` to zero: the one way in which a page that others can
    /// find becomes free (`page_ref_freeze`).
    ///
    /// A page that somebody holds beside the `expected` references, pinned or not, is not frozen.
    /// Once it is, nobody gets a reference or a pin until [`unfreeze`](Self::unfreeze).
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] with the count that was found; also for an `expected` below 1, since a
    /// free page has its owner already. Nothing has changed.
    pub fn freeze(&self, expected: i32) -> Result<(), UnexpectedRefs> {
        if expected < 1 {
            return Err(UnexpectedRefs(self.get()));
        }
        // Acquire: pairs with the Release in `sub`, so that whatever was done to the page under a
        // reference or a pin is over before the page is anything else.
        self.refs
            .compare_exchange(expected, 0, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
            .map_err(UnexpectedRefs)
    }

    /// Gives a frozen or free page `refs` references (`page_ref_unfreeze`).
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] with the count that was found if the page is not frozen; also for `refs`
    /// below 1, with 0. Nothing has changed.
    pub fn unfreeze(&self, refs: i32) -> Result<(), UnexpectedRefs> {
        if refs < 1 {
            return Err(UnexpectedRefs(0));
        }
        // Release: pairs with the Acquire in `add`. A caller that gets a new reference
        // sees what was changed while the page was frozen, such as the entry that no longer maps it.
        self.refs
            .compare_exchange(0, refs, Ordering::Release, Ordering::Relaxed)
            .map(drop)
            .map_err(UnexpectedRefs)
    }

    fn add(&self, count: i32) -> Result<(), PinError> {
        // Acquire: pairs with the Release of `unfreeze`. Release: pairs with the Acquire of `get`;
        // who sees this reference sees what its taker did before.
        self.refs
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |refs| {
                if refs > 0 {
                    refs.checked_add(count)
                } else {
                    None
                }
            })
            .map(drop)
            .map_err(|refs| {
                if refs == 0 {
                    PinError::Free
                } else {
                    PinError::Overflow
                }
            })
    }

    fn sub(&self, count: i32) -> Result<Released, PinError> {
        // Release: pairs with the Acquire of `freeze` and with the fence below.
        let before = self
            .refs
            .fetch_update(Ordering::Release, Ordering::Relaxed, |refs| {
                refs.checked_sub(count).filter(|&left| left >= 0)
            })
            .map_err(|_| PinError::Underflow)?;
        if before != count {
            return Ok(Released::Done);
        }
        // Pairs with the Release of all who dropped theirs earlier: the page is ours alone now.
        fence(Ordering::Acquire);
        Ok(Released::Free)
    }
}

/// The count that was found where another was expected. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnexpectedRefs(pub i32);

impl fmt::Display for UnexpectedRefs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page has {} references", self.0)
    }
}

impl core::error::Error for UnexpectedRefs {}

const BIAS: i32 = 1024;
static_assertions::const_assert_eq!(BIAS as u32, PIN_BIAS);
