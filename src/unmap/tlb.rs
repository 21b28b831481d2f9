//! TLB flushes that were put off, as a value that is handed to the caller.

use core::fmt;

/// When the TLB must be flushed for an entry that is cleared.
///
/// Complete on purpose: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlushMode {
    /// Before `clear` returns.
    Now,
    /// Later, if the embedder can batch flushes; else before `clear` returns.
    MayDefer,
    /// Not at all: no TLB holds the entry of a page that the CPU cannot address.
    NotNeeded,
}

/// TLB flushes that were put off, and must be done before a page of theirs is free.
///
/// A walk with [`BATCH_FLUSH`](crate::UnmapFlags::BATCH_FLUSH) returns one; a caller that takes
/// several pages [absorbs](Self::absorb) each into one debt and [flushes](Self::flush) once.
/// While `dirty` writes are owed, a page may also not be written out: a CPU could still write to it
/// through its TLB (`try_to_unmap_flush_dirty`, `mm/rmap.c`, 5.8).
///
/// It is neither copied nor cloned, and the compiler warns where a call's result that holds one is
/// not used (`#[must_use]`). It does not warn where such a result, or a value with a debt in a field
/// ([`Walked`](crate::Walked), [`Unmapped`](crate::Unmapped), [`Failure`](crate::Failure),
/// [`LruScan`](crate::reclaim::LruScan)), is bound to a name and then dropped: nothing notices that
/// the flush is not done.
///
/// # Examples
///
/// ```
/// use pinfold::FlushDebt;
///
/// # fn two_walks() -> [FlushDebt; 2] { [FlushDebt::none(), FlushDebt::none()] }
/// let mut debt = FlushDebt::none();
/// for walk in two_walks() {
///     debt.absorb(walk);
/// }
/// let mut flushes = 0;
/// debt.flush(|| {
///     flushes += 1;
///     Ok::<(), core::convert::Infallible>(())
/// })
/// .unwrap();
/// assert_eq!(flushes, 0, "nothing was owed");
/// ```
#[must_use = "a page is not free before its TLB flush is done"]
#[derive(Debug, PartialEq, Eq)]
pub struct FlushDebt {
    entries: u32,
    dirty: bool,
}

impl FlushDebt {
    /// No debt.
    pub const fn none() -> Self {
        Self {
            entries: 0,
            dirty: false,
        }
    }

    /// Whether nothing is owed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.entries == 0
    }

    /// For how many cleared entries a flush is owed; saturates.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Whether one of them was dirty, so that the flush must come before any write-out.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Takes over what `other` owes.
    pub const fn absorb(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.dirty |= other.dirty;
    }

    /// Settles the debt with one flush of every TLB that may hold such an entry; does not call
    /// `flush` if nothing is owed.
    ///
    /// # Errors
    ///
    /// What `flush` returned, and the debt, which is still owed.
    pub fn flush<E>(self, flush: impl FnOnce() -> Result<(), E>) -> Result<(), (Self, E)> {
        if self.is_none() {
            return Ok(());
        }
        flush().map_err(|error| (self, error))
    }

    /// Drops the debt because the flush is known to happen otherwise, such as when the address
    /// space is torn down.
    pub const fn ignore(self) {}

    #[inline]
    pub(super) const fn add(&mut self, dirty: bool) {
        self.entries = self.entries.saturating_add(1);
        self.dirty |= dirty;
    }
}

impl fmt::Display for FlushDebt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dirty = if self.dirty { ", some dirty" } else { "" };
        write!(f, "a TLB flush is owed for {} entries{dirty}", self.entries)
    }
}
