//! The active lists: pages that are no longer used move to the inactive lists.

use super::decide::Referenced;
use super::fate::{pin_hint, set_aside};
use super::lap::Met;
use super::lists::{Lists, Lru};
use super::stats::Stats;
use super::{Fate, ScanControl};
use crate::flags::{PageFlags, VmFlags};
use crate::page::PageLike;
use crate::policy::PinPolicy;

/// Moves one page from an active list to where it belongs, and counts it.
///
/// Executable file pages that were used stay, all others are deactivated (`shrink_active_list`,
/// `mm/vmscan.c`, 5.8). A pinned page is parked or stays, before its references are counted.
pub(super) fn age_page<B, L>(
    list: Lru,
    page: B::Page,
    control: &ScanControl<L>,
    lists: &mut B,
    stats: &mut Stats,
) -> Met
where
    B: Lists,
    L: PinPolicy,
{
    let pages = page.base_pages();
    let met = |pinned| Met { pages, pinned };
    if let Some(pins) = pin_hint(&page, control) {
        let on_list = match set_aside(control, pins) {
            Fate::Parked(pins) => lists.park(page, pins),
            _ => Err(page),
        };
        return match on_list {
            Ok(()) => {
                stats.refill(|stats| &mut stats.active_parked, pages);
                met(false)
            }
            Err(page) => {
                // It may be handed back because its last pin was dropped.
                let pinned = pin_hint(&page, control).is_some();
                lists.put(list, page);
                stats.refill(|stats| &mut stats.active_pinned, pages);
                met(pinned)
            }
        };
    }
    let flags = page.flags();
    if flags.contains(PageFlags::UNEVICTABLE) || stays_active(flags, lists.referenced(&page)) {
        lists.put(list, page);
        stats.refill(|stats| &mut stats.rotated, pages);
    } else {
        lists.update(&page, PageFlags::empty(), PageFlags::ACTIVE);
        lists.put(Lru::of(flags.difference(PageFlags::ACTIVE)), page);
        stats.refill(|stats| &mut stats.deactivated, pages);
    }
    met(false)
}

const fn stays_active(page: PageFlags, found: Referenced) -> bool {
    let executable = found.vma.contains(VmFlags::EXEC) && !page.contains(PageFlags::SWAP_BACKED);
    found.entries > 0 && executable
}
