//! Pinning an object where it may be: all of its pages or none, moving first what must not stay.

use super::books::Books;
use super::decide::{Facts, Placed, Placement, Rule, WhyMigrate, WhyNot, decide};
use super::may::{Refusal, may};
use crate::pin::{LedgerError, PinGuard, PinKind, Pinnable, release};
use crate::policy::{Context, Operation, PinPolicy, SkipOpportunistic};
use core::fmt;

/// Pins all of `pages`, or none, where each may be pinned for as long as is meant.
///
/// The books are charged once, for the whole object. Then all pages are pinned; a page that is
/// refused ends it. Then those that must not stay are taken one by one: the pin given back,
/// `migrate` called, the page asked again and pinned; up to
/// [`attempts`](PlaceRequest::attempts) times. [Why reclaim takes none of them
/// meanwhile](super#no-page-is-taken-from-an-object-that-is-being-pinned).
///
/// Linux 5.8 pins a CMA page where it is if it could not be migrated
/// (`check_and_migrate_cma_pages`, `mm/gup.c`); here, as in later Linux, that is an error.
///
/// A page that others hold pinned is not given to `migrate`, if the policy refuses that; it counts
/// as an attempt.
///
/// # Contract
///
/// - The caller holds a reference of its own on every page, and on the one that `migrate` puts in a
///   page's place, for as long as the call lasts.
/// - `migrate` moves the page to where it may stay, and replaces it in its place by the page that it
///   now is (of the same size; with its contents), or leaves it as it was and fails. It takes the
///   page off its list *before* it allocates, so that no reclaim that it sets off finds it.
///
/// # Errors
///
/// [`PlaceError`]: which page stopped it and why. No page is pinned and nothing is charged; pages
/// that were moved stay where they are now.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinError, PinKind, Pinnable, Unpinned};
/// use pinfold::placement::{Placed, PlaceRequest, WhyMigrate, Zone, place_and_pin};
/// use pinfold::{PageFlags, PageLike};
///
/// struct Frame {
///     refs: BiasedRefs,
///     zone: Zone,
/// }
///
/// impl PageLike for Frame {
///     fn flags(&self) -> PageFlags {
///         PageFlags::ANON
///     }
///     fn ref_count(&self) -> i32 {
///         self.refs.get()
///     }
///     fn map_count(&self) -> u32 {
///         0
///     }
/// }
///
/// impl Placed for Frame {
///     fn zone(&self) -> Zone {
///         self.zone
///     }
/// }
///
/// impl Pinnable for Frame {
///     fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
///         self.refs.pin()
///     }
///     fn unpin(&self, _: PinKind) -> Result<Unpinned, PinError> {
///         self.refs.unpin().map(Unpinned::from)
///     }
/// }
///
/// let frame = |zone| Frame { refs: BiasedRefs::new(1), zone };
/// let (a, b, spare) = (frame(Zone::Normal), frame(Zone::Movable), frame(Zone::Normal));
/// let mut object = [&a, &b];
///
/// let request = PlaceRequest::new(PinKind::Longterm);
/// let placed = place_and_pin(&mut object, &request, &mut (), |page, _: WhyMigrate| {
///     *page = &spare;
///     Ok::<(), core::convert::Infallible>(())
/// });
/// let placed = placed.unwrap();
/// assert_eq!([a.refs.get(), b.refs.get(), spare.refs.get()], [1025, 1, 1025]);
/// placed.pins.release()?;
/// # Ok::<(), pinfold::pin::ReleaseError>(())
/// ```
pub fn place_and_pin<'a, P, B, L, E>(
    pages: &'a mut [P],
    request: &PlaceRequest<L>,
    books: &mut B,
    migrate: impl FnMut(&mut P, WhyMigrate) -> Result<(), E>,
) -> Result<PlacedPins<'a, P, B::Charge>, PlaceError<E>>
where
    P: Placed + Pinnable,
    B: Books + ?Sized,
    L: PinPolicy,
{
    let base_pages = pages.iter().fold(0u64, |sum, page| {
        sum.saturating_add(u64::from(page.base_pages()))
    });
    let charge = books
        .charge(request.kind, base_pages)
        .map_err(|error| PlaceError {
            index: None,
            stop: PlaceStop::Refused(WhyNot::from(error)),
            lost: 0,
            books: None,
        })?;
    let mut object = Object {
        pages,
        kind: request.kind,
        taken: 0,
        in_hand: None,
        lost: 0,
    };
    match object.pin_and_place(request, migrate) {
        Ok(()) => Ok(PlacedPins {
            pins: object.into_guard(),
            charge,
        }),
        Err((index, stop)) => {
            object.give_back();
            Err(PlaceError {
                index: Some(index),
                stop,
                lost: object.lost,
                books: books.release(charge).err(),
            })
        }
    }
}

/// How an object is to be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaceRequest<L = SkipOpportunistic> {
    /// How long the pins are meant to last.
    pub kind: PinKind,
    /// From where pages must go before a long-term pin.
    pub rule: Rule,
    /// How often each page is tried to be moved; with 0, none is.
    pub attempts: u32,
    /// Which pins of others stand against a migration.
    pub policy: L,
    /// Who asks.
    pub context: Context,
}

impl PlaceRequest {
    /// The default for pins of this kind: today's [`Rule`], three attempts,
    /// [`SkipOpportunistic`].
    #[must_use]
    pub fn new(kind: PinKind) -> Self {
        Self {
            kind,
            rule: Rule::default(),
            attempts: 3,
            policy: SkipOpportunistic::new(),
            context: Context::default(),
        }
    }
}

impl<L> PlaceRequest<L> {
    /// The answer for one page. A page that is pinned is not asked whether it could be.
    fn ask<P: Placed>(&self, page: &P, pinned: bool) -> Placement {
        decide(Facts {
            kind: self.kind,
            zone: page.zone(),
            rule: self.rule,
            refusal: if pinned {
                None
            } else {
                page.pinnable(self.kind).err()
            },
            pages: u64::from(page.base_pages()),
            // The whole object was charged already.
            room: None,
        })
    }
}

/// An object that is pinned where it may be.
#[derive(Debug)]
#[must_use = "the pins are released when it is dropped, and the charge stays"]
pub struct PlacedPins<'a, P: Pinnable, C> {
    /// The pins.
    pub pins: PinGuard<'a, P>,
    /// What they were charged as, for [`Books::release`] when they are released.
    pub charge: C,
}

/// Why an object was not pinned. No page of it is, and nothing is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaceError<E> {
    /// The page that stopped it; `None` if the whole object was refused.
    pub index: Option<usize>,
    /// What stopped it.
    pub stop: PlaceStop<E>,
    /// How many of the pins taken here somebody else had released already: 0, unless a caller
    /// unpins what it has not pinned.
    pub lost: usize,
    /// What the books had against taking the charge back; then it is still on them.
    pub books: Option<LedgerError>,
}

/// What stopped an object from being pinned. After an attempt to move a page, the last failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlaceStop<E> {
    /// The pin was refused.
    Refused(WhyNot),
    /// The page has to be moved, and others hold it pinned.
    Held(Refusal),
    /// The page has to be moved, and `migrate` failed.
    NotMigrated(WhyMigrate, E),
    /// The page has to be moved, and no attempt is left.
    MustMove(WhyMigrate),
}

impl<E: fmt::Display> fmt::Display for PlaceStop<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Held(refusal) => refusal.fmt(f),
            Self::NotMigrated(why, error) => write!(f, "{why} and was not migrated: {error}"),
            Self::MustMove(why) => write!(f, "{why} and was not moved out"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for PlaceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "page {index} was not pinned: {}", self.stop)?,
            None => write!(f, "the object was not pinned: {}", self.stop)?,
        }
        match self.lost {
            0 => {}
            lost => write!(f, "; {lost} pins were already lost")?,
        }
        match &self.books {
            None => Ok(()),
            Some(error) => write!(f, "; its charge was not taken back: {error}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> core::error::Error for PlaceError<E> {}

/// An object on its way: the first `taken` pages are pinned, but for the one in hand.
struct Object<'a, P: Pinnable> {
    pages: &'a mut [P],
    kind: PinKind,
    taken: usize,
    in_hand: Option<usize>,
    lost: usize,
}

type Stopped<E> = (usize, PlaceStop<E>);

impl<'a, P: Placed + Pinnable> Object<'a, P> {
    fn pin_and_place<L: PinPolicy, E>(
        &mut self,
        request: &PlaceRequest<L>,
        mut migrate: impl FnMut(&mut P, WhyMigrate) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        // Nothing of the embedder's that could allocate is called before this has pinned them all.
        let Some(first) = self.pin_all(request)? else {
            return Ok(());
        };
        for index in first..self.taken {
            self.place(index, request, &mut migrate)
                .map_err(|stop| (index, stop))?;
        }
        Ok(())
    }

    /// Pins every page; the first one that has to move.
    fn pin_all<L, E>(&mut self, request: &PlaceRequest<L>) -> Result<Option<usize>, Stopped<E>> {
        let mut first = None;
        for (index, page) in self.pages.iter().enumerate() {
            let refused = |why| (index, PlaceStop::Refused(why));
            match request.ask(page, false) {
                Placement::Pin => {}
                Placement::MigrateFirst(_) => first = first.or(Some(index)),
                Placement::Refuse(why) => return Err(refused(why)),
            }
            page.try_pin(self.kind)
                .map_err(|error| refused(WhyNot::from(error)))?;
            self.taken = index.saturating_add(1);
        }
        Ok(first)
    }

    /// Moves one page to where it may stay, if it is not there, and pins it again.
    fn place<L: PinPolicy, E>(
        &mut self,
        index: usize,
        request: &PlaceRequest<L>,
        migrate: &mut impl FnMut(&mut P, WhyMigrate) -> Result<(), E>,
    ) -> Result<(), PlaceStop<E>> {
        let Some(page) = self.pages.get_mut(index) else {
            return Ok(());
        };
        let mut attempts = request.attempts;
        let mut last = None;
        loop {
            let pinned = self.in_hand.is_none();
            let why = match request.ask(page, pinned) {
                Placement::Pin if pinned => return Ok(()),
                Placement::Pin => match page.try_pin(self.kind) {
                    Ok(()) => {
                        self.in_hand = None;
                        return Ok(());
                    }
                    Err(error) => Err(PlaceStop::Refused(WhyNot::from(error))),
                },
                Placement::Refuse(why) => Err(PlaceStop::Refused(why)),
                Placement::MigrateFirst(why) => Ok(why),
            };
            let Some(left) = attempts.checked_sub(1) else {
                return Err(match why {
                    Err(stop) => stop,
                    Ok(why) => last.unwrap_or(PlaceStop::MustMove(why)),
                });
            };
            attempts = left;
            last = match why {
                Err(stop) => Some(stop),
                Ok(why) => {
                    if pinned {
                        self.in_hand = Some(index);
                        if release(page, self.kind).is_err() {
                            self.lost = self.lost.saturating_add(1);
                        }
                    }
                    let allowed = may(page, Operation::Migrate, &request.policy, request.context);
                    match allowed {
                        Err(refusal) => Some(PlaceStop::Held(refusal)),
                        Ok(()) => migrate(page, why)
                            .err()
                            .map(|error| PlaceStop::NotMigrated(why, error)),
                    }
                }
            };
        }
    }

    fn into_guard(mut self) -> PinGuard<'a, P> {
        let pages: &'a mut [P] = core::mem::take(&mut self.pages);
        PinGuard::adopt(pages, self.kind)
    }
}

impl<P: Pinnable> Object<'_, P> {
    /// Releases what is held, the latest first. Once: then there is nothing left.
    fn give_back(&mut self) {
        let pages = core::mem::take(&mut self.pages);
        let taken = pages.iter().enumerate().take(self.taken);
        for (index, page) in taken.rev() {
            if self.in_hand != Some(index) && release(page, self.kind).is_err() {
                self.lost = self.lost.saturating_add(1);
            }
        }
    }
}

impl<P: Pinnable> Drop for Object<'_, P> {
    fn drop(&mut self) {
        // Only if `migrate` unwinds is there anything left.
        self.give_back();
    }
}
