//! `try_to_unmap_one`: one page, one VMA. Pure [decisions](decide), and a thin driver over the
//! embedder's page tables.

pub mod decide;
mod driver;
mod embed;
mod tlb;
mod verdict;

pub use driver::try_to_unmap_one;
pub use embed::{Bookkeeping, Cleared, CounterDelta, Entry, Hook, NewEntry, PageTables};
pub use tlb::{FlushDebt, FlushMode};
pub use verdict::{Callback, Failure, Owed, Stop, UnmapError, Verdict, Walked};

pub(crate) use driver::{ask, unmap_in_vma, untouched};

use crate::flags::{UnknownFlags, UnmapFlags};
use crate::policy::{Context, PinPolicy, SkipOpportunistic};

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
