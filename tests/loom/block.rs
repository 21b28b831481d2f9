//! Block against pin.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use pinfold::pin::{PinError, PinKind, PinWord, Released};

fn block_against_pins<const PINNERS: usize>(
    kinds: [PinKind; PINNERS],
    preemptions: Option<usize>,
    block: fn(&PinWord) -> bool,
    unblock: fn(&PinWord),
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let scene = Arc::new((PinWord::new(), AtomicBool::new(false)));
        let threads = kinds.map(|kind| {
            let scene = scene.clone();
            thread::spawn(move || {
                let (word, taken) = &*scene;
                let pinned = word.pin(kind);
                if pinned.is_ok() {
                    assert!(!taken.load(Ordering::Acquire), "pinned while blocked");
                    assert_eq!(word.unpin(kind), Ok(Released::Done));
                } else {
                    assert_eq!(pinned, Err(PinError::Blocked));
                }
                pinned.is_ok()
            })
        });
        let (word, taken) = &*scene;
        if block(word) {
            taken.store(true, Ordering::Release);
            taken.store(false, Ordering::Release);
            unblock(word);
        }
        let pinned = threads.map(|thread| thread.join().unwrap()).contains(&true);
        let quiet = word.snapshot();
        assert_eq!(quiet.pins.total, 0, "a pin or an unpin was lost");
        assert_eq!(
            quiet.ever_pinned, pinned,
            "only a pin that succeeded is remembered"
        );
        assert_eq!(
            word.to_bits(),
            if pinned { 0b10 } else { 0 },
            "no bit is left over"
        );
    });
}

#[test]
fn block_excludes_a_pin() {
    block_against_pins(
        [PinKind::Short],
        None,
        |word| word.block().is_ok(),
        |word| word.unblock().unwrap(),
    );
}

/// Two pinners, at most three preemptions (all interleavings pass, in 20 seconds).
#[test]
fn block_excludes_pins_of_both_kinds() {
    block_against_pins(
        [PinKind::Short, PinKind::Longterm],
        Some(3),
        |word| word.block().is_ok(),
        |word| word.unblock().unwrap(),
    );
}

#[test]
#[should_panic(expected = "pinned while blocked")]
fn looking_is_not_blocking() {
    let looks_free = |word: &PinWord| word.snapshot().pins.total == 0;
    block_against_pins([PinKind::Short], None, looks_free, |_| ());
}
