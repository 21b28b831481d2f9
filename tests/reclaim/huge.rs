//! Huge pages, and pages whose lock, buffers or last reference take an unusual way.

use crate::model::sequence::EVERYTHING;
use crate::script::{Answers, Call, Page, Script};
use pinfold::pin::{Pins, Released};
use pinfold::reclaim::{
    ActivateReason, Fate, KeepReason, LruScan, PageOut, ScanControl, ScanFlags, Stats, shrink_page,
};
use pinfold::{Attempt, PageFlags, UnmapFlags};

type Shrunk<'p> = (Fate, Stats, Script<'p>);

fn shrink(page: &Page, answers: Answers, flags: ScanFlags) -> Shrunk<'_> {
    let mut script = Script::with(answers);
    let mut stats = Stats::default();
    let control = ScanControl::new(flags);
    let fate = shrink_page(&page, &control, &mut script, &mut stats);
    assert!(!page.locked.get());
    assert!(stats.is_conserved(), "{stats:?}");
    (fate, stats, script)
}

const SIZE: u32 = 512;

#[test]
fn a_split_page_counts_as_one() {
    let no_swap = Answers {
        swap: [Attempt::Refused, Attempt::Done],
        pmd_mapped: true,
        ..Answers::default()
    };
    // Not mapped by a PMD: split first. Swap has no room: split, and try again.
    for (answers, splits, swaps) in [(Answers::default(), 1, 1), (no_swap, 1, 2)] {
        let page = Page::anon().huge(SIZE);
        let (fate, stats, script) = shrink(&page, answers, EVERYTHING);
        assert_eq!(fate, Fate::Freed);
        assert_eq!((stats.scanned, stats.freed, stats.pageout), (1, 1, 1));
        let called = (script.called(Call::Split), script.called(Call::AddToSwap));
        assert_eq!(called, (splits, swaps));
        assert!(!script.unmap_flags.contains(UnmapFlags::SPLIT_HUGE_PMD));
    }
    // Whole.
    let whole = Answers {
        pmd_mapped: true,
        ..Answers::default()
    };
    let page = Page::anon().huge(SIZE);
    let (fate, stats, script) = shrink(&page, whole, EVERYTHING);
    assert_eq!(fate, Fate::Freed);
    let all = u64::from(SIZE);
    assert_eq!((stats.scanned, stats.freed, stats.pageout), (all, all, all));
    assert!(script.unmap_flags.contains(UnmapFlags::SPLIT_HUGE_PMD));
    // Split, and then there is no room even for one.
    let none = Answers {
        swap: [Attempt::Refused; 2],
        pmd_mapped: true,
        ..Answers::default()
    };
    let page = Page::anon().huge(SIZE);
    let (fate, stats, _) = shrink(&page, none, EVERYTHING);
    assert_eq!(fate, Fate::Activated(ActivateReason::NoSwap));
    assert_eq!(
        (stats.scanned, stats.activated, stats.activate_anon),
        (1, 1, 1)
    );
    // Cannot be split: it counts whole.
    for (can_split, split) in [(false, Attempt::Done), (true, Attempt::Refused)] {
        let stuck = Answers {
            can_split,
            split,
            ..Answers::default()
        };
        let page = Page::anon().huge(SIZE);
        let (fate, stats, _) = shrink(&page, stuck, EVERYTHING);
        assert_eq!(fate, Fate::Activated(ActivateReason::CannotSplit));
        assert_eq!((stats.scanned, stats.activated), (all, all));
        let page = Page::file().huge(SIZE);
        let (fate, stats, _) = shrink(&page, stuck, EVERYTHING);
        if split == Attempt::Refused {
            assert_eq!(fate, Fate::Kept(KeepReason::SplitFailed));
            assert_eq!((stats.scanned, stats.kept), (all, all));
        } else {
            assert_eq!(fate, Fate::Freed);
            assert_eq!((stats.scanned, stats.freed), (1, 1));
        }
    }
}

/// Whatever fails after the split, what is counted is what is left of the page.
#[test]
fn a_split_page_counts_as_one_when_it_fails() {
    let freed = Answers::default();
    let failed = Answers {
        unmap_fails: true,
        ..freed
    };
    let unwritten = Answers {
        written: PageOut::Keep,
        ..freed
    };
    let held = Answers {
        removed: Attempt::Refused,
        ..freed
    };
    for (answers, reason) in [
        (failed, KeepReason::Failed),
        (unwritten, KeepReason::NotWritten),
        (held, KeepReason::Held),
    ] {
        let page = Page::anon().huge(SIZE);
        let (fate, stats, script) = shrink(&page, answers, EVERYTHING);
        assert_eq!(fate, Fate::Kept(reason));
        assert_eq!((stats.scanned, stats.kept_for(reason)), (1, 1));
        assert_eq!(script.failures, u64::from(reason == KeepReason::Failed));
    }
}

/// A page of several base pages that is no THP is not taken for a split one.
#[test]
fn other_large_pages_count_whole() {
    let page = Page::file();
    page.size.set(8);
    let (fate, stats, script) = shrink(&page, Answers::default(), EVERYTHING);
    assert_eq!(fate, Fate::Freed);
    assert_eq!((stats.scanned, stats.freed), (8, 8));
    assert_eq!(script.called(Call::Split), 0);
}

#[test]
fn a_page_that_only_its_buffers_held() {
    let orphan = || {
        let page = Page::new(PageFlags::PRIVATE);
        page.maps.set(0);
        page.refs.set(1);
        page
    };
    for (left, fate) in [(Released::Free, Fate::Freed), (Released::Done, Fate::Raced)] {
        let answers = Answers {
            left: Some(left),
            ..Answers::default()
        };
        let page = orphan();
        let (found, stats, script) = shrink(&page, answers, EVERYTHING);
        assert_eq!(found, fate);
        let last = left == Released::Free;
        assert_eq!(
            (stats.freed, stats.raced),
            (u64::from(last), u64::from(!last))
        );
        assert_eq!(stats.reclaimed(), 1);
        let end = [Call::ReleaseBuffers, Call::Unlock, Call::PutLast];
        assert_eq!(script.calls[script.calls.len() - 3..], end);
    }
    // An embedder that cannot drop it keeps it.
    let answers = Answers {
        left: None,
        ..Answers::default()
    };
    let page = orphan();
    let (fate, stats, _) = shrink(&page, answers, EVERYTHING);
    assert_eq!(fate, Fate::Kept(KeepReason::NoMapping));
    assert_eq!((stats.reclaimed(), page.locked.get()), (0, false));
    let stay = Answers {
        buffers: Attempt::Refused,
        ..Answers::default()
    };
    let (fate, ..) = shrink(&orphan(), stay, EVERYTHING);
    assert_eq!(fate, Fate::Activated(ActivateReason::Buffers));
}

/// A writeback that never ends is given up.
#[test]
fn waiting_is_bounded() {
    let marked = PageFlags::PAGE_CACHE | PageFlags::WRITEBACK | PageFlags::RECLAIM;
    let page = Page::new(marked);
    let (fate, stats, script) = shrink(&page, Answers::default(), EVERYTHING);
    assert_eq!(fate, Fate::Kept(KeepReason::Writeback));
    let waits = script.called(Call::WaitForWriteback);
    assert!((2..100).contains(&waits));
    assert_eq!(
        (stats.scanned, stats.rescanned),
        (waits as u64 + 1, waits as u64)
    );
    assert!(!page.locked.get());
}

#[test]
fn a_page_that_is_not_written_stays() {
    for (written, fate) in [
        (PageOut::Keep, Fate::Kept(KeepReason::NotWritten)),
        (
            PageOut::Activate,
            Fate::Activated(ActivateReason::NotWritten),
        ),
    ] {
        let answers = Answers {
            written,
            ..Answers::default()
        };
        let page = Page::anon();
        let (found, stats, script) = shrink(&page, answers, EVERYTHING);
        assert_eq!(found, fate);
        assert_eq!((stats.pageout, script.called(Call::Remove)), (0, 0));
        // Only one that is activated gives its swap slot back.
        let freed = usize::from(written == PageOut::Activate);
        assert_eq!(script.called(Call::FreeSwap), freed);
    }
}

/// A page that was split and then cannot be parked is one page, and kept.
#[test]
fn a_split_page_that_cannot_be_parked() {
    let answers = Answers {
        parks: false,
        pins_written: true,
        ..Answers::default()
    };
    let pages = [Page::anon().huge(SIZE)];
    let mut script = Script::with(answers);
    script.list(&pages);
    let mut scan = LruScan::new(1);
    let control = ScanControl::new(EVERYTHING);
    while scan.stats().scanned == 0 {
        let _ = scan.step(&mut script, &control, 1);
    }
    let stats = scan.stats();
    assert!(stats.is_conserved(), "{stats:?}");
    assert_eq!((stats.scanned, stats.parked, stats.kept), (1, 0, 1));
    assert_eq!(stats.kept_for(KeepReason::Pinned(Pins::None)), 1);
}

/// A page that waited for its writeback and was split then counts with what it was each time.
#[test]
fn a_page_that_is_split_after_it_was_waited_for() {
    let marked = PageFlags::PAGE_CACHE | PageFlags::WRITEBACK | PageFlags::RECLAIM;
    let page = Page::new(marked).huge(SIZE);
    let answers = Answers {
        writeback_ends: true,
        ..Answers::default()
    };
    let (fate, stats, _) = shrink(&page, answers, EVERYTHING);
    assert_eq!(fate, Fate::Freed);
    let whole = u64::from(SIZE);
    assert_eq!(
        (stats.scanned, stats.rescanned, stats.freed),
        (whole + 1, whole, 1)
    );
}

/// Statistics that are full stay conserved: nothing is taken off a counter again.
#[test]
fn a_split_takes_nothing_off_a_full_counter() {
    let mut stats = Stats::default();
    let mut script = Script::default();
    stats.scanned = u64::MAX;
    stats.freed = u64::MAX;
    let page = Page::anon().huge(SIZE);
    let control = ScanControl::new(EVERYTHING);
    let fate = shrink_page(&&page, &control, &mut script, &mut stats);
    assert_eq!(fate, Fate::Freed);
    assert_eq!((stats.scanned, stats.freed), (u64::MAX, u64::MAX));
}
