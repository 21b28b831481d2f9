//! Shrinkers: caches and devices that give memory back when they are asked.
//!
//! A page that is pinned for long does not come back by being scanned. Its owner has to stop the
//! hardware, and a [`Shrinker`] is how it is asked to: it says how much it could free, and frees some
//! of it. How much it is asked for is Linux's arithmetic ([`plan`]): in proportion to what it holds and
//! to how hard memory is sought, in batches, with what is too little for a batch put off until it
//! has grown ([`Deferred`]).
//!
//! | | |
//! | --- | --- |
//! | [`plan`], [`next_batch`] | the arithmetic, pure |
//! | [`Pass`] | one shrinker's turn, a batch per call, resumable |
//! | [`shrink_slab`] | a whole turn |
//! | [`shrink_pages`] | a turn that asks for so many pages, whatever the arithmetic says |
//! | [`shrink_all`] | a turn of each shrinker until a target is met |

mod all;
mod pass;
mod plan;

pub use all::{Registered, ShrunkAll, shrink_all};
pub use pass::{Ended, MAX_BATCHES, Pass, Shrunk, Step, shrink_pages, shrink_slab};
pub use plan::{Plan, PriorityError, next_batch, plan};

use core::num::NonZeroU64;

/// The cost of bringing an object back, in disk seeks, that a shrinker names if it knows no better
/// (`DEFAULT_SEEKS`, `include/linux/shrinker.h`, 5.8).
pub const DEFAULT_SEEKS: u32 = 2;

/// How many objects are scanned at a time (`SHRINK_BATCH`, `mm/vmscan.c`, 5.8).
pub const SHRINK_BATCH: u64 = 128;

/// Something that holds objects which it can free: a cache, or a device with pinned pages.
///
/// Linux's `struct shrinker` (`include/linux/shrinker.h`, 5.8).
///
/// # Contract
///
/// [`count`](Self::count) is cheap and changes nothing. [`scan`](Self::scan) says truly what it did;
/// one that does not is not trusted with an endless loop ([`Pass`] is bounded whatever it says), but
/// its reports add up to nothing.
///
/// # Examples
///
/// ```
/// use core::num::NonZeroU64;
/// use pinfold::shrinker::{Count, Deferred, Scan, Shrinker, shrink_slab};
///
/// struct Ring {
///     idle: u64,
/// }
///
/// impl Shrinker for Ring {
///     fn count(&mut self) -> Count {
///         Count::of(self.idle)
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
    /// How many objects could be freed.
    fn count(&mut self) -> Count;

    /// Looks at `objects` of them and frees what can be freed.
    fn scan(&mut self, objects: NonZeroU64) -> Scan;

    /// What it costs to bring a freed object back, in disk seeks; 0 if nothing has to be read.
    fn seeks(&self) -> u32 {
        DEFAULT_SEEKS
    }

    /// How many objects to scan at a time; 0 is [`SHRINK_BATCH`].
    fn batch(&self) -> u64 {
        SHRINK_BATCH
    }

    /// How many pages `freed` objects come to.
    ///
    /// The default is one each, which is right for a device whose objects are its pages.
    fn pages(&self, freed: u64) -> u64 {
        freed
    }
}

impl<S: Shrinker + ?Sized> Shrinker for &mut S {
    fn count(&mut self) -> Count {
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
impl<O, S: Shrinker> Shrinker for (O, S) {
    fn count(&mut self) -> Count {
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
    fn count(&mut self) -> Count {
        Count::Empty
    }
    fn scan(&mut self, _: NonZeroU64) -> Scan {
        Scan::Stop
    }
}

/// How many objects a shrinker could free.
///
/// Complete on purpose: these are `count_objects`' three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// This many.
    Objects(NonZeroU64),
    /// It holds none (`SHRINK_EMPTY`).
    Empty,
    /// It cannot tell, or would rather be left out this time (0 in Linux).
    Unknown,
}

impl Count {
    /// The count of `objects`, none of which is [`Empty`](Self::Empty).
    #[must_use]
    pub const fn of(objects: u64) -> Self {
        match NonZeroU64::new(objects) {
            Some(objects) => Self::Objects(objects),
            None => Self::Empty,
        }
    }
}

/// What came of a scan.
///
/// Complete on purpose: these are `scan_objects`' two answers.
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

/// The scanning that a shrinker was spared so far, in objects (`nr_deferred`).
///
/// One for each shrinker, and for each memory node where its objects are counted by node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Deferred(u64);

impl Deferred {
    /// This much was put off already.
    #[must_use]
    pub const fn new(objects: u64) -> Self {
        Self(objects)
    }

    /// How much is put off.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// All of it, for the taker to work off or [`put`](Self::put) back; nothing is left, so that no
    /// other does the same work.
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
