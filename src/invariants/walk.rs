//! What a walk must leave behind, whatever was asked and however it ended.

use super::pinned::{pinned_stays, second_look, skip_touches_nothing};
use super::{Broken, EntryAt, EntryKind, Walk};
use crate::flags::{PageFlags, PteFlags, UnmapFlags, VmFlags};
use crate::unmap::CounterDelta;

pub(super) type Holds = Result<(), Broken>;

/// All invariants that apply to one walk.
///
/// # Errors
///
/// The first that does not hold.
pub fn walk(walk: &Walk<'_>) -> Holds {
    const ALL: [fn(&Walk<'_>) -> Holds; 12] = [
        same_entries,
        pinned_stays,
        second_look,
        skip_touches_nothing,
        mlocked_stays,
        nothing_lost,
        in_place,
        dirty_kept,
        slots,
        counters,
        flushes,
        notifier,
    ];
    ALL.iter().try_for_each(|check| check(walk))
}

fn same_entries(walk: &Walk<'_>) -> Holds {
    let (before, after) = (walk.before.entries, walk.after.entries);
    let same = before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(old, new)| old.address == new.address && old.vma == new.vma);
    if same {
        Ok(())
    } else {
        Err(Broken::EntriesMismatch {
            before: before.len(),
            after: after.len(),
        })
    }
}

/// Entries in locked VMAs stay, unless `IGNORE_MLOCK` says otherwise.
///
/// The PMD of a huge page under MIGRATION is exempt: Linux 5.8 takes it before it asks for mlock.
///
/// # Errors
///
/// [`Broken::MlockedTaken`].
pub fn mlocked_stays(walk: &Walk<'_>) -> Holds {
    let flags = walk.asked.flags;
    if flags.contains(UnmapFlags::IGNORE_MLOCK) {
        return Ok(());
    }
    let pmds_go = flags.contains(UnmapFlags::MIGRATION);
    let split = flags.contains(UnmapFlags::SPLIT_HUGE_PMD);
    let stays = |pair: &Pair<'_>| {
        let pmd = pair.before.flags.contains(PteFlags::PMD) && !split;
        pair.before.vma.contains(VmFlags::LOCKED) && !(pmds_go && pmd)
    };
    match pairs(walk).find(|pair| stays(pair) && pair.gone()) {
        None => Ok(()),
        Some(pair) => Err(Broken::MlockedTaken {
            address: pair.before.address,
        }),
    }
}

/// Entries gone, entries said to be taken, and what map count, references and reverse maps fell by
/// are one number.
///
/// # Errors
///
/// [`Broken::EntriesLost`], [`Broken::MapsLost`], [`Broken::RefsLost`], [`Broken::RmapsLost`].
pub fn nothing_lost(walk: &Walk<'_>) -> Holds {
    let taken = walk.ending.taken;
    let gone = count(walk, |pair| pair.taken());
    if gone != taken {
        return Err(Broken::EntriesLost { gone, taken });
    }
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
        match pair.owed {
            Some(bits) => bits.difference(may_fall) != kept,
            None => {
                pair.after.kind == EntryKind::Present
                    && (pair.after.flags.difference(may_fall) != kept
                        || !pair.before.flags.contains(pair.after.flags))
            }
        }
    };
    match pairs(walk).find(changed) {
        None => Ok(()),
        Some(pair) => Err(Broken::EntryChanged {
            address: pair.before.address,
        }),
    }
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
        let kept = match pair.owed {
            Some(bits) => bits.contains(PteFlags::DIRTY),
            None => {
                pair.after.kind == EntryKind::Present && pair.after.flags.contains(PteFlags::DIRTY)
            }
        };
        dirty && !kept
    };
    match pairs(walk).find(lost) {
        None => Ok(()),
        Some(pair) => Err(Broken::DirtyLost {
            address: Some(pair.before.address),
        }),
    }
}

/// As many references on swap slots are held as swap entries were installed, with what is owed.
///
/// # Errors
///
/// [`Broken::SlotsLost`].
pub fn slots(walk: &Walk<'_>) -> Holds {
    let taken = change(walk.before.books.swap_dups, walk.after.books.swap_dups);
    let given = change(walk.before.books.swap_frees, walk.after.books.swap_frees);
    let owed = i64::from(walk.ending.owed.swap_slot().is_some());
    let held = taken.saturating_sub(given).saturating_sub(owed);
    let installed = count(walk, |pair| {
        pair.taken() && pair.after.kind == EntryKind::Swap
    });
    if held == i64::from(installed) {
        Ok(())
    } else {
        Err(Broken::SlotsLost { held, installed })
    }
}

/// The resident counters fall by the entries taken that did not become migration entries, and the
/// swap counter rises by the swap entries installed, with what is owed.
///
/// # Errors
///
/// [`Broken::ResidentLost`], [`Broken::SwapEntsLost`].
pub fn counters(walk: &Walk<'_>) -> Holds {
    let delta = walk
        .after
        .books
        .counters
        .plus(walk.before.books.counters.undone())
        .plus(walk.ending.owed.counters());
    let change = resident(delta);
    let taken = count(walk, |pair| {
        pair.taken() && pair.after.kind != EntryKind::Migration
    });
    if change != i64::from(taken).saturating_neg() {
        return Err(Broken::ResidentLost { change, taken });
    }
    let change = i64::from(delta.swap_ents);
    let installed = count(walk, |pair| {
        pair.taken() && pair.after.kind == EntryKind::Swap
    });
    if change != i64::from(installed) {
        return Err(Broken::SwapEntsLost { change, installed });
    }
    Ok(())
}

/// Flushes are put off only with `BATCH_FLUSH`, all of them are in the debt, and no entry is gone
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

/// Each begin of an invalidation has its end, and an un-shared page table is invalidated; what is
/// owed counts.
///
/// # Errors
///
/// [`Broken::NotifierUnpaired`], [`Broken::UnsharedNotInvalidated`].
pub fn notifier(walk: &Walk<'_>) -> Holds {
    let begins = change(walk.before.books.begins, walk.after.books.begins);
    let ends = change(walk.before.books.ends, walk.after.books.ends)
        .saturating_add(i64::from(walk.ending.owed.invalidate_end()));
    if begins != ends {
        return Err(Broken::NotifierUnpaired { begins, ends });
    }
    let unshares = change(walk.before.books.unshares, walk.after.books.unshares);
    let invalidates = change(walk.before.books.invalidates, walk.after.books.invalidates)
        .saturating_add(i64::from(walk.ending.owed.invalidate()));
    if unshares > invalidates {
        return Err(Broken::UnsharedNotInvalidated {
            unshares,
            invalidates,
        });
    }
    Ok(())
}

/// One entry before and after, and its bits if putting it back is owed.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) before: &'a EntryAt,
    after: &'a EntryAt,
    owed: Option<PteFlags>,
}

impl Pair<'_> {
    /// It no longer maps the page.
    pub(super) fn gone(&self) -> bool {
        self.before.kind == EntryKind::Present && self.after.kind != EntryKind::Present
    }

    /// It was a PMD, and is one no longer.
    pub(super) fn split(&self) -> bool {
        self.before.kind == EntryKind::Present
            && self.before.flags.contains(PteFlags::PMD)
            && !self.after.flags.contains(PteFlags::PMD)
    }

    /// It no longer maps the page, and nobody owes it.
    pub(super) fn taken(&self) -> bool {
        self.gone() && self.owed.is_none()
    }
}

pub(super) fn pairs<'a>(walk: &'a Walk<'_>) -> impl Iterator<Item = Pair<'a>> {
    let both = || walk.before.entries.iter().zip(walk.after.entries);
    let owed = walk.ending.owed.entry();
    // Addresses repeat across address spaces; what is owed is of the VMA that was walked last.
    let owed_at = owed.and_then(|(entry, _)| {
        both().rposition(|(before, after)| {
            before.address == entry.address
                && before.kind == EntryKind::Present
                && after.kind != EntryKind::Present
        })
    });
    both().enumerate().map(move |(at, (before, after))| Pair {
        before,
        after,
        owed: owed.filter(|_| owed_at == Some(at)).map(|(_, bits)| bits),
    })
}

fn count(walk: &Walk<'_>, which: impl Fn(&Pair<'_>) -> bool) -> u32 {
    let found = pairs(walk).filter(which).count();
    u32::try_from(found).unwrap_or(u32::MAX)
}

fn change(from: u32, to: u32) -> i64 {
    i64::from(to).saturating_sub(i64::from(from))
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
