//! Ready-made lists for pages that are numbered.

use super::lists::Lru;
use core::fmt;

/// The four lists of reclaim and the parked pages, as doubly linked lists over page numbers.
///
/// Nothing is allocated: the links are kept in a slice that the caller provides, one [`Link`] of 16
/// bytes for each page number. Every operation takes constant time. An embedder's
/// [`Lists`](super::Lists) forwards to it; the lock around it is the embedder's.
///
/// A page is at one place at most. An operation that would break this is refused, with nothing
/// changed.
///
/// # Examples
///
/// ```
/// use pinfold::reclaim::{Link, Lru, PageLists, Place};
///
/// let mut lists = PageLists::new([Link::default(); 64]);
/// lists.put(Lru::InactiveFile, 7, 1)?;
/// lists.put(Lru::InactiveFile, 8, 1)?;
/// assert_eq!(lists.take(Lru::InactiveFile), Some(7), "the oldest first");
/// lists.park(7, 1)?;
/// assert_eq!(lists.place(7), Some(Place::Parked));
/// assert_eq!((lists.pages(Lru::InactiveFile), lists.pages_parked()), (1, 1));
///
/// // The unpin that drops the last pin puts the page back.
/// lists.remove(7)?;
/// lists.put(Lru::InactiveFile, 7, 1)?;
/// # Ok::<(), pinfold::reclaim::ListError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PageLists<S> {
    links: S,
    ends: [Ends; PLACES],
}

/// The link of one page in its list. `Default` is a page that is on no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Link {
    /// The neighbours, one more than their numbers; 0 for none.
    older: u32,
    younger: u32,
    pages: u32,
    /// One more than the index of the place; 0 for none.
    place: u8,
}

/// Where a page is.
///
/// Exhaustive: there is no other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// On this list.
    List(Lru),
    /// Parked.
    Parked,
}

/// An operation on [`PageLists`] that was refused. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListError {
    /// There is no link for this page number.
    NoSuchPage(u32),
    /// The page is already on a list or parked.
    Listed(u32),
    /// The page is neither on a list nor parked.
    NotListed(u32),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPage(page) => write!(f, "there is no link for page {page}"),
            Self::Listed(page) => write!(f, "page {page} is already on a list or parked"),
            Self::NotListed(page) => write!(f, "page {page} is neither on a list nor parked"),
        }
    }
}

impl core::error::Error for ListError {}

const PLACES: usize = 5;
const PARKED: usize = 4;

/// The ends of one list, one more than the page numbers, and the base pages on it.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    oldest: u32,
    youngest: u32,
    pages: u64,
}

impl<S: AsRef<[Link]> + AsMut<[Link]>> PageLists<S> {
    /// Empty lists over these links, which are reset.
    #[must_use]
    pub fn new(mut links: S) -> Self {
        links.as_mut().fill(Link::default());
        Self {
            links,
            ends: [Ends::default(); PLACES],
        }
    }

    /// Puts a page of so many base pages on a list, at the young end.
    ///
    /// # Errors
    ///
    /// [`ListError::NoSuchPage`], [`ListError::Listed`].
    pub fn put(&mut self, list: Lru, page: u32, base_pages: u32) -> Result<(), ListError> {
        self.insert(list.index(), page, base_pages, Age::Young)
    }

    /// Parks a page of so many base pages.
    ///
    /// # Errors
    ///
    /// [`ListError::NoSuchPage`], [`ListError::Listed`].
    pub fn park(&mut self, page: u32, base_pages: u32) -> Result<(), ListError> {
        self.insert(PARKED, page, base_pages, Age::Young)
    }

    /// Takes the oldest page off a list.
    pub fn take(&mut self, list: Lru) -> Option<u32> {
        self.take_oldest(list.index())
    }

    /// Takes the page that was parked longest.
    pub fn take_parked(&mut self) -> Option<u32> {
        self.take_oldest(PARKED)
    }

    /// Takes a page off its list, or out of the parked pages, wherever in it the page is; returns
    /// where it was.
    ///
    /// # Errors
    ///
    /// [`ListError::NoSuchPage`], [`ListError::NotListed`].
    pub fn remove(&mut self, page: u32) -> Result<Place, ListError> {
        let link = self.link(page).ok_or(ListError::NoSuchPage(page))?;
        let place = index_of(link).ok_or(ListError::NotListed(page))?;
        self.unlink(place, page, link);
        Ok(place_at(place))
    }

    /// Moves a page to the old end of its list, so that the next scan takes it first: a page whose
    /// writeback has ended and that has the reclaim mark (`rotate_reclaimable_page`, `mm/swap.c`).
    ///
    /// # Errors
    ///
    /// [`ListError::NoSuchPage`], [`ListError::NotListed`].
    pub fn make_oldest(&mut self, page: u32) -> Result<(), ListError> {
        let link = self.link(page).ok_or(ListError::NoSuchPage(page))?;
        let place = index_of(link).ok_or(ListError::NotListed(page))?;
        self.unlink(place, page, link);
        self.insert(place, page, link.pages, Age::Old)
    }

    /// Where a page is; `None` if it is on no list and not parked, or has no link.
    #[must_use]
    pub fn place(&self, page: u32) -> Option<Place> {
        self.link(page).and_then(index_of).map(place_at)
    }

    /// How many base pages are on a list.
    #[must_use]
    pub fn pages(&self, list: Lru) -> u64 {
        self.ends(list.index()).pages
    }

    /// How many base pages are parked.
    #[must_use]
    pub fn pages_parked(&self) -> u64 {
        self.ends(PARKED).pages
    }

    fn insert(
        &mut self,
        place: usize,
        page: u32,
        base_pages: u32,
        age: Age,
    ) -> Result<(), ListError> {
        let link = self.link(page).ok_or(ListError::NoSuchPage(page))?;
        if link.place != 0 {
            return Err(ListError::Listed(page));
        }
        let ends = self.ends(place);
        let this = page.saturating_add(1);
        let (older, younger) = match age {
            Age::Young => (ends.youngest, 0),
            Age::Old => (0, ends.oldest),
        };
        self.set(page, |link| {
            *link = Link {
                older,
                younger,
                pages: base_pages,
                place: u8::try_from(place.saturating_add(1)).unwrap_or(0),
            };
        });
        self.join(place, older, this);
        self.join(place, this, younger);
        self.set_ends(place, |ends| {
            ends.pages = ends.pages.saturating_add(u64::from(base_pages));
        });
        Ok(())
    }

    fn take_oldest(&mut self, place: usize) -> Option<u32> {
        let page = self.ends(place).oldest.checked_sub(1)?;
        let link = self.link(page)?;
        self.unlink(place, page, link);
        Some(page)
    }

    fn unlink(&mut self, place: usize, page: u32, link: Link) {
        self.join(place, link.older, link.younger);
        self.set(page, |link| *link = Link::default());
        self.set_ends(place, |ends| {
            ends.pages = ends.pages.saturating_sub(u64::from(link.pages));
        });
    }

    /// Makes two pages, one more than their numbers, neighbours; 0 stands for the end of the list.
    fn join(&mut self, place: usize, older: u32, younger: u32) {
        match older.checked_sub(1) {
            Some(page) => self.set(page, |link| link.younger = younger),
            None => self.set_ends(place, |ends| ends.oldest = younger),
        }
        match younger.checked_sub(1) {
            Some(page) => self.set(page, |link| link.older = older),
            None => self.set_ends(place, |ends| ends.youngest = older),
        }
    }

    /// The link of a page. The last number is not used: one more than it must fit.
    fn link(&self, page: u32) -> Option<Link> {
        let index = usize::try_from(page).ok()?;
        page.checked_add(1)?;
        self.links.as_ref().get(index).copied()
    }

    fn set(&mut self, page: u32, change: impl FnOnce(&mut Link)) {
        let index = usize::try_from(page).unwrap_or(usize::MAX);
        if let Some(link) = self.links.as_mut().get_mut(index) {
            change(link);
        }
    }

    fn ends(&self, place: usize) -> Ends {
        self.ends.get(place).copied().unwrap_or_default()
    }

    fn set_ends(&mut self, place: usize, change: impl FnOnce(&mut Ends)) {
        if let Some(ends) = self.ends.get_mut(place) {
            change(ends);
        }
    }
}

/// The end of a list at which a page is inserted.
#[derive(Clone, Copy)]
enum Age {
    Young,
    Old,
}

fn index_of(link: Link) -> Option<usize> {
    usize::from(link.place).checked_sub(1)
}

fn place_at(index: usize) -> Place {
    Lru::ALL
        .get(index)
        .map_or(Place::Parked, |&list| Place::List(list))
}
