//! Deferred TLB flushes.

use core::fmt;

/// When the TLB must be flushed for an entry that is cleared.
///
/// Exhaustive: embedders match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlushMode {
    /// Before `clear` returns.
    Now,
    /// Later, if the embedder can batch flushes; else before `clear` returns.
    MayDefer,
    /// Not at all: no TLB holds the entry of a page that the CPU cannot address.
    NotNeeded,
}

/// The TLB flushes that walks have deferred, and that must be done before a page of theirs is free.
///
/// A walk with [`BATCH_FLUSH`](crate::UnmapFlags::BATCH_FLUSH) adds to the debt of its caller, who
/// unmaps several pages and [flushes](Self::flush) once. A page with a dirty entry in the debt may
/// not be written out before the flush either: a CPU may still write to it through its TLB
/// (`try_to_unmap_flush_dirty`, `mm/rmap.c`, 5.8).
///
/// The compiler warns about a debt that is not used at all, but not about one that is dropped with
/// flushes in it: Rust has no such check for a variable that goes out of scope.
///
/// # Examples
///
/// ```
/// use pinfold::FlushDebt;
///
/// let mut debt = FlushDebt::none();
/// // try_to_unmap(&page, &request, &mut rmap, &mut debt), for each page of a batch.
/// let mut flushes = 0;
/// debt.flush(|| flushes += 1);
/// assert_eq!(flushes, 0, "nothing was deferred");
/// ```
#[must_use = "a page is not free before its TLB flush is done"]
#[derive(Debug, PartialEq, Eq)]
pub struct FlushDebt {
    entries: u32,
    dirty: bool,
}

impl FlushDebt {
    /// No flush is owed.
    pub const fn none() -> Self {
        Self {
            entries: 0,
            dirty: false,
        }
    }

    /// Whether no flush is owed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.entries == 0
    }

    /// The number of cleared entries for which a flush is owed; saturates.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Whether one of the entries was dirty, so that the flush must come before any write-out.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Adds the debt of another walk to this one.
    pub const fn absorb(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.dirty |= other.dirty;
    }

    /// Settles the debt: calls `flush`, which flushes every TLB that may hold one of the entries,
    /// unless nothing is owed.
    pub fn flush(&mut self, flush: impl FnOnce()) {
        if !self.is_none() {
            flush();
            *self = Self::none();
        }
    }

    /// Drops the debt, because the flush is known to happen otherwise, such as when the address
    /// space is destroyed.
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
