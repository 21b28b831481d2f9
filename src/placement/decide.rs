//! One page: pin it, migrate it first, or refuse.

use crate::debug::debug_fields;
use crate::page::PageLike;
use crate::pin::{LedgerError, PinError, PinKind};
use core::fmt;

/// A page that knows where it lies.
pub trait Placed: PageLike {
    /// Where it lies. Does not change while the page is pinned.
    ///
    /// The default is for machines on which all memory is alike.
    fn zone(&self) -> Zone {
        Zone::Normal
    }

    /// Whether it would take another pin of this kind, as far as it knows without trying.
    ///
    /// The default hopes so; what the page then says to the pin is final.
    ///
    /// # Errors
    ///
    /// What the pin would be refused with.
    fn pinnable(&self, kind: PinKind) -> Result<(), PinError> {
        let _ = kind;
        Ok(())
    }
}

macro_rules! forward_placed {
    ($($reference:ty),*) => {$(
        impl<P: Placed + ?Sized> Placed for $reference {
            fn zone(&self) -> Zone {
                (**self).zone()
            }
            fn pinnable(&self, kind: PinKind) -> Result<(), PinError> {
                (**self).pinnable(kind)
            }
        }
    )*};
}

forward_placed!(&P, &mut P);

impl Placed for crate::page::PlainPage {}

/// Where a page lies, as far as pins must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Zone {
    /// Where pages may stay put. Also a page that never goes away, such as the zero page, wherever
    /// it lies.
    #[default]
    Normal,
    /// Kept movable, so that memory can be taken out or made contiguous (`ZONE_MOVABLE`).
    Movable,
    /// Lent by the contiguous memory allocator, which wants it back (`MIGRATE_CMA`).
    Cma,
    /// A device's memory that the CPU can address (`MEMORY_DEVICE_COHERENT`).
    Device,
    /// A file's blocks, mapped directly (filesystem DAX): pinning them would pin the file's layout.
    FsDax,
}

/// From where a page must go before a long-term pin.
///
/// Complete on purpose; a rule of the embedder's own is its answer to [`Placed::zone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rule {
    /// CMA alone (`check_and_migrate_cma_pages`, `mm/gup.c`, 5.8).
    CmaOnly,
    /// The movable zone, CMA, and device memory (`folio_is_longterm_pinnable`,
    /// `check_and_migrate_movable_pages`, since 5.13; device memory since 6.0).
    #[default]
    Unmovable,
}

/// What the answer depends on.
///
/// Exhaustive: with one more, every caller should think again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How long the pin is meant to last.
    pub kind: PinKind,
    /// Where the page lies.
    pub zone: Zone,
    /// From where it must go.
    pub rule: Rule,
    /// What the page itself has against it ([`Placed::pinnable`]).
    pub refusal: Option<PinError>,
    /// How many base pages the page covers.
    pub pages: u64,
    /// How many pages its owner may still pin; `None` if nobody counts.
    pub room: Option<u64>,
}

debug_fields!(Facts {
    kind,
    zone,
    rule,
    refusal,
    pages,
    room,
});

/// Whether a page may be pinned, here, for this long.
///
/// In this order: what the page refuses, nobody overrides; then the file's layout
/// (`check_dax_vmas`, `mm/gup.c`, 5.8, refuses a long-term pin of filesystem DAX); then the owner's
/// limit, since nothing is moved for a pin that it may not have; then where the page lies. A short
/// pin may be anywhere.
///
/// # Examples
///
/// ```
/// use pinfold::pin::PinKind;
/// use pinfold::placement::{Facts, Placement, Rule, WhyMigrate, Zone, decide};
///
/// let facts = Facts {
///     kind: PinKind::Longterm,
///     zone: Zone::Cma,
///     rule: Rule::default(),
///     refusal: None,
///     pages: 1,
///     room: None,
/// };
/// assert_eq!(decide(facts), Placement::MigrateFirst(WhyMigrate::Cma));
/// assert_eq!(decide(Facts { kind: PinKind::Short, ..facts }), Placement::Pin);
/// ```
pub const fn decide(facts: Facts) -> Placement {
    if let Some(error) = facts.refusal {
        return Placement::Refuse(WhyNot::of(error));
    }
    let longterm = matches!(facts.kind, PinKind::Longterm);
    if longterm && matches!(facts.zone, Zone::FsDax) {
        return Placement::Refuse(WhyNot::FsDax);
    }
    if let Some(room) = facts.room {
        if facts.pages > room {
            return Placement::Refuse(WhyNot::Limit);
        }
    }
    if !longterm {
        return Placement::Pin;
    }
    match (facts.zone, facts.rule) {
        (Zone::Cma, _) => Placement::MigrateFirst(WhyMigrate::Cma),
        (Zone::Movable, Rule::Unmovable) => Placement::MigrateFirst(WhyMigrate::Movable),
        (Zone::Device, Rule::Unmovable) => Placement::MigrateFirst(WhyMigrate::Device),
        (Zone::Normal | Zone::Movable | Zone::Device | Zone::FsDax, _) => Placement::Pin,
    }
}

/// The answer to "may this page be pinned, here, for this long?"
///
/// Exhaustive: a driver must know what to do with each.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// Pin it where it is.
    Pin,
    /// Move it away from there, then ask again.
    MigrateFirst(WhyMigrate),
    /// Not at all.
    Refuse(WhyNot),
}

/// From where a page must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhyMigrate {
    /// The movable zone.
    Movable,
    /// A CMA area.
    Cma,
    /// Device memory.
    Device,
}

/// Why a page may not be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhyNot {
    /// Its owner has as many pages pinned as it may.
    Limit,
    /// Pins are blocked: the page is being taken away.
    Blocked,
    /// The page is free or frozen.
    Free,
    /// The pin counter is at its end.
    Overflow,
    /// A long-term pin of a file's blocks would pin the file's layout.
    FsDax,
    /// The page has another reason.
    Page(PinError),
    /// The books have another reason.
    Ledger(LedgerError),
}

impl WhyNot {
    const fn of(error: PinError) -> Self {
        match error {
            PinError::Blocked => Self::Blocked,
            PinError::Free => Self::Free,
            PinError::Overflow => Self::Overflow,
            PinError::Underflow => Self::Page(error),
        }
    }
}

impl From<PinError> for WhyNot {
    fn from(error: PinError) -> Self {
        Self::of(error)
    }
}

impl From<LedgerError> for WhyNot {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Limit => Self::Limit,
            error => Self::Ledger(error),
        }
    }
}

impl fmt::Display for WhyMigrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Movable => "it lies in a movable zone",
            Self::Cma => "it lies in a CMA area",
            Self::Device => "it lies in device memory",
        })
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit => LedgerError::Limit.fmt(f),
            Self::Blocked => PinError::Blocked.fmt(f),
            Self::Free => PinError::Free.fmt(f),
            Self::Overflow => PinError::Overflow.fmt(f),
            Self::FsDax => f.write_str("it would pin the layout of a file"),
            Self::Page(error) => error.fmt(f),
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WhyNot {}
