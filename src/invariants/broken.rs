//! Which invariant broke.

use crate::debug::{Text, debug_variants};
use crate::flags::PteFlags;
use crate::pin::{PinCount, Pins};
use crate::policy::Operation;
use core::fmt;

/// An invariant that does not hold, with the numbers that disagree.
///
/// Each variant's description states the invariant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Broken {
    /// The two snapshots of a walk name the same entries in the same order (a fault of the test).
    EntriesMismatch {
        /// Entries before.
        before: usize,
        /// Entries after.
        after: usize,
    },
    /// A page with a true pin that its policy counts keeps all its entries, unless it is poisoned or
    /// the request is forced.
    PinnedUnmapped {
        /// Pins that count.
        pins: u32,
        /// Entries that are gone or split.
        taken: u32,
        /// The first of them, in bytes.
        address: u64,
    },
    /// An entry during whose clearing a pin appears is put back, and no later one is taken.
    PinAppearedUnmapped {
        /// The entry that went, in bytes.
        address: u64,
    },
    /// A walk that skips or refuses a page touches nothing.
    SkipTouched {
        /// What differs.
        what: &'static str,
    },
    /// More pins never turn a skip into an unmap.
    SkipBecameUnmap {
        /// Entries gone with more pins.
        taken: u32,
    },
    /// Without pins, every policy decides alike.
    Unlike {
        /// What differs.
        what: &'static str,
    },
    /// Entries in locked VMAs stay unless `IGNORE_MLOCK`, or MIGRATION of a PMD, says otherwise.
    MlockedTaken {
        /// The entry, in bytes.
        address: u64,
    },
    /// The map count falls by the entries that are gone.
    MapsLost {
        /// By how much it fell.
        fell: i64,
        /// Entries gone.
        taken: u32,
    },
    /// The reference count, pins aside, falls by the entries that are gone.
    RefsLost {
        /// By how much it fell.
        fell: i64,
        /// Entries gone.
        taken: u32,
    },
    /// As many reverse maps are removed as entries are gone.
    RmapsLost {
        /// Reverse maps removed.
        removed: i64,
        /// Entries gone.
        taken: u32,
    },
    /// An entry that was not taken keeps its bits (young may fall; PMD where it was split), and one
    /// that was not there stays what it was.
    EntryChanged {
        /// The entry, in bytes.
        address: u64,
    },
    /// A swap or migration entry carries the bits of the entry that it replaced, and no others.
    BitsNotCarried {
        /// The entry, in bytes.
        address: u64,
        /// The bits of the entry that was replaced.
        had: PteFlags,
        /// The bits of the entry in its place.
        has: PteFlags,
    },
    /// What was dirty before, page or entry, is dirty after.
    DirtyLost {
        /// The entry that was dirty, in bytes; `None`: the page.
        address: Option<u64>,
    },
    /// As many references on swap slots are held as swap entries were installed.
    SlotsLost {
        /// References taken and not given back.
        held: i64,
        /// Swap entries installed.
        installed: u32,
    },
    /// Resident memory falls by the entries taken that did not become migration entries.
    ResidentLost {
        /// The change of all resident counters together.
        change: i64,
        /// Such entries.
        taken: u32,
    },
    /// The count of swap entries rises by those installed.
    SwapEntsLost {
        /// The change of the counter.
        change: i64,
        /// Swap entries installed.
        installed: u32,
    },
    /// A flush is deferred only with `BATCH_FLUSH`.
    DeferredUnasked {
        /// Flushes deferred.
        deferred: u32,
    },
    /// Every flush that was deferred is in the debt.
    DebtForgotten {
        /// Flushes deferred.
        deferred: i64,
        /// Entries in the debt.
        debt: u32,
    },
    /// Every entry that is gone was flushed, or its flush deferred (device-private memory aside).
    FlushMissing {
        /// Entries gone.
        gone: u32,
        /// Flushes done or deferred.
        flushes: i64,
    },
    /// A debt that holds the flush of a dirty entry says that it is dirty.
    DirtyDebtForgotten {
        /// The entry, in bytes.
        address: u64,
    },
    /// Each begin of an invalidation has its end.
    NotifierUnpaired {
        /// Begins.
        begins: i64,
        /// Ends.
        ends: i64,
    },
    /// The range of a page table that was un-shared is invalidated.
    UnsharedNotInvalidated {
        /// Page tables un-shared.
        unshares: i64,
        /// Invalidations.
        invalidates: i64,
    },
    /// A reading never misses a pin; nor, where long-term pins are known, a long-term one.
    PinMissed {
        /// The pins held.
        truth: PinCount,
        /// The reading.
        read: Pins,
    },
    /// A reading that says *exactly* is exact.
    PinMiscounted {
        /// The pins held.
        truth: PinCount,
        /// The reading.
        read: Pins,
    },
    /// The refined reading sees no pin in fewer than 512 unexplained references, where no pin is
    /// held.
    PinInvented {
        /// References that nothing explains.
        unexplained: i64,
        /// The reading.
        read: Pins,
    },
    /// Without pins, a policy lets every operation go on.
    PolicyStopsUnpinned {
        /// The operation.
        operation: Operation,
    },
    /// More pins never make a policy let go on what fewer made it stop.
    PolicyGivesBack {
        /// The operation.
        operation: Operation,
        /// The pins that made it stop.
        fewer: Pins,
        /// The pins that did not.
        more: Pins,
    },
    /// Only a policy that is asked per VMA answers "next VMA".
    PolicyNextVma {
        /// The operation.
        operation: Operation,
    },
    /// A policy that does not read pins has nothing to say against any operation.
    PolicyUnread {
        /// The operation.
        operation: Operation,
    },
    /// A page says of itself what it was built with, and a reference to it says the same.
    PageDisagrees {
        /// About what.
        what: &'static str,
        /// What it was built with.
        expected: i64,
        /// What it says.
        found: i64,
    },
    /// A page that is built again from the same state can be built.
    NotRebuilt,
}

debug_variants!(Broken {
    EntriesMismatch { before, after },
    PinnedUnmapped { pins, taken, address },
    PinAppearedUnmapped { address },
    SkipTouched { what as Text },
    SkipBecameUnmap { taken },
    Unlike { what as Text },
    MlockedTaken { address },
    MapsLost { fell, taken },
    RefsLost { fell, taken },
    RmapsLost { removed, taken },
    EntryChanged { address },
    BitsNotCarried { address, had, has },
    DirtyLost { address },
    SlotsLost { held, installed },
    ResidentLost { change, taken },
    SwapEntsLost { change, installed },
    DeferredUnasked { deferred },
    DebtForgotten { deferred, debt },
    FlushMissing { gone, flushes },
    DirtyDebtForgotten { address },
    NotifierUnpaired { begins, ends },
    UnsharedNotInvalidated { unshares, invalidates },
    PinMissed { truth, read },
    PinMiscounted { truth, read },
    PinInvented { unexplained, read },
    PolicyStopsUnpinned { operation },
    PolicyGivesBack { operation, fewer, more },
    PolicyNextVma { operation },
    PolicyUnread { operation },
    PageDisagrees { what as Text, expected, found },
    NotRebuilt {},
});

impl fmt::Display for Broken {
    #[allow(clippy::too_many_lines)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EntriesMismatch { before, after } => {
                write!(f, "snapshots of {before} and {after} entries, or of others")
            }
            Self::PinnedUnmapped {
                pins,
                taken,
                address,
            } => {
                let what = "entries of a page with";
                write!(
                    f,
                    "{taken} {what} {pins} pins are gone, the first at {address:#x}"
                )
            }
            Self::PinAppearedUnmapped { address } => {
                write!(f, "a pin appeared, and the entry at {address:#x} went")
            }
            Self::SkipTouched { what } => write!(f, "a skip touched: {what}"),
            Self::SkipBecameUnmap { taken } => {
                write!(f, "with more pins, {taken} entries were taken after all")
            }
            Self::Unlike { what } => write!(f, "without pins, policies differ in: {what}"),
            Self::MlockedTaken { address } => {
                write!(f, "the entry at {address:#x} of a locked VMA was taken")
            }
            Self::MapsLost { fell, taken } => {
                write!(f, "the map count fell by {fell}, {taken} were taken")
            }
            Self::RefsLost { fell, taken } => {
                write!(f, "the references fell by {fell}, {taken} were taken")
            }
            Self::RmapsLost { removed, taken } => {
                write!(f, "{removed} reverse maps were removed, {taken} taken")
            }
            Self::EntryChanged { address } => {
                write!(f, "the entry at {address:#x} was not taken, but changed")
            }
            Self::BitsNotCarried { address, had, has } => write!(
                f,
                "the entry at {address:#x} had the bits {:#x}, the one in its place has {:#x}",
                had.bits(),
                has.bits()
            ),
            Self::DirtyLost { address: None } => f.write_str("the dirty page is clean"),
            Self::DirtyLost {
                address: Some(address),
            } => write!(f, "the dirty bit of the entry at {address:#x} is lost"),
            Self::SlotsLost { held, installed } => write!(
                f,
                "{held} slot references are held for {installed} swap entries"
            ),
            Self::ResidentLost { change, taken } => write!(
                f,
                "resident counters changed by {change} for {taken} entries"
            ),
            Self::SwapEntsLost { change, installed } => write!(
                f,
                "the swap counter changed by {change} for {installed} entries"
            ),
            Self::DeferredUnasked { deferred } => {
                write!(f, "{deferred} flushes were deferred without BATCH_FLUSH")
            }
            Self::DebtForgotten { deferred, debt } => {
                write!(f, "{deferred} flushes were deferred, the debt is {debt}")
            }
            Self::FlushMissing { gone, flushes } => {
                write!(f, "{gone} entries are gone with {flushes} flushes")
            }
            Self::DirtyDebtForgotten { address } => write!(
                f,
                "the debt forgets that the entry at {address:#x} was dirty"
            ),
            Self::NotifierUnpaired { begins, ends } => {
                write!(f, "{begins} invalidations began, {ends} ended")
            }
            Self::UnsharedNotInvalidated {
                unshares,
                invalidates,
            } => write!(
                f,
                "{unshares} page tables were un-shared with {invalidates} invalidations"
            ),
            Self::PinMissed { truth, read } => {
                write!(f, "pinned {truth:?}, read as: {read}")
            }
            Self::PinMiscounted { truth, read } => {
                write!(f, "pinned {truth:?}, counted as: {read}")
            }
            Self::PinInvented { unexplained, read } => write!(
                f,
                "no pin and {unexplained} unexplained references, read as: {read}"
            ),
            Self::PolicyStopsUnpinned { operation } => {
                write!(f, "the policy stops {operation} without pins")
            }
            Self::PolicyGivesBack {
                operation,
                fewer,
                more,
            } => write!(
                f,
                "the policy stops {operation} when {fewer}, not when {more}"
            ),
            Self::PolicyNextVma { operation } => {
                write!(f, "asked per page about {operation}, it says: next VMA")
            }
            Self::PolicyUnread { operation } => {
                write!(f, "the policy reads no pins, and stops {operation}")
            }
            Self::PageDisagrees {
                what,
                expected,
                found,
            } => write!(f, "{what}: built with {expected}, says {found}"),
            Self::NotRebuilt => f.write_str("built once, not built again from the same state"),
        }
    }
}

impl core::error::Error for Broken {}
