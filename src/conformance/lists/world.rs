//! What the suite knows of the pages by itself, and what must be true of them at any time.

use super::{ListsBroken, SeenPage, TestLists, Whereabouts};
use crate::flags::PageFlags;
use crate::invariants::EntryKind;
use crate::pin::{PinCount, PinKind};
use crate::reclaim::{Lru, Place};

/// What is true of a page, whatever the embedder says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    pub(super) whereabouts: Whereabouts,
    pub(super) short: u32,
    pub(super) longterm: u32,
    /// Plain references that somebody holds.
    pub(super) holds: u32,
    /// The scan holds the page lock.
    pub(super) ours: bool,
    /// Somebody else does.
    pub(super) others: bool,
    /// Its count was frozen, or its last reference dropped.
    pub(super) out: bool,
    /// Its entries that were cleared with a deferred flush, which is not done yet.
    pub(super) unflushed: u32,
    /// What was last written.
    pub(super) content: u64,
    /// It was freed lazily and not written to since: the content may be dropped.
    pub(super) droppable: bool,
    /// When it came to its list; `None` if that is not known.
    pub(super) since: Option<u64>,
}

impl Truth {
    pub(super) const fn new(
        whereabouts: Whereabouts,
        content: u64,
        droppable: bool,
        since: u64,
    ) -> Self {
        Self {
            whereabouts,
            short: 0,
            longterm: 0,
            holds: 0,
            ours: false,
            others: false,
            out: false,
            unflushed: 0,
            content,
            droppable,
            since: Some(since),
        }
    }

    pub(super) const fn pins(&self) -> PinCount {
        PinCount {
            total: self.short.saturating_add(self.longterm),
            longterm: Some(self.longterm),
        }
    }

    pub(super) const fn is_pinned(&self) -> bool {
        self.pins().total > 0
    }

    pub(super) const fn pins_of(&mut self, kind: PinKind) -> &mut u32 {
        match kind {
            PinKind::Short => &mut self.short,
            PinKind::Longterm => &mut self.longterm,
        }
    }

    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Free)
    }
}

/// How many of the page's entries map it, and how many hold its swap slot.
pub(super) fn entries<B: TestLists>(lists: &B, id: usize) -> (u32, u32) {
    let (mut present, mut swap) = (0u32, 0u32);
    for at in 0..super::super::MAX_ENTRIES {
        match lists.entry(id, at).map(|entry| entry.kind) {
            None => break,
            Some(EntryKind::Present) => present = present.saturating_add(1),
            Some(EntryKind::Swap) => swap = swap.saturating_add(1),
            Some(EntryKind::Empty | EntryKind::Migration | EntryKind::Poison) => {}
        }
    }
    (present, swap)
}

const CACHED: PageFlags = PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE);

/// What must be true of a page whenever no callback is under way.
pub(super) fn check<B: TestLists>(
    lists: &B,
    id: usize,
    truth: &mut Truth,
) -> Result<(), ListsBroken> {
    let seen = lists.see(id);
    if seen.whereabouts != truth.whereabouts {
        return Err(ListsBroken::Misplaced {
            expected: truth.whereabouts,
            found: seen.whereabouts,
        });
    }
    let (present, swap) = entries(lists, id);
    if !truth.is_gone() {
        counts(lists, &seen, truth, present)?;
        let locked = truth.ours || truth.others;
        // Nobody finds the lock of a page that is out of memory.
        if !truth.out && seen.locked != locked {
            return Err(ListsBroken::Lock { expected: locked });
        }
        if seen.writing && !seen.flags.contains(PageFlags::WRITEBACK) {
            return Err(ListsBroken::NotDone {
                what: "it is being written, and not under writeback",
            });
        }
    } else if present != 0 {
        return Err(ListsBroken::Mappings {
            entries: present,
            maps: 0,
        });
    }
    let cached = !truth.is_gone() && seen.flags.contains(PageFlags::SWAP_CACHE);
    let users = (cached || swap > 0).then_some(swap);
    if seen.slot != users {
        return Err(ListsBroken::SlotUsers {
            expected: users,
            found: seen.slot,
        });
    }
    content(&seen, truth)
}

fn counts<B: TestLists>(
    lists: &B,
    seen: &SeenPage,
    truth: &Truth,
    present: u32,
) -> Result<(), ListsBroken> {
    if seen.maps != present {
        return Err(ListsBroken::Mappings {
            entries: present,
            maps: seen.maps,
        });
    }
    let pins = u64::from(truth.pins().total).saturating_mul(lists.refs_per_pin().into());
    let expected = if truth.out {
        0
    } else {
        [
            present,
            u32::from(seen.flags.intersects(CACHED)),
            u32::from(seen.flags.contains(PageFlags::PRIVATE)),
            truth.holds,
            lists.refs_there(truth.whereabouts),
        ]
        .into_iter()
        .fold(pins, |sum, refs| sum.saturating_add(refs.into()))
    };
    let expected = i64::try_from(expected).unwrap_or(i64::MAX);
    let found = i64::from(seen.refs);
    if found == expected {
        Ok(())
    } else {
        Err(ListsBroken::References { expected, found })
    }
}

fn content(seen: &SeenPage, truth: &mut Truth) -> Result<(), ListsBroken> {
    if seen.content == truth.content {
        Ok(())
    } else if truth.droppable && seen.content == 0 {
        truth.content = 0;
        Ok(())
    } else {
        Err(ListsBroken::ContentLost {
            expected: truth.content,
            found: seen.content,
        })
    }
}

/// The lists are as long as they say, and each swap slot in use belongs to a page.
pub(super) fn check_lists<B: TestLists>(lists: &B, pages: &[Truth]) -> Result<(), ListsBroken> {
    let at = |place| {
        let there = Whereabouts::Listed(place);
        pages
            .iter()
            .filter(|page| page.whereabouts == there)
            .count()
    };
    let length = |place, found| {
        let expected = u64::try_from(at(place)).unwrap_or(u64::MAX);
        if expected == found {
            Ok(())
        } else {
            Err(ListsBroken::Length {
                place,
                expected,
                found,
            })
        }
    };
    for list in Lru::ALL {
        length(Place::List(list), lists.pages(list))?;
    }
    length(Place::Parked, lists.pages_parked())?;
    let with_slot = (0..pages.len()).filter(|&id| lists.see(id).slot.is_some());
    let expected = u32::try_from(with_slot.count()).unwrap_or(u32::MAX);
    match lists.slots_in_use() {
        Some(found) if found != expected => Err(ListsBroken::SlotsInUse { expected, found }),
        _ => Ok(()),
    }
}

/// What differs between two looks at a page.
pub(super) fn difference(one: &SeenPage, other: &SeenPage) -> Option<&'static str> {
    let parts = [
        ("whereabouts", one.whereabouts != other.whereabouts),
        ("page flags", one.flags != other.flags),
        ("references", one.refs != other.refs),
        ("map count", one.maps != other.maps),
        ("page lock", one.locked != other.locked),
        ("writeback", one.writing != other.writing),
        ("TLB", one.stale != other.stale),
        ("content", one.content != other.content),
        ("swap slot", one.slot != other.slot),
    ];
    parts
        .iter()
        .find(|(_, differs)| *differs)
        .map(|(what, _)| *what)
}
