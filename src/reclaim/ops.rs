//! What an embedder implements for reclaim: the operations on one isolated page.

use super::decide::Referenced;
use crate::flags::PageFlags;
use crate::page::PageLike;
use crate::pin::RefsLeft;
use crate::policy::PinPolicy;
use crate::rmap::Unmapped;
use crate::unmap::{Failure, Hook, UnmapRequest};

/// What came of writing a page out (`pageout`).
///
/// Complete on purpose: embedders return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageOut {
    /// It could not be written now: keep.
    Keep,
    /// It should not be reclaimed soon: activate.
    Activate,
    /// It was written, or its writeback was started, and the page unlocked.
    Success,
    /// There was nothing to write.
    Clean,
}

/// How a page is taken out of memory.
///
/// Complete on purpose: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Removal {
    /// Freeze its reference count at one, the caller's own; only if it is clean still.
    Lazyfree,
    /// Freeze its reference count at what its cache and the caller explain, take it out of the
    /// cache; only if it is clean still (`__remove_mapping`).
    FromCache,
}

/// The operations on one isolated page.
///
/// Five methods are required. The others say, by default, that there is no such thing: no page
/// lock, no swap, no writing, no huge page, no buffers. A page that needs what there is not is kept
/// or activated.
///
/// # Contract
///
/// - The caller has taken the page off its list and holds one reference on it.
/// - A method that returns an error, or [`Hook::Refused`], has changed nothing.
/// - [`remove`](Self::remove) succeeds only at the exact reference count, so that a page which
///   somebody holds or pins is never freed, whatever a policy says. With a
///   [`PinWord`](crate::pin::PinWord), it blocks the word first.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait PageOps {
    /// The page; a handle that can be copied, such as a reference, will do.
    type Page: PageLike;
    /// What can go wrong in the embedder's own code; `Infallible` if nothing can.
    type Error;

    /// Sets and clears flags of the page.
    fn update(
        &mut self,
        page: &Self::Page,
        set: PageFlags,
        clear: PageFlags,
    ) -> Result<(), Self::Error>;

    /// Counts the entries that used the page of late and makes them old (`page_referenced`).
    fn referenced(&mut self, page: &Self::Page) -> Result<Referenced, Self::Error>;

    /// Unmaps the page: [`try_to_unmap`](crate::try_to_unmap) with the embedder's reverse map.
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Self::Page,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Self::Error>>;

    /// Takes the page out of memory, if nobody else holds it.
    fn remove(&mut self, page: &Self::Page, how: Removal) -> Result<Hook, Self::Error>;

    /// Settles every TLB flush that was put off: when it returns `Ok`, no CPU reaches a page through
    /// an entry that [`unmap`](Self::unmap) has cleared. Nothing is to be done if the entries are
    /// flushed as they are cleared.
    fn flush_tlb(&mut self) -> Result<(), Self::Error>;

    /// Takes the page lock, without waiting. The default is for pages without a lock.
    fn try_lock(&mut self, page: &Self::Page) -> Result<Hook, Self::Error> {
        Ok(Hook::Done)
    }

    /// Gives the page lock back. A page that [`remove`](Self::remove) has taken out of memory is
    /// freed even if this fails: nobody is left who could find it locked.
    fn unlock(&mut self, page: &Self::Page) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether the device behind the page is congested.
    fn is_congested(&mut self, page: &Self::Page) -> bool {
        false
    }

    /// Waits until the page is no longer under writeback. The page is not locked.
    fn wait_for_writeback(&mut self, page: &Self::Page) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Gives the page a slot in swap and adds it to the swap cache, dirty (`add_to_swap`).
    fn add_to_swap(&mut self, page: &Self::Page) -> Result<Hook, Self::Error> {
        Ok(Hook::Refused)
    }

    /// Gives the page's slot in swap back, if nobody else uses it (`try_to_free_swap`).
    fn free_swap(&mut self, page: &Self::Page) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether swap is so full that slots of active pages are to be given back.
    fn is_swap_full(&mut self, page: &Self::Page) -> bool {
        false
    }

    /// Whether the huge page could be split (`can_split_huge_page`).
    fn can_split(&mut self, page: &Self::Page) -> bool {
        false
    }

    /// Whether the huge page is mapped by a PMD somewhere.
    fn is_pmd_mapped(&mut self, page: &Self::Page) -> bool {
        false
    }

    /// Splits the huge page. Its tail pages go to the old end of its list, so that the scan takes
    /// them next.
    fn split(&mut self, page: &Self::Page) -> Result<Hook, Self::Error> {
        Ok(Hook::Refused)
    }

    /// Writes the page out.
    fn write_out(&mut self, page: &Self::Page) -> Result<PageOut, Self::Error> {
        Ok(PageOut::Keep)
    }

    /// Releases the private buffers of the page (`try_to_release_page`).
    fn release_buffers(&mut self, page: &Self::Page) -> Result<Hook, Self::Error> {
        Ok(Hook::Refused)
    }

    /// Drops the caller's reference on a page in no cache, which had no other when it was unlocked.
    /// If it was the last, the page is freed; if somebody else has found the page meanwhile, it is
    /// theirs to free. `None`, the default: the reference was not dropped, and the page is kept.
    fn put_last(&mut self, page: &Self::Page) -> Result<Option<RefsLeft>, Self::Error> {
        Ok(None)
    }
}
