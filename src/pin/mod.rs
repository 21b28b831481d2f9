//! Counting pins: four representations, and one [snapshot](Pins) that says how sure it is.
//!
//! | | [`PageRefs`] | [`PinWord`] | [`BiasedRefs`] | [`LargePageRefs`] |
//! | --- | --- | --- | --- | --- |
//! | counts | references and pins | pins, beside a reference count | references and pins | references and pins |
//! | where pins are | in the same 64-bit word, apart | in a 64-bit word | in the reference count, 1024 each | in a count beside the references |
//! | "not pinned" | exact | exact | exact | exact |
//! | "pinned" | exact | exact | may be wrong from 1024 references on; [`Refined`]: from 512 unexplained ones on | exact |
//! | long-term apart | yes | yes | no | no |
//! | a pin holds a reference | yes | the embedder takes it | yes | yes |
//! | can be blocked | yes, and by a freeze at the expected count | yes | by a freeze | by a freeze |
//! | can be parked | yes | yes | no | no |
//! | overflow, underflow | refused, typed | refused, typed | refused, typed | refused, typed |
//!
//! A page that has no counter yet takes [`PageRefs`]. The others are for pages that have one: Linux's
//! reference count, with pins in it or beside it, or a reference count of your own. **Beside a
//! reference count of your own, each pin of a [`PinWord`] must hold a reference**, or the page is
//! freed under its pins.
//!
//! [`PinGuard`] pins several pages or none. [`PinLedger`] counts who pins how many pages, since when;
//! [`Owners`] sorts them. [`race`] is the protocol between a pinner without locks and an unmapper.
//!
//! [`PageRefs`] and [`PinWord`] need 64-bit atomics (`target_has_atomic = "64"`). They do not exist
//! on targets without them, such as `thumbv7m-none-eabi`; there the biased count, which needs 32
//! bits, is the representation to use.

mod account;
mod biased;
mod charged;
#[cfg(target_has_atomic = "64")]
mod field;
mod guard;
mod large;
mod ledger;
#[cfg(target_has_atomic = "64")]
mod marks;
mod owners;
mod pinnable;
pub mod race;
mod reading;
#[cfg(target_has_atomic = "64")]
mod refs;
#[cfg(target_has_atomic = "64")]
mod refusal;
#[cfg(target_has_atomic = "64")]
mod word;

pub use account::{Charge, LedgerError, LedgerFault, OwnerId, OwnerUse};
pub use biased::{BiasedRefs, PIN_BIAS, UnexpectedRefs};
pub use charged::{Account, Accounting, Charged};
pub use guard::{PinAllError, PinGuard, ReleaseError};
pub use large::LargePageRefs;
pub use ledger::PinLedger;
pub use owners::Owners;
pub(crate) use pinnable::release;
pub use pinnable::{Pinnable, Released};
pub use reading::{Biased, PinReading, Refined};
#[cfg(target_has_atomic = "64")]
pub use refs::{PageRefs, RefsSnapshot};
#[cfg(target_has_atomic = "64")]
pub use refusal::PinStateError;
#[cfg(target_has_atomic = "64")]
pub use word::{PinWord, WordSnapshot};

use core::fmt;

/// How long a pin is meant to last.
///
/// Exhaustive: Linux knows these two (`FOLL_PIN` with and without `FOLL_LONGTERM`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinKind {
    /// For the length of one operation, such as direct I/O.
    Short,
    /// Until its owner says otherwise, such as RDMA or a passed-through device (`FOLL_LONGTERM`).
    Longterm,
}

/// An exact count of pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PinCount {
    /// All pins, short and long-term.
    pub total: u32,
    /// How many of them are long-term, where that is counted apart.
    pub longterm: Option<u32>,
}

/// What one look at a page says about its pins, and how sure that is.
///
/// Exhaustive: a reading that is neither would have to be unsure of "none", and no
/// reading of this crate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pins {
    /// No pin is held. This is always certain.
    None,
    /// The reference count is high enough for this many pins; ordinary references could also
    /// explain it.
    Maybe {
        /// How many pins would explain the count; at least 1.
        estimate: u32,
        /// How many of them are long-term, where the page knows.
        longterm: Option<u32>,
    },
    /// Exactly this many, and at least one.
    Exactly(PinCount),
}

impl Pins {
    /// The snapshot of an exact count.
    #[must_use]
    pub const fn exactly(count: PinCount) -> Self {
        if count.total == 0 {
            Self::None
        } else {
            Self::Exactly(count)
        }
    }

    /// Whether any pin may be held; `false` is certain.
    #[must_use]
    pub const fn maybe_pinned(self) -> bool {
        !matches!(self, Self::None)
    }

    /// How many long-term pins are held, where that is known.
    #[must_use]
    pub const fn longterm(self) -> Option<u32> {
        match self {
            Self::None => Some(0),
            Self::Maybe { longterm, .. } | Self::Exactly(PinCount { longterm, .. }) => longterm,
        }
    }

    /// Whether a long-term pin may be held; `false` is certain.
    ///
    /// Where long-term pins are not counted apart, any pin may be one.
    #[must_use]
    pub const fn maybe_longterm(self) -> bool {
        match self {
            Self::None => false,
            Self::Maybe { longterm, .. } | Self::Exactly(PinCount { longterm, .. }) => {
                !matches!(longterm, Some(0))
            }
        }
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longterm = match self {
            Self::None => return f.write_str("not pinned"),
            Self::Maybe { estimate, longterm } => {
                write!(f, "maybe pinned, about {estimate}")?;
                longterm
            }
            Self::Exactly(PinCount { total, longterm }) => {
                write!(f, "pinned {total}")?;
                longterm
            }
        };
        match longterm {
            Some(n) => write!(f, " ({n} long-term)"),
            None => Ok(()),
        }
    }
}

/// Why a pin was not taken or not released. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinError {
    /// There is no room for one more pin: the counter is at its end, or the guard that collects the
    /// pages takes no more.
    Overflow,
    /// There is no pin of this kind to release.
    Underflow,
    /// Pins are blocked: the page is being taken away. Go to the slow path.
    Blocked,
    /// The reference count is zero: the page is free or frozen. Go to the slow path.
    Free,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "there is no room for one more pin",
            Self::Underflow => "no such pin is held",
            Self::Blocked => "pins are blocked on this page",
            Self::Free => "the page is free or frozen",
        })
    }
}

impl core::error::Error for PinError {}
