//! Counters against naive models.

use crate::LONG;
use crate::SHORT;
use pinfold::pin::{
    BiasedRefs, LargePageRefs, PinCount, PinError, PinStateError, PinWord, Pinnable, Released,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum RefOp {
    Get,
    Put,
    Pin,
    Unpin,
    Freeze(i64),
    Unfreeze(i32),
}

fn ref_op() -> impl Strategy<Value = RefOp> {
    prop_oneof![
        Just(RefOp::Get),
        Just(RefOp::Put),
        Just(RefOp::Pin),
        Just(RefOp::Unpin),
        (-1i64..=1).prop_map(RefOp::Freeze),
        (-1i32..=3).prop_map(RefOp::Unfreeze),
    ]
}

/// Counts at which something changes.
fn ref_start() -> impl Strategy<Value = i32> {
    let near = |at: i32| (-3i32..=3).prop_map(move |by| at.saturating_add(by));
    prop_oneof![
        near(0),
        near(1024),
        near(2048),
        near(i32::MAX),
        near(i32::MAX - 1024),
        near(i32::MIN),
        any::<i32>()
    ]
}

proptest! {
    #[test]
    fn biased_refs_against_model(start in ref_start(), ops in vec(ref_op(), 1..40)) {
        let refs = BiasedRefs::new(start);
        let mut model = i64::from(start);
        let add = |model: &mut i64, n: i64| {
            if *model == 0 {
                Err(PinError::Free)
            } else if *model < 0 || *model + n > i64::from(i32::MAX) {
                Err(PinError::Overflow)
            } else {
                *model += n;
                Ok(())
            }
        };
        let sub = |model: &mut i64, n: i64| {
            if *model < n {
                return Err(PinError::Underflow);
            }
            *model -= n;
            Ok(if *model == 0 { Released::Free } else { Released::Done })
        };
        for op in ops {
            match op {
                RefOp::Get => prop_assert_eq!(refs.try_get_ref(), add(&mut model, 1)),
                RefOp::Put => prop_assert_eq!(refs.put_ref(), sub(&mut model, 1)),
                RefOp::Pin => prop_assert_eq!(refs.pin(), add(&mut model, 1024)),
                RefOp::Unpin => prop_assert_eq!(refs.unpin(), sub(&mut model, 1024)),
                RefOp::Freeze(off) => {
                    let Ok(expected) = i32::try_from(model + off) else { continue };
                    let ok = expected >= 1 && off == 0;
                    prop_assert_eq!(refs.freeze(expected).is_ok(), ok);
                    if ok {
                        model = 0;
                    }
                }
                RefOp::Unfreeze(n) => {
                    let ok = n >= 1 && model == 0;
                    prop_assert_eq!(refs.unfreeze(n).is_ok(), ok);
                    if ok {
                        model = i64::from(n);
                    }
                }
            }
            prop_assert_eq!(i64::from(refs.get()), model);
        }
    }

    #[test]
    fn large_page_against_model(
        refs in prop_oneof![0i32..4, i32::MAX - 2..=i32::MAX],
        pins in prop_oneof![0u32..4, u32::MAX - 2..=u32::MAX],
        ops in vec(ref_op(), 1..40),
    ) {
        let page = LargePageRefs::with_pins(refs, pins);
        let (mut refs, mut pins) = (i64::from(refs), i64::from(pins));
        for op in ops {
            match op {
                RefOp::Pin => {
                    let expected = if refs == 0 {
                        Err(PinError::Free)
                    } else if refs == i64::from(i32::MAX) || pins == i64::from(u32::MAX) {
                        Err(PinError::Overflow)
                    } else {
                        refs += 1;
                        pins += 1;
                        Ok(())
                    };
                    prop_assert_eq!(page.pin(), expected);
                }
                RefOp::Unpin => {
                    let expected = if refs == 0 || pins == 0 {
                        Err(PinError::Underflow)
                    } else {
                        refs -= 1;
                        pins -= 1;
                        Ok(if refs == 0 { Released::Free } else { Released::Done })
                    };
                    prop_assert_eq!(page.unpin(), expected);
                }
                RefOp::Get => refs += i64::from(page.try_get_ref().is_ok()),
                RefOp::Put => refs -= i64::from(page.put_ref().is_ok()),
                RefOp::Freeze(_) | RefOp::Unfreeze(_) => {}
            }
            prop_assert_eq!(i64::from(page.get()), refs);
            let exact = PinCount { total: pins as u32, longterm: None };
            prop_assert_eq!(page.exact_pins(), exact);
        }
    }

    #[test]
    fn pin_word_against_model(
        short in prop_oneof![0u64..3, (1u64 << 28) - 2..=1 << 28],
        long in prop_oneof![0u64..3, (1u64 << 28) - 2..=1 << 28],
        flags in 0u64..8,
        ops in vec(0u8..10, 1..60),
    ) {
        let flags = if flags & 0b101 != 0 { flags & 0b010 } else { flags };
        let word = PinWord::from_bits(long << 34 | short << 3 | flags);
        let mut model = WordModel { pins: [short, long], ever: flags & 0b10 != 0, ..WordModel::default() };
        for op in ops {
            match op {
                0..=1 => prop_assert_eq!(word.pin(SHORT), model.pin(0)),
                2..=3 => prop_assert_eq!(word.pin(LONG), model.pin(1)),
                4 => prop_assert_eq!(word.unpin(SHORT), model.unpin(0)),
                5 => prop_assert_eq!(word.unpin(LONG), model.unpin(1)),
                6 => prop_assert_eq!(word.block(), model.block()),
                7 => prop_assert_eq!(word.unblock().is_ok(), core::mem::take(&mut model.blocked)),
                8 => prop_assert_eq!(word.park(), model.park()),
                _ => prop_assert_eq!(word.unpark().is_ok(), core::mem::take(&mut model.parked)),
            }
            prop_assert_eq!(word.to_bits(), model.bits());
            let snapshot = word.snapshot();
            prop_assert_eq!(snapshot.pins, model.count());
            prop_assert_eq!(snapshot.blocked, model.blocked);
            prop_assert_eq!(snapshot.parked, model.parked);
            prop_assert_eq!(snapshot.ever_pinned, model.ever);
        }
    }

    /// A word in the middle of refused operations: true counts, plus some that are on their way
    /// back. Each field reads as if the other had none.
    #[test]
    fn a_transient_in_one_field_does_not_show_in_the_other(
        short in -1000i64..1000,
        long in -1000i64..1000,
        flags in 0u64..8,
    ) {
        let bits = ((long << 34).wrapping_add(short << 3) as u64) | flags;
        let read = PinWord::decode(bits);
        let (short, long) = (short.max(0) as u32, long.max(0) as u32);
        prop_assert_eq!(read.pins, PinCount { total: short + long, longterm: Some(long) });
        prop_assert_eq!((read.blocked, read.ever_pinned, read.parked),
            (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0));
    }

    /// An operation of the other kind meets a transient of this one.
    #[test]
    fn a_transient_does_not_disturb_the_other_kind(short in -3i64..0, long in 0i64..3) {
        let word = PinWord::from_bits((long << 34).wrapping_add(short << 3) as u64 | 0b10);
        let before = word.to_bits();
        prop_assert_eq!(word.unpin(LONG).is_ok(), long > 0);
        if long == 0 {
            prop_assert_eq!(word.to_bits(), before);
        } else {
            prop_assert_eq!(word.pin(LONG), Ok(()));
            prop_assert_eq!(word.to_bits(), before);
        }
        prop_assert_eq!(word.pin(LONG), Ok(()));
    }
}

#[derive(Default)]
struct WordModel {
    pins: [u64; 2],
    blocked: bool,
    parked: bool,
    ever: bool,
}

impl WordModel {
    fn pin(&mut self, kind: usize) -> Result<(), PinError> {
        if self.blocked {
            return Err(PinError::Blocked);
        }
        if self.pins[kind] >= 1 << 28 {
            return Err(PinError::Overflow);
        }
        self.pins[kind] += 1;
        self.ever = true;
        Ok(())
    }

    fn unpin(&mut self, kind: usize) -> Result<Released, PinError> {
        if self.pins[kind] == 0 {
            return Err(PinError::Underflow);
        }
        self.pins[kind] -= 1;
        if self.pins == [0, 0] && core::mem::take(&mut self.parked) {
            return Ok(Released::Unpark);
        }
        Ok(Released::Done)
    }

    fn block(&mut self) -> Result<(), PinStateError> {
        if self.blocked {
            return Err(PinStateError::Blocked);
        }
        if self.pins != [0, 0] {
            return Err(PinStateError::Pinned(self.count()));
        }
        self.blocked = true;
        Ok(())
    }

    fn park(&mut self) -> Result<(), PinStateError> {
        if self.parked {
            return Err(PinStateError::Parked);
        }
        if self.blocked {
            return Err(PinStateError::Blocked);
        }
        if self.pins == [0, 0] {
            return Err(PinStateError::NotPinned);
        }
        self.parked = true;
        Ok(())
    }

    fn count(&self) -> PinCount {
        let long = self.pins[1] as u32;
        PinCount {
            total: self.pins[0] as u32 + long,
            longterm: Some(long),
        }
    }

    fn bits(&self) -> u64 {
        let flags =
            u64::from(self.blocked) | u64::from(self.ever) << 1 | u64::from(self.parked) << 2;
        self.pins[1] << 34 | self.pins[0] << 3 | flags
    }
}

#[test]
fn a_parked_page_without_pins_is_not_blocked() {
    // Its last unpin is between its two steps.
    assert_eq!(
        PinWord::from_bits(0b110).block(),
        Err(PinStateError::Parked)
    );
}

/// `tests/loom/unbalanced.rs` has both threads of these.
#[test]
fn an_unpin_too_many_in_flight_does_not_hide_the_last_unpin() {
    let (short, long) = (1i64 << 3, 1i64 << 34);
    for (bits, kind, left) in [(short - long, SHORT, -long), (long - short, LONG, -short)] {
        let word = PinWord::from_bits(bits as u64 | 0b110);
        assert_eq!(word.unpin(kind), Ok(Released::Unpark));
        assert_eq!(word.to_bits(), left as u64 | 0b010);
        assert_eq!(word.park(), Err(PinStateError::NotPinned));
    }
}

#[test]
fn an_unpin_of_the_other_kind_is_refused_in_any_word() {
    for bits in [0, 0b01, 0b10, 1 << 3 | 0b01, 1 << 3 | 0b110] {
        let word = PinWord::from_bits(bits);
        assert_eq!(word.unpin(LONG), Err(PinError::Underflow));
        assert_eq!(word.to_bits(), bits);
    }
}

#[test]
fn ever_pinned_sticks_until_cleared_and_is_not_set_by_refusals() {
    let word = PinWord::new();
    word.block().unwrap();
    assert_eq!(word.pin(LONG), Err(PinError::Blocked));
    assert!(!word.snapshot().ever_pinned);
    word.unblock().unwrap();
    word.pin(LONG).unwrap();
    assert_eq!(word.unpin(LONG), Ok(Released::Done));
    assert!(word.snapshot().ever_pinned);
    word.clear_ever_pinned();
    assert_eq!(word.to_bits(), 0);
}

#[test]
fn threads_leave_every_counter_as_it_was() {
    let (refs, large, word) = (BiasedRefs::new(5), LargePageRefs::new(5), PinWord::new());
    let pages: [&(dyn Pinnable + Sync); 3] = [&refs, &large, &word];
    std::thread::scope(|scope| {
        for kind in [SHORT, LONG, SHORT] {
            scope.spawn(move || {
                for _ in 0..20_000 {
                    for page in pages {
                        if page.try_pin(kind).is_ok() {
                            assert_eq!(page.unpin(kind), Ok(Released::Done));
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20_000 {
                if word.block().is_ok() {
                    word.unblock().unwrap();
                }
            }
        });
    });
    assert_eq!((refs.get(), large.get(), word.to_bits()), (5, 5, 0b10));
    assert_eq!(large.exact_pins().total, 0);
}
