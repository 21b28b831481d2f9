//! The lists of pages that a scan goes through. The embedder owns them.

use super::ops::PageOps;
use crate::flags::PageFlags;
use crate::page::PageLike;
use crate::pin::{Owners, Pins};

/// The lists of pages that reclaim scans (`enum lru_list`, `include/linux/mmzone.h`, 5.8).
///
/// Exhaustive: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lru {
    /// Anonymous pages and shared memory, not used of late.
    InactiveAnon,
    /// Anonymous pages and shared memory, in use.
    ActiveAnon,
    /// File pages, not used of late.
    InactiveFile,
    /// File pages, in use.
    ActiveFile,
}

impl Lru {
    /// All lists, in the order in which a pass goes through them.
    pub const ALL: [Self; 4] = [
        Self::InactiveAnon,
        Self::ActiveAnon,
        Self::InactiveFile,
        Self::ActiveFile,
    ];

    /// The list for a page in this state (`page_lru`, without the unevictable list).
    #[must_use]
    pub const fn of(page: PageFlags) -> Self {
        let active = page.contains(PageFlags::ACTIVE);
        match (page.contains(PageFlags::SWAP_BACKED), active) {
            (true, false) => Self::InactiveAnon,
            (true, true) => Self::ActiveAnon,
            (false, false) => Self::InactiveFile,
            (false, true) => Self::ActiveFile,
        }
    }

    /// Whether pages on it are in use.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::ActiveAnon | Self::ActiveFile)
    }

    /// Whether file pages are on it.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::InactiveFile | Self::ActiveFile)
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::InactiveAnon => 0,
            Self::ActiveAnon => 1,
            Self::InactiveFile => 2,
            Self::ActiveFile => 3,
        }
    }
}

/// The embedder's lists: intrusive, a vector, anything that has an old end and a young one.
///
/// # Contract
///
/// - A page is on one list, or parked, or in the hands of a scan, or nowhere.
/// - The list of a page is the one that [`Lru::of`] says for its flags.
/// - Putting a page somewhere cannot fail: it would be lost.
/// - The lists may change between two calls; a scan takes what it finds.
///
/// # Examples
///
/// Over the ready-made [`PageLists`](super::PageLists), for the pages of the example of [`PageOps`]:
///
#[doc = include_str!("example_operations.md")]
/// impl<'a> Lists for Node<'a> {
///     fn take(&mut self, list: Lru) -> Option<&'a Frame> {
///         let number = self.lists.take(list)?;
///         self.frames.get(number as usize)
///     }
///     fn put(&mut self, list: Lru, page: &'a Frame) {
///         page.flags.set(page.flags.get() - PageFlags::ACTIVE);
///         if list.is_active() {
///             page.flags.set(page.flags.get() | PageFlags::ACTIVE);
///         }
///         self.lists.put(list, page.number, 1).expect("a page is on one list");
///     }
///     fn pages(&self, list: Lru) -> u64 {
///         self.lists.pages(list)
///     }
///     fn free(&mut self, page: &'a Frame) {
///         self.free.push(page.number);
///     }
/// }
/// ```
pub trait Lists: PageOps {
    /// Takes the oldest page off a list.
    fn take(&mut self, list: Lru) -> Option<Self::Page>;

    /// Puts a page on a list, at the young end. Where the list is not what the page's flags say,
    /// because an operation failed or a sweep chose it, [`ACTIVE`](PageFlags::ACTIVE) follows the
    /// list: it is set or cleared here.
    fn put(&mut self, list: Lru, page: Self::Page);

    /// How many base pages are on a list. Parked pages are on none.
    fn pages(&self, list: Lru) -> u64;

    /// Gives a page back to the allocator. Its reference count is frozen, no TLB has an entry of it.
    fn free(&mut self, page: Self::Page);

    /// Parks a page with these pins, so that no scan comes to it. An embedder that parks implements
    /// this, [`take_parked`](Self::take_parked) and [`pages_parked`](Self::pages_parked). It hands
    /// the page back if it cannot be parked: its last pin went
    /// meanwhile ([`PinWord::park`](crate::pin::PinWord::park) tells), or there is no parking,
    /// which is the default.
    ///
    /// # Errors
    ///
    /// The page; it stays on its list.
    fn park(&mut self, page: Self::Page, pins: Pins) -> Result<(), Self::Page> {
        let _ = pins;
        Err(page)
    }

    /// Takes the page that was parked longest. With a [`PinWord`](crate::pin::PinWord), one whose
    /// mark [`unpark`](crate::pin::PinWord::unpark) can still take: no unpin puts it back too. An
    /// embedder that counts the caller's reference takes it before it takes the mark.
    fn take_parked(&mut self) -> Option<Self::Page> {
        None
    }

    /// How many base pages are parked. An embedder that parks pages says so here: a
    /// [sweep](unpark) looks at no more, and a pass learns from it that parked pages came back.
    fn pages_parked(&self) -> u64 {
        0
    }

    /// Who pins, for the verdict that it is futile to go on: from the embedder's
    /// [`PinLedger`](crate::pin::PinLedger), by [`Owners::collect`]. The default knows nobody.
    fn pin_owners(&self) -> Owners {
        Owners::default()
    }

    /// Whether anonymous pages can leave memory at all, which is the default. Where not, their lists
    /// are not scanned.
    fn has_swap(&self) -> bool {
        true
    }

    /// Free pages of the node, and the number from which on it is not short of them (the high
    /// watermark), in base pages. The default says that it never is short of file pages.
    fn watermark(&self) -> Watermark {
        Watermark { free: 0, high: 0 }
    }

    /// Asks other holders of memory to shrink, such as
    /// [device shrinkers](crate::shrinker::shrink_slab), and returns how many base pages came back:
    /// to the allocator, that is. Pages that were only unpinned count when the scan takes them, also
    /// after the last time, at priority 0; one that counts them here too ends too early.
    fn shrink_others(&mut self, priority: u8) -> u64 {
        let _ = priority;
        0
    }
}

/// Free pages, and how many there should be, in base pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watermark {
    /// Free pages.
    pub free: u64,
    /// The high watermark.
    pub high: u64,
}

/// The base pages on the lists that a scan would scan.
pub(super) fn reclaimable_pages<B: Lists>(lists: &B) -> u64 {
    Lru::ALL
        .into_iter()
        .filter(|&list| is_scanned(list, lists))
        .fold(0, |sum, list| sum.saturating_add(lists.pages(list)))
}

/// Anonymous pages without swap cannot leave memory.
pub(super) fn is_scanned<B: Lists>(list: Lru, lists: &B) -> bool {
    list.is_file() || lists.has_swap()
}

/// What a [sweep](unpark) over the parked pages did, in pages.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Unparked {
    /// Looked at.
    pub looked_at: u32,
    /// Put back on a list, because no pin holds them any more.
    pub put_back: u32,
    /// Whether every page that was parked when the sweep began has been looked at.
    pub complete: bool,
}

/// Looks at the pages that were parked longest, `budget` of them at most, and puts those that are
/// no longer pinned on the list that the caller chooses. The others are parked again, as the
/// youngest, so that the next call goes on where this one ended.
///
/// Whoever drops a page's last pin may put it back itself; the sweep is for representations that
/// cannot tell the last one.
pub fn unpark<B, R>(lists: &mut B, budget: u32, mut choose: impl FnMut(&B::Page) -> Lru) -> Unparked
where
    B: Lists,
    R: crate::pin::PinReading,
{
    let mut report = Unparked::default();
    let mut parked = lists.pages_parked();
    while report.looked_at < budget && parked > 0 {
        let Some(page) = lists.take_parked() else {
            parked = 0;
            break;
        };
        report.looked_at = report.looked_at.saturating_add(1);
        parked = parked.saturating_sub(u64::from(page.base_pages()));
        let pins = R::read(&page);
        let page = if pins.maybe_pinned() {
            match lists.park(page, pins) {
                Ok(()) => continue,
                Err(page) => page,
            }
        } else {
            page
        };
        report.put_back = report.put_back.saturating_add(1);
        let list = choose(&page);
        lists.put(list, page);
    }
    report.complete = parked == 0;
    report
}
