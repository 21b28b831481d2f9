//! Where a page may be pinned, and what its pins forbid afterwards.
//!
//! A page that is pinned for long cannot be moved. In memory that is kept movable (for hotplug, for
//! CMA, of a device), such a page does harm for as long as the pin lasts, so it is migrated *before*
//! it is pinned. [`Zone::placement`] answers for one page: pin it, migrate it first, or refuse.
//! [`place_and_pin`] asks that for each page of an object and pins all of them or none.
//! [`check_pins`] answers whether the pins of a page allow an operation.
//!
//! # No page is taken from an object that is being pinned
//!
//! Pinning page `n` of an object may need memory, and the reclaim that this starts could find pages
//! `0..n` and take them (the third reason of the 2020 patch). Reclaim in the middle of
//! [`place_and_pin`] takes no page of the object:
//!
//! 1. *Nothing that can allocate, wait or reclaim happens before every page is pinned*, with the pin
//!    that it will keep. Taking a pin is one atomic step, and where it is refused, all pins are given
//!    back. Once a page is pinned, reclaim skips it under any policy that reads pins.
//! 2. *Migration comes afterwards, one page at a time.* Only the page that is being migrated gives up
//!    its pins; all others keep theirs. So at most one page is without a pin when memory is sought,
//!    and [`migrate`](place_and_pin) takes that page off its list before it allocates.
//! 3. *A page without its pin is still referenced.* The caller holds a reference on every page, so
//!    the freeze at the expected count fails. Reclaim on another CPU may unmap such a page; it cannot
//!    free it.
//!
//! The price: until its turn comes, a page that has to move carries a long-term pin where none
//! should last. Linux does the same (`__gup_longterm_locked` pins, checks, gives back, migrates). A
//! short pin in its place would be overlooked by [`SkipLongterm`](crate::SkipLongterm).

mod check;
mod error;
mod object;
mod request;
mod zone;

pub use check::{PinnedError, check_pins};
pub use error::{PlaceError, PlaceStop};
pub use object::place_and_pin;
pub use request::PlaceRequest;
pub use zone::{LongtermRule, Placed, Placement, Zone};
