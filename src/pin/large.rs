//! Pins of large pages: an exact count beside the reference count.

use super::{BiasedRefs, PinCount, PinError, Released, UnexpectedRefs};
use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// A large page's reference count, and an exact count of its pins beside it.
///
/// Linux 5.8 keeps `compound_pincount` for pages of more than two base pages
/// (`hpage_pincount_available`): a pin is one reference and one in that count, so a page that is
/// mapped and pinned often does not run out of references. Short and long-term pins are not counted
/// apart.
///
/// # Order
///
/// A pin takes its reference first and is counted second; on release it is uncounted first and its
/// reference dropped second. So there are never more pins than references: who sees a pin counted
/// cannot freeze the page, and while a pin comes or goes it errs towards an unexplained reference.
///
/// # Contract
///
/// The reference count does not tell the references of pins from others. One
/// [`put_ref`](Self::put_ref) too many drops the reference of a pin, and the last one then answers
/// [`Released::Free`] under that pin.
#[derive(Debug)]
pub struct LargePageRefs {
    refs: BiasedRefs,
    pins: AtomicU32,
}

#[cfg(not(loom))]
static_assertions::assert_eq_size!(LargePageRefs, u64);
static_assertions::assert_impl_all!(LargePageRefs: Send, Sync);

impl LargePageRefs {
    const_unless_loom! {
        /// A page with `refs` references and no pin; 0 is a free page.
        #[must_use]
        pub fn new(refs: i32) -> Self {
            Self { refs: BiasedRefs::new(refs), pins: AtomicU32::new(0) }
        }

        /// A page with `refs` references, of which `pins` are pins.
        ///
        /// For restoring a state, and for tests at the limits.
        #[must_use]
        pub fn with_pins(refs: i32, pins: u32) -> Self {
            Self { refs: BiasedRefs::new(refs), pins: AtomicU32::new(pins) }
        }
    }

    /// The reference count: one for each pin, and the ordinary references.
    #[must_use]
    pub fn get(&self) -> i32 {
        self.refs.get()
    }

    /// How many pins are held, exactly: what
    /// [`PageLike::exact_pins`](crate::PageLike::exact_pins) asks for.
    #[must_use]
    pub fn exact_pins(&self) -> PinCount {
        PinCount {
            // Acquire: pairs with the Release in `unpin`. A reader that finds no pin
            // sees what was done under the pins.
            total: self.pins.load(Ordering::Acquire),
            longterm: None,
        }
    }

    /// Takes one ordinary reference; see [`BiasedRefs::try_get_ref`].
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] or [`PinError::Overflow`]. Nothing has changed.
    pub fn try_get_ref(&self) -> Result<(), PinError> {
        self.refs.try_get_ref()
    }

    /// Drops one ordinary reference; see [`BiasedRefs::put_ref`].
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if none is left. Nothing has changed.
    pub fn put_ref(&self) -> Result<Released, PinError> {
        self.refs.put_ref()
    }

    /// Pins the page: one reference, and one in the exact count.
    ///
    /// # Errors
    ///
    /// [`PinError::Free`] if the page is free or frozen, [`PinError::Overflow`] if either count is
    /// at its end. Nothing has changed.
    pub fn pin(&self) -> Result<(), PinError> {
        self.refs.try_get_ref()?;
        // Relaxed: the reference that was taken orders the pin; a lock-free pinner adds a fence
        // (`race::pin_fast`).
        let counted = self
            .pins
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pins| {
                pins.checked_add(1)
            });
        match counted {
            Ok(_) => Ok(()),
            Err(_) => self.refuse(),
        }
    }

    /// Releases one pin.
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if no pin is held. Nothing has changed.
    pub fn unpin(&self) -> Result<Released, PinError> {
        // Release: pairs with the Acquire of `exact_pins`.
        self.pins
            .fetch_update(Ordering::Release, Ordering::Relaxed, |pins| {
                pins.checked_sub(1)
            })
            .map_err(|_| PinError::Underflow)?;
        let left = self.refs.put_ref();
        if left.is_err() {
            // Somebody dropped a reference that was this pin's; the pin is all that is left of it.
            self.pins.fetch_add(1, Ordering::Relaxed);
        }
        left
    }

    /// Takes the reference count from exactly `expected` to zero; see [`BiasedRefs::freeze`].
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] with the count that was found. Nothing has changed.
    pub fn freeze(&self, expected: i32) -> Result<(), UnexpectedRefs> {
        self.refs.freeze(expected)
    }

    /// Gives a frozen or free page `refs` references; see [`BiasedRefs::unfreeze`].
    ///
    /// # Errors
    ///
    /// [`UnexpectedRefs`] if the page is not frozen. Nothing has changed.
    pub fn unfreeze(&self, refs: i32) -> Result<(), UnexpectedRefs> {
        self.refs.unfreeze(refs)
    }

    #[cold]
    fn refuse(&self) -> Result<(), PinError> {
        // The exact count is at its end, so 2^32 - 1 pins hold references beside this one: it is
        // not the last.
        self.refs.put_ref().map(drop)?;
        Err(PinError::Overflow)
    }
}
