//! What happens to a pinned page: it stays on its list, or is parked until its last pin is dropped.

use crate::pin::{PinKind, Pins};

/// What reclaim does with pinned pages.
///
/// A page that stays on its list is met again by every scan. A parked page is on no list and costs
/// later scans nothing, but somebody must put it back: whoever drops its last pin
/// ([`PinWord::unpin`](crate::pin::PinWord::unpin) says when), or a bounded
/// [sweep](super::unpark) over the parked pages.
///
/// Exhaustive: an embedder can refuse to park a page in [`Lists::park`](super::Lists::park).
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PinCount, PinKind, Pins};
/// use pinfold::reclaim::Parking;
///
/// let short = Pins::Exactly(PinCount { total: 1, longterm: Some(0) });
/// let long = Pins::Exactly(PinCount { total: 1, longterm: Some(1) });
/// assert!(!Parking::default().parks_on_scan(short), "waited out on the list");
/// assert!(Parking::default().parks_on_scan(long));
/// assert!(Parking::Eager.parks_on_pin(PinKind::Short));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parking {
    /// Every pinned page stays on its list.
    Rotate,
    /// A page with long-term pins is parked by the first scan that meets it; a page with short pins
    /// stays on its list. So does a page whose pins are not counted by kind: such a count cannot
    /// tell when the last long-term pin is gone.
    #[default]
    Longterm,
    /// A pinned page is parked by the first scan that meets it.
    Lazy,
    /// A page is parked when it is pinned, so that no scan meets it; every first pin and last unpin
    /// costs a list operation.
    Eager,
}

impl Parking {
    /// Whether a scan parks a page that it has found pinned.
    #[must_use]
    #[inline]
    pub const fn parks_on_scan(self, pins: Pins) -> bool {
        match self {
            Self::Rotate => false,
            Self::Longterm => matches!(pins.longterm(), Some(1..)),
            Self::Lazy | Self::Eager => true,
        }
    }

    /// Whether the pinner parks a page when it takes the first pin on it, of this kind.
    #[must_use]
    pub const fn parks_on_pin(self, kind: PinKind) -> bool {
        let _ = kind;
        matches!(self, Self::Eager)
    }
}
