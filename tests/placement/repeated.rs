//! Objects that hold a page several times.

use crate::machine::Frame;
use pinfold::pin::{PinError, PinKind, PinWord};
use pinfold::placement::{PlaceRequest, PlaceStop, Placed, Zone, place_and_pin};
use pinfold::{Context, IgnorePins, SkipLongterm, SkipOpportunistic, SkipPinned};
use proptest::prelude::*;

fn pins(frames: &[Frame]) -> Vec<u32> {
    frames.iter().map(|frame| frame.pins().0).collect()
}

fn request() -> PlaceRequest {
    PlaceRequest::new(PinKind::Longterm)
}

#[test]
fn a_page_held_several_times_is_migrated_once() {
    let frames = [Zone::Movable, Zone::Normal, Zone::Normal].map(Frame::new);
    let [moves, stays, spare] = &frames;
    let mut pages = [stays, moves, stays, moves, moves];
    let mut calls = 0;
    let mut guard = place_and_pin(&mut pages, &request(), |page, places| {
        calls += 1;
        assert_eq!((page.id(), places), (moves.id(), 3));
        assert_eq!(pins(&frames), [0, 2, 0], "only the others keep their pins");
        *page = spare;
        Ok::<_, ()>(())
    })
    .unwrap();
    assert_eq!(calls, 1);
    let found: Vec<_> = guard.pages().iter().map(Placed::id).collect();
    let [a, b] = [stays.id(), spare.id()];
    assert_eq!(found, [a, b, a, b, b]);
    assert_eq!(pins(&frames), [0, 2, 3]);
    guard.release().unwrap();
    assert_eq!(pins(&frames), [0; 3]);
}

#[test]
fn a_page_that_migrates_under_its_handle_is_pinned_in_all_places() {
    use core::cell::Cell;
    use pinfold::pin::{PinCount, Pinnable, Released};
    use pinfold::{PageFlags, PageLike};

    /// Stays the same page for the object when its contents move.
    #[derive(Clone)]
    struct Slot<'a> {
        frame: &'a Frame,
        zone: &'a Cell<Zone>,
    }
    impl PageLike for Slot<'_> {
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
    }
    impl Placed for Slot<'_> {
        fn id(&self) -> u64 {
            self.frame.id()
        }
        fn zone(&self) -> Zone {
            self.zone.get()
        }
    }
    impl Pinnable for Slot<'_> {
        fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
            self.frame.try_pin(kind)
        }
        fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
            self.frame.unpin(kind)
        }
    }

    let (frame, zone) = (Frame::new(Zone::Cma), Cell::new(Zone::Cma));
    let slot = Slot {
        frame: &frame,
        zone: &zone,
    };
    let pages = vec![slot.clone(), slot.clone(), slot];
    let guard = place_and_pin(pages, &request(), |page, places| {
        assert_eq!(places, 3);
        page.zone.set(Zone::Normal);
        Ok::<_, ()>(())
    })
    .unwrap();
    assert_eq!(frame.pins(), (3, 3));
    drop(guard);
    assert_eq!(frame.pins(), (0, 0));
}

#[test]
fn pins_of_others_still_count() {
    let frames = [Zone::Movable, Zone::Normal].map(Frame::new);
    frames[0].word.pin(PinKind::Short).unwrap();
    let mut pages = [&frames[0], &frames[1], &frames[0]];
    let never = |_: &mut &Frame, _| -> Result<(), ()> { panic!("it is held") };
    let failed = place_and_pin(&mut pages, &request(), never);
    let error = failed.map(drop).unwrap_err();
    let PlaceStop::Held(held) = error.stop else {
        panic!("{error:?}");
    };
    let others = PinWord::decode(frames[0].word.to_bits()).pins;
    assert_eq!(
        (others.total, held.pins),
        (1, pinfold::pin::Pins::Exactly(others))
    );
    assert_eq!((error.index, error.lost), (0, 0));
    assert_eq!(pins(&frames), [1, 0]);
}

/// The new page has no room for as many pins as the object has places for it.
#[test]
fn a_new_page_that_refuses_a_later_pin() {
    let mut frames = [Zone::Movable, Zone::Normal, Zone::Normal].map(Frame::new);
    let one_left = u64::from(PinWord::MAX_PINS - 1) << 34;
    frames[2].word = PinWord::from_bits(one_left);
    let before = pins(&frames);
    let mut pages = [&frames[0], &frames[1], &frames[0], &frames[0]];
    let failed = place_and_pin(&mut pages, &request(), |page, _| {
        *page = &frames[2];
        Ok::<_, ()>(())
    });
    let error = failed.map(drop).unwrap_err();
    assert_eq!(error.stop, PlaceStop::Refused(PinError::Overflow));
    assert_eq!((error.index, error.lost), (2, 0));
    assert_eq!(pins(&frames), before);
}

/// Names the type of a `migrate` that puts frames of one array in places.
fn migrates<'a, F: FnMut(&mut &'a Frame, usize) -> Result<(), usize>>(migrate: F) -> F {
    migrate
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever places hold the same page, and whatever fails or moves where: all pins or none, each
    /// page migrated with no pin of the object, and all its places filled alike.
    #[test]
    fn all_or_nothing_with_repetitions(
        zones in proptest::collection::vec(
            prop_oneof![Just(Zone::Normal), Just(Zone::Movable), Just(Zone::Cma)], 1..5),
        slots in proptest::collection::vec(0usize..5, 1..10),
        // What each call of `migrate` does: fails, moves to the frame of this number.
        moves in proptest::collection::vec(proptest::option::weighted(0.8, 0usize..10), 0..8),
        panics in proptest::option::weighted(0.2, 0usize..6),
        full in proptest::option::weighted(0.3, (0usize..10, 1u64..4)),
        held in proptest::option::weighted(0.2, 0usize..5),
        policy in 0usize..4,
    ) {
        let objects = zones.len();
        let mut frames: Vec<_> = zones.iter().copied().map(Frame::new).collect();
        frames.resize_with(10, || Frame::new(Zone::Normal));
        if let Some((frame, left)) = full {
            let bits = (u64::from(PinWord::MAX_PINS) - left) << 34;
            frames[frame].word = PinWord::from_bits(bits);
        }
        if let Some(frame) = held {
            frames[frame].word.pin(PinKind::Short).unwrap();
        }
        let before = pins(&frames);
        let slots: Vec<_> = slots.into_iter().map(|slot| slot % objects).collect();
        let mut pages: Vec<_> = slots.iter().map(|&slot| &frames[slot]).collect();
        let mut place = pages.clone();
        let mut call = 0usize;
        let migrate = migrates(|page, places| {
            let now = call;
            call += 1;
            let old = page.id();
            let held = place.iter().filter(|page| page.id() == old).count();
            if before[frames.iter().position(|f| f.id() == old).unwrap()] == 0 {
                assert_eq!((page.pins().0, places), (0, held));
            }
            assert_ne!(Some(now), panics, "on purpose");
            let Some(target) = moves.get(now).copied().unwrap_or(Some(9)) else {
                return Err(now);
            };
            // A page that is not in the object, as all free pages are.
            let target = &frames[target];
            if place.iter().all(|page| page.id() != target.id()) {
                place.iter_mut().filter(|page| page.id() == old).for_each(|page| *page = target);
                *page = target;
            }
            Ok(())
        });
        let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
            macro_rules! with {
                ($policy:expr) => {{
                    let request = PlaceRequest {
                        policy: $policy,
                        kind: PinKind::Longterm,
                        rule: Default::default(),
                        attempts: 2,
                        context: Context::default(),
                    };
                    place_and_pin(&mut pages, &request, migrate)
                }};
            }
            match policy {
                0 => with!(IgnorePins),
                1 => with!(SkipPinned),
                2 => with!(SkipLongterm::<pinfold::pin::Refined>::new()),
                _ => with!(SkipOpportunistic::<pinfold::pin::Refined>::new()),
            }
        }));
        if let Ok(Ok(mut guard)) = outcome {
            let mut wanted = before.clone();
            for (page, place) in guard.pages().iter().zip(&place) {
                prop_assert_eq!((page.id(), page.zone), (place.id(), Zone::Normal));
                wanted[frames.iter().position(|f| f.id() == page.id()).unwrap()] += 1;
            }
            prop_assert_eq!(pins(&frames), wanted);
            guard.release().unwrap();
        } else if let Ok(Err(error)) = outcome {
            prop_assert_eq!(error.lost, 0);
        }
        prop_assert_eq!(pins(&frames), before);
    }
}
