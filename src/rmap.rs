//! `try_to_unmap`: one page, all its mappings.

use crate::flags::{PageFlags, UnmapFlags, VmFlags};
use crate::page::PageLike;
use crate::pin::Pins;
#[cfg(doc)]
use crate::policy::PinMode;
use crate::policy::{PinPolicy, PinVerdict};
use crate::unmap::{
    Bookkeeping, Callback, Failure, FlushDebt, UnmapError, UnmapRequest, Verdict, Walked, begin,
    unmap_in_vma, untouched,
};
use crate::vma::Vma;
use core::fmt;

/// The reverse map of one page: the VMAs that may map it, one after the other.
///
/// # Contract
///
/// The reverse-map lock is held from the first call to the last (with `RMAP_LOCKED`: by the caller).
pub trait Rmap {
    /// A VMA; a reference to one will do.
    type Vma: Vma;
    /// The walk over the page's entries in one VMA.
    type Walk<'a>: Bookkeeping<Error = Self::Error>
    where
        Self: 'a;
    /// What can go wrong in the embedder's own code.
    type Error;

    /// The next VMA that may map the page.
    ///
    /// # Errors
    ///
    /// The embedder's own.
    fn next_vma(&mut self) -> NextVma<'_, Self>;
}

/// What [`Rmap::next_vma`] returns.
pub type NextVma<'a, R> =
    Result<Option<InVma<<R as Rmap>::Vma, <R as Rmap>::Walk<'a>>>, <R as Rmap>::Error>;

/// A VMA in which a page may be mapped.
#[derive(Debug)]
pub struct InVma<V, W> {
    /// The VMA.
    pub vma: V,
    /// The address in bytes where the page, or the part of it in this VMA, begins.
    pub address: u64,
    /// The walk over its entries there.
    pub walk: W,
}

/// What became of a page's mappings.
#[must_use = "a TLB flush may be owed before the page is free"]
#[derive(Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// What became of them.
    pub outcome: Outcome,
    /// How many VMAs were walked into.
    pub vmas: u32,
    /// How many entries were taken for good.
    pub taken: u32,
    /// The TLB flushes that were put off.
    pub flush: FlushDebt,
}

/// What became of a page's mappings, in one word and with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing maps the page any more.
    Unmapped,
    /// Something still maps it.
    StillMapped(Reason),
    /// The page is pinned, and another one will do. Nothing is touched.
    Skipped(Pins),
    /// The page is pinned, and what was asked cannot be had. Nothing is touched.
    Refused(Pins),
}

impl Outcome {
    /// What Linux returns: whether nothing maps the page any more.
    #[must_use]
    pub const fn is_unmapped(self) -> bool {
        matches!(self, Self::Unmapped)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmapped => f.write_str("unmapped"),
            Self::StillMapped(reason) => write!(f, "still mapped: {reason}"),
            Self::Skipped(pins) => write!(f, "skipped: {pins}"),
            Self::Refused(pins) => write!(f, "refused: {pins}"),
        }
    }
}

/// Why a page is still mapped: the first obstacle that the walk met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A VMA was passed by, or the walk stopped there.
    InVma(Verdict),
    /// A temporary stack maps it, where migration entries must not be put.
    TemporaryStack,
    /// The reverse map led to no further VMA: mappings came meanwhile, or it does not know them.
    NotFound,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InVma(verdict) => verdict.fmt(f),
            Self::TemporaryStack => f.write_str("in a temporary stack"),
            Self::NotFound => f.write_str("the reverse map does not lead to all mappings"),
        }
    }
}

/// Takes a page out of all VMAs that map it, as Linux 5.8's `try_to_unmap` (`mm/rmap.c`) does.
///
/// The questions that concern the whole page are asked once, so a pinned page costs the same
/// however often it is mapped (unless the policy is asked [per VMA](PinMode::PerVma)). The walk ends when nothing maps the page any more, or where a VMA stops it. Temporary stacks are passed
/// by when an anonymous page (not one that is shared by KSM) is migrated or split.
///
/// # Errors
///
/// [`Failure`] for input that cannot be and for a callback that failed, with the progress over all
/// VMAs.
pub fn try_to_unmap<P, R, L>(
    page: &P,
    request: &UnmapRequest<L>,
    rmap: &mut R,
) -> Result<Unmapped, Failure<R::Error>>
where
    P: PageLike + ?Sized,
    R: Rmap + ?Sized,
    L: PinPolicy,
{
    let seen = begin(page, request)?;
    if !L::MODE.is_per_vma() {
        match request.ask_with(page, seen) {
            (PinVerdict::Proceed, _) => {}
            (PinVerdict::SkipPage | PinVerdict::NextVma, pins) => {
                return Ok(nothing(Outcome::Skipped(pins)));
            }
            (PinVerdict::Refuse, pins) => return Ok(nothing(Outcome::Refused(pins))),
        }
    }
    let passes_stacks = passes_temporary_stacks(request.flags(), seen.flags);
    let mut so_far = nothing(Outcome::Unmapped);
    let mut obstacle = None;
    loop {
        let in_vma = match rmap.next_vma() {
            Ok(Some(in_vma)) => in_vma,
            Ok(None) => break,
            Err(source) => {
                let error = UnmapError::Callback {
                    callback: Callback::NextVma,
                    address: 0,
                    source,
                };
                return Err(so_far.failed(untouched(error)));
            }
        };
        let InVma {
            vma,
            address,
            mut walk,
        } = in_vma;
        if passes_stacks && vma.flags().contains(VmFlags::TEMPORARY_STACK) {
            obstacle.get_or_insert(Reason::TemporaryStack);
            continue;
        }
        match unmap_in_vma(
            page,
            page.snapshot(),
            &vma,
            address,
            request,
            &mut walk,
            L::MODE.is_per_vma(),
        ) {
            Err(failure) => return Err(so_far.failed(failure)),
            Ok(walked) => {
                let verdict = so_far.add(walked);
                match verdict {
                    Verdict::Done | Verdict::Unshared => {}
                    other => {
                        obstacle.get_or_insert(Reason::InVma(other));
                    }
                }
                let page_is_out = matches!(verdict, Verdict::SkipPage(_)) || !verdict.goes_on();
                if page_is_out || page.map_count() == 0 {
                    break;
                }
            }
        }
    }
    if page.map_count() != 0 {
        so_far.outcome = Outcome::StillMapped(obstacle.unwrap_or(Reason::NotFound));
    }
    Ok(so_far)
}

const fn passes_temporary_stacks(flags: UnmapFlags, page: PageFlags) -> bool {
    flags.intersects(UnmapFlags::MIGRATION.union(UnmapFlags::SPLIT_FREEZE))
        && page.contains(PageFlags::ANON)
        && !page.contains(PageFlags::KSM)
}

const fn nothing(outcome: Outcome) -> Unmapped {
    Unmapped {
        outcome,
        vmas: 0,
        taken: 0,
        flush: FlushDebt::none(),
    }
}

impl Unmapped {
    fn add(&mut self, walked: Walked) -> Verdict {
        self.vmas = self.vmas.saturating_add(1);
        self.taken = self.taken.saturating_add(walked.taken);
        self.flush.absorb(walked.flush);
        walked.verdict
    }

    fn failed<E>(mut self, failure: Failure<E>) -> Failure<E> {
        self.flush.absorb(failure.flush);
        Failure {
            taken: self.taken.saturating_add(failure.taken),
            flush: self.flush,
            ..failure
        }
    }
}
