//! What happens to a pinned page: it stays on its list, or is parked until its last pin goes.
//!
//! A page that stays is met again by every scan. One that is parked costs later scans nothing, but
//! somebody must put it back: whoever drops its last pin (a
//! [`PinWord`](crate::pin::PinWord) says so with
//! [`Unpinned::Unpark`](crate::pin::Unpinned::Unpark)), or a bounded
//! [sweep](super::unpark) over the parked pages.

use crate::pin::{PinKind, Pins};
use static_assertions::assert_eq_size;

/// What a scan does with a pinned page.
///
/// Complete on purpose.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnScan {
    /// Keep it on its list.
    Rotate,
    /// Take it off its list.
    Park,
}

/// What a pinner does with the page that it pins.
///
/// Complete on purpose.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnPin {
    /// Leave it where it is: the pin path costs no list operation.
    Stay,
    /// Take it off its list.
    Park,
}

/// What happens to pinned pages.
///
/// # Contract
///
/// A policy is asked about pinned pages only.
pub trait ParkPolicy {
    /// A scan met a page with these pins.
    fn on_scan(&self, pins: Pins) -> OnScan;

    /// A pin of this kind was taken, the first on its page.
    fn on_pin(&self, kind: PinKind) -> OnPin {
        let _ = kind;
        OnPin::Stay
    }
}

impl<K: ParkPolicy + ?Sized> ParkPolicy for &K {
    fn on_scan(&self, pins: Pins) -> OnScan {
        (**self).on_scan(pins)
    }

    fn on_pin(&self, kind: PinKind) -> OnPin {
        (**self).on_pin(kind)
    }
}

/// The default: short pins are waited out on the list, long-term ones are parked by the first scan
/// that meets them.
///
/// A page that may have long-term pins, because they are not counted apart, stays on its list: a
/// count that cannot tell them apart cannot say when the last is gone either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ParkLongterm;

impl ParkPolicy for ParkLongterm {
    fn on_scan(&self, pins: Pins) -> OnScan {
        match pins.longterm() {
            Some(longterm) if longterm > 0 => OnScan::Park,
            _ => OnScan::Rotate,
        }
    }
}

/// Every pinned page stays on its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rotate;

impl ParkPolicy for Rotate {
    fn on_scan(&self, _: Pins) -> OnScan {
        OnScan::Rotate
    }
}

/// Every pinned page is parked by the first scan that meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ParkLazily;

impl ParkPolicy for ParkLazily {
    fn on_scan(&self, _: Pins) -> OnScan {
        OnScan::Park
    }
}

/// Every page is parked when it is pinned, so that no scan ever meets it; every pin and unpin then
/// costs a list operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ParkEagerly;

impl ParkPolicy for ParkEagerly {
    fn on_scan(&self, _: Pins) -> OnScan {
        OnScan::Park
    }

    fn on_pin(&self, _: PinKind) -> OnPin {
        OnPin::Park
    }
}

assert_eq_size!(ParkLongterm, ());
assert_eq_size!(Rotate, ());
assert_eq_size!(ParkLazily, ());
assert_eq_size!(ParkEagerly, ());
