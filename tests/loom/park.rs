//! Unpin against park.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::{PinKind, PinWord, Released};

/// A page that is on its list once, or off it.
struct Listed {
    word: PinWord,
    on_list: AtomicUsize,
    /// What the twin uses in place of the bit in the word.
    aside: AtomicBool,
}

impl Listed {
    fn put_back(&self) {
        assert_eq!(
            self.on_list.fetch_add(1, Ordering::AcqRel),
            0,
            "put back twice"
        );
    }

    fn take_off(&self) {
        assert_eq!(
            self.on_list.fetch_sub(1, Ordering::AcqRel),
            1,
            "taken off twice"
        );
    }

    fn unpin(&self, kind: PinKind) {
        match self.word.unpin(kind) {
            Ok(Released::Done) => {}
            Ok(Released::Unpark) => self.put_back(),
            other => panic!("{other:?}"),
        }
        if self.word.snapshot().pins.total == 0 && self.aside.swap(false, Ordering::AcqRel) {
            self.put_back();
        }
    }

    fn scan(&self) {
        if self.word.snapshot().pins.total > 0 {
            self.take_off();
            if self.word.park().is_err() {
                self.put_back();
            }
        }
    }

    fn scan_without_handshake(&self) {
        if self.word.snapshot().pins.total > 0 {
            self.take_off();
            self.aside.store(true, Ordering::Release);
        }
    }

    fn assert_quiet(&self) {
        assert_eq!(
            self.on_list.load(Ordering::Acquire),
            1,
            "a page was forgotten"
        );
        assert_eq!(
            self.word.to_bits() & !0b10,
            0,
            "a pin, an unpin or a mark was lost"
        );
    }
}

fn unpins_against_park(scan: fn(&Listed)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        // A long-term pin is held, and its unpin races; a short pin comes and goes.
        let page = Arc::new(Listed {
            word: PinWord::from_bits(1 << 34 | 0b10),
            on_list: AtomicUsize::new(1),
            aside: AtomicBool::new(false),
        });
        let other = page.clone();
        let last = thread::spawn(move || other.unpin(PinKind::Longterm));
        let other = page.clone();
        let passing = thread::spawn(move || {
            other.word.pin(PinKind::Short).unwrap();
            other.unpin(PinKind::Short);
        });
        scan(&page);
        last.join().unwrap();
        passing.join().unwrap();
        page.assert_quiet();
    });
}

#[test]
fn the_last_unpin_puts_back() {
    unpins_against_park(Listed::scan);
}

#[test]
#[should_panic(expected = "a page was forgotten")]
fn a_mark_outside_the_word_forgets() {
    unpins_against_park(Listed::scan_without_handshake);
}

/// A refused pin can be counted when the block has ended and a scan comes by. It must not be what
/// the page is parked for and then go away without a word.
#[test]
fn a_refused_pin_does_not_strand_a_parked_page() {
    loom::model(|| {
        let page = Arc::new(Listed {
            word: PinWord::from_bits(0b01),
            on_list: AtomicUsize::new(1),
            aside: AtomicBool::new(false),
        });
        let other = page.clone();
        let pinner = thread::spawn(move || {
            if other.word.pin(PinKind::Short).is_ok() {
                other.unpin(PinKind::Short);
            }
        });
        page.word.unblock().unwrap();
        page.scan();
        pinner.join().unwrap();
        page.assert_quiet();
    });
}

#[test]
fn one_of_unpark_and_the_last_unpin_gets_the_page() {
    loom::model(|| {
        let page = Arc::new(Listed {
            word: PinWord::from_bits(1 << 3 | 0b110),
            on_list: AtomicUsize::new(0),
            aside: AtomicBool::new(false),
        });
        let other = page.clone();
        let thread = thread::spawn(move || other.unpin(PinKind::Short));
        if page.word.unpark().is_ok() {
            page.put_back();
        }
        thread.join().unwrap();
        page.assert_quiet();
    });
}
