//! Code of the embedder that unwinds: pins are given back, and charges released.

use crate::machine::{Frame, Locked};
use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use pinfold::pin::{Charged, PinCount, PinError, PinKind, Pinnable, Released};
use pinfold::placement::{PlaceRequest, Placed, Zone, place_and_pin};
use pinfold::{PageFlags, PageLike};

/// A handle whose code panics at the n-th call of any of its methods.
struct Panics<'a> {
    frame: &'a Frame,
    calls_left: &'a Cell<u32>,
}

impl Panics<'_> {
    fn call(&self) {
        let left = self.calls_left.get();
        self.calls_left.set(left.wrapping_sub(1));
        assert_ne!(left, 0, "on purpose");
    }
}

impl Clone for Panics<'_> {
    fn clone(&self) -> Self {
        self.call();
        Self { ..*self }
    }
}

impl PageLike for Panics<'_> {
    fn flags(&self) -> PageFlags {
        self.frame.flags()
    }
    fn ref_count(&self) -> i32 {
        self.frame.ref_count()
    }
    fn map_count(&self) -> u32 {
        self.frame.map_count()
    }
    fn exact_pins(&self) -> Option<PinCount> {
        self.frame.exact_pins()
    }
    fn base_pages(&self) -> u32 {
        self.call();
        1
    }
}

impl Placed for Panics<'_> {
    fn id(&self) -> u64 {
        self.call();
        self.frame.id()
    }
    fn zone(&self) -> Zone {
        self.call();
        self.frame.zone()
    }
    fn pinnable(&self, _: PinKind) -> Result<(), PinError> {
        self.call();
        Ok(())
    }
}

impl Pinnable for Panics<'_> {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.call();
        self.frame.try_pin(kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        // Released first: what a panic leaves undone is not the pin.
        let unpinned = self.frame.unpin(kind);
        self.call();
        unpinned
    }
}

/// At each call of each method, once; and the same where the object is refused at the end.
#[test]
fn whatever_unwinds_wherever() {
    let mut unwound = 0;
    for refused in [false, true] {
        for calls in 0.. {
            let frames = [
                Zone::Normal,
                Zone::Movable,
                Zone::Cma,
                Zone::Normal,
                Zone::Normal,
            ]
            .map(Frame::new);
            if refused {
                frames[4].word.block().unwrap();
            }
            let calls_left = Cell::new(calls);
            let books = Locked::new(100);
            let handle = |index: usize| Panics {
                frame: &frames[index],
                calls_left: &calls_left,
            };
            let request = PlaceRequest::new(PinKind::Longterm);
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let object = vec![handle(0), handle(1), handle(2), handle(1), handle(2)];
                let charge = Charged::new(&books, request.kind, 5).unwrap();
                place_and_pin(object, &request, |page, _| {
                    page.call();
                    let spare = if page.frame.zone == Zone::Movable {
                        3
                    } else {
                        4
                    };
                    page.frame = &frames[spare];
                    Ok::<_, ()>(())
                })
                .map(|pins| {
                    assert_eq!(books.live(), 5);
                    calls_left.set(u32::MAX);
                    drop((pins, charge));
                })
            }));
            let pins: Vec<_> = frames.iter().map(|frame| frame.pins().0).collect();
            assert_eq!((pins, books.live()), (vec![0; 5], 0), "call {calls}");
            match result {
                Ok(result) => {
                    assert_eq!(result.is_err(), refused);
                    break;
                }
                Err(_) => unwound += 1,
            }
        }
    }
    assert!(unwound > 60, "{unwound}");
}
