//! `try_to_unmap`: one page, all its mappings.

use crate::flags::{PageFlags, UnmapFlags, VmFlags};
use crate::page::PageLike;
use crate::pin::Pins;
#[cfg(doc)]
use crate::policy::PinMode;
use crate::policy::{PinPolicy, PinVerdict};
use crate::unmap::{FlushDebt, PageTables, UnmapError, UnmapRequest, Verdict, unmap_in_vma};
use crate::vma::Vma;
use core::fmt;

/// The reverse map of one page: a cursor over the VMAs that may map it, and over its entries in each
/// of them.
///
/// # Contract
///
/// - [`next_vma`](Self::next_vma) takes the reverse-map lock on its first call, without waiting,
///   unless the request has `RMAP_LOCKED`: then the caller holds it. The embedder releases it when
///   the cursor is dropped.
/// - After `next_vma` has returned a VMA, [`next_entry`](PageTables::next_entry) returns the
///   entries in that VMA.
///
/// # Examples
///
/// A page that is never mapped:
///
/// ```
/// # use core::convert::Infallible;
/// # use pinfold::{Cleared, Entry, FlushMode, NewEntry, PageTables, PteFlags};
/// # struct Unmapped;
/// # impl PageTables for Unmapped {
/// #     type Error = Infallible;
/// #     fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> { Ok(None) }
/// #     fn test_and_clear_young(&mut self, _: &Entry) -> bool { false }
/// #     fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
/// #         Ok(Cleared { flags: PteFlags::empty(), deferred: false })
/// #     }
/// #     fn install(&mut self, _: &Entry, _: NewEntry) {}
/// #     fn set_page_dirty(&mut self) {}
/// #     fn remove_rmap(&mut self, _: &Entry) {}
/// # }
/// use pinfold::{NextVma, PlainVma, Rmap};
///
/// impl Rmap for Unmapped {
///     type Vma = PlainVma;
///
///     fn next_vma(&mut self) -> NextVma<PlainVma> {
///         NextVma::End
///     }
/// }
/// ```
pub trait Rmap: PageTables {
    /// A VMA, or a reference to one.
    type Vma: Vma;

    /// Moves to the next VMA that may map the page.
    fn next_vma(&mut self) -> NextVma<Self::Vma>;
}

impl<R: Rmap + ?Sized> Rmap for &mut R {
    type Vma = R::Vma;

    #[inline]
    fn next_vma(&mut self) -> NextVma<Self::Vma> {
        (**self).next_vma()
    }
}

/// The result of [`Rmap::next_vma`].
///
/// Exhaustive: embedders return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextVma<V> {
    /// This VMA may map the page.
    Found {
        /// The VMA.
        vma: V,
        /// The address in bytes at which the page, or the part of it in this VMA, begins.
        address: u64,
    },
    /// There is no further VMA.
    End,
    /// The lock of the reverse map is held by somebody else. The page is kept.
    Contended,
}

/// The result of [`try_to_unmap`]: what became of all mappings of a page.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing maps the page any more.
    Unmapped,
    /// The page is pinned; reclaim takes another one. Nothing is touched.
    Skipped(Pins),
    /// The page is pinned; what was asked fails. Nothing is touched.
    Refused(Pins),
    /// The page is still mapped: the first VMA that kept it says why.
    StillMapped(Verdict),
    /// The page is still mapped by a temporary stack, which gets no migration entries.
    TemporaryStack,
    /// The reverse map is locked by somebody else. Mappings found before may be gone.
    Contended,
    /// The page is still mapped, but the reverse map has no further VMA: mappings were added
    /// meanwhile, or it does not know them.
    NotFound,
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
            Self::Skipped(pins) => write!(f, "skipped: {pins}"),
            Self::Refused(pins) => write!(f, "refused: {pins}"),
            Self::StillMapped(verdict) => write!(f, "still mapped: {verdict}"),
            Self::TemporaryStack => f.write_str("still mapped: in a temporary stack"),
            Self::Contended => f.write_str("the reverse map is locked"),
            Self::NotFound => f.write_str("still mapped: not found in the reverse map"),
        }
    }
}

/// Unmaps a page from all VMAs that map it, as Linux 5.8's `try_to_unmap` (`mm/rmap.c`) does.
///
/// The pins are read once, before the first VMA, so a pinned page costs the same however often it
/// is mapped (unless the policy asks in each VMA: [`PinMode::PerVma`]). The walk ends when nothing
/// maps the page any more, or when a VMA stops it. Temporary stacks are passed over when an
/// anonymous page (not one shared by KSM) is migrated or split.
///
/// TLB flushes that were deferred are added to `debt`, also on an error.
///
/// # Errors
///
/// [`UnmapError`] for inconsistent input and for a method of `rmap` that failed.
///
/// # Examples
///
/// A page that one VMA maps with one entry:
///
/// ```
/// # use core::convert::Infallible;
/// # use pinfold::{Cleared, Entry, FlushMode, NewEntry, PageTables, PteFlags};
/// # use std::cell::Cell;
/// # struct Frame { maps: Cell<u32> }
/// # impl pinfold::PageLike for Frame {
/// #     fn flags(&self) -> pinfold::PageFlags { pinfold::PageFlags::PAGE_CACHE }
/// #     fn ref_count(&self) -> i32 { 2 + self.maps.get() as i32 }
/// #     fn map_count(&self) -> u32 { self.maps.get() }
/// # }
/// # struct Walk<'a> { page: &'a Frame, vmas: u32, pte: Option<PteFlags> }
/// # impl PageTables for Walk<'_> {
/// #     type Error = Infallible;
/// #     fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
/// #         Ok(self.pte.map(|flags| Entry { address: 0x1000, flags }))
/// #     }
/// #     fn test_and_clear_young(&mut self, _: &Entry) -> bool { false }
/// #     fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
/// #         Ok(Cleared { flags: self.pte.take().unwrap_or_default(), deferred: false })
/// #     }
/// #     fn install(&mut self, _: &Entry, _: NewEntry) {}
/// #     fn set_page_dirty(&mut self) {}
/// #     fn remove_rmap(&mut self, _: &Entry) { self.page.maps.set(0); }
/// # }
/// use pinfold::{
///     FlushDebt, NextVma, Outcome, PlainVma, Rmap, UnmapFlags, UnmapRequest, VmFlags,
///     try_to_unmap,
/// };
///
/// // `Walk` is a `PageTables` over the entry; `Frame` is a page of the page cache.
/// impl Rmap for Walk<'_> {
///     type Vma = PlainVma;
///
///     fn next_vma(&mut self) -> NextVma<PlainVma> {
///         if self.vmas == 0 {
///             return NextVma::End;
///         }
///         self.vmas -= 1;
///         let vma = PlainVma { flags: VmFlags::empty(), range: 0x1000..0x2000 };
///         NextVma::Found { vma, address: 0x1000 }
///     }
/// }
///
/// let page = Frame { maps: Cell::new(1) };
/// let mut walk = Walk { page: &page, vmas: 1, pte: Some(PteFlags::WRITABLE) };
/// let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
/// let mut debt = FlushDebt::none();
/// assert_eq!(try_to_unmap(&page, &request, &mut walk, &mut debt), Ok(Outcome::Unmapped));
/// debt.flush(|| { /* flush all TLBs */ });
/// # Ok::<(), pinfold::BadFlags>(())
/// ```
pub fn try_to_unmap<P, R, L>(
    page: &P,
    request: &UnmapRequest<L>,
    rmap: &mut R,
    debt: &mut FlushDebt,
) -> Result<Outcome, UnmapError<R::Error>>
where
    P: PageLike + ?Sized,
    R: Rmap + ?Sized,
    L: PinPolicy,
{
    let seen = page.snapshot();
    if seen.refs == 0 {
        return Err(UnmapError::NoReference);
    }
    let per_vma = request.policy().mode().is_per_vma();
    if !per_vma {
        match request.ask_with(page, seen) {
            (PinVerdict::Proceed, _) => {}
            (PinVerdict::SkipPage | PinVerdict::NextVma, pins) => {
                return Ok(Outcome::Skipped(pins));
            }
            (PinVerdict::Refuse, pins) => return Ok(Outcome::Refused(pins)),
        }
    }
    let passes_stacks = passes_temporary_stacks(request.flags(), seen.flags);
    let mut obstacle = None;
    loop {
        let (vma, address) = match rmap.next_vma() {
            NextVma::Found { vma, address } => (vma, address),
            NextVma::End => break,
            NextVma::Contended => return Ok(Outcome::Contended),
        };
        if passes_stacks && vma.flags().contains(VmFlags::TEMPORARY_STACK) {
            obstacle.get_or_insert(Outcome::TemporaryStack);
            continue;
        }
        let verdict = unmap_in_vma(page, &vma, address, request, rmap, debt, per_vma)?;
        if !matches!(verdict, Verdict::Done | Verdict::Unshared) {
            obstacle.get_or_insert(Outcome::StillMapped(verdict));
        }
        let page_is_kept = matches!(verdict, Verdict::SkipPage(_)) || !verdict.goes_on();
        if page_is_kept || page.map_count() == 0 {
            break;
        }
    }
    if page.map_count() == 0 {
        Ok(Outcome::Unmapped)
    } else {
        Ok(obstacle.unwrap_or(Outcome::NotFound))
    }
}

const fn passes_temporary_stacks(flags: UnmapFlags, page: PageFlags) -> bool {
    flags.intersects(UnmapFlags::MIGRATION.union(UnmapFlags::SPLIT_FREEZE))
        && page.contains(PageFlags::ANON)
        && !page.contains(PageFlags::KSM)
}
