//! Where a page may be pinned, and what may be done to it while it is.
//!
//! A long-term pin nails a page to its place. In an area that is kept movable (for hotplug, for
//! CMA, for a device's own memory) it does harm there for as long as it lasts, so the page is moved
//! *before* it is pinned. [`decide`] answers for one page: pin it, migrate it first, or refuse;
//! [`place_and_pin`] asks it page by page for a whole object and pins all of it or nothing; and
//! [`may`] answers what a pin forbids afterwards, with the reason.
//!
//! # No page is taken from an object that is being pinned
//!
//! Pinning page `n` of an object may need memory, and the reclaim that this sets off would find
//! pages `0..n` and take them: robbing Peter to pay Paul, the third reason of the 2020 patch. It
//! holds here that reclaim in the middle of [`place_and_pin`] takes no page of the object:
//!
//! 1. *Nothing that can allocate, wait or reclaim happens before every page is pinned*, with the pin
//!    that it will keep. Taking a pin is one atomic step, and where it is not to be had at once,
//!    everything is given back. From the moment it is taken, reclaim's first question about the page
//!    finds it, under any policy that reads pins.
//! 2. *Migration comes afterwards, one page at a time.* Only the page in hand gives up its pin; all
//!    others keep theirs. So at most one page is without a pin when memory is sought, and that is
//!    the one which [`migrate`](place_and_pin) has been given, and which it takes off its list
//!    before it allocates.
//! 3. *A page without its pin is still referenced.* Until it is pinned, and while it is in hand, the
//!    caller's own reference, which every caller of this crate holds, keeps the freeze at the
//!    expected count from succeeding. Another CPU's reclaim may unmap such a page; it cannot free
//!    it.
//!
//! The price: until its turn comes, a page that has to move carries a long-term pin where none
//! should last. Linux does the same (`__gup_longterm_locked` pins, checks, gives back, moves). A
//! short pin in its place would be overlooked by [`SkipLongterm`](crate::SkipLongterm).

mod books;
mod decide;
mod may;
mod object;

pub use books::{Account, Books};
pub use decide::{Facts, Placed, Placement, Rule, WhyMigrate, WhyNot, Zone, decide};
pub use may::{Refusal, may};
pub use object::{PlaceError, PlaceRequest, PlaceStop, PlacedPins, place_and_pin};
