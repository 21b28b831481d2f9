//! One unpin too many, while others pin, unpin, block and park.
//!
//! Nobody can tell which of two unpins is the one too many. But at rest the count is what the
//! answers say, and a parked page that is not pinned was given to somebody.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::{PinError, PinKind, PinWord, Released};

use PinKind::{Longterm, Short};

const EVER_PINNED: u64 = 0b10;
const PARKED: u64 = 0b100;

/// A word, how often its page was put back, and the pins that the answers account for.
struct Scene {
    word: PinWord,
    put_back: AtomicUsize,
    taken: AtomicUsize,
    released: AtomicUsize,
}

impl Scene {
    fn new(bits: u64, pins: usize) -> Arc<Self> {
        Arc::new(Self {
            word: PinWord::from_bits(bits),
            put_back: AtomicUsize::new(0),
            taken: AtomicUsize::new(pins),
            released: AtomicUsize::new(0),
        })
    }

    fn pin(&self, kind: PinKind) -> bool {
        let pinned = self.word.pin(kind).is_ok();
        self.taken.fetch_add(pinned.into(), Ordering::Relaxed);
        pinned
    }

    fn unpin(&self, kind: PinKind) {
        match self.word.unpin(kind) {
            Ok(duty) => {
                self.released.fetch_add(1, Ordering::Relaxed);
                if duty == Released::Unpark {
                    self.put_back.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) => assert_eq!(error, PinError::Underflow),
        }
    }

    fn assert_quiet(&self, put_back: usize) {
        let taken = self.taken.load(Ordering::Relaxed);
        let released = self.released.load(Ordering::Relaxed);
        let word = self.word.snapshot();
        assert!(
            !word.parked || word.pins.total > 0,
            "a page was stranded: parked without a pin"
        );
        assert_eq!(
            word.pins.total as usize,
            taken - released,
            "the count is not what the answers say"
        );
        assert_eq!(self.put_back.load(Ordering::Relaxed), put_back);
    }
}

/// The last unpin of a parked page meets an unpin of the other kind.
#[test]
fn the_last_unpin_of_a_parked_page_is_not_hidden_by_one_too_many() {
    for (kind, other, unit) in [(Short, Longterm, 1 << 3), (Longterm, Short, 1 << 34)] {
        loom::model(move || {
            let scene = Scene::new(unit | PARKED | EVER_PINNED, 1);
            let thread = {
                let scene = scene.clone();
                thread::spawn(move || scene.unpin(other))
            };
            scene.unpin(kind);
            thread.join().unwrap();
            scene.assert_quiet(1);
        });
    }
}

/// A park meets an unpin too many: a page without pins is not parked.
#[test]
fn a_page_is_not_parked_for_one_unpin_too_many() {
    loom::model(|| {
        let scene = Scene::new(EVER_PINNED, 0);
        let thread = {
            let scene = scene.clone();
            thread::spawn(move || scene.unpin(Longterm))
        };
        assert!(scene.word.park().is_err());
        thread.join().unwrap();
        scene.assert_quiet(0);
    });
}

/// A pin comes and goes while another's unpin is taken back.
#[test]
fn one_unpin_too_many_leaves_no_phantom() {
    for (kind, excess) in [(Short, Short), (Longterm, Longterm), (Short, Longterm)] {
        loom::model(move || {
            let scene = Scene::new(0, 0);
            let thread = {
                let scene = scene.clone();
                thread::spawn(move || scene.unpin(excess))
            };
            assert!(scene.pin(kind));
            scene.unpin(kind);
            thread.join().unwrap();
            let pins = scene.word.snapshot().pins.total;
            assert_eq!(pins, 0, "one pin and two unpins left a phantom");
            scene.assert_quiet(0);
        });
    }
}

/// Two unpins too many, and a parked page's pin.
#[test]
fn two_unpins_too_many_neither_strand_nor_leave_a_phantom() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let scene = Scene::new(1 << 3 | PARKED | EVER_PINNED, 1);
        let threads = [Short, Longterm].map(|kind| {
            let scene = scene.clone();
            thread::spawn(move || scene.unpin(kind))
        });
        if scene.pin(Longterm) {
            scene.unpin(Longterm);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let pinned = scene.word.snapshot().pins.total > 0;
        scene.assert_quiet(usize::from(!pinned));
    });
}

/// A refused pin and an unpin too many meet in a blocked word, which is then opened.
#[test]
fn one_unpin_too_many_meets_a_refused_pin() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(|| {
        let scene = Scene::new(0b01, 0);
        let threads = [false, true].map(|pins| {
            let scene = scene.clone();
            thread::spawn(move || {
                if !pins {
                    scene.unpin(Short);
                } else if scene.pin(Short) {
                    scene.unpin(Short);
                }
            })
        });
        scene.word.unblock().unwrap();
        if scene.word.block().is_ok() {
            scene.word.unblock().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(
            scene.word.to_bits() & !EVER_PINNED,
            0,
            "a pin or an unpin is left over"
        );
    });
}
