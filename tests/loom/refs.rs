//! References and pins in one word: every operation against those that it must exclude, and twins
//! that lack what excludes them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::{BiasedRefs, PageRefs, PinError, PinKind, PinWord, Released};

use PinKind::{Longterm, Short};

const EVER_PINNED: u64 = 1 << 1;
const PARKED: u64 = 1 << 2;
const LIVE: u64 = 1 << 3;
const REF: u64 = 1 << 4;
const SHORT: u64 = 1 << 26;
const LONG: u64 = 1 << 44;

/// A page that is on its list or off it, and free or not.
struct Frame {
    count: PageRefs,
    listed: AtomicUsize,
    freed: AtomicUsize,
}

impl Frame {
    fn new(bits: u64, listed: usize) -> Arc<Self> {
        Arc::new(Self {
            count: PageRefs::from_bits(bits),
            listed: AtomicUsize::new(listed),
            freed: AtomicUsize::new(0),
        })
    }

    fn assert_held(&self) {
        let freed = self.freed.load(Ordering::Acquire);
        assert_eq!(freed, 0, "freed while it was held");
    }

    fn put_back(&self) {
        self.assert_held();
        let listed = self.listed.fetch_add(1, Ordering::AcqRel);
        assert_eq!(listed, 0, "put back twice");
    }

    /// As an allocator frees: a page that is on its list is taken off.
    fn free(&self) {
        let freed = self.freed.fetch_add(1, Ordering::AcqRel);
        assert_eq!(freed, 0, "freed twice");
        self.listed.store(0, Ordering::Release);
    }

    /// Whether anything was refused.
    fn settle(&self, answer: Result<Released, PinError>) -> bool {
        match answer {
            Ok(Released::Done) => {}
            Ok(Released::Unpark) => {
                self.put_back();
                self.settle(self.count.put_ref());
            }
            Ok(Released::Free) => self.free(),
            Ok(Released::UnparkAndFree) => {
                assert_eq!(self.listed.load(Ordering::Acquire), 0, "parked and listed");
                self.free();
            }
            Err(error) => {
                assert_eq!(error, PinError::Underflow);
                return true;
            }
        }
        false
    }

    fn put(&self) -> bool {
        self.settle(self.count.put_ref())
    }

    fn unpin(&self, kind: PinKind) -> bool {
        self.settle(self.count.unpin(kind))
    }

    fn pin_and_unpin(&self, kind: PinKind) -> Result<(), PinError> {
        self.count.pin(kind)?;
        self.assert_held();
        assert!(!self.unpin(kind));
        Ok(())
    }

    fn scan(&self) {
        if self.count.snapshot().pins.total > 0 {
            assert_eq!(self.listed.fetch_sub(1, Ordering::AcqRel), 1);
            if self.count.park().is_err() {
                self.put_back();
            }
        }
    }

    /// At rest: free, or live with so many references and on its list.
    fn assert_quiet(&self, refs: u64) {
        let bits = if refs == 0 { 0 } else { LIVE | refs * REF };
        assert_eq!(
            self.count.to_bits() & !EVER_PINNED,
            bits,
            "a reference, a pin or a mark was lost"
        );
        let freed = self.freed.load(Ordering::Acquire);
        assert_eq!(freed, usize::from(refs == 0), "nobody was told to free it");
        let listed = self.listed.load(Ordering::Acquire);
        assert_eq!(listed, usize::from(refs != 0), "nobody put it back");
    }
}

/// Explores `main` against `others`, with at most so many preemptions.
fn explore<const N: usize>(
    preemptions: Option<usize>,
    frame: fn() -> Arc<Frame>,
    others: [fn(&Frame); N],
    main: fn(&Frame),
    quiet: fn(&Frame),
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let page = frame();
        let threads = others.map(|other| {
            let page = page.clone();
            thread::spawn(move || other(&page))
        });
        main(&page);
        for thread in threads {
            thread.join().unwrap();
        }
        quiet(&page);
    });
}

fn pin_against_freeze(freeze: fn(&PageRefs) -> bool) {
    loom::model(move || {
        let page = Frame::new(LIVE | REF, 1);
        let other = page.clone();
        let thread = thread::spawn(move || match other.pin_and_unpin(Short) {
            Ok(()) | Err(PinError::Free) => {}
            Err(error) => panic!("{error}"),
        });
        if freeze(&page.count) {
            page.freed.store(1, Ordering::Release);
            page.freed.store(0, Ordering::Release);
            let _ = page.count.unfreeze(1);
        }
        thread.join().unwrap();
        page.assert_quiet(1);
    });
}

#[test]
fn a_freeze_excludes_a_pin() {
    pin_against_freeze(|count| count.freeze(1).is_ok());
}

#[test]
#[should_panic(expected = "freed while it was held")]
fn looking_is_not_freezing() {
    pin_against_freeze(|count| count.snapshot().refs == 1);
}

fn pin_against_block(block: fn(&PageRefs) -> bool) {
    loom::model(move || {
        let scene = Arc::new((PageRefs::from_bits(LIVE | REF), AtomicBool::new(false)));
        let other = scene.clone();
        let thread = thread::spawn(move || {
            let (count, taken) = &*other;
            match count.pin(Longterm) {
                Ok(()) => {
                    assert!(!taken.load(Ordering::Acquire), "pinned while blocked");
                    assert_eq!(count.unpin(Longterm), Ok(Released::Done));
                }
                Err(error) => assert_eq!(error, PinError::Blocked),
            }
            // References are given all the same.
            count.try_get_ref().unwrap();
        });
        let (count, taken) = &*scene;
        if block(count) {
            taken.store(true, Ordering::Release);
            taken.store(false, Ordering::Release);
            let _ = count.unblock();
        }
        thread.join().unwrap();
        assert_eq!(count.to_bits() & !EVER_PINNED, LIVE | 2 * REF);
    });
}

#[test]
fn a_block_excludes_a_pin() {
    pin_against_block(|count| count.block().is_ok());
}

#[test]
#[should_panic(expected = "pinned while blocked")]
fn looking_is_not_blocking() {
    pin_against_block(|count| count.snapshot().pins.total == 0);
}

#[test]
fn the_last_of_put_and_unpin_frees() {
    let pins = |page: &Frame| match page.pin_and_unpin(Short) {
        Ok(()) | Err(PinError::Free) => {}
        Err(error) => panic!("{error}"),
    };
    explore(
        None,
        || Frame::new(LIVE | REF, 1),
        [pins],
        |page| assert!(!page.put()),
        |page| page.assert_quiet(0),
    );
}

/// The twin: a pin word beside a reference count, whose pins hold no reference.
#[test]
#[should_panic(expected = "freed while it was held")]
fn a_pin_without_a_reference_lets_the_page_go() {
    loom::model(|| {
        let scene = Arc::new((BiasedRefs::new(1), PinWord::new(), AtomicBool::new(false)));
        let other = scene.clone();
        let thread = thread::spawn(move || {
            let (_, pins, freed) = &*other;
            pins.pin(Short).unwrap();
            assert!(!freed.load(Ordering::Acquire), "freed while it was held");
            assert_eq!(pins.unpin(Short), Ok(Released::Done));
        });
        let (refs, _, freed) = &*scene;
        let freeing = refs.put_ref() == Ok(Released::Free);
        freed.store(freeing, Ordering::Release);
        thread.join().unwrap();
    });
}

/// And with the rule kept: the reference first, then the pin, and the other way round on the way
/// out.
#[test]
fn a_pin_with_a_reference_keeps_the_page() {
    loom::model(|| {
        let scene = Arc::new((BiasedRefs::new(1), PinWord::new(), AtomicUsize::new(0)));
        let put = |refs: &BiasedRefs, freed: &AtomicUsize| {
            if refs.put_ref() == Ok(Released::Free) {
                freed.fetch_add(1, Ordering::AcqRel);
            }
        };
        let other = scene.clone();
        let thread = thread::spawn(move || {
            let (refs, pins, freed) = &*other;
            if refs.try_get_ref().is_ok() {
                pins.pin(Short).unwrap();
                assert_eq!(freed.load(Ordering::Acquire), 0, "freed while it was held");
                assert_eq!(pins.unpin(Short), Ok(Released::Done));
                put(refs, freed);
            }
        });
        let (refs, _, freed) = &*scene;
        put(refs, freed);
        thread.join().unwrap();
        assert_eq!(freed.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_reference_is_given_before_the_last_is_put_or_not_at_all() {
    let get = |page: &Frame| match page.count.try_get_ref() {
        Ok(()) => {
            page.assert_held();
            assert!(!page.put());
        }
        Err(error) => assert_eq!(error, PinError::Free),
    };
    explore(
        Some(3),
        || Frame::new(LIVE | REF, 1),
        [get, get],
        |page| assert!(!page.put()),
        |page| page.assert_quiet(0),
    );
}

/// A refused reference or pin meets the page's new life.
#[test]
fn a_new_life_begins_with_its_own_references() {
    let comes = |page: &Frame| {
        if page.count.try_get_ref().is_ok() {
            assert!(!page.put());
        }
    };
    let pins = |page: &Frame| {
        let _ = page.pin_and_unpin(Longterm);
    };
    explore(
        Some(3),
        || Frame::new(0, 1),
        [comes, pins],
        |page| page.count.unfreeze(2).unwrap(),
        |page| page.assert_quiet(2),
    );
}

/// A reference is held beside the pins; a scan parks the page.
#[test]
fn the_last_unpin_puts_back() {
    explore(
        Some(3),
        || Frame::new(LIVE | 2 * REF | LONG | EVER_PINNED, 1),
        [
            |page| assert!(!page.unpin(Longterm)),
            |page| page.pin_and_unpin(Short).unwrap(),
        ],
        |page| {
            page.scan();
            assert!(!page.put());
        },
        |page| page.assert_quiet(1),
    );
}

/// The only other reference goes while the page is parked and its last pin goes: an unpin or a put
/// owes both duties, or one of them each.
#[test]
fn unparking_and_freeing_are_done_once_each() {
    explore(
        None,
        || Frame::new(LIVE | REF | SHORT | PARKED | EVER_PINNED, 0),
        [|page| assert!(!page.put())],
        |page| assert!(!page.unpin(Short)),
        |page| page.assert_quiet(0),
    );
    explore(
        Some(3),
        || Frame::new(LIVE | REF | LONG | SHORT | EVER_PINNED, 1),
        [
            |page| assert!(!page.unpin(Longterm)),
            |page| assert!(!page.unpin(Short)),
        ],
        |page| {
            page.scan();
            assert!(!page.put());
        },
        |page| page.assert_quiet(0),
    );
}

/// The twin: the pin's reference is dropped before its page is back on a list.
#[test]
#[should_panic(expected = "freed while it was held")]
fn a_page_that_is_put_back_without_a_reference() {
    explore(
        None,
        || Frame::new(LIVE | REF | SHORT | PARKED | EVER_PINNED, 0),
        [|page| assert!(!page.put())],
        |page| match page.count.unpin(Short) {
            Ok(Released::Unpark) => {
                assert!(!page.put());
                page.put_back();
            }
            answer => assert!(!page.settle(answer)),
        },
        |_| (),
    );
}

#[test]
fn one_of_unpark_and_the_last_unpin_gets_the_page() {
    explore(
        None,
        || Frame::new(LIVE | REF | SHORT | PARKED | EVER_PINNED, 0),
        [|page| assert!(!page.unpin(Short))],
        |page| {
            if page.count.unpark().is_ok() {
                page.put_back();
            }
        },
        |page| page.assert_quiet(1),
    );
}

/// One put too many cannot drop the reference of a pin, nor free the page under it.
#[test]
fn one_put_too_many_does_not_free_a_pinned_page() {
    loom::model(|| {
        let page = Frame::new(LIVE | REF | SHORT | EVER_PINNED, 1);
        let other = page.clone();
        let thread = thread::spawn(move || other.put());
        page.assert_held();
        let refused = page.put();
        page.assert_held();
        assert!(!page.unpin(Short));
        assert_ne!(refused, thread.join().unwrap(), "one of two is refused");
        page.assert_quiet(0);
    });
}

/// One unpin too many hides neither duty of the last one.
#[test]
fn one_unpin_too_many_hides_no_duty() {
    explore(
        Some(3),
        || Frame::new(LIVE | SHORT | PARKED | EVER_PINNED, 0),
        [
            |page| assert!(page.unpin(Longterm)),
            |page| assert!(page.put()),
        ],
        |page| assert!(!page.unpin(Short)),
        |page| page.assert_quiet(0),
    );
}

/// A refused pin and reference in a frozen page meet an unpin and a put too many.
#[test]
fn what_is_refused_in_a_frozen_page_leaves_nothing() {
    explore(
        Some(3),
        || Frame::new(0, 1),
        [
            |page| {
                let _ = page.count.unpin(Short);
                let _ = page.count.put_ref();
            },
            |page| {
                assert!(page.count.pin(Short).is_err());
                assert!(page.count.try_get_ref().is_err());
            },
        ],
        |_| (),
        |page| assert_eq!(page.count.to_bits(), 0, "something is left over"),
    );
}
