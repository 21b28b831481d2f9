//! Where a page is, and whether it may be pinned there.

use crate::page::PageLike;
use crate::pin::{PinError, PinKind};
use core::fmt;

/// A page that knows where it is.
///
/// # Examples
///
/// ```
/// use pinfold::{PageFlags, PageLike, Placed, Zone};
///
/// /// A handle of a frame: its number.
/// #[derive(Clone)]
/// struct Frame(u64);
/// # impl PageLike for Frame {
/// #     fn flags(&self) -> PageFlags { PageFlags::ANON }
/// #     fn ref_count(&self) -> i32 { 1 }
/// #     fn map_count(&self) -> u32 { 0 }
/// # }
///
/// impl Placed for Frame {
///     fn id(&self) -> u64 {
///         self.0
///     }
///     fn zone(&self) -> Zone {
///         if self.0 < 0x10_0000 { Zone::Normal } else { Zone::Movable }
///     }
/// }
/// assert_eq!(Frame(7).id(), Frame(7).clone().id());
/// ```
pub trait Placed: PageLike {
    /// Which page this is: the same number for two handles of one page, different numbers for two
    /// pages.
    ///
    /// [`place_and_pin`](super::place_and_pin) finds with it all places of an object that hold one
    /// page. The default is the address of the page in memory, which is right for pages that are
    /// held by reference. Where the handle itself implements this trait (a frame number, a counted
    /// pointer), it overrides this method with the frame number.
    fn id(&self) -> u64 {
        let address: *const () = core::ptr::from_ref(self).cast();
        address.addr() as u64
    }

    /// Where the page is. Does not change while the page is pinned.
    ///
    /// The default is for machines on which all memory is alike.
    fn zone(&self) -> Zone {
        Zone::Normal
    }

    /// Whether the page would take another pin of this kind, as far as it knows without trying.
    ///
    /// Returns `Ok` by default; [`try_pin`](crate::pin::Pinnable::try_pin) is authoritative.
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
        #[deny(clippy::missing_trait_methods)]
        impl<P: Placed + ?Sized> Placed for $reference {
            fn id(&self) -> u64 {
                (**self).id()
            }
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

/// Where a page is, as far as it matters to pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Zone {
    /// Memory that need not be movable. Also a page that never goes away, such as the zero page,
    /// wherever it is.
    #[default]
    Normal,
    /// Memory that is kept movable, so that it can be taken out of the machine or made contiguous
    /// (`ZONE_MOVABLE`).
    Movable,
    /// Memory of the contiguous memory allocator (`MIGRATE_CMA`).
    Cma,
    /// Memory of a device that the CPU can address (`MEMORY_DEVICE_COHERENT`).
    Device,
    /// The blocks of a file that are mapped directly (filesystem DAX): a pin would hold the file's
    /// layout.
    FsDax,
}

impl Zone {
    /// Whether a page here may be pinned for this long.
    ///
    /// A short pin may be anywhere. A long-term pin of filesystem DAX is refused (`check_dax_vmas`,
    /// `mm/gup.c`, 5.8).
    ///
    /// # Examples
    ///
    /// ```
    /// use pinfold::pin::PinKind;
    /// use pinfold::placement::LongtermRule;
    /// use pinfold::{Placement, Zone};
    ///
    /// let rule = LongtermRule::default();
    /// assert_eq!(Zone::Cma.placement(PinKind::Longterm, rule), Placement::MigrateFirst);
    /// assert_eq!(Zone::Cma.placement(PinKind::Short, rule), Placement::Pin);
    /// ```
    pub const fn placement(self, kind: PinKind, rule: LongtermRule) -> Placement {
        match (kind, self, rule) {
            (PinKind::Short, _, _) => Placement::Pin,
            (PinKind::Longterm, Self::FsDax, _) => Placement::Refuse,
            (PinKind::Longterm, Self::Cma, _)
            | (PinKind::Longterm, Self::Movable | Self::Device, LongtermRule::Unmovable) => {
                Placement::MigrateFirst
            }
            (PinKind::Longterm, Self::Normal | Self::Movable | Self::Device, _) => Placement::Pin,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal memory",
            Self::Movable => "a movable zone",
            Self::Cma => "a CMA area",
            Self::Device => "device memory",
            Self::FsDax => "filesystem DAX",
        })
    }
}

/// Which memory a page must leave before it is pinned for long.
///
/// Exhaustive; an embedder with another rule answers [`Placed::zone`] accordingly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LongtermRule {
    /// CMA only (`check_and_migrate_cma_pages`, `mm/gup.c`, 5.8).
    CmaOnly,
    /// The movable zone, CMA, and device memory (`folio_is_longterm_pinnable`,
    /// `check_and_migrate_movable_pages`, since 5.13; device memory since 6.0).
    #[default]
    Unmovable,
}

/// Whether a page may be pinned where it is.
///
/// Exhaustive: a caller must know what to do with each.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// Pin it where it is.
    Pin,
    /// Migrate it out of its zone, then ask again.
    MigrateFirst,
    /// It may not be pinned for long at all.
    Refuse,
}
