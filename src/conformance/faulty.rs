//! An embedder whose callbacks fail where a test says.

use crate::flags::PteFlags;
use crate::unmap::{
    Bookkeeping, Callback, Cleared, CounterDelta, Entry, FlushMode, Hook, NewEntry, PageTables,
    SharedTable,
};
use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;
use core::ops::Range;

/// Which calls fail, counted from 0 over all callbacks of a walk; and which have.
///
/// Shared by all the walks of one test, so that the count goes on from VMA to VMA. A call fails
/// once: whoever tries again what is owed comes through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    fail: [Option<u32>; 2],
    calls: Cell<u32>,
    hits: Cell<[Option<Injected>; 2]>,
}

impl Faults {
    /// No call fails; they are counted.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Call `first` fails, and so does `second`, if there is one: a double fault, if it falls into
    /// the undoing of the first.
    #[must_use]
    pub fn at(first: Option<u32>, second: Option<u32>) -> Self {
        Self {
            fail: [first, second],
            ..Self::default()
        }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// The calls that failed, in their order.
    #[must_use]
    pub fn hits(&self) -> [Option<Injected>; 2] {
        self.hits.get()
    }

    /// Counts one call, which fails if it is to.
    ///
    /// # Errors
    ///
    /// [`Injected`]. The caller must then have no effect.
    pub fn call(&self, callback: Callback) -> Result<(), Injected> {
        let call = self.calls.get();
        self.calls.set(call.saturating_add(1));
        if !self.fail.contains(&Some(call)) {
            return Ok(());
        }
        let injected = Injected { callback, call };
        self.hits.set(match self.hits.get() {
            [None, _] => [Some(injected), None],
            [first, _] => [first, Some(injected)],
        });
        Err(injected)
    }
}

/// A failure that a test asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Injected {
    /// The callback that failed.
    pub callback: Callback,
    /// Which call it was, counted from 0.
    pub call: u32,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "injected failure of call {}, {:?}",
            self.call, self.callback
        )
    }
}

impl core::error::Error for Injected {}

/// An embedder that does as `W` does, except for the calls that [`Faults`] makes fail: these have no
/// effect.
#[derive(Debug)]
pub struct Faulty<'f, W> {
    walk: W,
    faults: &'f Faults,
}

impl<'f, W> Faulty<'f, W> {
    /// `walk`, with these faults.
    #[must_use]
    pub const fn new(walk: W, faults: &'f Faults) -> Self {
        Self { walk, faults }
    }

    /// What is wrapped.
    #[must_use]
    pub const fn get(&self) -> &W {
        &self.walk
    }
}

macro_rules! inject {
    ($($callback:ident: $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> Result<$out, Injected> {
            self.faults.call(Callback::$callback)?;
            let Ok(out) = self.walk.$name($($arg),*);
            Ok(out)
        }
    )*};
}

impl<W: PageTables<Error = Infallible>> PageTables for Faulty<'_, W> {
    type Error = Injected;

    inject! {
        NextEntry: next_entry() -> Option<Entry>;
        TestAndClearYoung: test_and_clear_young(entry: &Entry) -> bool;
        Clear: clear(entry: &Entry, flush: FlushMode) -> Cleared;
        SetPageDirty: set_page_dirty() -> ();
        RemoveRmap: remove_rmap(entry: &Entry) -> ();
    }

    fn install(&mut self, entry: &Entry, new: NewEntry) -> Result<(), Injected> {
        self.faults.call(match new {
            NewEntry::Restored(_) => Callback::Restore,
            _ => Callback::Install,
        })?;
        let Ok(()) = self.walk.install(entry, new);
        Ok(())
    }
}

impl<W: Bookkeeping<Error = Infallible>> Bookkeeping for Faulty<'_, W> {
    inject! {
        SplitHugePmd: split_huge_pmd(freeze: bool) -> ();
        WidenForSharing: widen_for_sharing(range: Range<u64>) -> Range<u64>;
        InvalidateBegin: invalidate_begin(range: Range<u64>) -> ();
        Invalidate: invalidate(range: Range<u64>) -> ();
        InvalidateEnd: invalidate_end(range: Range<u64>) -> ();
        UnsharePmd: unshare_pmd(entry: &Entry, range: &Range<u64>) -> SharedTable;
        MlockPage: mlock_page() -> ();
        SetSwapBacked: set_swap_backed() -> ();
        UpdateHiwater: update_hiwater() -> ();
        Count: count(delta: CounterDelta) -> ();
        SwapDuplicate: swap_duplicate(entry: &Entry) -> Hook;
        SwapFree: swap_free(entry: &Entry) -> ();
        ArchUnmap: arch_unmap(entry: &Entry, cleared: PteFlags) -> Hook;
    }
}
