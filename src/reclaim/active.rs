//! The active lists: pages that are not used of late move to the inactive ones.

use super::decide::Referenced;
use super::fate::pin_hint;
use super::lists::{Lists, Lru};
use super::park::{OnScan, ParkPolicy};
use super::stats::Stats;
use super::{PageOp, ScanControl, ShrinkError};
use crate::flags::{PageFlags, VmFlags};
use crate::page::PageLike;
use crate::policy::PinPolicy;

/// Where a page from an active list goes.
///
/// Complete on purpose: whoever isolated the page must know where it goes.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refill {
    /// To the inactive list.
    Deactivate,
    /// Back to the active list, because it is in use.
    Rotate,
    /// Back to the active list, because it is pinned.
    Pinned,
    /// Off the lists, because it is pinned.
    Park,
}

/// Where a page from an active list goes, by its references: executable file pages that were used
/// stay, all others age (`shrink_active_list`, `mm/vmscan.c`, 5.8).
#[inline]
pub const fn refill(page: PageFlags, found: Referenced) -> Refill {
    let executable = found.vma.contains(VmFlags::EXEC) && !page.contains(PageFlags::SWAP_BACKED);
    if found.entries > 0 && executable {
        Refill::Rotate
    } else {
        Refill::Deactivate
    }
}

/// Moves one page from an active list to where it belongs, and counts it. A pinned page is parked
/// or stays where it is, before its references are walked; unless the scan has
/// [`NO_PIN_HINT`](super::ScanFlags::NO_PIN_HINT), or the page is poisoned.
///
/// # Errors
///
/// [`ShrinkError`] if an operation of the embedder's failed; the page is back on its list. It owes
/// nothing.
pub fn age_page<B, L, K>(
    list: Lru,
    page: B::Page,
    control: &ScanControl<L, K>,
    lists: &mut B,
    stats: &mut Stats,
) -> Result<Refill, ShrinkError<B::Error>>
where
    B: Lists,
    L: PinPolicy,
    K: ParkPolicy,
{
    let pages = page.base_pages();
    if let Some(pins) = pin_hint(&page, control) {
        let parked = match control.parking.on_scan(pins) {
            OnScan::Rotate => Err(page),
            OnScan::Park => lists.park(page, pins),
        };
        let refill = match parked {
            Ok(()) => Refill::Park,
            Err(page) => {
                lists.put(list, page);
                Refill::Pinned
            }
        };
        stats.refill(refill, pages);
        return Ok(refill);
    }
    let aged = age(&page, lists);
    let refill = match aged {
        Ok(refill) => refill,
        Err(_) => Refill::Rotate,
    };
    let to = match refill {
        Refill::Deactivate => Lru::of(page.flags().difference(PageFlags::ACTIVE)),
        Refill::Rotate | Refill::Pinned | Refill::Park => list,
    };
    lists.put(to, page);
    stats.refill(refill, pages);
    aged
}

fn age<B: Lists>(page: &B::Page, lists: &mut B) -> Result<Refill, ShrinkError<B::Error>> {
    let op = |op| move |source| ShrinkError::op(op, source);
    let flags = page.flags();
    if flags.contains(PageFlags::UNEVICTABLE) {
        return Ok(Refill::Rotate);
    }
    let found = lists.referenced(page).map_err(op(PageOp::Referenced))?;
    let refill = refill(flags, found);
    if refill == Refill::Deactivate {
        lists
            .update(page, PageFlags::empty(), PageFlags::ACTIVE)
            .map_err(op(PageOp::Update))?;
    }
    Ok(refill)
}
