//! `try_to_unmap_one`: checks the input, asks the gate and the policy, and starts the
//! [walk](super::walk).

use super::UnmapRequest;
use super::decide;
use super::embed::PageTables;
use super::tlb::FlushDebt;
use super::verdict::{UnmapError, Verdict};
use super::walk::{Area, walk_entries};
use crate::flags::{UnmapFlags, VmFlags};
use crate::page::PageLike;
#[cfg(doc)]
use crate::policy::PinMode;
use crate::policy::{PinPolicy, PinVerdict};
use crate::vma::Vma;

/// Unmaps one page from one VMA, as Linux 5.8's `try_to_unmap_one` (`mm/rmap.c`) does, with the
/// request's policy where the 2020 patch asks about pins.
///
/// `address`, in bytes, is where the page, or the part of it in this VMA, begins; `walk` is the
/// cursor over its entries there. TLB flushes that were deferred are added to `debt`, also when the
/// walk fails: no page of the debt is free before the flush is done.
///
/// It differs from Linux on purpose:
///
/// - **D1** An anonymous page whose swap-backed and swap-cache states disagree is found before its
///   entry is cleared: the walk stops with the entry in place (Linux loses the entry).
/// - **D2** The swap slot's reference is dropped when the architecture's hook refuses after it was
///   taken (Linux leaks it).
/// - **D3** Where Linux halts, the result is an error, and nothing is lost.
/// - **D4** After an entry is cleared the pins are read again, and the entry is put back if one has
///   appeared; only in [`PinMode::PerPage`].
/// - **D6** The migration entry of a PMD keeps uffd-wp, as 5.8's does for a base page and later
///   kernels' (6.12) for both (5.8 loses it, and with it the write protection).
/// - **D7** `MUNLOCK` together with a [flag that takes or splits
///   entries](crate::UnmapFlags::NOT_WITH_MUNLOCK) is [no request](UnmapRequest::under) in
///   [`PinMode::PerPage`] (Linux carries out both).
///
/// # Errors
///
/// [`UnmapError`] for inconsistent input and for a method of `walk` that failed. The entry at which
/// it happened is in place.
///
/// # Examples
///
/// ```
/// # use core::convert::Infallible;
/// # use pinfold::{Cleared, Entry, FlushMode, NewEntry, PageTables, PteFlags};
/// # struct OneEntry { pte: Option<PteFlags>, visited: bool }
/// # impl PageTables for OneEntry {
/// #     type Error = Infallible;
/// #     fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
/// #         let first = !core::mem::replace(&mut self.visited, true);
/// #         Ok(self.pte.filter(|_| first).map(|flags| Entry { address: 0x1000, flags }))
/// #     }
/// #     fn test_and_clear_young(&mut self, _: &Entry) -> bool { false }
/// #     fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
/// #         Ok(Cleared { flags: self.pte.take().unwrap_or_default(), deferred: true })
/// #     }
/// #     fn install(&mut self, _: &Entry, new: NewEntry) {
/// #         if let NewEntry::Restored(flags) = new { self.pte = Some(flags); }
/// #     }
/// #     fn set_page_dirty(&mut self) {}
/// #     fn remove_rmap(&mut self, _: &Entry) {}
/// # }
/// use pinfold::{
///     FlushDebt, PageFlags, PlainPage, PlainVma, UnmapFlags, UnmapRequest, Verdict, VmFlags,
///     try_to_unmap_one,
/// };
///
/// // A clean page of the page cache, mapped once: by this entry.
/// let flags = PageFlags::PAGE_CACHE;
/// let page = PlainPage { flags, refs: 3, maps: 1, pins: None, base_pages: 1 };
/// let vma = PlainVma { flags: VmFlags::empty(), range: 0x1000..0x2000 };
/// let mut walk = OneEntry { pte: Some(PteFlags::WRITABLE), visited: false };
///
/// let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
/// let mut debt = FlushDebt::none();
/// let verdict = try_to_unmap_one(&page, &vma, 0x1000, &request, &mut walk, &mut debt);
/// assert_eq!(verdict, Ok(Verdict::Done));
/// assert_eq!(debt.entries(), 1, "the walk deferred its flush");
/// debt.flush(|| { /* flush all TLBs */ });
/// # Ok::<(), pinfold::BadFlags>(())
/// ```
pub fn try_to_unmap_one<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    debt: &mut FlushDebt,
) -> Result<Verdict, UnmapError<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    unmap_in_vma(page, vma, address, request, walk, debt, true)
}

/// The flags of a request and of a VMA: what they hold, or constants by which the same is decided.
type Flags = (UnmapFlags, VmFlags);

/// The constants for a [plain](decide::is_plain) request. The code for everything else is left out
/// of what is inlined with them.
const PLAIN: Flags = (decide::PLAIN, VmFlags::empty());

/// [`try_to_unmap_one`], but looks whether the page has a reference and asks the policy only if
/// `ask_pins`: neither was done for the whole page.
///
/// Always inlined, like the [walk](walk_entries): each entry point is one function for a plain
/// request.
#[inline(always)]
pub(crate) fn unmap_in_vma<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    debt: &mut FlushDebt,
    ask_pins: bool,
) -> Result<Verdict, UnmapError<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    if decide::is_plain(request.flags(), vma.flags()) {
        unmap_for(PLAIN, page, vma, address, request, walk, debt, ask_pins)
    } else {
        unmap_otherwise(page, vma, address, request, walk, debt, ask_pins)
    }
}

/// [`unmap_in_vma`] if the request is not plain. A function of its own, so that the code for it costs
/// a plain request nothing.
#[inline(never)]
fn unmap_otherwise<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    debt: &mut FlushDebt,
    ask_pins: bool,
) -> Result<Verdict, UnmapError<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    let flags = (request.flags(), vma.flags());
    unmap_for(flags, page, vma, address, request, walk, debt, ask_pins)
}

/// Checks the input, asks the gate and the policy, and walks the entries.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn unmap_for<P, V, L, W>(
    (flags, vma_flags): Flags,
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    debt: &mut FlushDebt,
    ask_pins: bool,
) -> Result<Verdict, UnmapError<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    let seen = page.snapshot();
    if ask_pins && seen.refs == 0 {
        return Err(UnmapError::NoReference);
    }
    let area = vma.range();
    let base = 1u64.checked_shl(page.base_shift()).unwrap_or(0);
    if area.end < area.start {
        return Err(UnmapError::BadVma {
            start: area.start,
            end: area.end,
        });
    }
    if !area.contains(&address) {
        return Err(UnmapError::OutsideVma { address });
    }
    if address & base.wrapping_sub(1) != 0 {
        return Err(UnmapError::Misaligned { address });
    }
    if let Some(verdict) = decide::gate(flags, vma_flags, seen.flags) {
        return Ok(verdict);
    }
    if ask_pins {
        match request.ask_for(flags, page, seen) {
            (PinVerdict::Proceed, _) => {}
            (PinVerdict::NextVma, pins) => return Ok(Verdict::NextVma(pins)),
            (PinVerdict::SkipPage, pins) => return Ok(Verdict::SkipPage(pins)),
            (PinVerdict::Refuse, pins) => return Ok(Verdict::Refused(pins)),
        }
    }
    let area = Area {
        vma: vma_flags,
        range: address..area.end.min(address.saturating_add(page.size())),
    };
    walk_entries(page, seen.flags, area, flags, request, walk, debt)
}
