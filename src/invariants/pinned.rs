//! What a walk must leave of a page that is pinned, or that it skipped.

use super::walk::{Holds, pairs};
use super::{Broken, Snapshot, Walk};

/// A page that is pinned when the walk begins stays mapped, if its policy counts such a pin against
/// what was asked.
///
/// A huge mapping of it is not split either. A poisoned page and a forced request are exempt, and
/// nothing else: see [`Asked::counted`](super::Asked::counted).
///
/// # Errors
///
/// [`Broken::PinnedUnmapped`].
pub fn pinned_stays(walk: &Walk<'_>) -> Holds {
    let pins = walk.asked.counted(walk.before.page).of(&walk.before);
    let gone = pairs(walk).find(|pair| pair.gone() || pair.split());
    if pins == 0 || (walk.ending.taken == 0 && gone.is_none()) {
        return Ok(());
    }
    Err(Broken::PinnedUnmapped {
        pins,
        taken: walk.ending.taken,
        address: gone.map(|pair| pair.before.address),
    })
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
    match pairs(walk).skip(at).find(|pair| pair.taken()) {
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
    let what = if walk.ending.taken != 0 {
        "entries taken"
    } else if walk.ending.deferred != 0 || walk.ending.deferred_dirty {
        "flush debt"
    } else if !walk.ending.owed.is_none() {
        "something owed"
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
