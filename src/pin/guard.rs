//! Pins of several pages, taken together and released together.

use super::pinnable::{Pinnable, release};
use super::{PinError, PinKind};
use core::fmt;
use core::marker::PhantomData;

/// Pins of several pages: all of them were taken, and all are released when it is dropped.
///
/// `S` is where the pages are kept: `&[P]`, `[P; N]`, `Vec<P>`, `Arc<[P]>`, whatever is
/// `AsRef<[P]>`. A driver owns its pages and their pins together, in one field, if `S` owns them.
/// `P` is the page or a handle of it, such as a reference or a frame number.
///
/// Pins are released from the last page to the first. A page whose code unwinds meanwhile does not
/// keep the others from being released. One whose [`set_dirty`](Pinnable::set_dirty) unwinds stays
/// pinned, because reclaim could drop what the device wrote to it.
///
/// # Contract
///
/// `S` gives the same pages in the same order each time it is asked. What is put in later is not
/// pinned by this guard.
///
/// # Examples
///
/// A driver that owns its buffer:
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinAllError, PinGuard, PinKind};
///
/// struct Ring {
///     buffer: PinGuard<BiasedRefs, Vec<BiasedRefs>>,
/// }
///
/// impl Ring {
///     fn new(pages: Vec<BiasedRefs>) -> Result<Self, PinAllError> {
///         let mut buffer = PinGuard::pin(pages, PinKind::Longterm)?;
///         buffer.set_dirty_on_release(true); // The device writes to it.
///         Ok(Self { buffer })
///     }
/// }
///
/// let mut ring = Ring::new(vec![BiasedRefs::new(1), BiasedRefs::new(1)])?;
/// assert_eq!(ring.buffer.pages()[1].get(), 1025);
/// ring.buffer.release_last(1).unwrap();
/// assert_eq!(ring.buffer.pages().len(), 1);
/// # Ok::<(), PinAllError>(())
/// ```
///
/// All or none:
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind};
///
/// let pages = [BiasedRefs::new(1), BiasedRefs::new(1)];
/// assert!(pages[1].freeze(1).is_ok());
/// let error = PinGuard::pin(&pages, PinKind::Short).unwrap_err();
/// assert_eq!((error.index, error.error), (1, PinError::Free));
/// assert_eq!(pages[0].get(), 1);
/// ```
#[must_use = "the pins are released when the guard is dropped"]
pub struct PinGuard<P: Pinnable, S: AsRef<[P]>> {
    pages: S,
    /// The first so many pages are pinned.
    pinned: usize,
    kind: PinKind,
    dirty: bool,
    page: PhantomData<fn(&P)>,
}

impl<P: Pinnable, S: AsRef<[P]>> PinGuard<P, S> {
    /// Pins all of `pages`, or none of them.
    ///
    /// # Errors
    ///
    /// [`PinAllError`] with the first page that could not be pinned; the pins taken before it have
    /// been released. `pages` is dropped: give a reference to keep it.
    pub fn pin(pages: S, kind: PinKind) -> Result<Self, PinAllError> {
        Self::pin_with(pages, kind, |_, page| page.try_pin(kind))
    }

    /// Pins all of `pages`, or none of them, with the caller's own way to pin one.
    ///
    /// `pin` gets the index and the page. It takes one pin of this kind, by
    /// [`try_pin`](Pinnable::try_pin) or [`pin_fast`](super::race::pin_fast), or refuses for a
    /// reason of its own and takes none.
    ///
    /// # Errors
    ///
    /// As for [`pin`](Self::pin), with the error of `pin`.
    pub fn pin_with<E>(
        pages: S,
        kind: PinKind,
        mut pin: impl FnMut(usize, &P) -> Result<(), E>,
    ) -> Result<Self, PinAllError<E>> {
        let mut guard = Self::of_none(pages, kind);
        for (index, page) in guard.pages.as_ref().iter().enumerate() {
            if let Err(error) = pin(index, page) {
                return Err(guard.refused(index, error));
            }
            guard.pinned = index.saturating_add(1);
        }
        Ok(guard)
    }

    /// Pins all pages that an iterator gives, or none of them, and collects them.
    ///
    /// `pin` is as for [`pin_with`](Self::pin_with). Each page is put in the collection before it is
    /// pinned.
    ///
    /// # Errors
    ///
    /// As for [`pin`](Self::pin), with the error of `pin`; [`PinError::Overflow`] if the collection
    /// does not take the page.
    ///
    /// # Examples
    ///
    /// ```
    /// use pinfold::pin::race::{FastPinError, pin_fast};
    /// use pinfold::pin::{BiasedRefs, PinGuard, PinKind};
    ///
    /// let frames = [BiasedRefs::new(1), BiasedRefs::new(1)];
    /// let entries = [1, 0];
    /// let found = entries.iter().map(|&entry| &frames[entry]);
    /// let guard: PinGuard<_, Vec<_>> = PinGuard::pin_each(found, PinKind::Short, |index, page| {
    ///     let reread = || entries[index];
    ///     pin_fast(page, PinKind::Short, entries[index], reread)
    /// })?;
    /// assert_eq!(guard.pages()[0].get(), 1025);
    /// # Ok::<(), pinfold::pin::PinAllError<FastPinError>>(())
    /// ```
    pub fn pin_each<E: From<PinError>>(
        pages: impl IntoIterator<Item = P>,
        kind: PinKind,
        mut pin: impl FnMut(usize, &P) -> Result<(), E>,
    ) -> Result<Self, PinAllError<E>>
    where
        S: Default + Extend<P>,
    {
        let mut guard = Self::of_none(S::default(), kind);
        for (index, page) in pages.into_iter().enumerate() {
            // First, so that a collection that unwinds takes no pinned page with it.
            guard.pages.extend(Some(page));
            let pinned = match guard.pages.as_ref().get(index) {
                Some(page) => pin(index, page),
                None => Err(E::from(PinError::Overflow)),
            };
            if let Err(error) = pinned {
                return Err(guard.refused(index, error));
            }
            guard.pinned = index.saturating_add(1);
        }
        Ok(guard)
    }

    /// Takes over pins that were taken already, one of this kind on each page.
    ///
    /// A guard that is given up with [`core::mem::forget`] leaves its pins to be taken over.
    pub fn adopt(pages: S, kind: PinKind) -> Self {
        let mut guard = Self::of_none(pages, kind);
        guard.pinned = guard.pages.as_ref().len();
        guard
    }

    /// A guard that has pinned none of its pages yet.
    pub(crate) const fn of_none(pages: S, kind: PinKind) -> Self {
        Self {
            pages,
            pinned: 0,
            kind,
            dirty: false,
            page: PhantomData,
        }
    }

    /// The pages that are pinned.
    #[must_use]
    pub fn pages(&self) -> &[P] {
        let pages = self.pages.as_ref();
        pages.get(..self.pinned).unwrap_or(pages)
    }

    /// How long the pins are meant to last.
    #[must_use]
    pub fn kind(&self) -> PinKind {
        self.kind
    }

    /// Whether releasing marks each page dirty first, as a device that writes needs it
    /// (`unpin_user_pages_dirty_lock`, `mm/gup.c`, 5.8). Off at first.
    pub fn set_dirty_on_release(&mut self, dirty: bool) {
        self.dirty = dirty;
    }

    /// Releases the pins, and says whether all were still there to release.
    ///
    /// Afterwards no page is pinned by this guard. A page that refuses does not keep the others
    /// from being released.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] with the first page that refused and how many did.
    pub fn release(&mut self) -> Result<(), ReleaseError> {
        self.release_last(usize::MAX)
    }

    /// Releases the pins of the last `count` pages that are pinned, or of all if there are fewer.
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release).
    pub fn release_last(&mut self, count: usize) -> Result<(), ReleaseError> {
        let left = self.pinned.saturating_sub(count);
        let releasing = Releasing { guard: self, left };
        releasing.guard.release_until(left)
    }

    fn release_until(&mut self, left: usize) -> Result<(), ReleaseError> {
        let mut failed: Option<ReleaseError> = None;
        while let Some(index) = self.pinned.checked_sub(1).filter(|&index| index >= left) {
            // Before the page's code is called: it is not called twice if it unwinds.
            self.pinned = index;
            let Some(page) = self.pages.as_ref().get(index) else {
                continue;
            };
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

    /// All pages, also those that are not pinned.
    pub(crate) fn all_pages(&self) -> &[P] {
        self.pages.as_ref()
    }

    pub(crate) fn all_pages_mut(&mut self) -> &mut [P]
    where
        S: AsMut<[P]>,
    {
        self.pages.as_mut()
    }

    /// The first `pinned` pages are pinned, and no other.
    pub(crate) fn set_pinned(&mut self, pinned: usize) {
        self.pinned = pinned;
    }

    /// Gives back what was pinned before a page refused.
    fn refused<E>(&mut self, index: usize, error: E) -> PinAllError<E> {
        let lost = self.release().err().map_or(0, |failed| failed.count);
        PinAllError { index, error, lost }
    }
}

impl<P: Pinnable, S: AsRef<[P]>> Drop for PinGuard<P, S> {
    fn drop(&mut self) {
        // The error is for callers of `release`; a drop cannot return it.
        let _ = self.release();
    }
}

/// Releases the other pages if the code of one unwinds: a `drop` that unwinds is not called again.
struct Releasing<'g, P: Pinnable, S: AsRef<[P]>> {
    guard: &'g mut PinGuard<P, S>,
    left: usize,
}

impl<P: Pinnable, S: AsRef<[P]>> Drop for Releasing<'_, P, S> {
    fn drop(&mut self) {
        let _ = self.guard.release_until(self.left);
    }
}

// Not derived: that a page can be printed is not asked of it.
impl<P: Pinnable, S: AsRef<[P]>> fmt::Debug for PinGuard<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinGuard")
            .field("pinned", &self.pinned)
            .field("kind", &self.kind)
            .field("dirty", &self.dirty)
            .finish()
    }
}

/// Why several pages were not pinned. None of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PinAllError<E = PinError> {
    /// The index of the page that was refused.
    pub index: usize,
    /// Why it was refused.
    pub error: E,
    /// How many of the pins taken before it were gone when they were to be given back: 0, unless
    /// somebody unpins what it has not pinned.
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
///
/// It means that somebody unpins what it has not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReleaseError {
    /// The index of the first such page that was met.
    pub index: usize,
    /// Why it refused.
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
