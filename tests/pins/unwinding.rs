//! Pages whose code unwinds: no pin is leaked, none is released twice.

use crate::SHORT;
use core::cell::Cell;
use pinfold::pin::race::pin_fast;
use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind, Pinnable, Released};

/// A page whose code panics in one of its methods.
struct Panics {
    refs: BiasedRefs,
    /// The method that panics.
    at: &'static str,
    dirtied: Cell<u32>,
}

impl Panics {
    fn panic_at(&self, here: &str) {
        assert_ne!(self.at, here, "on purpose");
    }
}

impl Pinnable for Panics {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.panic_at("try_pin");
        Pinnable::try_pin(&self.refs, kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        let unpinned = Pinnable::unpin(&self.refs, kind);
        self.panic_at("unpin");
        unpinned
    }
    fn set_dirty(&self) {
        self.panic_at("set_dirty");
        self.dirtied.set(self.dirtied.get() + 1);
    }
    fn settle(&self, _: Released) {
        self.panic_at("settle");
    }
}

fn panics(slot: usize, at: &'static str) -> [Panics; 4] {
    core::array::from_fn(|index| Panics {
        refs: BiasedRefs::new(1),
        at: if index == slot { at } else { "" },
        dirtied: Cell::new(0),
    })
}

pub(crate) fn unwinds(f: impl FnOnce()) {
    let unwound = std::panic::catch_unwind(core::panic::AssertUnwindSafe(f));
    assert!(unwound.is_err(), "nothing panicked");
}

fn refs(pages: &[Panics; 4]) -> [i32; 4] {
    core::array::from_fn(|index| pages[index].refs.get())
}

#[test]
fn unwinding_while_pages_are_pinned_releases_them() {
    for slot in 0..4 {
        let pages = panics(9, "");
        unwinds(|| {
            let pinned = PinGuard::pin_with(&pages, SHORT, |index, page: &Panics| {
                assert_ne!(index, slot, "on purpose");
                page.try_pin(SHORT)
            });
            drop(pinned);
        });
        assert_eq!(refs(&pages), [1; 4], "admit panics at {slot}");

        let pages = panics(slot, "try_pin");
        unwinds(|| drop(PinGuard::pin(&pages, SHORT)));
        assert_eq!(refs(&pages), [1; 4], "try_pin panics at {slot}");
    }
}

#[test]
fn unwinding_while_pins_are_given_back_releases_the_others() {
    for slot in 0..3 {
        for at in ["unpin", "settle"] {
            let pages = panics(slot, at);
            let wanted = i32::from(at == "unpin");
            unwinds(|| {
                let pinned = PinGuard::pin_with(&pages, SHORT, |index, page: &Panics| {
                    if index < 3 {
                        return page.try_pin(SHORT);
                    }
                    // The pins are the last references, which leaves a duty.
                    for page in pages.iter().take(3).filter(|_| at == "settle") {
                        assert_eq!(page.refs.put_ref(), Ok(Released::Done));
                    }
                    Err(PinError::Blocked)
                });
                drop(pinned);
            });
            assert_eq!(refs(&pages), [wanted, wanted, wanted, 1], "{at} at {slot}");
        }
    }
}

#[test]
fn unwinding_in_a_guard_releases_the_other_pages_once() {
    for slot in 0..4 {
        for at in ["set_dirty", "unpin", "settle"] {
            let pages = panics(slot, at);
            let mut guard = PinGuard::pin(&pages, SHORT).unwrap();
            guard.set_dirty_on_release(true);
            if at == "settle" {
                for page in &pages {
                    assert_eq!(page.refs.put_ref(), Ok(Released::Done));
                }
            }
            unwinds(|| drop(guard));
            let mut wanted = [i32::from(at != "settle"); 4];
            let mut dirtied = [1; 4];
            if at == "set_dirty" {
                // It is not known to be dirty, so it stays pinned: reclaim must not drop it.
                (wanted[slot], dirtied[slot]) = (1025, 0);
            }
            assert_eq!(refs(&pages), wanted, "{at} panics at {slot}");
            assert_eq!(pages.each_ref().map(|page| page.dirtied.get()), dirtied);
        }
    }
}

#[test]
fn unwinding_in_a_fast_pin_drops_it() {
    for at in ["", "unpin", "settle"] {
        let [page, ..] = panics(0, at);
        if at == "settle" {
            assert_eq!(page.refs.try_get_ref(), Ok(()));
        }
        unwinds(|| {
            let reread = || {
                assert!(!at.is_empty(), "on purpose");
                if at == "settle" {
                    assert_eq!(page.refs.put_ref(), Ok(Released::Done));
                    assert_eq!(page.refs.put_ref(), Ok(Released::Done));
                }
                8
            };
            assert!(pin_fast(&page, SHORT, 7, reread).is_err());
        });
        assert_eq!(page.refs.get(), i32::from(at != "settle"), "{at}");
    }
}
