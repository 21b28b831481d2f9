//! Pins and references of one word, beside the bare atomic operations, on one thread and on two.

use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use pinfold::pin::{PageRefs, PinKind, PinWord};
use std::time::Instant;

/// A word of which something is taken and given back.
pub(crate) trait Word: Default + Sync {
    const NAME: &'static str;

    /// Takes and gives back, so many times.
    fn pairs(&self, pairs: u32);
}

impl Word for PinWord {
    const NAME: &'static str = "PinWord";

    fn pairs(&self, pairs: u32) {
        measured_pins_ours(self, PinKind::Short, pairs);
    }
}

/// Pins of a page with one reference.
#[derive(Debug)]
pub(crate) struct RefsPins(PageRefs);

/// References of a page with one reference.
#[derive(Debug)]
pub(crate) struct Refs(PageRefs);

fn live() -> PageRefs {
    let page = PageRefs::new();
    page.unfreeze(1).unwrap();
    page
}

impl Default for RefsPins {
    fn default() -> Self {
        Self(live())
    }
}

impl Default for Refs {
    fn default() -> Self {
        Self(live())
    }
}

impl Word for RefsPins {
    const NAME: &'static str = "PageRefs";

    fn pairs(&self, pairs: u32) {
        measured_pins_refs(&self.0, PinKind::Short, pairs);
    }
}

impl Word for Refs {
    const NAME: &'static str = "PageRefs, references";

    fn pairs(&self, pairs: u32) {
        measured_refs(&self.0, pairs);
    }
}

impl Word for AtomicU64 {
    const NAME: &'static str = "fetch_add + fetch_sub";

    fn pairs(&self, pairs: u32) {
        measured_pins_bare(self, pairs);
    }
}

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

/// `pairs` times a pin and its unpin.
#[inline(never)]
pub(crate) fn measured_pins_refs(page: &PageRefs, kind: PinKind, pairs: u32) {
    for _ in 0..pairs {
        let page = black_box(page);
        let pinned = page.pin(kind);
        let unpinned = page.unpin(kind);
        if pinned.is_err() || unpinned.is_err() {
            lost();
        }
    }
}

/// `pairs` times a reference taken and dropped.
#[inline(never)]
pub(crate) fn measured_refs(page: &PageRefs, pairs: u32) {
    for _ in 0..pairs {
        let page = black_box(page);
        let taken = page.try_get_ref();
        let dropped = page.put_ref();
        if taken.is_err() || dropped.is_err() {
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
    for kind in [PinKind::Short, PinKind::Longterm] {
        let page = live();
        measured_pins_refs(&page, kind, 3);
        page.pin(kind).unwrap();
        measured_pins_refs(&page, kind, 3);
        measured_refs(&page, 3);
        assert_eq!((page.snapshot().pins.total, page.snapshot().refs), (1, 2));
    }
    let contended = Contended::default();
    both(&contended, |own| {
        own.of::<PinWord>(1000);
        own.of::<RefsPins>(1000);
        own.of::<Refs>(1000);
        own.of::<AtomicU64>(1000);
    });
    assert_eq!(contended.word.snapshot().pins.total, 0);
    for page in [&contended.pins.0.0, &contended.refs.0.0] {
        assert_eq!((page.snapshot().pins.total, page.snapshot().refs), (0, 1));
    }
    assert_eq!(contended.bare.load(Ordering::Relaxed), 0);
}

/// The time that one thread takes for `pairs`.
pub(crate) fn alone<W: Word>(pairs: u32) -> Duration {
    let word = W::default();
    let start = Instant::now();
    word.pairs(pairs);
    start.elapsed()
}

/// Each in a cache line of its own, so that only what is measured is contended.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// Words over which two threads contend, each of them in its turn.
#[derive(Debug, Default)]
pub(crate) struct Contended {
    word: Line<PinWord>,
    pins: Line<RefsPins>,
    refs: Line<Refs>,
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

/// A word that two threads contend over in its turn.
pub(crate) trait Turn: Word {
    const TURN: u32;
    fn of(contended: &Contended) -> &Self;
}

macro_rules! turns {
    ($($word:ty, $field:ident, $turn:literal;)*) => {
        $(
            impl Turn for $word {
                const TURN: u32 = $turn;
                fn of(contended: &Contended) -> &Self {
                    &contended.$field
                }
            }
        )*

        /// A burst of the other thread; whether it was anybody's turn.
        fn burst(contended: &Contended, turn: u32) -> bool {
            match turn {
                $($turn => <$word as Turn>::of(contended).pairs(BURST),)*
                _ => return false,
            }
            true
        }
    };
}

turns! {
    PinWord, word, 1;
    RefsPins, pins, 2;
    Refs, refs, 3;
    AtomicU64, bare, 4;
}

/// How many pairs the other thread does between two looks at whose turn it is.
const BURST: u32 = 64;
const TRIES: u32 = 1_000_000;

/// The side of the contended words that times itself.
#[derive(Debug)]
pub(crate) struct Own<'a>(&'a Contended);

impl Own<'_> {
    /// The time for `pairs` of this word while the other thread does the same.
    pub(crate) fn of<W: Turn>(&self, pairs: u32) -> Duration {
        self.timed(W::TURN, pairs, || W::of(self.0).pairs(pairs))
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
                if !burst(contended, contended.turn.load(Ordering::Acquire)) {
                    core::hint::spin_loop();
                    continue;
                }
                contended.bursts.fetch_add(1, Ordering::Relaxed);
            }
        });
        measure(&Own(contended));
        contended.done.store(true, Ordering::Release);
    });
}
