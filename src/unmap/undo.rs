//! Undoing what was done for an entry since it was cleared, and telling what could not be undone.

use super::decide::Inconsistency;
use super::embed::{Bookkeeping, CounterDelta, Entry, NewEntry};
use super::verdict::{Callback, Owed, Stop, UnmapError, Verdict};
use crate::flags::PteFlags;

/// What went wrong, and what could not be undone.
pub(super) struct Fault<E> {
    pub(super) error: UnmapError<E>,
    pub(super) owed: Owed,
}

impl<E> From<UnmapError<E>> for Fault<E> {
    #[cold]
    fn from(error: UnmapError<E>) -> Self {
        Self {
            error,
            owed: Owed::default(),
        }
    }
}

/// `Ok(None)`: go on to the next entry. `Ok(Some)`: the walk is over.
pub(super) type Step<E> = Result<Option<Verdict>, Fault<E>>;

/// What has been done for an entry since it was cleared, and must be undone if it is put back.
///
/// Built where it is needed: one that went along would live in memory, and be written for every
/// entry that is taken.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) slot: bool,
    pub(super) counted: CounterDelta,
}

impl Done {
    pub(super) const NOTHING: Self = Self::slot(false);

    pub(super) const fn slot(slot: bool) -> Self {
        Self {
            slot,
            counted: CounterDelta::NONE,
        }
    }
}

/// Puts the entry back and stops the walk for `why`; `slot` if its swap slot was duplicated.
#[cold]
pub(super) fn put_back<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    slot: bool,
    why: Stop,
) -> Step<W::Error> {
    unwind(walk, entry, bits, Done::slot(slot)).map(|()| Some(Verdict::Stopped(why)))
}

/// Puts the entry back and stops the walk because `callback` failed.
#[cold]
pub(super) fn undo<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    done: Done,
    callback: Callback,
    source: W::Error,
) -> Step<W::Error> {
    // The first error is the one to tell, with all that even this could not undo.
    let owed = match unwind(walk, entry, bits, done) {
        Ok(()) => Owed::default(),
        Err(fault) => fault.owed,
    };
    let error = at(entry, callback)(source);
    Err(Fault { error, owed })
}

/// Undoes, last first, all that was done since the entry was cleared; goes on after a failure, and
/// tells the first.
pub(super) fn unwind<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    done: Done,
) -> Result<(), Fault<W::Error>> {
    let mut owed = Owed::default();
    let mut result = Ok(());
    if done.counted != CounterDelta::NONE {
        let delta = done.counted.undone();
        if let Err(source) = walk.count(delta) {
            owed.counters = delta;
            result = Err(at(entry, Callback::Count)(source));
        }
    }
    if let Err(source) = walk.install(&entry, NewEntry::Restored(bits)) {
        owed.entry = entry;
        owed.restore = Some(bits);
        result = result.and(Err(at(entry, Callback::Restore)(source)));
    }
    if done.slot {
        if let Err(source) = walk.swap_free(&entry) {
            owed.entry = entry;
            owed.slot = true;
            result = result.and(Err(at(entry, Callback::SwapFree)(source)));
        }
    }
    result.map_err(|error| Fault { error, owed })
}

pub(super) fn at<E>(entry: Entry, callback: Callback) -> impl FnOnce(E) -> UnmapError<E> {
    let address = entry.address;
    move |source| UnmapError::Callback {
        callback,
        address,
        source,
    }
}

pub(super) fn wrong<E>(what: Inconsistency, entry: Entry) -> UnmapError<E> {
    UnmapError::Inconsistent {
        what,
        address: entry.address,
    }
}
