//! What a walk must leave behind, whatever was asked and however it ended.

use super::effects::{
    bits_carried, counters, dirty_kept, flushes, in_place, nothing_lost, notifier, slots,
};
use super::{Broken, EntryAt, EntryKind, Snapshot, Walk};
use crate::flags::{PteFlags, UnmapFlags, VmFlags};

type Holds = Result<(), Broken>;

/// All invariants that apply to one walk.
///
/// # Errors
///
/// The first that does not hold.
pub fn walk(walk: &Walk<'_>) -> Holds {
    const ALL: [fn(&Walk<'_>) -> Holds; 13] = [
        same_entries,
        pinned_stays,
        second_look,
        skip_touches_nothing,
        mlocked_stays,
        nothing_lost,
        in_place,
        bits_carried,
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

/// A page that is pinned when the walk begins stays mapped, if its policy counts such a pin against
/// what was asked.
///
/// A huge mapping of it is not split either. A poisoned page and a forced request are exempt, and
/// nothing else: see [`WalkRequest::counted`](super::WalkRequest::counted).
///
/// # Errors
///
/// [`Broken::PinnedUnmapped`].
pub fn pinned_stays(walk: &Walk<'_>) -> Holds {
    let pins = walk.asked.counted(walk.before.page).of(&walk.before);
    let changed = |pair: &Pair<'_>| pair.gone() || pair.split();
    match pairs(walk).find(changed) {
        Some(pair) if pins != 0 => Err(Broken::PinnedUnmapped {
            pins,
            taken: count(walk, changed),
            address: pair.before.address,
        }),
        _ => Ok(()),
    }
}

/// The entry during whose clearing a pin appears is put back, and none after it is taken, if the
/// policy counts that pin and looks twice (D4).
///
/// # Errors
///
/// [`Broken::PinAppearedUnmapped`].
pub fn second_look(walk: &Walk<'_>) -> Holds {
    let Some(at) = walk.pin_appeared else {
        return Ok(());
    };
    let counted = walk.asked.counted(walk.before.page);
    if !walk.asked.second_look || counted.of(&walk.after) == 0 {
        return Ok(());
    }
    match pairs(walk).skip(at).find(|pair| pair.gone()) {
        None => Ok(()),
        Some(pair) => Err(Broken::PinAppearedUnmapped {
            address: pair.before.address,
        }),
    }
}

/// A walk that skips or refuses the page touches nothing: no split, no notifier, no counter, no bit.
///
/// # Errors
///
/// [`Broken::SkipTouched`] with what differs.
pub fn skip_touches_nothing(walk: &Walk<'_>) -> Holds {
    if !walk.ending.how.is_skip() {
        return Ok(());
    }
    let what = if walk.ending.deferred != 0 || walk.ending.deferred_dirty {
        "flush debt"
    } else {
        match difference(&walk.before, &walk.after) {
            Some(what) => what,
            None => return Ok(()),
        }
    };
    Err(Broken::SkipTouched { what })
}

/// Two walks that began alike, under policies whose readings saw no pin, ended alike.
///
/// # Errors
///
/// [`Broken::Unlike`] with what differs.
pub fn alike(one: &Walk<'_>, other: &Walk<'_>) -> Holds {
    let what = if one.ending.how != other.ending.how {
        "how the walk ended"
    } else if one.ending != other.ending {
        "what the walk said that it did"
    } else {
        match difference(&one.after, &other.after) {
            Some(what) => what,
            None => return Ok(()),
        }
    };
    Err(Broken::Unlike { what })
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

/// One entry before and after.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) before: &'a EntryAt,
    pub(super) after: &'a EntryAt,
}

impl Pair<'_> {
    /// It no longer maps the page.
    pub(super) fn gone(&self) -> bool {
        self.before.kind == EntryKind::Present && self.after.kind != EntryKind::Present
    }

    /// It was a PMD, and is one no longer.
    fn split(&self) -> bool {
        self.before.kind == EntryKind::Present
            && self.before.flags.contains(PteFlags::PMD)
            && !self.after.flags.contains(PteFlags::PMD)
    }
}

pub(super) fn pairs<'a>(walk: &'a Walk<'_>) -> impl Iterator<Item = Pair<'a>> {
    let both = walk.before.entries.iter().zip(walk.after.entries);
    both.map(|(before, after)| Pair { before, after })
}

/// How many entries no longer map the page.
pub(crate) fn gone(walk: &Walk<'_>) -> u32 {
    count(walk, |pair| pair.gone())
}

pub(super) fn count(walk: &Walk<'_>, which: impl Fn(&Pair<'_>) -> bool) -> u32 {
    let found = pairs(walk).filter(which).count();
    u32::try_from(found).unwrap_or(u32::MAX)
}

pub(super) fn change(from: u32, to: u32) -> i64 {
    i64::from(to).saturating_sub(i64::from(from))
}

fn difference(one: &Snapshot<'_>, other: &Snapshot<'_>) -> Option<&'static str> {
    let (books, others) = (&one.books, &other.books);
    let parts = [
        ("page flags", one.page != other.page),
        ("references", one.refs != other.refs),
        ("map count", one.maps != other.maps),
        ("entries", one.entries != other.entries),
        ("counters", books.counters != others.counters),
        (
            "notifier",
            (books.begins, books.ends) != (others.begins, others.ends),
        ),
        (
            "flushes",
            (books.flushed, books.deferred) != (others.flushed, others.deferred),
        ),
        ("books", books != others),
    ];
    parts
        .iter()
        .find(|(_, differs)| *differs)
        .map(|(what, _)| *what)
}
