//! Which calls of an embedder's methods fail in a test.

use core::cell::Cell;
use core::fmt;

/// A method of the embedder that can fail, or find a lock held by somebody else.
///
/// Exhaustive: a test may want to see each of them fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fallible {
    /// [`Rmap::next_vma`](crate::Rmap::next_vma): the reverse map is contended.
    NextVma,
    /// [`PageTables::next_entry`](crate::PageTables::next_entry).
    NextEntry,
    /// [`PageTables::clear`](crate::PageTables::clear).
    Clear,
    /// [`PageTables::split_huge_pmd`](crate::PageTables::split_huge_pmd).
    SplitHugePmd,
    /// [`PageTables::invalidate_begin`](crate::PageTables::invalidate_begin).
    InvalidateBegin,
}

/// The calls that fail, counted from 0 over all fallible methods of a walk; and those that have.
///
/// Shared by all walks of one test, so that the count goes on from VMA to VMA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    fail: Option<u32>,
    calls: Cell<u32>,
    hit: Cell<Option<Injected>>,
}

impl Faults {
    /// No call fails; they are counted.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Call `call` fails, if there is one.
    #[must_use]
    pub fn at(call: Option<u32>) -> Self {
        Self {
            fail: call,
            ..Self::default()
        }
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// The call that failed, if one has.
    #[must_use]
    pub fn hit(&self) -> Option<Injected> {
        self.hit.get()
    }

    /// Counts one call, which fails if it is the one.
    ///
    /// # Errors
    ///
    /// [`Injected`]. The caller must then have no effect.
    pub fn call(&self, method: Fallible) -> Result<(), Injected> {
        let call = self.calls.get();
        self.calls.set(call.saturating_add(1));
        if self.fail != Some(call) {
            return Ok(());
        }
        let injected = Injected { method, call };
        self.hit.set(Some(injected));
        Err(injected)
    }
}

/// A failure that a test asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Injected {
    /// The method that failed.
    pub method: Fallible,
    /// Which call it was, counted from 0.
    pub call: u32,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "injected failure of call {}, {:?}",
            self.call, self.method
        )
    }
}

impl core::error::Error for Injected {}
