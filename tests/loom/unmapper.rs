//! A pinner without locks against an unmapper.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::race::{pin_fast, second_look};
use pinfold::pin::{
    BiasedRefs, LargePageRefs, PageRefs, PinKind, PinWord, Pinnable, Pins, Released,
};

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

/// The two that count references: by how many a pin counts, and how pins are read.
macro_rules! counted {
    ($counter:ty, $refs_per_pin:literal, $pins:expr) => {
        impl Page for $counter {
            fn mapped_once() -> Self {
                Self::new(2)
            }
            fn pins(&self) -> Pins {
                let pins: fn(&Self) -> Pins = $pins;
                pins(self)
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
                let all = 1 + i32::from(mapped) + $refs_per_pin * i32::from(pinned);
                let refs = if taken { 0 } else { all };
                assert_eq!(self.get(), refs, "a pin or an unpin was lost");
                assert_eq!(self.pins().maybe_pinned(), pinned);
            }
        }
    };
}

counted!(BiasedRefs, 1024, |refs| {
    match u32::try_from(refs.get()).unwrap() / 1024 {
        0 => Pins::None,
        estimate => Pins::Maybe {
            estimate,
            longterm: None,
        },
    }
});
counted!(LargePageRefs, 1, |refs| Pins::exactly(refs.exact_pins()));

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

impl Page for PageRefs {
    fn mapped_once() -> Self {
        let page = Self::new();
        page.renew();
        page
    }
    fn pins(&self) -> Pins {
        Pins::exactly(self.snapshot().pins)
    }
    fn drop_mapping(&self) {
        assert_eq!(self.put_ref(), Ok(Released::Done));
    }
    fn take(&self) -> bool {
        self.freeze(1).is_ok()
    }
    fn renew(&self) {
        self.unfreeze(2).unwrap();
    }
    fn assert_quiet(&self, mapped: bool, pinned: bool, taken: bool) {
        let page = self.snapshot();
        let all = 1 + i32::from(mapped) + i32::from(pinned);
        assert_eq!(page.refs, if taken { 0 } else { all });
        assert_eq!(page.pins.total, u32::from(pinned), "a pin was lost");
        assert_eq!(page.free, taken);
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
        assert_eq!(scene.page.unpin(PinKind::Short), Ok(Released::Done));
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
            assert_eq!(scene.page.unpin(PinKind::Short), Ok(Released::Done));
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

races!(biased: BiasedRefs, large: LargePageRefs, word: PinWord, refs: PageRefs);

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
