//! How much of each list is scanned at a priority.

use super::lists::{Lists, Lru, is_scanned};

/// How many base pages of each list are scanned at this priority, in the order of [`Lru::ALL`]
/// (`get_scan_count`, `mm/vmscan.c`, 5.8): of a list that is scanned, its length shifted right.
///
/// `pinned` estimates the pinned pages on a list. They weigh lists against each other; and at the
/// hardest priority, unless it is scanned `again`, as many are left out.
pub(super) fn plan<B: Lists>(
    lists: &B,
    priority: u8,
    again: bool,
    pinned: impl Fn(Lru) -> u64,
) -> [u64; 4] {
    let unpinned = |list: Lru| lists.pages(list).saturating_sub(pinned(list));
    let share = |pages: u64| pages.checked_shr(u32::from(priority)).unwrap_or(0);
    let file = unpinned(Lru::InactiveFile).saturating_add(unpinned(Lru::ActiveFile));
    let mark = lists.watermark();
    let file_is_tiny = file.saturating_add(mark.free) <= mark.high;
    let anon_only =
        priority > 0 && lists.has_swap() && file_is_tiny && share(unpinned(Lru::InactiveAnon)) > 0;
    Lru::ALL.map(|list| {
        let inactive = match list {
            Lru::ActiveAnon => Some(Lru::InactiveAnon),
            Lru::ActiveFile => Some(Lru::InactiveFile),
            Lru::InactiveAnon | Lru::InactiveFile => None,
        };
        let pages = lists.pages(list);
        let left_out = list.is_file() && anon_only || !is_scanned(list, lists);
        if left_out || inactive.is_some_and(|inactive| unpinned(inactive) >= pages) {
            0
        } else if priority == 0 && !again {
            unpinned(list)
        } else {
            share(pages)
        }
    })
}
