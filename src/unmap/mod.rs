//! `try_to_unmap_one`: one page, one VMA. Pure [decisions](decide), and a thin driver over the
//! embedder's page tables.

pub mod decide;
mod driver;
mod embed;
mod tlb;
mod verdict;
mod walk;

pub use driver::try_to_unmap_one;
pub use embed::{Attempt, Cleared, CounterDelta, Entry, NewEntry, PageTables, SharedTable};
pub use tlb::{FlushDebt, FlushMode};
pub use verdict::{Stop, UnmapError, Verdict};

pub(crate) use driver::unmap_in_vma;

use crate::flags::{BadFlags, UnmapFlags};
use crate::page::{PageLike, PageSnapshot};
use crate::pin::{PinReading, Pins};
#[cfg(doc)]
use crate::policy::PinMode;
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
    /// See [`under`](Self::under).
    #[inline]
    pub fn new(flags: UnmapFlags) -> Result<Self, BadFlags> {
        Self::under(flags, SkipOpportunistic::new())
    }

    /// The same request under another policy: what the default policy can be asked can be asked of
    /// any.
    #[must_use]
    pub fn with_policy<M: PinPolicy>(self, policy: M) -> UnmapRequest<M> {
        UnmapRequest::of(self.flags, policy, self.context)
    }
}

impl<L: PinPolicy> UnmapRequest<L> {
    /// A request under `policy`, from a direct reclaimer.
    ///
    /// # Errors
    ///
    /// - [`BadFlags::Unknown`] if a bit is set that [`UnmapFlags`] does not name.
    /// - [`BadFlags::Munlock`] if `MUNLOCK` is asked together with a flag [that takes or splits
    ///   entries](UnmapFlags::NOT_WITH_MUNLOCK). Linux 5.8 carries both out, and so it can be asked
    ///   in the modes that follow it, [`PinMode::Ignore`] and [`PinMode::PerVma`].
    ///
    /// # Examples
    ///
    /// ```
    /// use pinfold::{BadFlags, IgnorePins, SkipOpportunistic, UnmapFlags, UnmapRequest};
    ///
    /// let flags = UnmapFlags::MUNLOCK | UnmapFlags::IGNORE_MLOCK;
    /// let policy: SkipOpportunistic = SkipOpportunistic::new();
    /// let refused = UnmapRequest::under(flags, policy).unwrap_err();
    /// assert_eq!(refused, BadFlags::Munlock(UnmapFlags::IGNORE_MLOCK));
    /// assert!(UnmapRequest::under(flags, IgnorePins).is_ok());
    /// ```
    #[inline]
    pub fn under(flags: UnmapFlags, policy: L) -> Result<Self, BadFlags> {
        let flags = flags.check()?;
        if policy.mode().asks_again() && flags.is_bad_munlock() {
            let with = flags.intersection(UnmapFlags::NOT_WITH_MUNLOCK);
            return Err(BadFlags::Munlock(with));
        }
        Ok(Self::of(flags, policy, Context::default()))
    }
}

impl<L> UnmapRequest<L> {
    /// A request with flags that are checked.
    #[inline]
    pub(crate) const fn of(flags: UnmapFlags, policy: L, context: Context) -> Self {
        Self {
            flags,
            policy,
            context,
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
    /// # Ok::<(), pinfold::BadFlags>(())
    /// ```
    #[inline]
    pub fn ask<P: PageLike + ?Sized>(&self, page: &P) -> (PinVerdict, Pins) {
        if !self.policy.mode().reads_pins() {
            return (PinVerdict::Proceed, Pins::None);
        }
        self.ask_with(page, page.snapshot())
    }

    /// [`ask`](Self::ask) about a page of which `seen` was just taken.
    #[inline(always)]
    pub(crate) fn ask_with<P: PageLike + ?Sized>(
        &self,
        page: &P,
        seen: PageSnapshot,
    ) -> (PinVerdict, Pins) {
        self.ask_for(self.flags, page, seen)
    }

    /// [`ask_with`](Self::ask_with) by a caller who knows more about `flags`, which are those of
    /// the request, than the compiler does.
    #[inline(always)]
    pub(crate) fn ask_for<P: PageLike + ?Sized>(
        &self,
        flags: UnmapFlags,
        page: &P,
        seen: PageSnapshot,
    ) -> (PinVerdict, Pins) {
        let (mut verdict, mut found) = (PinVerdict::Proceed, Pins::None);
        if self.policy.mode().reads_pins() {
            let pins = self.policy.read(page, seen);
            if pins.maybe_pinned() {
                // Only now: most pages are not pinned.
                let operation = Operation::of(flags, seen.flags);
                verdict = policy::judge(&self.policy, operation, self.context, pins);
                found = pins;
            }
        }
        (verdict, found)
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
    /// # Ok::<(), pinfold::BadFlags>(())
    /// ```
    #[inline]
    pub fn ask_all<P: PageLike>(
        &self,
        pages: &[P],
        mut forbidden: impl FnMut(usize, PinVerdict, Pins),
    ) {
        const CACHE_LINE: usize = 64;
        if !self.policy.mode().reads_pins() {
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
