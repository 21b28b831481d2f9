//! The refined reading while mappings come and go.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use loom::thread;
use pinfold::pin::{PinReading, Refined};
use pinfold::{PageFlags, PageLike};

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
            Refined::estimate::<BIAS>(read(&page)),
            0,
            "a pinned page read as not pinned"
        );
        remover.join().unwrap();
        adder.join().unwrap();
    });
}

/// As the crate reads them.
fn twice(page: &Counted) -> RefCounts {
    Refined::counts(page, page.snapshot())
}

/// The mappings are read before the references, and not again.
fn once(page: &Counted) -> RefCounts {
    let explained = page.explained_refs(page.flags(), page.map_count());
    RefCounts {
        refs: page.ref_count(),
        explained,
    }
}

const HALF: u32 = BIAS / 2;

/// At most three preemptions (all interleavings pass, in 23 seconds); so too below.
#[test]
fn refined_reading_holds_while_few_mappings_go() {
    refined_reading([HALF], [HALF + 1], Some(3), twice);
}

#[test]
fn refined_reading_holds_while_few_mappings_come() {
    refined_reading([HALF + 1], [HALF], Some(3), twice);
}

/// In smaller batches, with at most two preemptions.
#[test]
fn refined_reading_holds_in_small_batches() {
    refined_reading([HALF - 1, 1], [HALF + 1], Some(2), twice);
    refined_reading([HALF + 1], [1, HALF - 1], Some(2), twice);
}

#[test]
#[should_panic(expected = "a pinned page read as not pinned")]
fn refined_reading_bound_is_tight() {
    refined_reading([HALF + 1], [HALF + 1], None, twice);
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

/// A page that is taken out of the swap cache and put into it again while it is read.
struct Cached {
    refs: AtomicI32,
    maps: AtomicU32,
    flags: AtomicU32,
    base_pages: u32,
}

impl PageLike for Cached {
    fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    fn ref_count(&self) -> i32 {
        self.refs.load(Ordering::Acquire)
    }
    fn map_count(&self) -> u32 {
        self.maps.load(Ordering::Acquire)
    }
    fn base_pages(&self) -> u32 {
        self.base_pages
    }
}

impl Cached {
    /// In the swap cache, with `maps` mappings, one pin, and the caller's reference.
    fn new(base_pages: u32, maps: u32) -> Self {
        Self {
            refs: AtomicI32::new((base_pages + maps + 1 + 1024).try_into().unwrap()),
            maps: AtomicU32::new(maps),
            flags: AtomicU32::new(PageFlags::SWAP_CACHE.bits()),
            base_pages,
        }
    }

    fn drop_refs(&self, refs: u32) {
        let refs = refs.try_into().unwrap();
        self.refs.fetch_sub(refs, Ordering::Release);
    }

    fn take_refs(&self, refs: u32) {
        let refs = refs.try_into().unwrap();
        self.refs.fetch_add(refs, Ordering::Release);
    }

    fn unmap(&self, maps: u32) {
        self.maps.fetch_sub(maps, Ordering::Release);
        self.drop_refs(maps);
    }

    fn map(&self, maps: u32) {
        self.take_refs(maps);
        self.maps.fetch_add(maps, Ordering::Release);
    }

    fn leave_the_cache(&self) {
        self.flags.store(0, Ordering::Release);
        self.drop_refs(self.base_pages);
    }

    fn enter_the_cache(&self) {
        self.take_refs(self.base_pages);
        let cached = PageFlags::SWAP_CACHE.bits();
        self.flags.store(cached, Ordering::Release);
    }
}

/// Reads a pinned page with the real bias while the cache and `gone` mappings let it go, and then
/// the cache and `come` mappings take it again.
fn reading_against_the_cache(base_pages: u32, gone: u32, come: u32) {
    loom::model(move || {
        let page = Arc::new(Cached::new(base_pages, gone));
        let other = page.clone();
        let thread = thread::spawn(move || {
            other.leave_the_cache();
            if gone > 0 {
                other.unmap(gone);
            }
            other.enter_the_cache();
            if come > 0 {
                other.map(come);
            }
        });
        assert!(
            Refined::read(&*page).maybe_pinned(),
            "a pinned page read as not pinned"
        );
        thread.join().unwrap();
    });
}

/// One flip of a flag moves as many references as the page has base pages.
#[test]
fn the_cache_of_a_large_page_moves_all_its_references_at_once() {
    for base_pages in [2, 512, 513, 1024, 2048] {
        reading_against_the_cache(base_pages, 0, 0);
        reading_against_the_cache(base_pages, 511, 512);
    }
}

/// The reference of the cache counts like one of a mapping: 512 in all may go and come.
#[test]
fn refined_reading_of_one_base_page_holds_while_512_references_move() {
    reading_against_the_cache(1, 511, 511);
    reading_against_the_cache(1, 511, 600);
    reading_against_the_cache(1, 600, 511);
}

#[test]
#[should_panic(expected = "a pinned page read as not pinned")]
fn refined_reading_of_one_base_page_fails_when_513_references_move() {
    reading_against_the_cache(1, 512, 512);
}
