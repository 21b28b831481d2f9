//! References and pins in one word, against a naive model.

use crate::{LONG, SHORT};
use pinfold::pin::{
    PageRefs, PinCount, PinError, PinKind, PinStateError, RefsSnapshot, Released, UnexpectedRefs,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Op {
    Get,
    Put,
    Pin(PinKind),
    Unpin(PinKind),
    /// At the reference count and so many more.
    Freeze(i32),
    Unfreeze(i32),
    Block,
    Unblock,
    Park,
    Unpark,
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![Just(SHORT), Just(LONG)];
    prop_oneof![
        2 => Just(Op::Get),
        3 => Just(Op::Put),
        3 => kind.clone().prop_map(Op::Pin),
        3 => kind.prop_map(Op::Unpin),
        1 => (-1i32..=1).prop_map(Op::Freeze),
        2 => prop_oneof![-1i32..=3, (1i32 << 20) - 1..=(1 << 20) + 1, Just(i32::MAX), Just(i32::MIN)]
            .prop_map(Op::Unfreeze),
        1 => Just(Op::Block),
        1 => Just(Op::Unblock),
        1 => Just(Op::Park),
        1 => Just(Op::Unpark),
        1 => Just(Op::Forget),
    ]
}

#[derive(Debug, Default, Clone, Copy)]
struct Model {
    refs: u64,
    pins: [u64; 2],
    live: bool,
    blocked: bool,
    parked: bool,
    ever: bool,
}

const MAX_PINS: [u64; 2] = [1 << 16, 1 << 18];

impl Model {
    fn bits(&self) -> u64 {
        let flags = [self.blocked, self.ever, self.parked, self.live];
        let flags = (0..).zip(flags).map(|(bit, set)| u64::from(set) << bit);
        self.refs << 4 | self.pins[0] << 26 | self.pins[1] << 44 | flags.sum::<u64>()
    }

    fn all_refs(&self) -> i32 {
        (self.refs + self.pins[0] + self.pins[1]) as i32
    }

    fn count(&self) -> PinCount {
        PinCount {
            total: (self.pins[0] + self.pins[1]) as u32,
            longterm: Some(self.pins[1] as u32),
        }
    }

    fn pinned(&self) -> bool {
        self.pins != [0, 0]
    }

    fn get(&mut self) -> Result<(), PinError> {
        match self.refs {
            _ if !self.live => Err(PinError::Free),
            refs if refs >= 1 << 20 => Err(PinError::Overflow),
            _ => {
                self.refs += 1;
                Ok(())
            }
        }
    }

    fn pin(&mut self, kind: usize) -> Result<(), PinError> {
        match self.pins[kind] {
            _ if !self.live => Err(PinError::Free),
            _ if self.blocked => Err(PinError::Blocked),
            pins if pins >= MAX_PINS[kind] => Err(PinError::Overflow),
            _ => {
                self.pins[kind] += 1;
                self.ever = true;
                Ok(())
            }
        }
    }

    fn put(&mut self) -> Result<Released, PinError> {
        self.refs = self.refs.checked_sub(1).ok_or(PinError::Underflow)?;
        Ok(self.duty())
    }

    fn unpin(&mut self, kind: usize) -> Result<Released, PinError> {
        let pins = &mut self.pins[kind];
        *pins = pins.checked_sub(1).ok_or(PinError::Underflow)?;
        Ok(self.duty())
    }

    fn duty(&mut self) -> Released {
        if self.pinned() {
            return Released::Done;
        }
        let unpark = core::mem::take(&mut self.parked);
        if self.refs > 0 {
            self.refs += u64::from(unpark);
            return if unpark {
                Released::Unpark
            } else {
                Released::Done
            };
        }
        self.live = false;
        if unpark {
            Released::UnparkAndFree
        } else {
            Released::Free
        }
    }

    fn freeze(&mut self, expected: i32) -> Result<(), UnexpectedRefs> {
        if expected < 1 || self.all_refs() != expected || self.pinned() {
            return Err(UnexpectedRefs(self.all_refs()));
        }
        (self.refs, self.live) = (0, false);
        Ok(())
    }

    fn unfreeze(&mut self, refs: i32) -> Result<(), UnexpectedRefs> {
        if !(1..=1 << 20).contains(&refs) {
            return Err(UnexpectedRefs(0));
        }
        if self.live {
            return Err(UnexpectedRefs(self.all_refs()));
        }
        (self.refs, self.live) = (refs as u64, true);
        Ok(())
    }

    fn block(&mut self) -> Result<(), PinStateError> {
        if self.blocked {
            Err(PinStateError::Blocked)
        } else if self.pinned() {
            Err(PinStateError::Pinned(self.count()))
        } else {
            self.blocked = true;
            Ok(())
        }
    }

    fn park(&mut self) -> Result<(), PinStateError> {
        if self.parked {
            Err(PinStateError::Parked)
        } else if self.blocked {
            Err(PinStateError::Blocked)
        } else if !self.pinned() {
            Err(PinStateError::NotPinned)
        } else {
            self.parked = true;
            Ok(())
        }
    }
}

fn index(kind: PinKind) -> usize {
    usize::from(kind == LONG)
}

/// A live page near the ends of its fields.
fn start() -> impl Strategy<Value = Model> {
    let near = |end: u64| prop_oneof![0u64..3, end - 2..=end];
    let (refs, short, long) = (near(1 << 20), near(1 << 16), near(1 << 18));
    (refs, short, long, any::<bool>()).prop_map(|(refs, short, long, parked)| Model {
        refs,
        pins: [short, long],
        live: refs + short + long > 0,
        parked: parked && short + long > 0,
        ..Model::default()
    })
}

proptest! {
    #[test]
    fn page_refs_against_model(mut model in start(), ops in vec(op(), 1..60)) {
        let page = PageRefs::from_bits(model.bits());
        for op in ops {
            match op {
                Op::Get => prop_assert_eq!(page.try_get_ref(), model.get()),
                Op::Put => prop_assert_eq!(page.put_ref(), model.put()),
                Op::Pin(kind) => prop_assert_eq!(page.pin(kind), model.pin(index(kind))),
                Op::Unpin(kind) => prop_assert_eq!(page.unpin(kind), model.unpin(index(kind))),
                Op::Freeze(more) => {
                    let expected = model.all_refs() + more;
                    prop_assert_eq!(page.freeze(expected), model.freeze(expected));
                }
                Op::Unfreeze(refs) => prop_assert_eq!(page.unfreeze(refs), model.unfreeze(refs)),
                Op::Block => prop_assert_eq!(page.block(), model.block()),
                Op::Unblock => {
                    prop_assert_eq!(page.unblock().is_ok(), core::mem::take(&mut model.blocked));
                }
                Op::Park => prop_assert_eq!(page.park(), model.park()),
                Op::Unpark => {
                    prop_assert_eq!(page.unpark().is_ok(), core::mem::take(&mut model.parked));
                }
                Op::Forget => {
                    page.clear_ever_pinned();
                    model.ever = false;
                }
            }
            prop_assert_eq!(page.to_bits(), model.bits());
            prop_assert_eq!(page.snapshot(), RefsSnapshot {
                refs: model.all_refs(),
                pins: model.count(),
                free: !model.live,
                blocked: model.blocked,
                parked: model.parked,
                ever_pinned: model.ever,
            });
        }
    }

    /// Whatever the bits: what is refused changes nothing.
    #[test]
    fn refusals_change_no_bit(bits in any::<u64>()) {
        // Below zero, an addition that is refused finds that it was taken back by another.
        let no_signs = bits & !(1 << 25 | 1 << 43 | 1 << 63);
        type Operation = fn(&PageRefs) -> bool;
        let additions: [Operation; 3] = [
            |page| page.try_get_ref().is_ok(),
            |page| page.pin(SHORT).is_ok(),
            |page| page.pin(LONG).is_ok(),
        ];
        let others: [Operation; 7] = [
            |page| page.put_ref().is_ok(),
            |page| page.unpin(SHORT).is_ok(),
            |page| page.unpin(LONG).is_ok(),
            |page| page.freeze(3).is_ok(),
            |page| page.unfreeze(3).is_ok(),
            |page| page.block().is_ok(),
            |page| page.park().is_ok(),
        ];
        let additions = additions.into_iter().map(|operation| (no_signs, operation));
        let others = others.into_iter().map(|operation| (bits, operation));
        for (number, (bits, operation)) in additions.chain(others).enumerate() {
            let page = PageRefs::from_bits(bits);
            if !operation(&page) {
                prop_assert_eq!(page.to_bits(), bits, "operation {}", number);
            }
        }
    }
}

#[test]
fn zeroed_memory_is_a_free_page() {
    assert_eq!(PageRefs::new().to_bits(), 0);
    let page = PageRefs::default();
    assert!(page.snapshot().free);
    assert_eq!(page.put_ref(), Err(PinError::Underflow));
    assert_eq!(page.unpin(SHORT), Err(PinError::Underflow));
    assert_eq!(page.to_bits(), 0);
}

#[test]
fn a_put_does_not_drop_the_reference_of_a_pin() {
    let page = PageRefs::new();
    page.unfreeze(1).unwrap();
    page.pin(LONG).unwrap();
    assert_eq!(page.put_ref(), Ok(Released::Done));
    assert_eq!(page.put_ref(), Err(PinError::Underflow));
    assert_eq!(page.freeze(1), Err(UnexpectedRefs(1)), "the one is a pin");
    assert_eq!(page.unpin(LONG), Ok(Released::Free));
}

#[test]
fn the_reference_of_a_parked_page_is_held_until_it_is_back() {
    let page = PageRefs::new();
    page.unfreeze(1).unwrap();
    page.pin(SHORT).unwrap();
    page.park().unwrap();
    assert_eq!(page.unpin(SHORT), Ok(Released::Unpark));
    assert_eq!(page.put_ref(), Ok(Released::Done), "its owner's");
    assert_eq!(page.put_ref(), Ok(Released::Free), "the pin's");
}

/// An unpin in its second step, and others in it that are being refused.
#[test]
fn what_is_in_flight_is_not_counted_twice() {
    const LIVE: u64 = 1 << 3;
    let parked = PageRefs::from_bits(1 << 4 | LIVE | 1 << 2);
    assert_eq!(parked.snapshot().refs, 2, "the unpin's is still held");
    assert_eq!(parked.freeze(1), Err(UnexpectedRefs(2)));
    assert_eq!(parked.freeze(2), Err(UnexpectedRefs(2)));
    assert_eq!(parked.block(), Err(PinStateError::Parked));
    let refused = PageRefs::decode(1 << 4 | 1 << 26 | 1 << 44);
    assert_eq!((refused.refs, refused.pins.total), (0, 0), "a free page");
    let negative = PageRefs::from_bits((LIVE | 1 << 4).wrapping_sub(1 << 26));
    assert_eq!(negative.snapshot().pins.total, 0);
    assert_eq!(negative.put_ref(), Ok(Released::Free));
}

#[test]
fn threads_leave_it_as_it_was() {
    let page = PageRefs::new();
    page.unfreeze(1).unwrap();
    let frozen = core::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for kind in [SHORT, LONG] {
            let (page, frozen) = (&page, &frozen);
            scope.spawn(move || {
                for _ in 0..20_000 {
                    if page.pin(kind).is_ok() {
                        assert!(!frozen.load(core::sync::atomic::Ordering::SeqCst));
                        assert_eq!(page.unpin(kind), Ok(Released::Done));
                    }
                }
            });
        }
        for _ in 0..20_000 {
            if page.freeze(1).is_ok() {
                frozen.store(true, core::sync::atomic::Ordering::SeqCst);
                frozen.store(false, core::sync::atomic::Ordering::SeqCst);
                page.unfreeze(1).unwrap();
            }
            if page.block().is_ok() {
                page.unblock().unwrap();
            }
        }
    });
    page.clear_ever_pinned();
    assert_eq!(page.to_bits(), 1 << 4 | 1 << 3);
}
