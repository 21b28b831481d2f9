//! One shrinker's turn: batch by batch, bounded whatever the shrinker says.

use super::plan::{Plan, PriorityError};
use super::{Deferred, Scan, Shrinker};
use crate::debug::debug_fields;
use core::num::NonZeroU64;

/// One turn of one shrinker, a batch at a time.
///
/// ```
/// use pinfold::shrinker::{Deferred, Pass};
/// # struct Cache(u64);
/// # impl pinfold::shrinker::Shrinker for Cache {
/// #     fn count(&mut self) -> Option<u64> { Some(self.0) }
/// #     fn scan(&mut self, n: core::num::NonZeroU64) -> pinfold::shrinker::Scan {
/// #         self.0 -= n.get();
/// #         pinfold::shrinker::Scan::Did { scanned: n.get(), freed: n.get() }
/// #     }
/// # }
/// # let mut cache = Cache(1024);
/// let mut deferred = Deferred::default();
/// let mut pass = Pass::begin(&mut cache, &mut deferred, 3)?;
/// while pass.step(&mut cache).is_none() {
///     // Other work, or the end of a budget: the pass waits.
/// }
/// let shrunk = pass.finish(&mut deferred);
/// assert_eq!((shrunk.scanned, shrunk.deferred), (256, 0));
/// # Ok::<(), pinfold::shrinker::PriorityError>(())
/// ```
///
/// # Bounds
///
/// The plan is made once, from one count. Every step takes at least one object off it or ends the
/// pass. So a shrinker is asked at most twice as often as it said it had objects, whatever it
/// reports afterwards.
#[must_use = "a pass that is not finished forgets the scanning that was put off"]
pub struct Pass {
    /// Less than a batch is scanned if it is at least this much: all that the shrinker holds, or
    /// in a full pass one object.
    least: u64,
    batch: u64,
    left: u64,
    owed: u64,
    scanned: u64,
    freed: u64,
    pages: u64,
    ended: Option<Ended>,
}

debug_fields!(Pass {
    least,
    batch,
    left,
    owed,
    scanned,
    freed,
    pages,
    ended,
});

impl Pass {
    /// How many batches [`shrink_slab`], [`Pass::shrink_pages`] and [`shrink_all`](super::shrink_all) scan
    /// in one turn of a shrinker: 134 million objects at the default batch.
    ///
    /// Linux has no such bound: its loop runs for as long as a shrinker claims to have objects. The
    /// rest is put off. [`step`](Self::step) goes on as long as its caller does.
    pub const MAX_BATCHES: u64 = 1 << 20;

    /// Counts the shrinker's objects, plans its turn ([`Plan`]) and takes over what was put off, if
    /// it has any.
    ///
    /// # Errors
    ///
    /// [`PriorityError`]; the shrinker was not asked and `deferred` has not changed.
    pub fn begin<S: Shrinker + ?Sized>(
        shrinker: &mut S,
        deferred: &mut Deferred,
        priority: u8,
    ) -> Result<Self, PriorityError> {
        // Before anything is asked or taken: a refused priority changes nothing.
        Plan::new(0, 0, priority, 0)?;
        let freeable = match freeable(shrinker) {
            Ok(freeable) => freeable,
            Err(nothing) => return Ok(Self::ended(nothing)),
        };
        // Asked before what was put off is taken: if they unwind, it is not forgotten.
        let (seeks, batch) = (shrinker.seeks(), shrinker.batch());
        let plan = Plan::new(freeable, deferred.take(), priority, seeks)?;
        Ok(Self::new(freeable, batch, plan.total, plan.owed))
    }

    /// A turn over everything that the shrinker holds, to the last object, whatever was put off
    /// before.
    pub fn begin_full<S: Shrinker + ?Sized>(shrinker: &mut S) -> Self {
        match freeable(shrinker) {
            Ok(freeable) => Self::new(1, shrinker.batch(), freeable, 0),
            Err(nothing) => Self::ended(nothing),
        }
    }

    /// Scans the next batch, and says why the pass ended if it has. Then nothing more is scanned.
    ///
    /// Calls [`Shrinker::scan`] at most once.
    pub fn step<S: Shrinker + ?Sized>(&mut self, shrinker: &mut S) -> Option<Ended> {
        if self.ended.is_some() {
            return self.ended;
        }
        let Some(objects) = self.next() else {
            return self.end(if self.scanned == 0 {
                Ended::PutOff
            } else {
                Ended::Complete
            });
        };
        let Scan::Did { scanned, freed } = shrinker.scan(objects) else {
            return self.end(Ended::Stopped);
        };
        self.scanned = self.scanned.saturating_add(scanned);
        self.freed = self.freed.saturating_add(freed);
        self.left = self.left.saturating_sub(scanned);
        let pages = shrinker.pages(freed);
        self.pages = self.pages.saturating_add(pages);
        if scanned == 0 {
            return self.end(Ended::NoProgress);
        }
        None
    }

    /// Steps until the pass ends, or `batches` are scanned, or so many pages have come back, which is
    /// its end too.
    pub fn run<S: Shrinker + ?Sized>(
        &mut self,
        shrinker: &mut S,
        mut batches: u64,
        target: Option<u64>,
    ) -> Ended {
        loop {
            if target.is_some_and(|target| self.pages >= target) {
                self.end(Ended::TargetMet);
            } else if batches == 0 && self.next().is_some() {
                self.end(Ended::Budget);
            }
            if let Some(ended) = self.step(shrinker) {
                return ended;
            }
            batches = batches.saturating_sub(1);
        }
    }

    /// Puts off what is owed and was not scanned, and says what the turn came to.
    pub fn finish(mut self, deferred: &mut Deferred) -> Shrunk {
        self.put_off(deferred)
    }

    /// Done again, it puts nothing off.
    fn put_off(&mut self, deferred: &mut Deferred) -> Shrunk {
        deferred.put(self.owed.saturating_sub(self.scanned));
        self.owed = 0;
        Shrunk {
            scanned: self.scanned,
            freed: self.freed,
            pages: self.pages,
            deferred: deferred.get(),
            ended: self.ended.unwrap_or(Ended::Budget),
        }
    }

    /// Pages that have come back so far.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    const fn new(least: u64, batch: u64, left: u64, owed: u64) -> Self {
        Self {
            least,
            batch,
            left,
            owed,
            scanned: 0,
            freed: 0,
            pages: 0,
            ended: None,
        }
    }

    const fn ended(ended: Ended) -> Self {
        let mut pass = Self::new(0, 0, 0, 0);
        pass.ended = Some(ended);
        pass
    }

    const fn next(&self) -> Option<NonZeroU64> {
        Plan::next_batch(self.left, self.least, self.batch)
    }

    /// Ends the pass, for the first reason that is given.
    fn end(&mut self, ended: Ended) -> Option<Ended> {
        self.ended = self.ended.or(Some(ended));
        self.ended
    }
}

/// Gives one shrinker its turn: Linux's `do_shrink_slab` (`mm/vmscan.c`, 5.8).
///
/// `priority` says how hard memory is sought, from [`DEF_PRIORITY`](crate::Context::DEF_PRIORITY)
/// (little) to 0.
///
/// Where Linux would loop for ever, it ends: if the shrinker scans nothing and does not stop, and
/// after [`Pass::MAX_BATCHES`].
///
/// # Errors
///
/// [`PriorityError`]; the shrinker was not asked and `deferred` has not changed.
pub fn shrink_slab<S: Shrinker + ?Sized>(
    shrinker: &mut S,
    deferred: &mut Deferred,
    priority: u8,
) -> Result<Shrunk, PriorityError> {
    shrink_until(shrinker, deferred, priority, None)
}

/// A whole turn, or until so many pages have come back.
pub(super) fn shrink_until<S: Shrinker + ?Sized>(
    shrinker: &mut S,
    deferred: &mut Deferred,
    priority: u8,
    target: Option<u64>,
) -> Result<Shrunk, PriorityError> {
    let pass = Pass::begin(shrinker, deferred, priority)?;
    let mut turn = Turn { pass, deferred };
    turn.pass.run(shrinker, Pass::MAX_BATCHES, target);
    Ok(turn.pass.put_off(turn.deferred))
}

/// A pass that puts off what it has not scanned also if the shrinker unwinds.
struct Turn<'d> {
    pass: Pass,
    deferred: &'d mut Deferred,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.pass.put_off(self.deferred);
    }
}

impl Pass {
    /// Asks a shrinker for so many pages, from all that it holds: the last resort before giving up,
    /// for which a device stops its hardware.
    ///
    /// Ends at `pages`, after each object was scanned once, or at [`Pass::MAX_BATCHES`]. What was
    /// put off before is not scanned.
    pub fn shrink_pages<S: Shrinker + ?Sized>(shrinker: &mut S, pages: u64) -> Shrunk {
        let mut pass = Self::begin_full(shrinker);
        pass.run(shrinker, Self::MAX_BATCHES, Some(pages));
        pass.finish(&mut Deferred::default())
    }
}

/// Why a shrinker's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// As much was scanned as was planned.
    Complete,
    /// The plan was too small for a batch: nothing was scanned and all is put off.
    PutOff,
    /// The shrinker said stop.
    Stopped,
    /// The shrinker looked at no object and did not say stop.
    NoProgress,
    /// As many batches were scanned as were allowed, or the caller finished before the end.
    Budget,
    /// As many pages came back as were sought.
    TargetMet,
    /// The shrinker holds nothing. What was put off is as it was.
    Empty,
    /// The shrinker could not say what it holds. What was put off is as it was.
    Unknown,
}

/// What a shrinker's turn came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shrunk {
    /// Objects looked at.
    pub scanned: u64,
    /// Objects freed.
    pub freed: u64,
    /// Pages that came back.
    pub pages: u64,
    /// Objects put off, now.
    pub deferred: u64,
    /// Why it ended.
    pub ended: Ended,
}

fn freeable<S: Shrinker + ?Sized>(shrinker: &mut S) -> Result<u64, Ended> {
    match shrinker.count() {
        Some(0) => Err(Ended::Empty),
        Some(objects) => Ok(objects),
        None => Err(Ended::Unknown),
    }
}
