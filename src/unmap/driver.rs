//! The thin driver of `try_to_unmap_one`: looks at the input, asks the gate and the policy, and
//! starts the [walk](super::walk).

use super::UnmapRequest;
use super::decide::{self, Gate};
use super::embed::Bookkeeping;
use super::tlb::FlushDebt;
use super::verdict::{Failure, Owed, UnmapError, Verdict, Walked};
use super::walk::{Area, walk_entries};
use crate::flags::UnmapFlags;
use crate::page::{PageLike, PageSnapshot};
#[cfg(doc)]
use crate::policy::PinMode;
use crate::policy::{PinPolicy, PinVerdict};
use crate::vma::Vma;

/// Takes one page out of one VMA, as Linux 5.8's `try_to_unmap_one` (`mm/rmap.c`) does, with the
/// request's policy where the 2020 patch asks about pins.
///
/// `address`, in bytes, is where the page, or the part of it in this VMA, begins; `walk` is the
/// cursor over its entries there. Where it differs from Linux, on purpose:
///
/// - **D1** An anonymous page whose swap-backed and swap-cache states disagree is found before its
///   entry is cleared: the walk stops with the entry in place (Linux loses the entry).
/// - **D2** The swap slot's reference is given back when the architecture's hook refuses after it
///   was taken (Linux leaks it).
/// - **D3** What makes Linux halt is a typed error with nothing lost.
/// - **D4** After an entry is cleared the pins are asked again, and the entry is put back if one
///   has appeared; only in [`PinMode::PerPage`].
/// - **D6** The migration entry of a PMD keeps uffd-wp, as 5.8's does for a base page and later
///   kernels' (6.12) for both. 5.8 loses it, and with it the write protection.
/// - **D7** `MUNLOCK` together with a [flag that takes or splits
///   entries](crate::UnmapFlags::NOT_WITH_MUNLOCK) is refused with a typed error; only in
///   [`PinMode::PerPage`]. Linux carries both out.
///
/// # Errors
///
/// [`Failure`] for input that cannot be and for a callback that failed. Before the walk begins
/// nothing is touched; later, the entry at which it happened is put back, and what even that could
/// not undo is in [`Failure::owed`].
pub fn try_to_unmap_one<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
) -> Result<Walked, Failure<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    let seen = begin(page, request)?;
    unmap_in_vma(page, seen, vma, address, request, walk, true)
}

/// The first snapshot of a page, and what is refused whatever the VMA. Nothing is touched.
#[inline]
pub(crate) fn begin<P, L, E>(
    page: &P,
    request: &UnmapRequest<L>,
) -> Result<PageSnapshot, Failure<E>>
where
    P: PageLike + ?Sized,
    L: PinPolicy,
{
    let seen = page.snapshot();
    if seen.refs == 0 {
        return Err(untouched(UnmapError::NoReference));
    }
    let flags = request.flags();
    if L::MODE.asks_again() && flags.is_bad_munlock() {
        let with = flags.intersection(UnmapFlags::NOT_WITH_MUNLOCK);
        return Err(untouched(UnmapError::BadMunlock { with }));
    }
    Ok(seen)
}

/// [`try_to_unmap_one`] for a request that may [begin](begin), and a snapshot that was just taken;
/// `ask_pins` if the policy was not asked for the whole page.
///
/// Inlined whatever its size, like the [walk](walk_entries): each entry point is one function.
#[inline(always)]
pub(crate) fn unmap_in_vma<P, V, L, W>(
    page: &P,
    seen: PageSnapshot,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    ask_pins: bool,
) -> Result<Walked, Failure<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    let area = vma.range();
    let base = 1u64.checked_shl(page.base_shift()).unwrap_or(0);
    if area.end < area.start {
        return Err(untouched(UnmapError::BadVma {
            start: area.start,
            end: area.end,
        }));
    }
    if !area.contains(&address) {
        return Err(untouched(UnmapError::OutsideVma { address }));
    }
    if address & base.wrapping_sub(1) != 0 {
        return Err(untouched(UnmapError::Misaligned { address }));
    }
    match decide::gate(request.flags(), vma.flags(), seen.flags) {
        Gate::NotLocked => return Ok(early(Verdict::NotLocked)),
        Gate::NotMigratable => return Ok(early(Verdict::NotMigratable)),
        Gate::Walk(_) => {}
    }
    if ask_pins {
        match request.ask_with(page, seen) {
            (PinVerdict::Proceed, _) => {}
            (PinVerdict::NextVma, pins) => return Ok(early(Verdict::NextVma(pins))),
            (PinVerdict::SkipPage, pins) => return Ok(early(Verdict::SkipPage(pins))),
            (PinVerdict::Refuse, pins) => return Ok(early(Verdict::Refused(pins))),
        }
    }
    let area = Area {
        vma: vma.flags(),
        range: address..area.end.min(address.saturating_add(page.size())),
    };
    walk_entries(page, seen.flags, area, request, walk)
}

const fn early(verdict: Verdict) -> Walked {
    Walked {
        verdict,
        taken: 0,
        flush: FlushDebt::none(),
    }
}

#[cold]
pub(crate) fn untouched<E>(error: UnmapError<E>) -> Failure<E> {
    Failure {
        error,
        taken: 0,
        flush: FlushDebt::none(),
        owed: Owed::default(),
    }
}
