//! What is written down of a walk.

use crate::liar::{Answer, Liar, Lie, with_lie};
use crate::pages::{PlainCells, WordPage};
use crate::walks::case;
use pinfold::conformance::{
    Answers, BuildPage, Case, EntryState, Fallible, Faults, Injected, MAX_ENTRIES, Machine, Reach,
    observe,
};
use pinfold::invariants::{Broken, EntryAt, EntryKind, Walk, WalkEnd};
use pinfold::pin::PinKind;
use pinfold::unmap::{Entry, FlushMode, PageTables};
use pinfold::{
    IgnorePins, Outcome, PageFlags, PinPolicy, PteFlags, SkipLongterm, SkipOpportunistic,
    SkipPinned,
};
use std::collections::BTreeSet;

/// The page in all VMAs, with entries in each.
fn shared() -> Case {
    let mut case = case();
    case.len = MAX_ENTRIES;
    case.page.maps = MAX_ENTRIES as u32;
    case
}

/// How many entries no longer map the page.
fn gone(walk: &Walk<'_>) -> usize {
    let present = |entries: &[EntryAt]| {
        entries
            .iter()
            .filter(|e| e.kind == EntryKind::Present)
            .count()
    };
    present(walk.before.entries) - present(walk.after.entries)
}

#[test]
fn a_page_reads_unpinned_where_the_policy_sees_no_pin() {
    fn reads<L: PinPolicy>(case: Case, policy: &L) -> bool {
        let observed = observe::<PlainCells, L>(&case, policy, Reach::OneVma);
        observed.unwrap().reads_unpinned()
    }
    let skip = <SkipOpportunistic>::new();
    let pinned = case().with_pin(PinKind::Short);
    let mut appearing = case();
    appearing.answers.pin_at = Some((0, PinKind::Short));
    for (case, looks, ignores) in [
        (case(), true, true),
        (pinned, false, true),
        (appearing, false, false),
    ] {
        assert_eq!(reads(case, &skip), looks);
        assert_eq!(reads(case, &SkipPinned), looks);
        assert_eq!(reads(case, &IgnorePins), ignores);
    }
    // A pin that does not count is a pin.
    assert!(!reads(pinned, &<SkipLongterm>::new()));
}

#[test]
fn entries_of_several_vmas_are_told_apart() {
    let case = shared();
    let observed = observe::<PlainCells, _>(&case, &IgnorePins, Reach::AllVmas).unwrap();
    let walk = observed.walk();
    let addresses: BTreeSet<u64> = walk.before.entries.iter().map(|e| e.address).collect();
    let areas: BTreeSet<u64> = addresses.iter().map(|address| address >> 32).collect();
    assert_eq!((addresses.len(), areas.len()), (MAX_ENTRIES, 3));
    assert!(walk.after.entries.iter().all(|e| e.kind == EntryKind::Swap));
}

#[test]
fn a_pin_appears_once_at_its_entry() {
    // Three entries in each VMA but the last.
    for (at, kind) in [
        (0, PinKind::Short),
        (2, PinKind::Longterm),
        (4, PinKind::Longterm),
        (7, PinKind::Short),
    ] {
        let mut case = shared();
        case.answers.pin_at = Some((at, kind));
        for reach in [Reach::OneVma, Reach::AllVmas] {
            let looks = observe::<WordPage, _>(&case, &<SkipOpportunistic>::new(), reach).unwrap();
            let walk = looks.walk();
            assert_eq!((walk.pin_appeared, gone(&walk)), (Some(at), at));
            let ignores = observe::<WordPage, _>(&case, &IgnorePins, reach).unwrap();
            let walk = ignores.walk();
            assert_eq!((walk.pin_appeared, gone(&walk)), (Some(at), 8));
            let longterm = u32::from(kind == PinKind::Longterm);
            assert_eq!((walk.before.pins, walk.before.longterm), (0, 0));
            assert_eq!((walk.after.pins, walk.after.longterm), (1, longterm));
        }
    }
}

#[test]
fn a_late_write_is_in_the_page_and_in_the_entry_before() {
    for (write_at, dirty) in [(None, false), (Some(1), true), (Some(7), true)] {
        let case = Case {
            entries: [PteFlags::empty(); MAX_ENTRIES],
            write_at,
            ..shared()
        };
        for reach in [Reach::OneVma, Reach::AllVmas] {
            let observed = observe::<PlainCells, _>(&case, &IgnorePins, reach).unwrap();
            let walk = observed.walk();
            assert_eq!(walk.after.page.contains(PageFlags::DIRTY), dirty);
            let written = PteFlags::DIRTY | PteFlags::YOUNG;
            let at = walk.before.entries.iter().position(|e| e.flags == written);
            assert_eq!(at, write_at);
        }
    }
}

#[test]
fn a_check_says_what_it_found() {
    let observed = observe::<PlainCells, _>(&case(), &IgnorePins, Reach::OneVma).unwrap();
    assert_eq!(observed.check_all(), Ok(()));

    let lie = Lie::Off(Answer::MapCount, 1, Some(1));
    let wrong = with_lie(lie, || {
        observe::<Liar<PlainCells>, _>(&case(), &IgnorePins, Reach::OneVma).unwrap()
    });
    let lost = Err(Broken::MapsLost { fell: 2, taken: 3 });
    assert_eq!(wrong.check_all(), lost);
}

#[test]
fn calls_are_counted_until_the_walk_ends() {
    let run = |fail, reach| {
        let case = Case { fail, ..shared() };
        observe::<PlainCells, _>(&case, &IgnorePins, reach).unwrap()
    };
    // The begin of the invalidation; each entry is found and cleared; there is no further one.
    let quiet = run(None, Reach::OneVma);
    assert_eq!(quiet.calls() as usize, 1 + 2 * MAX_ENTRIES + 1);
    let quiet = run(None, Reach::AllVmas);
    // In each VMA the same, after it is found. The page is unmapped in the last of them.
    assert_eq!(quiet.calls() as usize, 3 + 2 * MAX_ENTRIES + 2 * 3);
    let last = run(Some(quiet.calls() - 1), Reach::AllVmas).hit().unwrap();
    assert_eq!(
        (last.method, last.call),
        (Fallible::NextEntry, quiet.calls() - 1)
    );
    assert_eq!(run(Some(quiet.calls()), Reach::AllVmas).hit(), None);
}

#[test]
fn a_contended_reverse_map_ends_the_walk_with_what_is_left_in_place() {
    let run = |call| {
        let fail = Some(call);
        observe::<PlainCells, _>(&Case { fail, ..shared() }, &IgnorePins, Reach::AllVmas).unwrap()
    };
    let contended: Vec<usize> = (0..40)
        .map(run)
        .filter(|run| run.hit().is_some_and(|hit| hit.method == Fallible::NextVma))
        .map(|run| {
            assert_eq!(run.ending().how, WalkEnd::InAll(Outcome::Contended));
            assert_eq!(run.check_all(), Ok(()));
            gone(&run.walk())
        })
        .collect();
    assert_eq!(contended, [0, 3, 6], "before each of three VMAs");
}

#[test]
fn faults_fail_the_calls_that_they_name() {
    let faults = Faults::at(Some(1));
    let (method, call) = (Fallible::Clear, 1);
    let injected = Injected { method, call };
    let calls = [(); 3].map(|()| faults.call(Fallible::Clear).err());
    assert_eq!(calls, [None, Some(injected), None]);
    assert_eq!((faults.calls(), faults.hit()), (3, Some(injected)));
    assert_eq!(injected.to_string(), "injected failure of call 1, Clear");

    let none = Faults::none();
    assert!((0..100).all(|_| none.call(Fallible::Clear).is_ok()));
    assert_eq!((none.calls(), none.hit()), (100, None));
}

#[test]
fn an_entry_is_present_until_it_is_cleared_and_once_it_is_put_back() {
    for (state, kind) in [
        (EntryState::Intact, EntryKind::Present),
        (EntryState::Restored, EntryKind::Present),
        (EntryState::Cleared, EntryKind::Empty),
        (EntryState::Swap, EntryKind::Swap),
        (EntryState::Migration, EntryKind::Migration),
        (EntryState::PmdMigration, EntryKind::Migration),
        (EntryState::Poison, EntryKind::Poison),
    ] {
        assert_eq!(state.kind(), kind);
        assert_eq!(state.is_present(), kind == EntryKind::Present, "{state:?}");
    }
}

#[test]
fn a_machine_writes_where_it_is_told() {
    let page = PlainCells::build(&case().page).unwrap();
    let entries = [PteFlags::empty(); 2];
    let machine: Machine<'_, _, 2> = Machine::new(&page, 0, &entries, Answers::default());
    let mut machine = machine.with_write_at(Some(1));
    assert!(core::ptr::eq(machine.page(), &raw const page));
    let clear = |machine: &mut Machine<'_, _, 2>, address| {
        let entry = Entry {
            address,
            flags: PteFlags::empty(),
        };
        machine.clear(&entry, FlushMode::Now).unwrap().flags
    };
    assert_eq!(clear(&mut machine, 0), PteFlags::empty());
    assert_eq!(machine.written(), None);
    assert_eq!(
        clear(&mut machine, 0x1000),
        PteFlags::DIRTY | PteFlags::YOUNG
    );
    assert_eq!(machine.written(), Some(1));
}
