//! Accounts of pins: what the [ledger](super::PinLedger) hands out, and what it refuses.

use crate::debug::debug_fields;
use core::cmp::{Ordering, Reverse};
use core::fmt;

/// An account in a [`PinLedger`](super::PinLedger).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId {
    pub(super) tag: u64,
    pub(super) index: usize,
    pub(super) generation: u64,
}

/// The open charge of one object, for [`PinLedger::release`](super::PinLedger::release).
///
/// It is not `Copy` or `Clone`, so an object is not released twice. If it is dropped, its pages stay
/// on the account; [`Charged`](super::Charged) releases it when it is dropped.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the pages stay on the account until the charge is released"]
pub struct Charge {
    pub(super) tag: u64,
    pub(super) index: usize,
    pub(super) generation: u64,
}

/// What one owner has pinned, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerUse {
    /// The embedder's name for the owner.
    pub id: u64,
    /// How many pages it may have pinned at a time.
    pub limit: u64,
    /// Pages pinned short-term now.
    pub live_short: u64,
    /// Pages pinned long-term now.
    pub live_longterm: u64,
    /// Pages ever charged.
    pub acquired: u64,
    /// Pages ever released.
    pub released: u64,
    /// The tick of the oldest charge that has pages left.
    pub oldest: Option<u64>,
}

debug_fields!(OwnerUse {
    id,
    limit,
    live_short,
    live_longterm,
    acquired,
    released,
    oldest,
});

impl OwnerUse {
    /// Pages pinned now, of both kinds.
    #[must_use]
    pub const fn live(&self) -> u64 {
        self.live_short.saturating_add(self.live_longterm)
    }

    /// By how many pages the owner is over its limit.
    #[must_use]
    pub const fn over_limit(&self) -> u64 {
        self.live().saturating_sub(self.limit)
    }

    /// How many ticks ago the oldest pages were pinned; 0 for a clock that went back.
    #[must_use]
    pub fn oldest_age(&self, now: u64) -> Option<u64> {
        self.oldest.map(|since| now.saturating_sub(since))
    }

    /// Which of two owners to ask first for its pins (less is earlier).
    ///
    /// 1. The one that is further over its limit.
    /// 2. The one that has long-term pins: short ones end by themselves.
    /// 3. The one whose oldest pins are older; one without a time is last.
    /// 4. The one with more long-term pages, then with more pages.
    /// 5. The one with the smaller id, so that the order is total.
    #[must_use]
    pub fn ask_order(&self, other: &Self) -> Ordering {
        let key = |owner: &Self| {
            (
                Reverse(owner.over_limit()),
                owner.live_longterm == 0,
                owner.oldest.is_none(),
                owner.oldest,
                Reverse(owner.live_longterm),
                Reverse(owner.live()),
                owner.id,
            )
        };
        key(self).cmp(&key(other))
    }
}

impl fmt::Display for OwnerUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner {}: {} pages", self.id, self.live())?;
        match self.oldest {
            Some(since) => write!(f, " since {since}"),
            None => Ok(()),
        }
    }
}

/// Why the ledger refused. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LedgerError {
    /// No place is left for another owner, or another charge.
    Full,
    /// An owner of this name has an account already.
    DuplicateOwner,
    /// The account was closed, or is another ledger's.
    UnknownOwner,
    /// The owner has charges that were not released.
    ChargesOpen,
    /// The charge was released, or is another ledger's.
    UnknownCharge,
    /// An object of no pages.
    NoPages,
    /// The owner would have more pages pinned than it may.
    Limit,
    /// More pages than the charge has left.
    TooMany,
    /// The count of all pages ever charged to the owner is at its end.
    CounterEnd,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the ledger is full",
            Self::DuplicateOwner => "the owner has an account already",
            Self::UnknownOwner => "no such owner",
            Self::ChargesOpen => "the owner has open charges",
            Self::UnknownCharge => "no such charge",
            Self::NoPages => "an object of no pages is not charged",
            Self::Limit => "the owner's limit is reached",
            Self::TooMany => "the charge has fewer pages left",
            Self::CounterEnd => "the owner's counter is at its end",
        })
    }
}

impl core::error::Error for LedgerError {}

/// What [`PinLedger::check`](super::PinLedger::check) found not to add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LedgerFault {
    /// The pages of an owner's charges are not its live pages.
    Live {
        /// The owner.
        id: u64,
    },
    /// For this owner, acquired less released is not what is live.
    Totals {
        /// The owner.
        id: u64,
    },
    /// Charges of an account that is closed.
    Orphans,
    /// Open and free charges are not all charges.
    Slots,
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live { id } => write!(f, "owner {id}: live pages are not those of its charges"),
            Self::Totals { id } => write!(f, "owner {id}: acquired less released is not live"),
            Self::Orphans => f.write_str("charges of a closed account"),
            Self::Slots => f.write_str("open and free charges are not all charges"),
        }
    }
}

impl core::error::Error for LedgerFault {}
