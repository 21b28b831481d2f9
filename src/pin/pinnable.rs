//! What a page must do to be pinned, and what an unpin leaves to do.

#[cfg(target_has_atomic = "64")]
use super::PinWord;
use super::{BiasedRefs, LargePageRefs, PinError, PinKind};

/// A page that can be pinned.
///
/// Implemented for the crate's counters. An embedder implements it for its own page by forwarding to
/// the counter in the page, and overrides what only it can do: mark the page dirty, and do what the
/// last unpin leaves to do.
///
/// # Examples
///
/// ```
/// use core::sync::atomic::{AtomicBool, Ordering};
/// use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind, Pinnable, Released};
///
/// struct Frame {
///     refs: BiasedRefs,
///     dirty: AtomicBool,
/// }
///
/// impl Pinnable for Frame {
///     fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
///         self.refs.pin()
///     }
///     fn unpin(&self, _: PinKind) -> Result<Released, PinError> {
///         self.refs.unpin()
///     }
///     fn set_dirty(&self) {
///         self.dirty.store(true, Ordering::Release);
///     }
/// }
///
/// let frame = [Frame { refs: BiasedRefs::new(1), dirty: AtomicBool::new(false) }];
/// let mut buffer = PinGuard::pin(&frame, PinKind::Short)?;
/// buffer.set_dirty_on_release(true);
/// drop(buffer);
/// assert!(frame[0].dirty.load(Ordering::Acquire));
/// # Ok::<(), pinfold::pin::PinAllError>(())
/// ```
pub trait Pinnable {
    /// Takes one pin.
    ///
    /// # Errors
    ///
    /// [`PinError`]; nothing has changed.
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError>;

    /// Releases one pin of the same kind, and says what that leaves to do.
    ///
    /// # Errors
    ///
    /// [`PinError::Underflow`] if no such pin is held; nothing has changed.
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError>;

    /// Marks the page dirty: a device may have written to it.
    ///
    /// Called while the pin is still held. The default does nothing.
    fn set_dirty(&self) {}

    /// Does what an unpin left to do, where this crate called [`unpin`](Self::unpin): when a guard
    /// releases its pins, or [`pin_fast`](super::race::pin_fast) drops one.
    ///
    /// Never called with [`Released::Done`]. The default does nothing.
    ///
    /// # Contract
    ///
    /// A page that is parked, or whose last reference can be a pin, overrides it: puts the page back
    /// on its list, or frees it. With the default such a page would stay off its list, or stay
    /// allocated with no reference.
    fn settle(&self, duty: Released) {
        let _ = duty;
    }
}

/// What a released pin leaves to do for the caller that released it.
///
/// Exhaustive: what a caller does not know it would not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "an unpin may leave a page to be put back or freed"]
pub enum Released {
    /// Nothing.
    Done,
    /// The page was parked and this was its last pin: put it back on a list. Nobody else will. The
    /// reference that the pin held is still held: drop it afterwards.
    Unpark,
    /// This was the last reference: the caller owns the page now, and frees it.
    Free,
    /// The page was parked, so it is on no list, and this was the last reference, so the caller
    /// frees it.
    UnparkAndFree,
}

impl Pinnable for BiasedRefs {
    fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
        self.pin()
    }

    fn unpin(&self, _: PinKind) -> Result<Released, PinError> {
        self.unpin()
    }
}

impl Pinnable for LargePageRefs {
    fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
        self.pin()
    }

    fn unpin(&self, _: PinKind) -> Result<Released, PinError> {
        self.unpin()
    }
}

#[cfg(target_has_atomic = "64")]
impl Pinnable for PinWord {
    #[inline]
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.pin(kind)
    }

    #[inline]
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        self.unpin(kind)
    }
}

macro_rules! forward_pinnable {
    ($($reference:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<P: Pinnable + ?Sized> Pinnable for $reference {
            fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
                (**self).try_pin(kind)
            }
            fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
                (**self).unpin(kind)
            }
            fn set_dirty(&self) {
                (**self).set_dirty();
            }
            fn settle(&self, duty: Released) {
                (**self).settle(duty);
            }
        }
    )*};
}

forward_pinnable!(&P, &mut P);

/// Releases one pin and does what that leaves to do.
pub(crate) fn release<P: Pinnable>(page: &P, kind: PinKind) -> Result<(), PinError> {
    match page.unpin(kind)? {
        Released::Done => {}
        duty => page.settle(duty),
    }
    Ok(())
}
