//! The example `pager` runs, and its page passes the suite.
#![allow(clippy::unwrap_used)]

#[path = "../examples/pager.rs"]
mod pager;

use pager::Page;
use pinfold::conformance::{BuildPage, PageState, TestPage, suite};
use pinfold::pin::{PinKind, Released};
use pinfold::{PageFlags, PageLike};

impl TestPage for Page {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.set(self.flags() | flags);
    }
    fn remove_mapping(&self) {
        assert!(self.mappings.borrow_mut().pop().is_some());
        assert_eq!(self.count.put_ref(), Ok(Released::Done));
    }
    fn add_pin(&self, kind: PinKind) {
        self.count.pin(kind).unwrap();
    }
}

impl BuildPage for Page {
    fn build(state: &PageState) -> Option<Self> {
        if state.base_pages != 1 {
            return None;
        }
        let page = Self::new(0);
        page.count.unfreeze(state.refs(0)?).ok()?;
        for (pins, kind) in [
            (state.short, PinKind::Short),
            (state.longterm, PinKind::Longterm),
        ] {
            for _ in 0..pins {
                page.count.pin(kind).ok()?;
            }
        }
        page.flags.set(state.flags);
        page.mappings
            .borrow_mut()
            .resize(state.maps as usize, (0, 0));
        Some(page)
    }

    fn refs_per_pin(&self) -> u32 {
        1
    }
}

#[test]
fn its_page_passes_the_suite() {
    let tally = suite::<Page>(2020, 400).unwrap();
    assert!(tally.taken > 0 && tally.skips > 0 && tally.pins_appeared > 0);
}

#[test]
fn no_content_is_lost() {
    pager::main().unwrap();
}
