//! Pinned pages: what they cost, where they go, what is not kept from them.

use crate::model::sequence::EVERYTHING;
use crate::script::{Answers, Call, Page, Script};
use pinfold::pin::{PinKind, Pins, Refined};
use pinfold::reclaim::{
    ActivateReason, Fate, KeepReason, Lists, Lru, LruScan, Parking, Progress, Referenced,
    ScanControl, ScanFlags, Stats, shrink_page,
};
use pinfold::{
    IgnorePins, Outcome, PageFlags, PinPolicy, SkipLongterm, SkipOpportunistic, SkipPinned,
    Verdict, VmFlags,
};

fn control<L: PinPolicy>(policy: L, parking: Parking) -> ScanControl<L> {
    ScanControl::new(EVERYTHING)
        .with_policy(policy)
        .with_parking(parking)
}

fn shrink<'p, L: PinPolicy>(
    page: &'p Page,
    answers: Answers,
    control: &ScanControl<L>,
) -> (Fate, Stats, Script<'p>) {
    let mut script = Script::with(answers);
    let mut stats = Stats::default();
    let fate = shrink_page(&page, control, &mut script, &mut stats);
    assert!(stats.is_conserved());
    assert!(!page.locked.get());
    (fate, stats, script)
}

/// The hint costs nothing: a pinned page is locked and unlocked, and that is all.
#[test]
fn the_hint_comes_before_every_cost() {
    fn costs<L: PinPolicy>(policy: L, flags: ScanFlags, page: &Page) -> (Fate, Vec<Call>) {
        let control = ScanControl::new(EVERYTHING | flags).with_policy(policy);
        let control = control.with_parking(Parking::Rotate);
        let (fate, _, script) = shrink(page, Answers::default(), &control);
        (fate, script.calls)
    }
    for page in [
        Page::anon(),
        Page::file(),
        Page::anon().huge(512),
        Page::new(PageFlags::PAGE_CACHE | PageFlags::DIRTY),
        Page::new(PageFlags::PAGE_CACHE | PageFlags::WRITEBACK | PageFlags::RECLAIM),
        Page::new(PageFlags::PAGE_CACHE | PageFlags::PRIVATE),
        Page::new(PageFlags::PAGE_CACHE | PageFlags::UNEVICTABLE),
    ] {
        let page = page.pinned(0, 1);
        page.maps.set(100_000);
        let only = vec![Call::TryLock, Call::Unlock];
        let none = ScanFlags::empty();
        let skip = SkipOpportunistic::<Refined>::new();
        for (fate, calls) in [
            costs(skip, none, &page),
            costs(SkipPinned, none, &page),
            costs(SkipLongterm::<Refined>::new(), none, &page),
        ] {
            assert!(
                matches!(fate, Fate::Kept(KeepReason::Pinned(_))),
                "{fate:?}"
            );
            assert_eq!(calls, only);
        }
        // As with the 2020 patch: everything but the unmapping is spent on it.
        let (fate, calls) = costs(SkipPinned, ScanFlags::NO_PIN_HINT, &page);
        assert_ne!(calls, only, "{fate:?}");
    }
    let page = Page::anon().pinned(1, 0);
    let (_, calls) = costs(SkipPinned, ScanFlags::NO_PIN_HINT, &page);
    for op in [Call::Referenced, Call::AddToSwap, Call::Unmap] {
        assert!(calls.contains(&op), "{op:?}");
    }
    let page = Page::anon().pinned(1, 0);
    let (fate, _) = costs(SkipLongterm::<Refined>::new(), ScanFlags::empty(), &page);
    assert!(
        matches!(fate, Fate::Kept(KeepReason::Pinned(_))),
        "unmapped, but not freed while a short pin holds it: {fate:?}"
    );
}

/// After unmapping, the pins are asked again, before anything final.
#[test]
fn the_answer_comes_before_the_end() {
    let pins = Pins::exactly(pinfold::pin::PinCount {
        total: 1,
        longterm: Some(1),
    });
    let appeared = Verdict::Stopped(pinfold::unmap::Stop::PinAppeared(pins));
    for outcome in [
        Outcome::Skipped(pins),
        Outcome::Refused(pins),
        Outcome::StillMapped(appeared),
    ] {
        let answers = Answers {
            unmapped: outcome,
            ..Answers::default()
        };
        let page = Page::file();
        let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, Parking::Rotate));
        assert_eq!(fate, Fate::Kept(KeepReason::Pinned(pins)));
        assert_eq!(stats.unmap_fail, 0);
        let page = Page::file();
        let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, Parking::Longterm));
        assert_eq!((fate, stats.parked), (Fate::Parked(pins), 1));
    }
    // Not mapped, dirty, with buffers, pinned: with the front hint off, this is where it is found.
    let late = ScanControl::new(EVERYTHING | ScanFlags::NO_PIN_HINT).with_policy(SkipPinned);
    let swapped = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
    for flags in [
        swapped | PageFlags::DIRTY,
        PageFlags::PAGE_CACHE | PageFlags::PRIVATE,
    ] {
        let page = Page::new(flags).pinned(1, 0);
        page.maps.set(0);
        let (fate, _, script) = shrink(&page, Answers::default(), &late);
        assert!(matches!(fate, Fate::Kept(KeepReason::Pinned(_))));
        for op in [Call::WriteOut, Call::ReleaseBuffers, Call::Remove] {
            assert_eq!(script.called(op), 0, "{op:?}");
        }
    }
    // What cannot be unmapped for another reason is activated.
    let answers = Answers {
        unmapped: Outcome::NotFound,
        ..Answers::default()
    };
    let page = Page::file();
    let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, Parking::Lazy));
    assert_eq!(fate, Fate::Activated(ActivateReason::StillMapped));
    assert_eq!(stats.unmap_fail, 1);
}

/// Writing takes long: who pins the page meanwhile is heard before it is freed.
#[test]
fn a_page_that_is_pinned_while_it_is_written() {
    let answers = Answers {
        pins_written: true,
        ..Answers::default()
    };
    let page = Page::anon();
    let policy = SkipOpportunistic::<Refined>::new();
    let (fate, stats, script) = shrink(&page, answers, &control(policy, Parking::Longterm));
    assert!(matches!(fate, Fate::Parked(_)), "{fate:?}");
    assert_eq!((stats.pageout, stats.parked), (1, 1));
    assert_eq!(script.called(Call::Remove), 0);
    let page = Page::anon();
    let (fate, ..) = shrink(&page, answers, &control(IgnorePins, Parking::Longterm));
    assert_eq!(
        fate,
        Fate::Freed,
        "the freeze of the count is left to refuse"
    );
}

/// A poisoned page is taken from everybody, pinned or not; it is only not given back.
#[test]
fn a_poisoned_page_is_never_hindered() {
    let poisoned = PageFlags::PAGE_CACHE | PageFlags::HWPOISON;
    let page = Page::new(poisoned).pinned(0, 1);
    let policy = SkipOpportunistic::<Refined>::new();
    let (fate, _, script) = shrink(&page, Answers::default(), &control(policy, Parking::Rotate));
    assert_eq!(script.called(Call::Unmap), 1);
    assert_eq!(page.maps.get(), 0);
    assert_eq!(script.called(Call::Remove), 0, "a pinned page is not freed");
    assert!(
        matches!(fate, Fate::Kept(KeepReason::Pinned(_))),
        "{fate:?}"
    );
    let active = Page::new(poisoned | PageFlags::ACTIVE).pinned(0, 1);
    let (aged, script, _) = age(&active, Answers::default(), &control(policy, Parking::Lazy));
    assert_eq!(
        (aged, script.lists[Lru::InactiveFile as usize].len()),
        (Aged::Deactivated, 1)
    );
}

/// What became of an active page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aged {
    Deactivated,
    Rotated,
    Pinned,
    Parked,
}

/// Scans an active list with this page.
fn age<'p, L: PinPolicy>(
    page: &'p Page,
    answers: Answers,
    control: &ScanControl<L>,
) -> (Aged, Script<'p>, Stats) {
    let mut script = Script::with(answers);
    script.list(core::slice::from_ref(page));
    let mut scan = LruScan::new(1);
    let _ = scan.step(&mut script, control, 1);
    let stats = *scan.stats();
    assert!(stats.is_conserved());
    assert_eq!(stats.refilled, u64::from(page.size.get()));
    let listed: usize = script.lists.iter().map(|list| list.len()).sum();
    assert_eq!(listed + script.parked.len(), 1, "it is in one place");
    let aged = [
        (stats.deactivated, Aged::Deactivated),
        (stats.rotated, Aged::Rotated),
        (stats.active_pinned, Aged::Pinned),
        (stats.active_parked, Aged::Parked),
    ];
    let aged = aged.into_iter().find(|&(pages, _)| pages > 0);
    (aged.unwrap().1, script, stats)
}

#[test]
fn ageing() {
    let policy = SkipOpportunistic::<Refined>::new();
    let file = PageFlags::PAGE_CACHE | PageFlags::ACTIVE;
    let anon = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::ACTIVE;
    let used = |entries, vma| Answers {
        referenced: Referenced { entries, vma },
        ..Answers::default()
    };
    let exec = VmFlags::EXEC;
    for (flags, answers, expected) in [
        (file, used(0, exec), Aged::Deactivated),
        (file, used(1, VmFlags::empty()), Aged::Deactivated),
        (file, used(1, exec), Aged::Rotated),
        (anon, used(1, exec), Aged::Deactivated),
        (file | PageFlags::UNEVICTABLE, used(0, exec), Aged::Rotated),
    ] {
        let page = Page::new(flags);
        let (aged, script, stats) = age(&page, answers, &control(policy, Parking::Lazy));
        assert_eq!(aged, expected, "{flags:?}");
        let to = Lru::of(page.flags.get());
        assert_eq!(to.is_active(), aged == Aged::Rotated);
        assert_eq!(script.lists[to as usize].len(), 1);
        let rotated = u64::from(aged == Aged::Rotated);
        assert_eq!((stats.deactivated, stats.rotated), (1 - rotated, rotated));
    }
    // Pinned ones are not even asked whether they are in use.
    let page = Page::new(file).pinned(0, 1);
    let (aged, script, stats) = age(&page, used(0, exec), &control(policy, Parking::Rotate));
    assert_eq!((aged, stats.active_pinned), (Aged::Pinned, 1));
    assert_eq!(
        (
            script.calls.len(),
            script.lists[Lru::ActiveFile as usize].len()
        ),
        (0, 1)
    );
    let (aged, script, stats) = age(&page, used(0, exec), &control(policy, Parking::Longterm));
    assert_eq!((aged, stats.active_parked), (Aged::Parked, 1));
    assert_eq!((script.calls.len(), script.parked.len()), (0, 1));
    let refuses = Answers {
        parks: false,
        ..used(0, exec)
    };
    let (aged, _, stats) = age(&page, refuses, &control(policy, Parking::Longterm));
    assert_eq!((aged, stats.active_parked), (Aged::Pinned, 0));
    let (aged, ..) = age(&page, used(0, exec), &control(IgnorePins, Parking::Lazy));
    assert_eq!(aged, Aged::Deactivated);
    let page = Page::new(file).pinned(0, 1);
    let late = ScanControl::new(EVERYTHING | ScanFlags::NO_PIN_HINT).with_policy(SkipPinned);
    let (aged, ..) = age(&page, used(0, exec), &late);
    assert_eq!(aged, Aged::Deactivated, "the 2020 patch does not ask here");
}

#[test]
fn where_pinned_pages_go() {
    let none = Pins::None.longterm();
    assert_eq!(none, Some(0));
    let maybe = Pins::Maybe {
        estimate: 3,
        longterm: None,
    };
    for (short, longterm, eager, lazy, by_kind) in [
        (1, 0, true, true, false),
        (1, 1, true, true, true),
        (0, 7, true, true, true),
    ] {
        let parks = |parking: &dyn Fn(Pins) -> bool| {
            let count = Page::file().pinned(short, longterm).pins.get();
            parking(Pins::exactly(count))
        };
        assert_eq!(parks(&|pins| Parking::Eager.parks_on_scan(pins)), eager);
        assert_eq!(parks(&|pins| Parking::Lazy.parks_on_scan(pins)), lazy);
        assert_eq!(
            parks(&|pins| Parking::Longterm.parks_on_scan(pins)),
            by_kind
        );
        assert!(!parks(&|pins| Parking::Rotate.parks_on_scan(pins)));
    }
    assert!(
        !Parking::Longterm.parks_on_scan(maybe),
        "not counted by kind"
    );
    assert!(Parking::Lazy.parks_on_scan(maybe) && Parking::Eager.parks_on_scan(maybe));
    for kind in [PinKind::Short, PinKind::Longterm] {
        for parking in [
            Parking::Rotate,
            Parking::Longterm,
            Parking::Lazy,
            Parking::Eager,
        ] {
            assert_eq!(parking.parks_on_pin(kind), parking == Parking::Eager);
        }
    }
    assert_eq!(Parking::default(), Parking::Longterm);
}

/// A page that cannot be parked is kept, and counted as such.
#[test]
fn a_page_that_is_handed_back_stays() {
    let pages = vec![Page::file().pinned(0, 1); 3];
    let mut script = Script::with(Answers {
        parks: false,
        ..Answers::default()
    });
    script.list(&pages);
    let mut scan = LruScan::new(1);
    let control = ScanControl::new(EVERYTHING).with_parking(Parking::Lazy);
    assert_eq!(scan.run(&mut script, &control), Progress::Exhausted);
    let stats = scan.stats();
    assert!(stats.is_conserved());
    assert_eq!(
        (stats.parked, stats.kept_for(KeepReason::Pinned(Pins::None))),
        (0, stats.scanned)
    );
    assert_eq!(
        (
            script.pages(Lru::InactiveFile),
            scan.pinned_on(Lru::InactiveFile)
        ),
        (3, 3)
    );
}

/// Unmapping for reclaim says that it is opportunistic, unless the policy never reads pins.
#[test]
fn what_the_walk_is_told() {
    use pinfold::UnmapFlags as Flags;
    fn told<L: PinPolicy>(policy: L) -> Flags {
        let page = Page::file();
        let control = ScanControl::new(EVERYTHING).with_policy(policy);
        let control = control.with_unmap_flags(Flags::IGNORE_ACCESS).unwrap();
        let (fate, _, script) = shrink(&page, Answers::default(), &control);
        assert_eq!(fate, Fate::Freed);
        script.unmap_flags
    }
    let linux = Flags::BATCH_FLUSH | Flags::IGNORE_ACCESS;
    assert_eq!(told(IgnorePins), linux);
    let ours = linux | Flags::OPPORTUNISTIC;
    assert_eq!(told(SkipPinned), ours);
    assert_eq!(told(SkipOpportunistic::<Refined>::new()), ours);
    let unknown = Flags::from_bits_retain(1 << 20);
    assert!(
        ScanControl::new(EVERYTHING)
            .with_unmap_flags(unknown)
            .is_err()
    );
}
