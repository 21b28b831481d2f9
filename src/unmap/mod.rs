//! `try_to_unmap_one`: one page, one VMA. Pure [decisions](decide), and a thin driver over the
//! embedder's page tables.

pub mod decide;
mod driver;
mod embed;
mod tlb;
mod undo;
mod verdict;
mod walk;

pub use driver::try_to_unmap_one;
pub use embed::{
    Bookkeeping, Cleared, CounterDelta, Entry, Hook, NewEntry, PageTables, SharedTable,
};
pub use tlb::{FlushDebt, FlushMode};
pub use verdict::{Callback, Failure, Owed, Stop, UnmapError, Verdict, Walked};

pub(crate) use driver::{begin, unmap_in_vma, untouched};

use crate::flags::{UnknownFlags, UnmapFlags};
use crate::page::{PageLike, PageSnapshot};
use crate::pin::{PinReading, Pins};
use crate::policy::{self, Context, Operation, PinPolicy, PinVerdict, SkipOpportunistic};

/// What is asked of a walk: flags, the policy for pinned pages, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnmapRequest<L = SkipOpportunistic> {
    flags: UnmapFlags,
    policy: L,
    context: Context,
}

impl UnmapRequest {
    /// A request under the default policy, from a direct reclaimer.
    ///
    /// # Errors
    ///
    /// [`UnknownFlags`] if a bit is set that [`UnmapFlags`] does not name.
    pub fn new(flags: UnmapFlags) -> Result<Self, UnknownFlags> {
        Ok(Self {
            flags: flags.check()?,
            policy: SkipOpportunistic::new(),
            context: Context::default(),
        })
    }
}

impl<L> UnmapRequest<L> {
    /// A request with flags that are known.
    #[inline]
    pub(crate) const fn of(flags: UnmapFlags, policy: L, context: Context) -> Self {
        Self {
            flags,
            policy,
            context,
        }
    }

    /// The same request under another policy.
    #[must_use]
    pub fn with_policy<M: PinPolicy>(self, policy: M) -> UnmapRequest<M> {
        UnmapRequest {
            flags: self.flags,
            policy,
            context: self.context,
        }
    }

    /// The same request by somebody else.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> UnmapFlags {
        self.flags
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &L {
        &self.policy
    }

    /// Who asks.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }
}

impl<L: PinPolicy> UnmapRequest<L> {
    /// Asks the policy about a page, before anything is touched: the question that a scan puts to
    /// every page, once. Without a policy that reads pins this is nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use pinfold::{PageFlags, PinVerdict, PlainPage, UnmapFlags, UnmapRequest};
    ///
    /// let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
    /// let flags = PageFlags::PAGE_CACHE;
    /// let page = PlainPage { flags, refs: 3 + 1024, maps: 1, pins: None, base_pages: 1 };
    /// let (verdict, pins) = request.ask(&page);
    /// assert_eq!(verdict, PinVerdict::SkipPage);
    /// assert!(pins.maybe_pinned());
    /// # Ok::<(), pinfold::UnknownFlags>(())
    /// ```
    #[inline]
    pub fn ask<P: PageLike + ?Sized>(&self, page: &P) -> (PinVerdict, Pins) {
        if !L::MODE.reads_pins() {
            return (PinVerdict::Proceed, Pins::None);
        }
        self.ask_with(page, page.snapshot())
    }

    /// [`ask`](Self::ask) about a page of which `seen` was just taken.
    #[inline]
    pub(crate) fn ask_with<P: PageLike + ?Sized>(
        &self,
        page: &P,
        seen: PageSnapshot,
    ) -> (PinVerdict, Pins) {
        policy::ask(&self.policy, page, seen, self.context, |page| {
            Operation::of(self.flags, page)
        })
    }

    /// Asks the policy about each page of an array, and tells `forbidden` of those that it does not
    /// let through, with their index.
    ///
    /// What [`ask`](Self::ask) says of each, but at the speed of memory where pins are few: the pages
    /// of one cache line are first asked for [evidence](PinReading::evidence) together.
    ///
    /// # Examples
    ///
    /// ```
    /// use pinfold::{PageFlags, PinVerdict, PlainPage, UnmapFlags, UnmapRequest};
    ///
    /// let flags = PageFlags::PAGE_CACHE;
    /// let free = PlainPage { flags, refs: 3, maps: 1, pins: None, base_pages: 1 };
    /// let mut frames = [free; 100];
    /// frames[42].refs += 1024;
    ///
    /// let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH)?;
    /// let mut found = Vec::new();
    /// request.ask_all(&frames, |index, verdict, _| found.push((index, verdict)));
    /// assert_eq!(found, [(42, PinVerdict::SkipPage)]);
    /// # Ok::<(), pinfold::UnknownFlags>(())
    /// ```
    #[inline]
    pub fn ask_all<P: PageLike>(
        &self,
        pages: &[P],
        mut forbidden: impl FnMut(usize, PinVerdict, Pins),
    ) {
        const CACHE_LINE: usize = 64;
        if !L::MODE.reads_pins() {
            return;
        }
        let mut ask_each = |first: usize, chunk: &[P]| {
            for (offset, page) in chunk.iter().enumerate() {
                let (verdict, pins) = self.ask(page);
                if !verdict.proceeds() {
                    forbidden(first.wrapping_add(offset), verdict, pins);
                }
            }
        };
        // One branch for each cache line; a page that fills one needs no second look.
        let together = const {
            match size_of::<P>() {
                0 => 1,
                1..8 => CACHE_LINE / 8,
                size => CACHE_LINE / size,
            }
        };
        if together < 2 {
            return ask_each(0, pages);
        }
        let chunks = pages.chunks_exact(together);
        let rest = chunks.remainder();
        for (group, chunk) in chunks.enumerate() {
            let evidence = chunk
                .iter()
                .fold(0, |all, page| all | L::Reading::evidence(page));
            if evidence != 0 {
                ask_each(group.wrapping_mul(together), chunk);
            }
        }
        ask_each(pages.len().wrapping_sub(rest.len()), rest);
    }
}
