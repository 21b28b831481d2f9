//! Suites for an embedder's page representation, and for its lists and page operations.
//!
//! Needs the feature `test-utils`.
//!
//! An embedder implements [`BuildPage`] for its page and calls [`suite`]: the page's own contract,
//! the readings of its pins, the policies, the walks with every kind of fault, and the
//! [invariants](crate::invariants) of all of them. An embedder's own policy goes through
//! [`check_case`], which walks under it, and [`invariants::policy`](crate::invariants::policy), which
//! asks it what no walk would. Lists and page operations implement [`TestLists`] and go through
//! [`lists_suite`].
//!
//! ```
//! # use pinfold::{PageFlags, PageLike};
//! # use pinfold::conformance::{BuildPage, PageState, TestPage};
//! # use pinfold::pin::{PIN_BIAS, PinKind};
//! # use std::cell::Cell;
//! # struct MyPage { flags: Cell<PageFlags>, refs: Cell<i32>, maps: Cell<u32>, size: u32 }
//! # impl PageLike for MyPage {
//! #     fn flags(&self) -> PageFlags { self.flags.get() }
//! #     fn ref_count(&self) -> i32 { self.refs.get() }
//! #     fn map_count(&self) -> u32 { self.maps.get() }
//! #     fn base_pages(&self) -> u32 { self.size }
//! # }
//! # impl TestPage for MyPage {
//! #     fn add_flags(&self, flags: PageFlags) { self.flags.set(self.flags.get() | flags) }
//! #     fn remove_mapping(&self) {
//! #         self.maps.set(self.maps.get() - 1);
//! #         self.refs.set(self.refs.get() - 1);
//! #     }
//! #     fn add_pin(&self, _: PinKind) { self.refs.set(self.refs.get() + PIN_BIAS as i32) }
//! # }
//! impl BuildPage for MyPage {
//!     fn build(state: &PageState) -> Option<Self> {
//!         Some(Self {
//!             flags: Cell::new(state.flags),
//!             refs: Cell::new(state.refs(PIN_BIAS)?),
//!             maps: Cell::new(state.maps),
//!             size: state.base_pages,
//!         })
//!     }
//! }
//!
//! let tally = pinfold::conformance::suite::<MyPage>(2020, 100)?;
//! assert_eq!(tally.unrepresentable, 0, "this page can hold every state");
//! # Ok::<(), pinfold::conformance::SuiteFailure>(())
//! ```

mod case;
mod checks;
mod faults;
mod lists;
mod machine;
mod observe;
mod recorded;
mod vmas;

pub use case::{Case, MAX_ENTRIES, MAX_VMAS, Rng};
pub use checks::{CaseOutcome, SuiteFailure, Tally, check_case, check_page, check_readings, suite};
pub use faults::{Fallible, Faults, Injected};
pub use lists::{
    Act, ListsBroken, ListsFailure, ListsTally, MAX_PAGES, NewPage, SeenPage, Stale, TestLists,
    Whereabouts, lists_suite,
};
pub use machine::{Answers, EntrySlot, EntryState, Machine};
pub use observe::{Observed, Reach, observe};
pub use recorded::Recorded;
pub use vmas::{OneVma, Vmas};

use crate::debug::debug_fields;
use crate::flags::PageFlags;
use crate::page::PageLike;
use crate::pin::{PIN_BIAS, PinCount, PinKind};

/// A page that a test can change while the crate looks at it.
pub trait TestPage: PageLike {
    /// Sets these flags.
    fn add_flags(&self, flags: PageFlags);

    /// Uncounts one mapping, then drops its reference.
    fn remove_mapping(&self);

    /// Takes one pin.
    fn add_pin(&self, kind: PinKind);
}

/// A page that a test can make in any state that its representation can hold.
///
/// # Contract
///
/// What is built says of itself what the state says. Where the representation cannot hold it, the
/// answer is `None`, which the suite counts; it never holds something else instead.
pub trait BuildPage: TestPage + Sized {
    /// A page in this state, if the representation can hold it.
    fn build(state: &PageState) -> Option<Self>;

    /// How many references one pin of this page holds: [`PIN_BIAS`] where pins are counted in the
    /// references, 1 or 0 where they have a count of their own.
    fn refs_per_pin(&self) -> u32 {
        PIN_BIAS
    }
}

/// The state of a page, by truth and not by counters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageState {
    /// The flags.
    pub flags: PageFlags,
    /// How many entries map it, over all VMAs.
    pub maps: u32,
    /// Ordinary references that neither flags nor mappings explain.
    pub unexplained: u32,
    /// Short pins held.
    pub short: u32,
    /// Long-term pins held.
    pub longterm: u32,
    /// How many base pages it covers.
    pub base_pages: u32,
}

debug_fields!(PageState {
    flags,
    maps,
    unexplained,
    short,
    longterm,
    base_pages,
});

impl PageState {
    /// The pins held.
    #[must_use]
    pub const fn pins(&self) -> PinCount {
        PinCount {
            total: self.short.saturating_add(self.longterm),
            longterm: Some(self.longterm),
        }
    }

    /// The references that flags and mappings explain, the caller's own included.
    #[must_use]
    pub fn explained(&self) -> u32 {
        let cached = PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE);
        let mut refs = self.maps.saturating_add(1);
        if self.flags.intersects(cached) {
            refs = refs.saturating_add(self.base_pages);
        }
        if self.flags.contains(PageFlags::PRIVATE) {
            refs = refs.saturating_add(1);
        }
        refs
    }

    /// The reference count, with so many references for each pin.
    ///
    /// From 2^31 on the count has overflowed and is negative, as Linux's would be. `None` if it does
    /// not fit into 32 bits, or if it would change its sign while a walk takes the mappings or takes
    /// one pin more.
    #[must_use]
    pub fn refs(&self, per_pin: u32) -> Option<i32> {
        let pins = u64::from(self.pins().total).checked_mul(u64::from(per_pin))?;
        let refs = u64::from(self.explained())
            .checked_add(u64::from(self.unexplained))?
            .checked_add(pins)?;
        let count = |refs: u64| u32::try_from(refs).ok().map(signed);
        let fewest = count(refs.checked_sub(u64::from(self.maps))?)?;
        let most = count(refs.checked_add(u64::from(per_pin))?)?;
        let same_sign = fewest.is_negative() == most.is_negative();
        count(refs).filter(|_| same_sign)
    }

    /// The references of the mappings, the state and the biased pins.
    fn refs_without_unexplained(&self) -> Option<u32> {
        let pins = self.pins().total.checked_mul(PIN_BIAS)?;
        self.explained().checked_add(pins)
    }
}

/// The bits of an overflowed count, as a representation keeps them.
const fn signed(refs: u32) -> i32 {
    i32::from_ne_bytes(refs.to_ne_bytes())
}
