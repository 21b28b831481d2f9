//! What a walk did to the entries, the counts and the TLB.

use super::walk::{Pair, change, count, gone, pairs};
use super::{Broken, EntryAt, EntryKind, Walk};
use crate::flags::{PageFlags, PteFlags, UnmapFlags};
use crate::unmap::CounterDelta;

type Holds = Result<(), Broken>;

/// The map count, the references and the reverse maps fall by the number of entries that are gone.
///
/// # Errors
///
/// [`Broken::MapsLost`], [`Broken::RefsLost`], [`Broken::RmapsLost`].
pub fn nothing_lost(walk: &Walk<'_>) -> Holds {
    let taken = gone(walk);
    let fell = change(walk.after.maps, walk.before.maps);
    if fell != i64::from(taken) {
        return Err(Broken::MapsLost { fell, taken });
    }
    let fell = walk.before.refs.saturating_sub(walk.after.refs);
    if fell != i64::from(taken) {
        return Err(Broken::RefsLost { fell, taken });
    }
    let removed = change(walk.before.books.removed, walk.after.books.removed);
    if removed != i64::from(taken) {
        return Err(Broken::RmapsLost { removed, taken });
    }
    Ok(())
}

/// An entry that was not taken is as it was: it may have lost its young bit, and PMD if it was split.
/// One that was not present is untouched.
///
/// # Errors
///
/// [`Broken::EntryChanged`].
pub fn in_place(walk: &Walk<'_>) -> Holds {
    let mut may_fall = PteFlags::YOUNG;
    if walk.asked.flags.contains(UnmapFlags::SPLIT_HUGE_PMD) {
        may_fall |= PteFlags::PMD;
    }
    let changed = |pair: &Pair<'_>| {
        let kept = pair.before.flags.difference(may_fall);
        if pair.before.kind != EntryKind::Present {
            return pair.before.kind != pair.after.kind || pair.before.flags != pair.after.flags;
        }
        pair.after.kind == EntryKind::Present
            && (pair.after.flags.difference(may_fall) != kept
                || !pair.before.flags.contains(pair.after.flags))
    };
    match pairs(walk).find(changed) {
        None => Ok(()),
        Some(pair) => Err(Broken::EntryChanged {
            address: pair.before.address,
        }),
    }
}

/// A swap or migration entry carries the bits of the entry that it replaced: soft-dirty and
/// userfaultfd's write protection; a migration entry also whether writes were allowed. It has no
/// bit that the entry did not have.
///
/// The migration entry of a device-private page need not carry the permission to write: Linux 5.8
/// makes it read-only.
///
/// # Errors
///
/// [`Broken::BitsNotCarried`].
pub fn bits_carried(walk: &Walk<'_>) -> Holds {
    // Not the crate's own constants: a bit that they lost would be lost here too.
    const TRACKING: PteFlags = PteFlags::SOFT_DIRTY.union(PteFlags::UFFD_WP);
    for pair in pairs(walk).filter(Pair::gone) {
        let carries = match pair.after.kind {
            EntryKind::Swap => TRACKING,
            EntryKind::Migration if device_private(walk, pair.before) => TRACKING,
            EntryKind::Migration => TRACKING.union(PteFlags::WRITABLE),
            EntryKind::Present | EntryKind::Empty | EntryKind::Poison => continue,
        };
        let (had, has) = (pair.before.flags, pair.after.flags);
        if !has.contains(had.intersection(carries)) || !had.contains(has) {
            return Err(Broken::BitsNotCarried {
                address: pair.before.address,
                had,
                has,
            });
        }
    }
    Ok(())
}

/// What was dirty before, the page or an entry of it, is dirty after.
///
/// The entries of device-private memory under MIGRATION have no dirty bit of the CPU's and are
/// exempt; PMDs are not.
///
/// # Errors
///
/// [`Broken::DirtyLost`].
pub fn dirty_kept(walk: &Walk<'_>) -> Holds {
    if walk.after.page.contains(PageFlags::DIRTY) {
        return Ok(());
    }
    if walk.before.page.contains(PageFlags::DIRTY) {
        return Err(Broken::DirtyLost { address: None });
    }
    let lost = |pair: &Pair<'_>| {
        let dirty = pair.before.kind == EntryKind::Present
            && pair.before.flags.contains(PteFlags::DIRTY)
            && !device_private(walk, pair.before);
        let kept =
            pair.after.kind == EntryKind::Present && pair.after.flags.contains(PteFlags::DIRTY);
        dirty && !kept
    };
    match pairs(walk).find(lost) {
        None => Ok(()),
        Some(pair) => Err(Broken::DirtyLost {
            address: Some(pair.before.address),
        }),
    }
}

/// As many references on swap slots are held as swap entries were installed.
///
/// # Errors
///
/// [`Broken::SlotsLost`].
pub fn slots(walk: &Walk<'_>) -> Holds {
    let taken = change(walk.before.books.swap_dups, walk.after.books.swap_dups);
    let given = change(walk.before.books.swap_frees, walk.after.books.swap_frees);
    let held = taken.saturating_sub(given);
    let installed = count(walk, |pair| {
        pair.gone() && pair.after.kind == EntryKind::Swap
    });
    if held == i64::from(installed) {
        Ok(())
    } else {
        Err(Broken::SlotsLost { held, installed })
    }
}

/// The resident counters fall by the entries taken that did not become migration entries, and the
/// swap counter rises by the swap entries installed.
///
/// # Errors
///
/// [`Broken::ResidentLost`], [`Broken::SwapEntsLost`].
pub fn counters(walk: &Walk<'_>) -> Holds {
    let delta = walk
        .after
        .books
        .counters
        .plus(walk.before.books.counters.undone());
    let change = resident(delta);
    let taken = count(walk, |pair| {
        pair.gone() && pair.after.kind != EntryKind::Migration
    });
    if change != i64::from(taken).saturating_neg() {
        return Err(Broken::ResidentLost { change, taken });
    }
    let change = i64::from(delta.swap_ents);
    let installed = count(walk, |pair| {
        pair.gone() && pair.after.kind == EntryKind::Swap
    });
    if change != i64::from(installed) {
        return Err(Broken::SwapEntsLost { change, installed });
    }
    Ok(())
}

/// Flushes are deferred only with `BATCH_FLUSH`, all of them are in the debt, and no entry is gone
/// without one (device-private memory aside).
///
/// # Errors
///
/// [`Broken::DeferredUnasked`], [`Broken::DebtForgotten`], [`Broken::FlushMissing`],
/// [`Broken::DirtyDebtForgotten`].
pub fn flushes(walk: &Walk<'_>) -> Holds {
    let debt = walk.ending.deferred;
    if debt != 0 && !walk.asked.flags.contains(UnmapFlags::BATCH_FLUSH) {
        return Err(Broken::DeferredUnasked { deferred: debt });
    }
    let deferred = change(walk.before.books.deferred, walk.after.books.deferred);
    if deferred != i64::from(debt) {
        return Err(Broken::DebtForgotten { deferred, debt });
    }
    let done = change(walk.before.books.flushed, walk.after.books.flushed);
    let flushes = done.saturating_add(deferred);
    let needs_flush = |pair: &Pair<'_>| pair.gone() && !device_private(walk, pair.before);
    let gone = count(walk, needs_flush);
    if flushes < i64::from(gone) {
        return Err(Broken::FlushMissing { gone, flushes });
    }
    if done == 0 && !walk.ending.deferred_dirty {
        let forgotten =
            |pair: &Pair<'_>| needs_flush(pair) && pair.before.flags.contains(PteFlags::DIRTY);
        if let Some(pair) = pairs(walk).find(forgotten) {
            return Err(Broken::DirtyDebtForgotten {
                address: pair.before.address,
            });
        }
    }
    Ok(())
}

/// Each begin of an invalidation has its end, and an un-shared page table is invalidated.
///
/// # Errors
///
/// [`Broken::NotifierUnpaired`], [`Broken::UnsharedNotInvalidated`].
pub fn notifier(walk: &Walk<'_>) -> Holds {
    let begins = change(walk.before.books.begins, walk.after.books.begins);
    let ends = change(walk.before.books.ends, walk.after.books.ends);
    if begins != ends {
        return Err(Broken::NotifierUnpaired { begins, ends });
    }
    let unshares = change(walk.before.books.unshares, walk.after.books.unshares);
    let invalidates = change(walk.before.books.invalidates, walk.after.books.invalidates);
    if unshares > invalidates {
        return Err(Broken::UnsharedNotInvalidated {
            unshares,
            invalidates,
        });
    }
    Ok(())
}

fn resident(delta: CounterDelta) -> i64 {
    [delta.anon, delta.file, delta.shmem, delta.hugetlb]
        .into_iter()
        .fold(0i64, |sum, n| sum.saturating_add(i64::from(n)))
}

fn device_private(walk: &Walk<'_>, entry: &EntryAt) -> bool {
    let flags = walk.asked.flags;
    let pmd = entry.flags.contains(PteFlags::PMD) && !flags.contains(UnmapFlags::SPLIT_HUGE_PMD);
    flags.contains(UnmapFlags::MIGRATION)
        && walk.before.page.contains(PageFlags::DEVICE_PRIVATE)
        && !pmd
}
