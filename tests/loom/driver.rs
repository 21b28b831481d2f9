//! A pinner without locks against the walk itself: what `try_to_unmap_one` does between clearing an
//! entry and letting it go.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use pinfold::pin::race::pin_fast;
use pinfold::pin::{BiasedRefs, PinKind, Released};
use pinfold::unmap::Stop;
use pinfold::{
    Cleared, Entry, FlushDebt, FlushMode, NewEntry, PageFlags, PageLike, PageTables, PinPolicy,
    PlainVma, PteFlags, SkipOpportunistic, SkipPinned, UnmapFlags, UnmapRequest, Verdict, VmFlags,
    try_to_unmap_one,
};
use std::convert::Infallible;

const MAPPED: usize = 1;
const CLEARED: usize = 0;
const ADDRESS: u64 = 0x1000;

/// A file page with one mapping, and its entry.
struct Scene {
    refs: BiasedRefs,
    entry: AtomicUsize,
}

impl PageLike for Scene {
    fn flags(&self) -> PageFlags {
        PageFlags::PAGE_CACHE
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        1
    }
}

struct Walk<'a> {
    scene: &'a Scene,
    over: bool,
    taken: u32,
}

impl PageTables for Walk<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let first = !std::mem::replace(&mut self.over, true);
        let mapped = first && self.scene.entry.load(Ordering::Acquire) == MAPPED;
        Ok(mapped.then_some(Entry {
            address: ADDRESS,
            flags: PteFlags::empty(),
        }))
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }
    fn clear(&mut self, _: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        self.scene.entry.swap(CLEARED, Ordering::AcqRel);
        Ok(Cleared {
            flags: PteFlags::empty(),
            deferred: false,
        })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        assert_eq!(new, NewEntry::Restored(PteFlags::empty()));
        self.scene.entry.store(MAPPED, Ordering::Release);
    }
    fn set_page_dirty(&mut self) {}
    fn remove_rmap(&mut self, _: &Entry) {
        let _ = self.scene.refs.put_ref().unwrap();
        self.taken += 1;
    }
}

fn race<L: PinPolicy + 'static>(policy: fn() -> L) {
    loom::model(move || {
        // The mapping's, the cache's, the unmapper's own.
        let scene = Arc::new(Scene {
            refs: BiasedRefs::new(3),
            entry: AtomicUsize::new(MAPPED),
        });
        let other = scene.clone();
        let pinner = thread::spawn(move || {
            let entry = || other.entry.load(Ordering::Acquire);
            let seen = entry();
            seen == MAPPED && pin_fast(&other.refs, PinKind::Short, seen, entry).is_ok()
        });

        let vma = PlainVma {
            flags: VmFlags::empty(),
            range: ADDRESS..2 * ADDRESS,
        };
        let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
        let mut walk = Walk {
            scene: &scene,
            over: false,
            taken: 0,
        };
        let request = request.with_policy(policy());
        let mut debt = FlushDebt::none();
        let verdict =
            try_to_unmap_one(&*scene, &vma, ADDRESS, &request, &mut walk, &mut debt).unwrap();
        assert!(debt.is_none());
        let pinned = pinner.join().unwrap();

        let mapped = scene.entry.load(Ordering::Acquire) == MAPPED;
        assert!(!pinned || mapped, "a pinned page lost its entry");
        match verdict {
            Verdict::Done => assert_eq!((walk.taken, mapped), (1, false)),
            Verdict::SkipPage(_) | Verdict::NextVma(_) | Verdict::Stopped(Stop::PinAppeared(_)) => {
                assert_eq!((walk.taken, mapped), (0, true));
            }
            other => panic!("{other:?}"),
        }
        if pinned {
            assert_eq!(
                scene.refs.unpin().map(|_| Released::Done),
                Ok(Released::Done)
            );
        }
        assert_eq!(
            scene.refs.get(),
            2 + i32::from(mapped),
            "a reference was lost"
        );
    });
}

#[test]
fn pin_against_walk() {
    race(<SkipOpportunistic>::new);
}

/// The patch to the letter asks once, before the walk.
#[test]
#[should_panic(expected = "a pinned page lost its entry")]
fn pin_against_walk_without_the_second_look() {
    race(|| SkipPinned);
}
