//! Pinned pages: what they cost, where they go, what is not kept from them.

use crate::model::sequence::EVERYTHING;
use crate::script::{Answers, Page, Script};
use pinfold::pin::{PinKind, Pins, Refined};
use pinfold::reclaim::{
    ActivateReason, Fate, KeepReason, Lists, Lru, LruScan, OnPin, PageOp, ParkEagerly, ParkLazily,
    ParkLongterm, ParkPolicy, Progress, Referenced, Refill, Rotate, ScanControl, ScanFlags, Stats,
    age_page, shrink_page,
};
use pinfold::{
    FlushDebt, IgnorePins, Outcome, PageFlags, PinPolicy, Reason, SkipLongterm, SkipOpportunistic,
    SkipPinned, Verdict, VmFlags,
};

fn control<L: PinPolicy, K: ParkPolicy>(policy: L, parking: K) -> ScanControl<L, K> {
    ScanControl::new(EVERYTHING)
        .with_policy(policy)
        .with_parking(parking)
}

fn shrink<'p, L: PinPolicy, K: ParkPolicy>(
    page: &'p Page,
    answers: Answers,
    control: &ScanControl<L, K>,
) -> (Fate, Stats, Script<'p>) {
    let mut script = Script::with(answers);
    let (mut stats, mut flush) = (Stats::default(), FlushDebt::none());
    let fate = shrink_page(&page, control, &mut script, &mut flush, &mut stats).unwrap();
    assert!(stats.is_conserved());
    assert!(!page.locked.get());
    flush.ignore();
    (fate, stats, script)
}

/// The hint costs nothing: a pinned page is locked and unlocked, and that is all.
#[test]
fn the_hint_comes_before_every_cost() {
    fn costs<L: PinPolicy>(policy: L, flags: ScanFlags, page: &Page) -> (Fate, Vec<PageOp>) {
        let control = ScanControl::new(EVERYTHING | flags).with_policy(policy);
        let control = control.with_parking(Rotate);
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
        let only = vec![PageOp::TryLock, PageOp::Unlock];
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
    for op in [PageOp::Referenced, PageOp::AddToSwap, PageOp::Unmap] {
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
        Outcome::StillMapped(Reason::InVma(appeared)),
    ] {
        let answers = Answers {
            unmapped: outcome,
            ..Answers::default()
        };
        let page = Page::file();
        let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, Rotate));
        assert_eq!(fate, Fate::Kept(KeepReason::Pinned(pins)));
        assert_eq!(stats.unmap_fail, 0);
        let page = Page::file();
        let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, ParkLongterm));
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
        for op in [PageOp::WriteOut, PageOp::ReleaseBuffers, PageOp::Remove] {
            assert_eq!(script.called(op), 0, "{op:?}");
        }
    }
    // What cannot be unmapped for another reason is activated.
    let answers = Answers {
        unmapped: Outcome::StillMapped(Reason::NotFound),
        ..Answers::default()
    };
    let page = Page::file();
    let (fate, stats, _) = shrink(&page, answers, &control(SkipPinned, ParkLazily));
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
    let (fate, stats, script) = shrink(&page, answers, &control(policy, ParkLongterm));
    assert!(matches!(fate, Fate::Parked(_)), "{fate:?}");
    assert_eq!((stats.pageout, stats.parked), (1, 1));
    assert_eq!(script.called(PageOp::Remove), 0);
    let page = Page::anon();
    let (fate, ..) = shrink(&page, answers, &control(IgnorePins, ParkLongterm));
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
    let (fate, _, script) = shrink(&page, Answers::default(), &control(policy, Rotate));
    assert_eq!(script.called(PageOp::Unmap), 1);
    assert_eq!(page.maps.get(), 0);
    assert_eq!(
        script.called(PageOp::Remove),
        0,
        "a pinned page is not freed"
    );
    assert!(
        matches!(fate, Fate::Kept(KeepReason::Pinned(_))),
        "{fate:?}"
    );
    let active = Page::new(poisoned | PageFlags::ACTIVE).pinned(0, 1);
    let (refill, script, _) = age(&active, Answers::default(), &control(policy, ParkLazily));
    assert_eq!(
        (refill, script.lists[Lru::InactiveFile as usize].len()),
        (Refill::Deactivate, 1)
    );
}

fn age<'p, L: PinPolicy, K: ParkPolicy>(
    page: &'p Page,
    answers: Answers,
    control: &ScanControl<L, K>,
) -> (Refill, Script<'p>, Stats) {
    let mut script = Script::with(answers);
    let mut stats = Stats::default();
    let list = Lru::of(page.flags.get());
    let refill = age_page(list, page, control, &mut script, &mut stats).unwrap();
    assert!(stats.is_conserved());
    assert_eq!(stats.refilled, u64::from(page.size.get()));
    let listed: usize = script.lists.iter().map(|list| list.len()).sum();
    assert_eq!(listed + script.parked.len(), 1, "it is in one place");
    (refill, script, stats)
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
        (file, used(0, exec), Refill::Deactivate),
        (file, used(1, VmFlags::empty()), Refill::Deactivate),
        (file, used(1, exec), Refill::Rotate),
        (anon, used(1, exec), Refill::Deactivate),
        (file | PageFlags::UNEVICTABLE, used(0, exec), Refill::Rotate),
    ] {
        let page = Page::new(flags);
        let (refill, script, stats) = age(&page, answers, &control(policy, ParkLazily));
        assert_eq!(refill, expected, "{flags:?}");
        let to = Lru::of(page.flags.get());
        assert_eq!(to.is_active(), refill == Refill::Rotate);
        assert_eq!(script.lists[to as usize].len(), 1);
        let rotated = u64::from(refill == Refill::Rotate);
        assert_eq!((stats.deactivated, stats.rotated), (1 - rotated, rotated));
    }
    // Pinned ones are not even asked whether they are in use.
    let page = Page::new(file).pinned(0, 1);
    let (refill, script, stats) = age(&page, used(0, exec), &control(policy, Rotate));
    assert_eq!((refill, stats.active_pinned), (Refill::Pinned, 1));
    assert_eq!(
        (
            script.calls.len(),
            script.lists[Lru::ActiveFile as usize].len()
        ),
        (0, 1)
    );
    let (refill, script, stats) = age(&page, used(0, exec), &control(policy, ParkLongterm));
    assert_eq!((refill, stats.active_parked), (Refill::Park, 1));
    assert_eq!((script.calls.len(), script.parked.len()), (0, 1));
    let refuses = Answers {
        parks: false,
        ..used(0, exec)
    };
    let (refill, _, stats) = age(&page, refuses, &control(policy, ParkLongterm));
    assert_eq!((refill, stats.active_parked), (Refill::Pinned, 0));
    let (refill, ..) = age(&page, used(0, exec), &control(IgnorePins, ParkLazily));
    assert_eq!(refill, Refill::Deactivate);
    let page = Page::new(file).pinned(0, 1);
    let late = ScanControl::new(EVERYTHING | ScanFlags::NO_PIN_HINT).with_policy(SkipPinned);
    let (refill, ..) = age(&page, used(0, exec), &late);
    assert_eq!(
        refill,
        Refill::Deactivate,
        "the 2020 patch does not ask here"
    );
}

#[test]
fn an_aged_page_whose_operation_fails_is_back() {
    for op in [PageOp::Referenced, PageOp::Update] {
        let page = Page::new(PageFlags::PAGE_CACHE | PageFlags::ACTIVE);
        let mut script = Script::with(Answers {
            fails: Some(op),
            ..Answers::default()
        });
        let mut stats = Stats::default();
        let control = ScanControl::new(EVERYTHING);
        let aged = age_page(Lru::ActiveFile, &page, &control, &mut script, &mut stats);
        assert!(aged.is_err());
        assert_eq!(script.lists[Lru::ActiveFile as usize].len(), 1);
        assert_eq!((stats.rotated, stats.is_conserved()), (1, true));
    }
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
        use pinfold::reclaim::OnScan::Park;
        assert_eq!(parks(&|pins| ParkEagerly.on_scan(pins) == Park), eager);
        assert_eq!(parks(&|pins| ParkLazily.on_scan(pins) == Park), lazy);
        assert_eq!(parks(&|pins| ParkLongterm.on_scan(pins) == Park), by_kind);
        assert!(!parks(&|pins| Rotate.on_scan(pins) == Park));
        assert_eq!(
            ParkPolicy::on_scan(&&ParkLongterm, maybe),
            pinfold::reclaim::OnScan::Rotate
        );
    }
    for kind in [PinKind::Short, PinKind::Longterm] {
        assert_eq!(ParkPolicy::on_pin(&&ParkEagerly, kind), OnPin::Park);
        assert_eq!(ParkLazily.on_pin(kind), OnPin::Stay);
        assert_eq!(ParkLongterm.on_pin(kind), OnPin::Stay);
        assert_eq!(ParkPolicy::on_pin(&&Rotate, kind), OnPin::Stay);
    }
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
    let control = ScanControl::new(EVERYTHING).with_parking(ParkLazily);
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
