//! Every interleaving of small concurrent scenes, and twins of them with a step left out, which
//! must be caught.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --test loom`
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::race::{pin_fast, second_look};
use pinfold::pin::{
    BiasedRefs, LargePageRefs, PinError, PinKind, PinWord, Pinnable, Pins, Unpinned, pin_all,
    refined_estimate,
};
use pinfold::{PageFlags, PageLike, RefCounts};

// ---- a pinner without locks against an unmapper -------------------------------------------------

/// What an unmapper needs of a representation. The page has one mapping; the unmapper holds it too.
trait Page: Pinnable + Send + Sync + 'static {
    fn mapped_once() -> Self;
    fn pins(&self) -> Pins;
    /// Drops what the mapping held.
    fn drop_mapping(&self);
    /// Freezes or blocks.
    fn take(&self) -> bool;
    /// A new life with one mapping.
    fn renew(&self);
    /// What the counter says once all is quiet.
    fn assert_quiet(&self, mapped: bool, pinned: bool, taken: bool);
}

impl Page for BiasedRefs {
    fn mapped_once() -> Self {
        Self::new(2)
    }
    fn pins(&self) -> Pins {
        match u32::try_from(self.get()).unwrap() / 1024 {
            0 => Pins::None,
            estimate => Pins::Maybe {
                estimate,
                longterm: None,
            },
        }
    }
    fn drop_mapping(&self) {
        let _ = self.put_ref().unwrap();
    }
    fn take(&self) -> bool {
        self.freeze(1).is_ok()
    }
    fn renew(&self) {
        self.unfreeze(2).unwrap();
    }
    fn assert_quiet(&self, mapped: bool, pinned: bool, taken: bool) {
        let all = 1 + i32::from(mapped) + 1024 * i32::from(pinned);
        assert_eq!(
            self.get(),
            if taken { 0 } else { all },
            "a pin or an unpin was lost"
        );
    }
}

impl Page for LargePageRefs {
    fn mapped_once() -> Self {
        Self::new(2)
    }
    fn pins(&self) -> Pins {
        Pins::exactly(self.exact_pins())
    }
    fn drop_mapping(&self) {
        let _ = self.put_ref().unwrap();
    }
    fn take(&self) -> bool {
        self.freeze(1).is_ok()
    }
    fn renew(&self) {
        self.unfreeze(2).unwrap();
    }
    fn assert_quiet(&self, mapped: bool, pinned: bool, taken: bool) {
        let all = 1 + i32::from(mapped) + i32::from(pinned);
        assert_eq!(
            self.get(),
            if taken { 0 } else { all },
            "a pin or an unpin was lost"
        );
        assert_eq!(
            self.exact_pins().total,
            u32::from(pinned),
            "a pin or an unpin was lost"
        );
    }
}

impl Page for PinWord {
    fn mapped_once() -> Self {
        Self::new()
    }
    fn pins(&self) -> Pins {
        Pins::exactly(self.snapshot().pins)
    }
    fn drop_mapping(&self) {}
    fn take(&self) -> bool {
        self.block().is_ok()
    }
    fn renew(&self) {
        self.unblock().unwrap();
    }
    fn assert_quiet(&self, _: bool, pinned: bool, taken: bool) {
        let word = self.snapshot();
        assert_eq!(
            word.pins.total,
            u32::from(pinned),
            "a pin or an unpin was lost"
        );
        assert_eq!(word.blocked, taken);
    }
}

/// Which steps of the protocol are done.
#[derive(Clone, Copy)]
struct Steps {
    reread: bool,
    fences: bool,
    second_look: bool,
    take: bool,
    /// Free the page into a new life instead of leaving it free.
    renew: bool,
}

const ALL: Steps = Steps {
    reread: true,
    fences: true,
    second_look: true,
    take: true,
    renew: false,
};
const RENEW: Steps = Steps { renew: true, ..ALL };

const MAPPED: usize = 1;
const CLEARED: usize = 0;

struct Scene<P> {
    entry: AtomicUsize,
    page: P,
    /// Which life of the page this is; the first ends when it is freed.
    life: AtomicUsize,
}

/// Whether the pinner was told that its pin is good.
fn pinner<P: Page>(scene: &Scene<P>, steps: Steps) -> bool {
    let seen = scene.entry.load(Ordering::Acquire);
    if seen != MAPPED {
        return false;
    }
    let reread = || {
        // The pin is held here, good or not.
        let life = scene.life.load(Ordering::Acquire);
        let entry = scene.entry.load(Ordering::Acquire);
        let ended = scene.life.load(Ordering::Acquire) != life;
        assert!(!ended, "a pinned page was freed");
        if steps.reread { entry } else { MAPPED }
    };
    if steps.fences {
        return pin_fast(&scene.page, PinKind::Short, seen, reread).is_ok();
    }
    if scene.page.try_pin(PinKind::Short).is_err() {
        return false;
    }
    let good = reread() == seen;
    if !good {
        assert_eq!(scene.page.unpin(PinKind::Short), Ok(Unpinned::Done));
    }
    good
}

/// Whether the page was freed.
fn unmapper<P: Page>(scene: &Scene<P>, steps: Steps) -> bool {
    if scene.page.pins().maybe_pinned() {
        return false;
    }
    scene.entry.swap(CLEARED, Ordering::AcqRel);
    let pins = match (steps.second_look, steps.fences) {
        (true, true) => second_look(|| scene.page.pins()),
        (true, false) => scene.page.pins(),
        (false, _) => Pins::None,
    };
    if pins.maybe_pinned() {
        scene.entry.store(MAPPED, Ordering::Release);
        return false;
    }
    scene.page.drop_mapping();
    if steps.take && !scene.page.take() {
        return false;
    }
    scene.life.fetch_add(1, Ordering::AcqRel);
    if steps.renew && steps.take {
        scene.page.renew();
    }
    true
}

fn race<P: Page>(steps: Steps) {
    loom::model(move || {
        let scene = Arc::new(Scene {
            entry: AtomicUsize::new(MAPPED),
            page: P::mapped_once(),
            life: AtomicUsize::new(1),
        });
        let other = scene.clone();
        let thread = thread::spawn(move || pinner(&other, steps));
        let freed = unmapper(&scene, steps);
        let pinned = thread.join().unwrap();

        let mapped = scene.entry.load(Ordering::Acquire) == MAPPED;
        assert!(!(pinned && freed), "a pinned page was freed");
        assert!(!pinned || mapped, "a pinned page lost its entry");
        let renewed = freed && steps.renew;
        scene
            .page
            .assert_quiet(mapped || renewed, pinned, freed && steps.take && !renewed);
        if pinned {
            assert_eq!(scene.page.unpin(PinKind::Short), Ok(Unpinned::Done));
            scene.page.assert_quiet(true, false, false);
        }
    });
}

macro_rules! races {
    ($($module:ident: $page:ty),*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn pin_against_unmap() {
                race::<$page>(ALL);
            }

            #[test]
            fn pin_against_unmap_and_reuse() {
                race::<$page>(RENEW);
            }

            /// The freeze or block still stands, so the page is not freed; but it is robbed of its
            /// entry after the pinner was told that all is well.
            #[test]
            #[should_panic(expected = "a pinned page lost its entry")]
            fn without_the_second_look() {
                race::<$page>(Steps { second_look: false, ..ALL });
            }

            #[test]
            #[should_panic(expected = "a pinned page was freed")]
            fn without_the_second_look_and_the_take() {
                race::<$page>(Steps { second_look: false, take: false, ..ALL });
            }

            /// A pin on its way to "changed" is a pin: the page is freed under it.
            #[test]
            #[should_panic(expected = "a pinned page was freed")]
            fn without_the_take() {
                race::<$page>(Steps { take: false, ..ALL });
            }

            #[test]
            #[should_panic(expected = "a pinned page lost its entry")]
            fn without_the_fences() {
                race::<$page>(Steps { fences: false, ..ALL });
            }

            #[test]
            #[should_panic(expected = "a pinned page lost its entry")]
            fn without_reading_the_entry_again() {
                race::<$page>(Steps { reread: false, ..ALL });
            }

            /// The page has a new life, and its new owner another's pin on it, which that other
            /// believes to be on the page of old.
            #[test]
            #[should_panic(expected = "a pinned page was freed")]
            fn reuse_without_reading_the_entry_again() {
                race::<$page>(Steps { reread: false, ..RENEW });
            }
        }
    )*};
}

races!(biased: BiasedRefs, large: LargePageRefs, word: PinWord);

/// With `PinWord`, the block may stand for the second look: failing, it says that there is a pin.
#[test]
fn block_is_a_second_look() {
    loom::model(|| {
        let scene = Arc::new(Scene {
            entry: AtomicUsize::new(MAPPED),
            page: PinWord::new(),
            life: AtomicUsize::new(1),
        });
        let other = scene.clone();
        let thread = thread::spawn(move || pinner(&other, ALL));
        scene.entry.swap(CLEARED, Ordering::AcqRel);
        let blocked = scene.page.block().is_ok();
        if !blocked {
            scene.entry.store(MAPPED, Ordering::Release);
        }
        let pinned = thread.join().unwrap();
        assert!(!(pinned && blocked));
        scene.page.assert_quiet(!blocked, pinned, blocked);
    });
}

// ---- block against pin --------------------------------------------------------------------------

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
                    assert_eq!(word.unpin(kind), Ok(Unpinned::Done));
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

// ---- unpin against park -------------------------------------------------------------------------

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
            Ok(Unpinned::Done) => {}
            Ok(Unpinned::Unpark) => self.put_back(),
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

// ---- a guard against block ----------------------------------------------------------------------

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
    guard_against_block(|pages, taken| match pin_all(pages, PinKind::Longterm) {
        Ok(guard) => {
            assert!(!taken.load(Ordering::Acquire), "pinned while blocked");
            guard.release().unwrap();
        }
        Err(error) => {
            assert_eq!(
                (error.index, error.error, error.lost),
                (1, PinError::Blocked, 0)
            );
        }
    });
}

#[test]
#[should_panic(expected = "a pin or an unpin was lost")]
fn a_guard_that_keeps_what_it_has() {
    guard_against_block(|pages, _| {
        if pages.iter().all(|page| page.pin(PinKind::Longterm).is_ok()) {
            for page in pages {
                assert_eq!(page.unpin(PinKind::Longterm), Ok(Unpinned::Done));
            }
        }
    });
}

// ---- the refined reading while mappings come and go ---------------------------------------------

struct Counted {
    refs: AtomicI32,
    maps: AtomicU32,
}

impl PageLike for Counted {
    fn flags(&self) -> PageFlags {
        PageFlags::empty()
    }
    fn ref_count(&self) -> i32 {
        self.refs.load(Ordering::Acquire)
    }
    fn map_count(&self) -> u32 {
        self.maps.load(Ordering::Acquire)
    }
}

const BIAS: u32 = 4;

/// A pin is held throughout, while mappings go and come in these batches.
///
/// A batch is one step of each counter: what an adversary would do with moves of one, in fewer
/// interleavings.
fn refined_reading<const G: usize, const C: usize>(
    gone: [u32; G],
    come: [u32; C],
    preemptions: Option<usize>,
    read: fn(&Counted) -> RefCounts,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let maps = gone.iter().sum::<u32>();
        let page = Arc::new(Counted {
            refs: AtomicI32::new((maps + 1 + BIAS).try_into().unwrap()),
            maps: AtomicU32::new(maps),
        });
        let other = page.clone();
        let remover = thread::spawn(move || {
            for batch in gone {
                other.maps.fetch_sub(batch, Ordering::Release);
                other
                    .refs
                    .fetch_sub(batch.try_into().unwrap(), Ordering::Release);
            }
        });
        let other = page.clone();
        let adder = thread::spawn(move || {
            for batch in come {
                other
                    .refs
                    .fetch_add(batch.try_into().unwrap(), Ordering::Release);
                other.maps.fetch_add(batch, Ordering::Release);
            }
        });
        assert_ne!(
            refined_estimate::<BIAS>(read(&page)),
            0,
            "a pinned page read as not pinned"
        );
        remover.join().unwrap();
        adder.join().unwrap();
    });
}

/// The mappings are read before the references, and not again.
fn once(page: &Counted) -> RefCounts {
    let flags = page.flags();
    let explained = page.explained_refs(flags);
    RefCounts {
        flags,
        refs: page.ref_count(),
        explained,
    }
}

const HALF: u32 = BIAS / 2;

/// At most three preemptions (all interleavings pass, in 23 seconds); so too below.
#[test]
fn refined_reading_holds_while_few_mappings_go() {
    refined_reading([HALF], [HALF + 1], Some(3), PageLike::counts);
}

#[test]
fn refined_reading_holds_while_few_mappings_come() {
    refined_reading([HALF + 1], [HALF], Some(3), PageLike::counts);
}

/// In smaller batches, with at most two preemptions.
#[test]
fn refined_reading_holds_in_small_batches() {
    refined_reading([HALF - 1, 1], [HALF + 1], Some(2), PageLike::counts);
    refined_reading([HALF + 1], [1, HALF - 1], Some(2), PageLike::counts);
}

#[test]
#[should_panic(expected = "a pinned page read as not pinned")]
fn refined_reading_bound_is_tight() {
    refined_reading([HALF + 1], [HALF + 1], None, PageLike::counts);
}

#[test]
fn refined_reading_once_holds_within_its_bound() {
    refined_reading([HALF - 1, 1], [], None, once);
}

#[test]
#[should_panic(expected = "a pinned page read as not pinned")]
fn refined_reading_once_fails_at_half_the_moves() {
    refined_reading([HALF + 1], [], None, once);
}
