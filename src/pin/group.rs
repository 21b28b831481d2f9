//! Pinning several pages or none, and giving them back.

#[cfg(target_has_atomic = "64")]
use super::PinWord;
use super::{BiasedRefs, LargePageRefs, PinError, PinKind, RefsLeft};
use core::fmt;

/// A page that can be pinned.
///
/// Implemented for the crate's counters; an embedder implements it for its own page by forwarding to
/// the counter inside, and adds what only it can do: mark the page dirty, and see to the duty that
/// its last pin leaves.
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
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError>;

    /// Marks the page dirty: a device may have written to it.
    ///
    /// Called while the pin is still held. The default does nothing.
    fn set_dirty(&self) {}

    /// Sees to what an unpin left to do, when this crate made that unpin: a guard that releases, or
    /// [`pin_fast`](super::race::pin_fast) that drops its pin.
    ///
    /// # Contract
    ///
    /// A page whose pin can be its last reference, or that is parked, overrides this: frees it, or
    /// puts it back. The default does nothing, which is right for a bare counter whose holder keeps
    /// a reference of its own, and which otherwise leaves the page at zero references, neither used
    /// nor free. Never called with [`Unpinned::Done`].
    fn settle(&self, duty: Unpinned) {
        let _ = duty;
    }
}

/// What a released pin leaves to do for who released it.
///
/// Complete on purpose: a duty that a caller does not know would not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "an unpin may leave a page to be put back or freed"]
pub enum Unpinned {
    /// Nothing.
    Done,
    /// The page was parked and this was its last pin: put it back on a list. Nobody else will.
    Unpark,
    /// This was the last reference: the page belongs to the caller now, and is freed by it.
    Free,
}

impl From<RefsLeft> for Unpinned {
    fn from(left: RefsLeft) -> Self {
        match left {
            RefsLeft::Some => Self::Done,
            RefsLeft::Last => Self::Free,
        }
    }
}

/// Pins all of `pages`, or none of them.
///
/// # Errors
///
/// [`PinAllError`] with the first page that could not be pinned; the pins taken before it have been
/// released, the latest first.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinError, PinKind, pin_all};
///
/// let pages = [BiasedRefs::new(1), BiasedRefs::new(1)];
/// let guard = pin_all(&pages, PinKind::Short)?;
/// assert_eq!(pages[1].get(), 1025);
/// drop(guard);
///
/// assert!(pages[1].freeze(1).is_ok());
/// let error = pin_all(&pages, PinKind::Short).unwrap_err();
/// assert_eq!((error.index, error.error), (1, PinError::Free));
/// assert_eq!(pages[0].get(), 1);
/// # Ok::<(), pinfold::pin::PinAllError>(())
/// ```
pub fn pin_all<P: Pinnable>(pages: &[P], kind: PinKind) -> Result<PinGuard<'_, P>, PinAllError> {
    pin_all_with(pages, kind, |_, _| Ok(()))
}

/// Pins all of `pages`, or none, asking `admit` for each page before it is pinned.
///
/// `admit` gets the index and the page, and can refuse it for a reason of its own, such as "migrate
/// it first".
///
/// # Errors
///
/// [`PinAllError`] as for [`pin_all`], with the reason of `admit` or the page's, converted.
pub fn pin_all_with<P: Pinnable, E: From<PinError>>(
    pages: &[P],
    kind: PinKind,
    mut admit: impl FnMut(usize, &P) -> Result<(), E>,
) -> Result<PinGuard<'_, P>, PinAllError<E>> {
    let mut taken = Taken {
        pages,
        kind,
        count: 0,
        lost: 0,
    };
    for (index, page) in pages.iter().enumerate() {
        let pinned = admit(index, page).and_then(|()| page.try_pin(kind).map_err(E::from));
        if let Err(error) = pinned {
            taken.give_back();
            let lost = taken.lost;
            return Err(PinAllError { index, error, lost });
        }
        taken.count = index.saturating_add(1);
    }
    taken.count = 0;
    Ok(PinGuard::adopt(pages, kind))
}

/// The first `count` pages, pinned: given back if pinning all of them fails or unwinds.
struct Taken<'a, P: Pinnable> {
    pages: &'a [P],
    kind: PinKind,
    count: usize,
    lost: usize,
}

impl<P: Pinnable> Taken<'_, P> {
    fn give_back(&mut self) {
        while let Some(index) = self.count.checked_sub(1) {
            // Before the page's code is called: it is not called twice if it unwinds.
            self.count = index;
            if let Some(page) = self.pages.get(index) {
                if release(page, self.kind).is_err() {
                    self.lost = self.lost.saturating_add(1);
                }
            }
        }
    }
}

impl<P: Pinnable> Drop for Taken<'_, P> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Pins of several pages, released when it is dropped.
#[must_use = "the pins are released when the guard is dropped"]
pub struct PinGuard<'a, P: Pinnable> {
    pages: &'a [P],
    kind: PinKind,
    dirty: bool,
    /// How many pages from the first on are released.
    released: usize,
}

impl<'a, P: Pinnable> PinGuard<'a, P> {
    /// The guard of pins that were taken already: one of this kind on each page.
    pub(crate) const fn adopt(pages: &'a [P], kind: PinKind) -> Self {
        Self {
            pages,
            kind,
            dirty: false,
            released: 0,
        }
    }

    /// The pinned pages.
    #[must_use]
    pub fn pages(&self) -> &'a [P] {
        self.pages
    }

    /// How long the pins are meant to last.
    #[must_use]
    pub fn kind(&self) -> PinKind {
        self.kind
    }

    /// Whether releasing marks each page dirty first, as a device that writes needs it
    /// (`unpin_user_pages_dirty_lock`). Off at first.
    pub fn set_dirty_on_release(&mut self, dirty: bool) {
        self.dirty = dirty;
    }

    /// Releases the pins, and says whether all were still there to release.
    ///
    /// A page that refuses does not keep the others from being released.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] with the first page that refused and how many did.
    pub fn release(mut self) -> Result<(), ReleaseError> {
        self.release_all()
    }

    /// Marks the pages dirty and releases the pins: [`release`](Self::release) after
    /// [`set_dirty_on_release`](Self::set_dirty_on_release).
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release).
    pub fn release_dirty(mut self) -> Result<(), ReleaseError> {
        self.dirty = true;
        self.release_all()
    }

    fn release_all(&mut self) -> Result<(), ReleaseError> {
        let mut failed: Option<ReleaseError> = None;
        // The counter moves before the page's code is called, so that no page is released twice, and
        // the others are released if it unwinds.
        while let Some(page) = self.pages.get(self.released) {
            let index = self.released;
            self.released = index.saturating_add(1);
            if self.dirty {
                // Before the pin goes: afterwards, reclaim may take the page and drop what the
                // device wrote.
                page.set_dirty();
            }
            if let Err(error) = release(page, self.kind) {
                let first = failed.get_or_insert(ReleaseError {
                    index,
                    error,
                    count: 0,
                });
                first.count = first.count.saturating_add(1);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl<P: Pinnable> Drop for PinGuard<'_, P> {
    fn drop(&mut self) {
        // Who wants to hear of it calls `release`.
        let _ = self.release_all();
    }
}

// Not derived: that a page can be printed is not asked of it.
impl<P: Pinnable> fmt::Debug for PinGuard<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinGuard")
            .field("pages", &self.pages.len())
            .field("kind", &self.kind)
            .field("dirty", &self.dirty)
            .finish()
    }
}

/// The page for which pinning all of them failed, and why. None is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PinAllError<E = PinError> {
    /// The index of the page that was refused.
    pub index: usize,
    /// Why it was.
    pub error: E,
    /// How many of the pins taken before it somebody else had released already: 0, unless a caller
    /// unpins what it has not pinned.
    pub lost: usize,
}

impl<E: fmt::Display> fmt::Display for PinAllError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} was not pinned: {}", self.index, self.error)?;
        match self.lost {
            0 => Ok(()),
            lost => write!(f, "; {lost} pins were already lost"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for PinAllError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Pins of a guard that were no longer there to release; all others have been released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReleaseError {
    /// The index of the first such page.
    pub index: usize,
    /// What it said.
    pub error: PinError,
    /// How many there were.
    pub count: usize,
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            error,
            count,
        } = self;
        write!(
            f,
            "{count} pins were not released, the first on page {index}: {error}"
        )
    }
}

impl core::error::Error for ReleaseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Pinnable for BiasedRefs {
    fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
        self.pin()
    }

    fn unpin(&self, _: PinKind) -> Result<Unpinned, PinError> {
        self.unpin().map(Unpinned::from)
    }
}

impl Pinnable for LargePageRefs {
    fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
        self.pin()
    }

    fn unpin(&self, _: PinKind) -> Result<Unpinned, PinError> {
        self.unpin().map(Unpinned::from)
    }
}

#[cfg(target_has_atomic = "64")]
impl Pinnable for PinWord {
    #[inline]
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.pin(kind)
    }

    #[inline]
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        self.unpin(kind)
    }
}

macro_rules! forward_pinnable {
    ($($reference:ty),*) => {$(
        impl<P: Pinnable + ?Sized> Pinnable for $reference {
            fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
                (**self).try_pin(kind)
            }
            fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
                (**self).unpin(kind)
            }
            fn set_dirty(&self) {
                (**self).set_dirty();
            }
            fn settle(&self, duty: Unpinned) {
                (**self).settle(duty);
            }
        }
    )*};
}

forward_pinnable!(&P, &mut P);

/// Releases one pin and sees to what that leaves to do.
pub(crate) fn release<P: Pinnable>(page: &P, kind: PinKind) -> Result<(), PinError> {
    match page.unpin(kind)? {
        Unpinned::Done => {}
        duty => page.settle(duty),
    }
    Ok(())
}
