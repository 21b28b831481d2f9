//! Pinning an object where it may be: all of its pages or none, migrating first what must not stay.

use super::check::check_pins;
use super::error::{PlaceError, PlaceStop};
use super::request::PlaceRequest;
use super::zone::{Placed, Zone};
use crate::pin::{Biased, PinGuard, PinKind, PinReading, Pinnable, release};
use crate::policy::{Operation, PinPolicy};
use core::ops::Range;

/// Pins all of `pages`, or none of them, after migrating those that must not be pinned where they
/// are.
///
/// First, all pages are pinned. A page that is refused ends it. Then each page that must not stay
/// where it is gives its pin back, is given to `migrate`, and is pinned again: up to
/// [`attempts`](PlaceRequest::attempts) times.
///
/// [No page is taken from an object that is being
/// pinned](super#no-page-is-taken-from-an-object-that-is-being-pinned) says why reclaim takes none
/// of them meanwhile.
///
/// A page that others hold pinned is not given to `migrate`, if the policy refuses that; it counts
/// as an attempt. The object's own pins do not count: where it holds a page several times
/// ([`Placed::id`]), all its pins of that page are given back, the page is migrated once, and the
/// new page is put in all of its places.
///
/// Linux 5.8 pins a CMA page where it is if it could not be migrated
/// (`check_and_migrate_cma_pages`, `mm/gup.c`); here, as in later Linux, that is an error.
///
/// If `migrate` or the code of a page unwinds, the pins are given back.
///
/// Where pins are accounted, charge the object first ([`Charged`](crate::pin::Charged)): nothing is
/// migrated for an owner that is over its limit, and the charge is released if the pins are not had.
///
/// # Contract
///
/// - The caller holds a reference of its own on every page, one for each place in the object, for as
///   long as the call lasts. The same holds for a page that `migrate` puts in a place, and for
///   copies of it that are put in other places (`P: Clone`).
/// - `migrate` gets a place of the object, and how many of its places hold the page: so many
///   references of the caller it has to expect. It moves the page to where it may stay and puts the
///   page that it now is in the place (of the same size, with the same contents), or leaves it as it
///   was and fails.
/// - `migrate` takes the page off its list *before* it allocates, so that reclaim that the allocation
///   starts does not find the page.
///
/// # Errors
///
/// [`PlaceError`]: which page was refused and why. No page is pinned. Pages that were migrated stay
/// where they are now. `pages` is dropped: give a mutable reference to keep it.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{BiasedRefs, PinError, PinKind, Pinnable, Released};
/// use pinfold::placement::{PlaceRequest, Placed, Zone, place_and_pin};
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
///     fn unpin(&self, _: PinKind) -> Result<Released, PinError> {
///         self.refs.unpin()
///     }
/// }
///
/// let frame = |zone| Frame { refs: BiasedRefs::new(1), zone };
/// let (a, b, spare) = (frame(Zone::Normal), frame(Zone::Movable), frame(Zone::Normal));
///
/// let request = PlaceRequest::new(PinKind::Longterm);
/// let placed = place_and_pin(vec![&a, &b], &request, |page, _places| {
///     *page = &spare;
///     Ok::<(), core::convert::Infallible>(())
/// });
/// let pins = placed.unwrap();
/// assert_eq!([a.refs.get(), b.refs.get(), spare.refs.get()], [1025, 1, 1025]);
/// drop(pins);
/// assert_eq!([a.refs.get(), spare.refs.get()], [1, 1]);
/// ```
pub fn place_and_pin<P, S, L, E>(
    pages: S,
    request: &PlaceRequest<L>,
    migrate: impl FnMut(&mut P, usize) -> Result<(), E>,
) -> Result<PinGuard<P, S>, PlaceError<E>>
where
    P: Placed + Pinnable + Clone,
    S: AsRef<[P]> + AsMut<[P]>,
    L: PinPolicy,
{
    let mut guard = PinGuard::of_none(pages, request.kind);
    let mut object = Object {
        guard: &mut guard,
        moving: None,
        lost: 0,
    };
    match object.pin_and_place(request, migrate) {
        Ok(()) => {
            drop(object);
            Ok(guard)
        }
        Err((index, stop)) => {
            object.give_back();
            Err(PlaceError {
                index,
                stop,
                lost: object.lost,
            })
        }
    }
}

/// An object that is being pinned. All pages that the guard has pinned keep their pins, except for
/// the page that is moving.
struct Object<'g, P: Pinnable + Placed, S: AsRef<[P]>> {
    guard: &'g mut PinGuard<P, S>,
    moving: Option<Moving>,
    lost: usize,
}

/// A page that is without the object's pins, because it is being migrated.
struct Moving {
    /// The place that is given to `migrate`.
    index: usize,
    /// Whether the page in that place is pinned again.
    pinned: bool,
    /// The page that was in that place when this began.
    old: u64,
    /// In this range, all other places that hold the old page are without their pins.
    open: Range<usize>,
    /// How many places held the old page.
    places: usize,
}

impl Moving {
    fn is_unpinned(&self, index: usize, page: &impl Placed) -> bool {
        if index == self.index {
            !self.pinned
        } else {
            self.open.contains(&index) && page.id() == self.old
        }
    }
}

type Stopped<E> = (usize, PlaceStop<E>);

impl<P, S> Object<'_, P, S>
where
    P: Placed + Pinnable + Clone,
    S: AsRef<[P]> + AsMut<[P]>,
{
    fn pin_and_place<L: PinPolicy, E>(
        &mut self,
        request: &PlaceRequest<L>,
        mut migrate: impl FnMut(&mut P, usize) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        // Nothing of the embedder's that could allocate is called before this has pinned them all.
        let Some(first) = self.pin_all(request)? else {
            return Ok(());
        };
        for index in first..self.guard.pages().len() {
            self.place(index, request, &mut migrate)?;
        }
        Ok(())
    }

    /// Pins every page; the first one that has to move.
    fn pin_all<L, E>(&mut self, request: &PlaceRequest<L>) -> Result<Option<usize>, Stopped<E>> {
        let mut first = None;
        let mut index = 0usize;
        while let Some(page) = self.guard.all_pages().get(index) {
            let zone = request.ask(page, false).map_err(|stop| (index, stop))?;
            if zone.is_some() {
                first = first.or(Some(index));
            }
            page.try_pin(request.kind)
                .map_err(|error| (index, PlaceStop::Refused(error)))?;
            index = index.saturating_add(1);
            self.guard.set_pinned(index);
        }
        Ok(first)
    }

    /// Migrates one page to where it may stay, if it is not there, and pins it again.
    fn place<L: PinPolicy, E>(
        &mut self,
        index: usize,
        request: &PlaceRequest<L>,
        migrate: &mut impl FnMut(&mut P, usize) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let mut attempts = request.attempts;
        let mut last = None;
        loop {
            let Some(page) = self.guard.all_pages().get(index) else {
                return Ok(());
            };
            let zone = match request.ask(page, self.moving.is_none()) {
                Ok(None) if self.moving.is_none() => return Ok(()),
                Ok(None) => match page.try_pin(request.kind) {
                    Ok(()) => return self.pin_other_places(index, request.kind),
                    Err(error) => Err(PlaceStop::Refused(error)),
                },
                Ok(Some(zone)) => Ok(zone),
                Err(stop) => Err(stop),
            };
            let Some(left) = attempts.checked_sub(1) else {
                let stop = match zone {
                    Err(stop) => stop,
                    Ok(zone) => last.unwrap_or(PlaceStop::NotAllowed(zone)),
                };
                return Err((index, stop));
            };
            attempts = left;
            last = match zone {
                Err(stop) => Some(stop),
                Ok(zone) => self.migrate(index, zone, request, migrate).err(),
            };
        }
    }

    fn migrate<L: PinPolicy, E>(
        &mut self,
        index: usize,
        zone: Zone,
        request: &PlaceRequest<L>,
        migrate: &mut impl FnMut(&mut P, usize) -> Result<(), E>,
    ) -> Result<(), PlaceStop<E>> {
        let places = match &self.moving {
            Some(moving) => moving.places,
            None => self.unpin_all_places(index),
        };
        let Some(page) = self.guard.all_pages_mut().get_mut(index) else {
            return Ok(());
        };
        check_pins(page, Operation::Migrate, &request.policy, request.context)
            .map_err(PlaceStop::Held)?;
        migrate(page, places).map_err(|error| PlaceStop::NotMigrated(zone, error))
    }

    /// Gives back the pins of one page in all of its places, and says how many these are.
    fn unpin_all_places(&mut self, index: usize) -> usize {
        let (kind, pages) = (self.guard.kind(), self.guard.pages());
        let Some(page) = pages.get(index) else {
            return 0;
        };
        let old = page.id();
        // Before each unpin: it is not done again if it unwinds.
        let moving = self.moving.insert(Moving {
            index,
            pinned: false,
            old,
            open: 0..0,
            places: 1,
        });
        let mut lost = usize::from(release(page, kind).is_err());
        // "None" is certain, and then no other place holds the page.
        if Biased::read(page).maybe_pinned() {
            for (place, other) in pages.iter().enumerate() {
                if place != index && other.id() == old {
                    moving.open.end = place.saturating_add(1);
                    moving.places = moving.places.saturating_add(1);
                    lost = lost.saturating_add(usize::from(release(other, kind).is_err()));
                }
            }
        }
        self.lost = self.lost.saturating_add(lost);
        moving.places
    }

    /// The page in the place `index` is pinned again: puts it in its other places, pinned as well.
    fn pin_other_places<E>(&mut self, index: usize, kind: PinKind) -> Result<(), Stopped<E>> {
        let Some(moving) = &mut self.moving else {
            return Ok(());
        };
        moving.pinned = true;
        while !moving.open.is_empty() {
            let place = moving.open.start;
            let pages = self.guard.all_pages_mut();
            let holds_old = |page: &P| place != index && page.id() == moving.old;
            if !pages.get(place).is_some_and(holds_old) {
                moving.open.start = place.saturating_add(1);
                continue;
            }
            let Some(page) = pages.get(index).cloned() else {
                break;
            };
            page.try_pin(kind)
                .map_err(|error| (place, PlaceStop::Refused(error)))?;
            // Not before: the place is without its pin until here.
            moving.open.start = place.saturating_add(1);
            if let Some(old) = pages.get_mut(place) {
                *old = page;
            }
        }
        self.moving = None;
        Ok(())
    }
}

impl<P: Pinnable + Placed, S: AsRef<[P]>> Object<'_, P, S> {
    /// Gives back all pins that the object has, the latest first.
    fn give_back(&mut self) {
        let kind = self.guard.kind();
        while let Some(index) = self.guard.pages().len().checked_sub(1) {
            let page = self.guard.all_pages().get(index);
            let is_unpinned = |page| match &self.moving {
                Some(moving) => moving.is_unpinned(index, page),
                None => false,
            };
            let unpinned = page.is_none_or(is_unpinned);
            // Before the unpin: it is not done again if it unwinds.
            self.guard.set_pinned(index);
            let Some(page) = self.guard.all_pages().get(index) else {
                continue;
            };
            if !unpinned && release(page, kind).is_err() {
                self.lost = self.lost.saturating_add(1);
            }
        }
    }
}

impl<P: Pinnable + Placed, S: AsRef<[P]>> Drop for Object<'_, P, S> {
    fn drop(&mut self) {
        // Left over only if something unwinds: the guard would release pins that were given back.
        if self.moving.is_some() {
            self.give_back();
        }
    }
}
