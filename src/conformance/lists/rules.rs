//! What must be true of a page before and after an operation on it.

use super::world::{self, Truth};
use super::{ListsBroken, SeenPage, Stale, TestLists};
use crate::flags::{PageFlags, PteFlags};
use crate::invariants::EntryKind;

type Held = Result<(), ListsBroken>;

pub(super) fn done(is: bool, what: &'static str) -> Held {
    if is {
        Ok(())
    } else {
        Err(ListsBroken::NotDone { what })
    }
}

pub(super) fn allowed(is: bool, why: &'static str) -> Held {
    if is {
        Ok(())
    } else {
        Err(ListsBroken::Forbidden { why })
    }
}

/// The flags changed by this, and nothing else.
pub(super) fn flags(before: &SeenPage, after: &SeenPage, set: PageFlags, clear: PageFlags) -> Held {
    let flags = before.flags.union(set).difference(clear);
    done(after.flags == flags, "the flags of the page")
}

/// How many entries that map the page are young.
pub(super) fn used<B: TestLists>(lists: &B, id: usize) -> u32 {
    let mut young = 0u32;
    for at in 0..crate::conformance::MAX_ENTRIES {
        let Some(entry) = lists.entry(id, at) else {
            break;
        };
        let is = entry.kind == EntryKind::Present && entry.flags.contains(PteFlags::YOUNG);
        young = young.saturating_add(is.into());
    }
    young
}

/// Whether the page may leave memory.
pub(super) fn may_leave(seen: &SeenPage, truth: &Truth) -> Held {
    allowed(seen.maps == 0, "out of memory while it is mapped")?;
    allowed(!truth.is_pinned(), "out of memory while it is pinned")?;
    allowed(
        !seen.flags.contains(PageFlags::DIRTY),
        "out of memory while it is dirty",
    )?;
    let writing = seen.writing || seen.flags.contains(PageFlags::WRITEBACK);
    allowed(!writing, "out of memory while it is being written")?;
    allowed(
        truth.unflushed == 0 && seen.stale == Stale::No,
        "out of memory before its TLB flush",
    )
}

/// Whether the page may go to the allocator.
pub(super) fn may_be_free<B: TestLists>(lists: &B, id: usize, truth: &Truth) -> Held {
    let seen = lists.see(id);
    let (present, _) = world::entries(lists, id);
    allowed(truth.out, "freed while it has references")?;
    allowed(present == 0, "freed while it is mapped")?;
    may_leave(&seen, truth)
}
