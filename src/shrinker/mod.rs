//! Shrinkers: caches and devices that give memory back when they are asked to.
//!
//! Scanning does not bring a page back that is pinned for long: its owner has to stop the hardware.
//! A [`Shrinker`] is asked to do that. It says how many objects it could free, and frees some of
//! them. How many it is asked for is Linux's arithmetic ([`Plan`]): in proportion to what it holds
//! and to how hard memory is sought, in batches; less than a batch is put off until more is due
//! ([`Deferred`]).
//!
//! | | |
//! | --- | --- |
//! | [`Plan`] | the arithmetic, pure |
//! | [`Pass`] | one shrinker's turn, a batch at a time, resumable |
//! | [`shrink_slab`] | a whole turn |
//! | [`Pass::shrink_pages`] | a turn that asks for so many pages, whatever the arithmetic says |
//! | [`shrink_all`] | a turn of each shrinker until a target is met |

mod all;
mod pass;
mod plan;

pub use all::{Registered, ShrunkAll, shrink_all};
pub use pass::{Ended, Pass, Shrunk, shrink_slab};
pub use plan::{Plan, PriorityError};

use core::num::NonZeroU64;

/// Something that holds objects which it can free: a cache, or a device with pinned pages.
///
/// Linux's `struct shrinker` (`include/linux/shrinker.h`, 5.8).
///
/// # Contract
///
/// [`count`](Self::count) is cheap and changes nothing. [`scan`](Self::scan) reports what it did. A
/// [`Pass`] ends whatever it reports.
///
/// # Examples
///
/// ```
/// use core::num::NonZeroU64;
/// use pinfold::shrinker::{Deferred, Scan, Shrinker, shrink_slab};
///
/// struct Ring {
///     idle: u64,
/// }
///
/// impl Shrinker for Ring {
///     fn count(&mut self) -> Option<u64> {
///         Some(self.idle)
///     }
///     fn scan(&mut self, objects: NonZeroU64) -> Scan {
///         let freed = objects.get().min(self.idle);
///         self.idle -= freed;
///         Scan::Did { scanned: objects.get(), freed }
///     }
/// }
///
/// let mut ring = Ring { idle: 4096 };
/// let shrunk = shrink_slab(&mut ring, &mut Deferred::default(), 2)?;
/// assert_eq!((shrunk.freed, ring.idle), (2048, 2048));
/// # Ok::<(), pinfold::shrinker::PriorityError>(())
/// ```
pub trait Shrinker {
    /// How many objects could be freed: `Some(0)` if it holds none (`SHRINK_EMPTY`), `None` if it
    /// cannot tell now and is to be left out this time (0 in Linux).
    fn count(&mut self) -> Option<u64>;

    /// Looks at `objects` of them and frees what can be freed.
    fn scan(&mut self, objects: NonZeroU64) -> Scan;

    /// What it costs to bring a freed object back, in disk seeks; 0 if nothing has to be read.
    fn seeks(&self) -> u32 {
        Plan::DEFAULT_SEEKS
    }

    /// How many objects to scan at a time; 0 means
    /// [`Plan::BATCH`].
    fn batch(&self) -> u64 {
        Plan::BATCH
    }

    /// How many pages `freed` objects come to.
    ///
    /// The default is one each, which is right for a device whose objects are its pages.
    fn pages(&self, freed: u64) -> u64 {
        freed
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Shrinker + ?Sized> Shrinker for &mut S {
    fn count(&mut self) -> Option<u64> {
        (**self).count()
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        (**self).scan(objects)
    }
    fn seeks(&self) -> u32 {
        (**self).seeks()
    }
    fn batch(&self) -> u64 {
        (**self).batch()
    }
    fn pages(&self, freed: u64) -> u64 {
        (**self).pages(freed)
    }
}

/// A pair of a [`PinOwner`](crate::PinOwner) and a shrinker: the shrinker is the second.
#[deny(clippy::missing_trait_methods)]
impl<O, S: Shrinker> Shrinker for (O, S) {
    fn count(&mut self) -> Option<u64> {
        self.1.count()
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.1.scan(objects)
    }
    fn seeks(&self) -> u32 {
        self.1.seeks()
    }
    fn batch(&self) -> u64 {
        self.1.batch()
    }
    fn pages(&self, freed: u64) -> u64 {
        self.1.pages(freed)
    }
}

/// The shrinker that holds nothing.
impl Shrinker for () {
    fn count(&mut self) -> Option<u64> {
        Some(0)
    }
    fn scan(&mut self, _: NonZeroU64) -> Scan {
        Scan::Stop
    }
}

/// What a scan did.
///
/// Exhaustive: these are the two answers of Linux's `scan_objects`.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scan {
    /// It looked at `scanned` objects, perhaps more or fewer than it was asked to, and freed `freed`
    /// of them.
    Did {
        /// How many were looked at (`nr_scanned`).
        scanned: u64,
        /// How many were freed.
        freed: u64,
    },
    /// It can do nothing now, for instance because it would wait for its caller (`SHRINK_STOP`).
    /// Nothing was freed.
    Stop,
}

/// The scanning of a shrinker that was put off so far, in objects (`nr_deferred`).
///
/// One for each shrinker; one for each memory node where objects are counted by node.
///
/// # Examples
///
/// ```
/// use pinfold::shrinker::Deferred;
///
/// let mut deferred = Deferred::default();
/// deferred.put(40);
/// assert_eq!((deferred.take(), deferred.get()), (40, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Deferred(u64);

impl Deferred {
    /// So much was put off already.
    #[must_use]
    pub const fn new(objects: u64) -> Self {
        Self(objects)
    }

    /// How much is put off.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Takes all of it, so that no other turn does the same work. The caller scans it or
    /// [puts](Self::put) it back.
    #[must_use]
    pub const fn take(&mut self) -> u64 {
        let objects = self.0;
        self.0 = 0;
        objects
    }

    /// Puts more off; saturates.
    pub const fn put(&mut self, objects: u64) {
        self.0 = self.0.saturating_add(objects);
    }
}
