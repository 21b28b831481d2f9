//! Any value of the library's types that can be made of others.

use crate::{Opaque, opaque};
use core::fmt;
use core::ops::Range;
use pinfold::pin::race::FastPinError;
use pinfold::pin::{
    LedgerError, LedgerFault, OwnerUse, PinCount, PinError, PinKind, Pins, Released,
};
use pinfold::reclaim::{self, ActivateReason, Fate, KeepReason, ListError, Lru, Place};
use pinfold::unmap::decide::Inconsistency;
use pinfold::unmap::{Stop, UnmapError};
use pinfold::{
    Attempt, Cleared, Context, CounterDelta, Entry, FlushMode, NewEntry, Operation, Outcome,
    PageFlags, PageSnapshot, PinVerdict, PlainPage, PlainVma, PteFlags, Requester, SharedTable,
    UnmapFlags, Verdict, VmFlags, Zone,
};

/// What an embedder's callback fails with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mishap(pub u32);

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mishap {}", self.0)
    }
}

impl core::error::Error for Mishap {}

impl Opaque for Mishap {
    fn opaque() -> Self {
        Self(opaque())
    }
}

/// Makes an enum opaque: any of the values listed.
macro_rules! opaque_enum {
    ($type:ty: $first:expr $(, $other:expr)* $(,)?) => {
        impl $crate::Opaque for $type {
            fn opaque() -> Self {
                $(if $crate::opaque() {
                    return $other;
                })*
                $first
            }
        }
    };
}

/// Makes a struct opaque, by its fields.
macro_rules! opaque_struct {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::Opaque for $type {
            fn opaque() -> Self {
                Self { $($field: $crate::opaque()),* }
            }
        }
    };
}

macro_rules! opaque_flags {
    ($($type:ty),*) => {$(
        impl $crate::Opaque for $type {
            fn opaque() -> Self {
                // Bits without a name too.
                Self::from_bits_retain($crate::opaque())
            }
        }
    )*};
}

pub(super) use {opaque_enum, opaque_struct};

impl Opaque for Range<u64> {
    fn opaque() -> Self {
        opaque()..opaque()
    }
}

impl<A: Opaque, B: Opaque, C: Opaque> Opaque for (A, B, C) {
    fn opaque() -> Self {
        (opaque(), opaque(), opaque())
    }
}

opaque_flags!(UnmapFlags, PageFlags, VmFlags, PteFlags, reclaim::ScanFlags);

opaque_struct!(PageSnapshot { flags, refs, maps });
opaque_struct!(PlainPage {
    flags,
    refs,
    maps,
    pins,
    base_pages
});
opaque_struct!(PlainVma { flags, range });

opaque_enum!(PinKind: PinKind::Short, PinKind::Longterm);
opaque_struct!(PinCount { total, longterm });
opaque_enum!(Pins: Pins::None,
    Pins::Maybe { estimate: opaque(), longterm: opaque() }, Pins::Exactly(opaque()));
opaque_enum!(PinError:
    PinError::Overflow, PinError::Underflow, PinError::Blocked, PinError::Free);
opaque_enum!(Released:
    Released::Done, Released::Unpark, Released::Free, Released::UnparkAndFree);
opaque_enum!(FastPinError:
    FastPinError::Changed, FastPinError::Refused(opaque()), FastPinError::Lost(opaque()));
opaque_enum!(LedgerError:
    LedgerError::Full, LedgerError::DuplicateOwner, LedgerError::UnknownOwner,
    LedgerError::ChargesOpen, LedgerError::UnknownCharge, LedgerError::NoPages,
    LedgerError::Limit, LedgerError::TooMany, LedgerError::CounterEnd);
opaque_enum!(LedgerFault:
    LedgerFault::Live { id: opaque() }, LedgerFault::Totals { id: opaque() },
    LedgerFault::Orphans, LedgerFault::Slots);
opaque_struct!(OwnerUse {
    id,
    limit,
    live_short,
    live_longterm,
    acquired,
    released,
    oldest
});

opaque_enum!(Operation:
    Operation::Reclaim, Operation::Unmap, Operation::Migrate, Operation::Demote,
    Operation::Split, Operation::Munlock, Operation::Poison, Operation::Free);
opaque_enum!(Requester:
    Requester::Direct, Requester::Background, Requester::Proactive, Requester::Cgroup,
    Requester::Compaction);
opaque_struct!(Context {
    requester,
    priority
});
opaque_enum!(PinVerdict:
    PinVerdict::Proceed, PinVerdict::NextVma, PinVerdict::SkipPage, PinVerdict::Refuse);

opaque_struct!(Entry { address, flags });
opaque_struct!(Cleared { flags, deferred });
opaque_struct!(CounterDelta {
    anon,
    file,
    shmem,
    swap_ents,
    hugetlb
});
opaque_enum!(Attempt: Attempt::Done, Attempt::Refused);
opaque_enum!(SharedTable: SharedTable::No, SharedTable::Unshared, SharedTable::Unknown);
opaque_enum!(FlushMode: FlushMode::Now, FlushMode::MayDefer, FlushMode::NotNeeded);
opaque_enum!(NewEntry:
    NewEntry::Restored(opaque()), NewEntry::Swap(opaque()), NewEntry::Migration(opaque()),
    NewEntry::PmdMigration(opaque()), NewEntry::Poison);
opaque_enum!(Inconsistency:
    Inconsistency::UnexpectedPmd, Inconsistency::HugetlbNotRmapLocked,
    Inconsistency::EntryOutsideRange);
opaque_enum!(Stop:
    Stop::Mlocked, Stop::Young, Stop::PinAppeared(opaque()), Stop::SwapSlotRefused,
    Stop::ArchRefused, Stop::LazyfreeRedirtied, Stop::InconsistentAnon, Stop::SharingUnknown);
opaque_enum!(Verdict:
    Verdict::Done, Verdict::Unshared, Verdict::NotLocked, Verdict::NotMigratable,
    Verdict::NextVma(opaque()), Verdict::SkipPage(opaque()), Verdict::Refused(opaque()),
    Verdict::Stopped(opaque()));
opaque_enum!(Outcome:
    Outcome::Unmapped, Outcome::StillMapped(opaque()), Outcome::Skipped(opaque()),
    Outcome::Refused(opaque()), Outcome::TemporaryStack, Outcome::Contended, Outcome::NotFound);
opaque_enum!(UnmapError<Mishap>:
    UnmapError::NoReference,
    UnmapError::BadVma { start: opaque(), end: opaque() },
    UnmapError::OutsideVma { address: opaque() },
    UnmapError::Misaligned { address: opaque() },
    UnmapError::Inconsistent { what: opaque(), address: opaque() },
    UnmapError::PageTables { address: opaque(), source: opaque() });

opaque_enum!(Lru: Lru::InactiveAnon, Lru::ActiveAnon, Lru::InactiveFile, Lru::ActiveFile);
opaque_enum!(KeepReason:
    KeepReason::Pinned(opaque()), KeepReason::LockBusy, KeepReason::Mapped,
    KeepReason::Referenced, KeepReason::NoIo, KeepReason::SplitFailed, KeepReason::Dirty,
    KeepReason::NotWritten, KeepReason::Writeback, KeepReason::LockLost, KeepReason::NoMapping,
    KeepReason::Held, KeepReason::Mlocked, KeepReason::Failed, KeepReason::WriteLimit);
opaque_enum!(ActivateReason:
    ActivateReason::Unevictable, ActivateReason::Writeback, ActivateReason::Referenced,
    ActivateReason::CannotSplit, ActivateReason::NoSwap, ActivateReason::StillMapped,
    ActivateReason::Dirty, ActivateReason::NotWritten, ActivateReason::Buffers);
opaque_enum!(Fate:
    Fate::Freed, Fate::Raced, Fate::Kept(opaque()), Fate::Activated(opaque()),
    Fate::Parked(opaque()));
opaque_enum!(ListError:
    ListError::NoSuchPage(opaque()), ListError::Listed(opaque()), ListError::NotListed(opaque()));
opaque_enum!(Place: Place::List(opaque()), Place::Parked);

opaque_enum!(Zone: Zone::Normal, Zone::Movable, Zone::Cma, Zone::Device, Zone::FsDax);
