//! What an embedder implements for reclaim: the operations on one isolated page.

use super::decide::Referenced;
use crate::flags::PageFlags;
use crate::page::PageLike;
use crate::pin::Released;
use crate::policy::PinPolicy;
use crate::rmap::Outcome;
use crate::unmap::{Attempt, FlushDebt, UnmapError, UnmapRequest};

/// The result of [`PageOps::write_out`] (`pageout`, `mm/vmscan.c`).
///
/// Exhaustive: embedders return it.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageOut {
    /// The page cannot be written now: it is kept. It is still dirty and locked.
    Keep,
    /// The page should not be reclaimed soon: it is activated. It is still dirty and locked.
    Activate,
    /// The page was written, or its write was started, and the page was unlocked.
    Success,
    /// There was nothing to write. The page is clean and still locked.
    Clean,
}

/// How a page leaves memory.
///
/// Exhaustive: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Removal {
    /// The page was freed lazily: freeze its reference count at one, the caller's own. Only if it
    /// is still clean.
    Lazyfree,
    /// Freeze the reference count at what the cache and the caller explain, and remove the page
    /// from its cache. Only if it is still clean (`__remove_mapping`).
    FromCache,
}

/// The operations on one isolated page.
///
/// Five methods are required. The others have defaults for embedders that do not have the thing: no
/// contention for the page lock, no swap, no writing, no huge pages, no buffers. A page that needs
/// one of these stays in memory.
///
/// # Contract
///
/// - The caller has removed the page from its list and holds one reference on it. Either the list
///   had it, and has it again when the page is put back, or
///   [`take`](super::Lists::take) took it, and [`put`](super::Lists::put) and
///   [`park`](super::Lists::park) drop it (and free the page if it was the last).
/// - [`remove`](Self::remove) succeeds only at the exact reference count, so that a page that
///   somebody holds or pins is never freed, whatever a policy says. With a
///   [`PinWord`](crate::pin::PinWord) it blocks the word first.
/// - A method that returns [`Attempt::Refused`] has changed nothing.
///
/// | method | page lock | references | when it returns |
/// | --- | --- | --- | --- |
/// | `try_lock` | taken, without waiting | the caller's | the page is locked, or refused |
/// | `update`, `referenced` | held | the caller's | |
/// | `unmap` | held | those of the mappings are dropped | deferred flushes are in `debt` |
/// | `add_to_swap` | held | the swap cache takes one for each base page | `SWAP_CACHE`, `SWAP_BACKED` and `DIRTY` are set |
/// | `split` | held | each tail page has one for the list | the tails are at the old end of the list |
/// | `flush_tlb` | held, for a batch of pages | | no TLB has an entry that was cleared before |
/// | `write_out` | held; released on `Success` | the caller's | see there |
/// | `release_buffers` | held | the buffers' one is dropped | `PRIVATE` is clear |
/// | `remove` | held | frozen: the count is zero | the page is in no cache |
/// | `put_last` | not held | the caller's is dropped | whether it was the last |
/// | `wait_for_writeback` | not held | the caller's | `WRITEBACK` is clear |
/// | `submit` | not held | | the writes of the batch are under way |
/// | `unlock` | released | the caller's | |
///
/// # Examples
///
/// Clean pages of files that nothing maps:
///
/// ```
/// use core::cell::Cell;
/// use core::convert::Infallible;
/// use pinfold::pin::{PageRefs, PinCount};
/// use pinfold::reclaim::{Link, Lists, Lru, PageLists, PageOps, Referenced, Removal};
/// use pinfold::{
///     Attempt, FlushDebt, Outcome, PageFlags, PageLike, PinPolicy, UnmapError, UnmapRequest,
/// };
///
/// struct Frame {
///     number: u32,
///     flags: Cell<PageFlags>,
///     count: PageRefs,
/// }
///
/// impl PageLike for Frame {
///     fn flags(&self) -> PageFlags {
///         self.flags.get()
///     }
///     fn ref_count(&self) -> i32 {
///         self.count.snapshot().refs
///     }
///     fn map_count(&self) -> u32 {
///         0
///     }
///     fn exact_pins(&self) -> Option<PinCount> {
///         Some(self.count.snapshot().pins)
///     }
/// }
///
/// /// Clean pages of files, which nothing maps.
/// struct Node<'a> {
///     frames: &'a [Frame],
///     lists: PageLists<Vec<Link>>,
///     free: Vec<u32>,
/// }
///
/// impl<'a> PageOps for Node<'a> {
///     type Page = &'a Frame;
///     type Error = Infallible;
///
///     fn update(&mut self, page: &&'a Frame, set: PageFlags, clear: PageFlags) {
///         page.flags.set((page.flags.get() | set) - clear);
///     }
///     fn referenced(&mut self, _: &&'a Frame) -> Referenced {
///         Referenced::default()
///     }
///     fn unmap<L: PinPolicy>(
///         &mut self,
///         _: &&'a Frame,
///         _: &UnmapRequest<L>,
///         _: &mut FlushDebt,
///     ) -> Result<Outcome, UnmapError<Infallible>> {
///         // An embedder with page tables calls `try_to_unmap` with its reverse map here.
///         Ok(Outcome::Unmapped)
///     }
///     fn remove(&mut self, page: &&'a Frame, _: Removal) -> Attempt {
///         // The page cache's reference and the caller's.
///         match page.count.freeze(2) {
///             Ok(()) => Attempt::Done,
///             Err(_) => Attempt::Refused,
///         }
///     }
///     fn flush_tlb(&mut self) {}
/// }
/// ```
#[allow(unused_variables)]
pub trait PageOps {
    /// The page: a handle, such as a reference or an index into the frame table.
    type Page: PageLike;
    /// The error of the embedder's page tables; [`Infallible`](core::convert::Infallible) if they
    /// have none.
    type Error;

    /// Sets and clears flags of the page.
    fn update(&mut self, page: &Self::Page, set: PageFlags, clear: PageFlags);

    /// Counts the entries that are young, over all mappings, and makes them old (`page_referenced`).
    fn referenced(&mut self, page: &Self::Page) -> Referenced;

    /// Unmaps the page: calls [`try_to_unmap`](crate::try_to_unmap) with the embedder's reverse map.
    ///
    /// # Errors
    ///
    /// The error of `try_to_unmap`.
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Self::Page,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Self::Error>>;

    /// Takes the page out of memory, if nobody else holds it: freezes its reference count as `how`
    /// says, then looks whether the page is still clean. If it is not, it unfreezes the count and
    /// refuses. If it is, it drops the page's slot in swap and clears `SWAP_CACHE`.
    fn remove(&mut self, page: &Self::Page, how: Removal) -> Attempt;

    /// Flushes every TLB that may hold an entry whose flush was deferred. It cannot fail.
    fn flush_tlb(&mut self);

    /// Takes the page lock, without waiting. The lock is held over a batch of pages until each of
    /// them is done. The default is for embedders where nobody else locks pages.
    fn try_lock(&mut self, page: &Self::Page) -> Attempt {
        Attempt::Done
    }

    /// Releases the page lock.
    fn unlock(&mut self, page: &Self::Page) {}

    /// Whether the device behind the page is congested.
    fn is_congested(&mut self, page: &Self::Page) -> bool {
        false
    }

    /// Waits until the page is no longer under writeback. No page of the batch is locked.
    fn wait_for_writeback(&mut self, page: &Self::Page) {}

    /// Gives the page a slot in swap and adds it to the swap cache, dirty (`add_to_swap`).
    fn add_to_swap(&mut self, page: &Self::Page) -> Attempt {
        Attempt::Refused
    }

    /// Frees the page's slot in swap, if nobody else uses it (`try_to_free_swap`).
    fn free_swap(&mut self, page: &Self::Page) {}

    /// Whether swap is so full that the slots of active pages are to be freed.
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
    fn split(&mut self, page: &Self::Page) -> Attempt {
        Attempt::Refused
    }

    /// Writes the page out. All TLB flushes of the batch are done.
    ///
    /// # Contract
    ///
    /// - A dirty page without a place to be written to, such as a lazily freed one, is kept:
    ///   [`PageOut::Keep`].
    /// - A synchronous writer clears `DIRTY` before it reads the page, writes it, unlocks it, and
    ///   returns [`PageOut::Success`]. If the write failed, it sets `DIRTY` again.
    /// - An asynchronous writer clears `DIRTY`, sets `WRITEBACK` and `RECLAIM`, queues the write,
    ///   unlocks the page, and returns `Success`. The page goes back to its list. When the write
    ///   ends, the embedder clears `WRITEBACK`; if `RECLAIM` was set, it clears it and moves the
    ///   page to the old end of its list, so that the next scan frees it
    ///   (`end_page_writeback`). Queued writes are started at the latest in
    ///   [`submit`](Self::submit).
    fn write_out(&mut self, page: &Self::Page) -> PageOut {
        PageOut::Keep
    }

    /// How many more writes may be started now: the limit of writes in flight less those that are.
    /// Asked once for each batch. Dirty pages beyond it are kept
    /// ([`WriteLimit`](super::KeepReason::WriteLimit)), before anything is spent on them; a page that
    /// only its entries made dirty is kept after it is unmapped.
    fn write_room(&mut self) -> u32 {
        u32::MAX
    }

    /// The end of a batch: starts the writes that [`write_out`](Self::write_out) has queued.
    fn submit(&mut self) {}

    /// Releases the private buffers of the page (`try_to_release_page`).
    fn release_buffers(&mut self, page: &Self::Page) -> Attempt {
        Attempt::Refused
    }

    /// Drops the caller's reference on a page in no cache, which had no other reference when it was
    /// unlocked. [`Released::Free`]: the page is freed. [`Released::Done`]: somebody else has found
    /// the page meanwhile and frees it. `None`, the default: the reference is not dropped, and the
    /// page is kept.
    fn put_last(&mut self, page: &Self::Page) -> Option<Released> {
        None
    }

    /// Is told of a page that could not be unmapped because of an error. The page is kept.
    fn failed(&mut self, page: &Self::Page, error: UnmapError<Self::Error>) {}
}
