//! A guard against block.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use pinfold::pin::{PinError, PinGuard, PinKind, PinWord, Released};

fn guard_against_block(pin: fn(&[PinWord; 2], &AtomicBool)) {
    loom::model(move || {
        let scene = Arc::new(([PinWord::new(), PinWord::new()], AtomicBool::new(false)));
        let other = scene.clone();
        let thread = thread::spawn(move || pin(&other.0, &other.1));
        let (pages, taken) = &*scene;
        if pages[1].block().is_ok() {
            taken.store(true, Ordering::Release);
            taken.store(false, Ordering::Release);
            pages[1].unblock().unwrap();
        }
        thread.join().unwrap();
        for page in pages {
            assert_eq!(page.to_bits() & !0b10, 0, "a pin or an unpin was lost");
        }
    });
}

#[test]
fn a_guard_pins_all_or_none() {
    guard_against_block(
        |pages, taken| match PinGuard::pin(pages, PinKind::Longterm) {
            Ok(mut guard) => {
                assert!(!taken.load(Ordering::Acquire), "pinned while blocked");
                guard.release().unwrap();
            }
            Err(error) => {
                assert_eq!(
                    (error.index, error.error, error.lost),
                    (1, PinError::Blocked, 0)
                );
            }
        },
    );
}

#[test]
#[should_panic(expected = "a pin or an unpin was lost")]
fn a_guard_that_keeps_what_it_has() {
    guard_against_block(|pages, _| {
        if pages.iter().all(|page| page.pin(PinKind::Longterm).is_ok()) {
            for page in pages {
                assert_eq!(page.unpin(PinKind::Longterm), Ok(Released::Done));
            }
        }
    });
}
