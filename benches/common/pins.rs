//! Pins of one word, beside the bare atomic operations, on one thread and on two.

use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use pinfold::pin::{PinKind, PinWord};
use std::time::Instant;

/// `pairs` times a pin and its unpin.
#[inline(never)]
pub(crate) fn measured_pins_ours(word: &PinWord, kind: PinKind, pairs: u32) {
    for _ in 0..pairs {
        let word = black_box(word);
        let pinned = word.pin(kind);
        let unpinned = word.unpin(kind);
        if pinned.is_err() || unpinned.is_err() {
            lost();
        }
    }
}

/// `pairs` times what one word costs at least: an atomic addition and a subtraction.
#[inline(never)]
pub(crate) fn measured_pins_bare(word: &AtomicU64, pairs: u32) {
    for _ in 0..pairs {
        let word = black_box(word);
        black_box(word.fetch_add(1 << 3, Ordering::Acquire));
        black_box(word.fetch_sub(1 << 3, Ordering::Release));
    }
}

#[cold]
fn lost() {
    unreachable!("every pin is taken and released");
}

/// Pins come and go and are counted.
pub(crate) fn check() {
    for kind in [PinKind::Short, PinKind::Longterm] {
        let word = PinWord::new();
        assert_eq!(word.snapshot().pins.total, 0);
        measured_pins_ours(&word, kind, 3);
        assert_eq!(word.snapshot().pins.total, 0);
        assert!(word.snapshot().ever_pinned);
        word.pin(kind).unwrap();
        measured_pins_ours(&word, kind, 3);
        assert_eq!(word.snapshot().pins.total, 1);
    }
    let contended = Contended::default();
    both(&contended, |own| {
        own.ours(1000);
        own.bare(1000);
    });
    assert_eq!(contended.word.snapshot().pins.total, 0);
    assert_eq!(contended.bare.load(Ordering::Relaxed), 0);
}

/// The time that one thread takes for `pairs`.
pub(crate) fn alone(pairs: u32, ours: bool) -> Duration {
    let (word, bare) = (PinWord::new(), AtomicU64::new(0));
    let start = Instant::now();
    if ours {
        measured_pins_ours(&word, PinKind::Short, pairs);
    } else {
        measured_pins_bare(&bare, pairs);
    }
    start.elapsed()
}

/// Each in a cache line of its own, so that only what is measured is contended.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// Two words over which two threads contend, each of them in its turn.
#[derive(Debug, Default)]
pub(crate) struct Contended {
    word: Line<PinWord>,
    bare: Line<AtomicU64>,
    turn: Line<AtomicU32>,
    /// How many bursts the other thread has done.
    bursts: Line<AtomicU64>,
    done: Line<AtomicBool>,
}

impl<T> core::ops::Deref for Line<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

const IDLE: u32 = 0;
const OURS: u32 = 1;
const BARE: u32 = 2;
/// How many pairs the other thread does between two looks at whose turn it is.
const BURST: u32 = 64;
const TRIES: u32 = 1_000_000;

/// The side of the contended words that times itself.
#[derive(Debug)]
pub(crate) struct Own<'a>(&'a Contended);

impl Own<'_> {
    /// The time for `pairs` pins and unpins while the other thread does the same.
    pub(crate) fn ours(&self, pairs: u32) -> Duration {
        self.timed(OURS, pairs, || {
            measured_pins_ours(&self.0.word, PinKind::Short, pairs);
        })
    }

    /// The time for `pairs` of the bare operations while the other thread does the same.
    pub(crate) fn bare(&self, pairs: u32) -> Duration {
        self.timed(BARE, pairs, || measured_pins_bare(&self.0.bare, pairs))
    }

    /// On a busy machine the other thread may not be running: only a time in which it did at least a
    /// quarter as much counts.
    fn timed(&self, turn: u32, pairs: u32, run: impl Fn()) -> Duration {
        let bursts = || self.0.bursts.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            self.0.turn.store(turn, Ordering::Release);
            let (before, start) = (bursts(), Instant::now());
            run();
            let (took, after) = (start.elapsed(), bursts());
            self.0.turn.store(IDLE, Ordering::Release);
            if 4 * (after - before) * u64::from(BURST) >= u64::from(pairs) {
                return took;
            }
        }
        panic!("the other thread did not run: two processors are needed");
    }
}

/// Runs `measure` while another thread contends for whatever it measures.
pub(crate) fn both(contended: &Contended, measure: impl FnOnce(&Own<'_>)) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !contended.done.load(Ordering::Acquire) {
                match contended.turn.load(Ordering::Acquire) {
                    OURS => measured_pins_ours(&contended.word, PinKind::Short, BURST),
                    BARE => measured_pins_bare(&contended.bare, BURST),
                    _ => {
                        core::hint::spin_loop();
                        continue;
                    }
                }
                contended.bursts.fetch_add(1, Ordering::Relaxed);
            }
        });
        measure(&Own(contended));
        contended.done.store(true, Ordering::Release);
    });
}
