//! The refined reading while mappings come and go.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use loom::thread;
use pinfold::pin::refined_estimate;
use pinfold::{PageFlags, PageLike, RefCounts};

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

/// As the crate reads them.
fn twice(page: &Counted) -> RefCounts {
    RefCounts::of(page, page.snapshot())
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
