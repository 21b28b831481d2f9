//! What one mapping's walk decides: gate, look, replacement, and what follows from it.

use crate::table::{State, Table, every_state};
use pinfold::unmap::decide::{self, Look, Replacement, TakeKind};
use pinfold::unmap::{FlushMode, NewEntry};
use pinfold::{CounterDelta, PageFlags, PteFlags, Verdict};

#[test]
fn gate() {
    let table = Table::new(
        "munlock !locked            -> not locked
         migration device !private  -> not migratable
                                    -> walk",
    );
    let states = every_state(table.names(), |state| {
        let said = match decide::gate(state.request(), state.vma(), state.page()) {
            Some(Verdict::NotLocked) => "not locked",
            Some(Verdict::NotMigratable) => "not migratable",
            None => "walk",
            _ => "unknown",
        };
        assert_eq!(said, table.first(state), "{}", state.describe());
    });
    println!("gate: {states} states");
}

#[test]
fn look() {
    let table = Table::new(
        "pmd migration split                 -> wrong: UnexpectedPmd
         pmd migration hugetlb               -> wrong: UnexpectedPmd
         pmd migration !thp                  -> wrong: UnexpectedPmd
         pmd migration                       -> pmd
         !ignore_mlock locked thp            -> stop, mlocked
         !ignore_mlock locked hugetlb        -> stop, mlocked
         !ignore_mlock locked                -> stop, mlock the page
         !ignore_mlock munlock               -> next entry
         pmd                                 -> wrong: UnexpectedPmd
         hugetlb !rmap_locked                -> wrong: HugetlbNotRmapLocked
         migration device                    -> device
                                             -> base",
    );
    let base = Table::new(
        "hugetlb         -> un-share
         !ignore_access  -> young
         batch           -> flush later
         !batch          -> flush",
    );
    let device = Table::new("hugetlb -> un-share");
    let matter = table.names() | base.names();
    let states = every_state(matter, |state| {
        let mut expected = table.first(state).to_owned();
        expected = match expected.as_str() {
            "base" => format!("take base: {}", base.all(state)),
            "device" => format!("take device: {}", device.all(state)),
            "pmd" => "take pmd: flush".to_owned(),
            _ => expected,
        };
        let look = decide::look(state.request(), state.vma(), state.page(), state.entry());
        let said = match look {
            Look::Mlocked { mlock_page: true } => "stop, mlock the page".to_owned(),
            Look::Mlocked { mlock_page: false } => "stop, mlocked".to_owned(),
            Look::NextEntry => "next entry".to_owned(),
            Look::Wrong(what) => format!("wrong: {what:?}"),
            Look::Take {
                kind,
                unshare,
                test_young,
                flush,
            } => taken(kind, unshare, test_young, flush),
            _ => "unknown".to_owned(),
        };
        assert_eq!(said, expected, "{}", state.describe());
    });
    println!("look: {states} states");
}

fn taken(kind: TakeKind, unshare: bool, test_young: bool, flush: FlushMode) -> String {
    let kind = match kind {
        TakeKind::Base => "base",
        TakeKind::Pmd => "pmd",
        TakeKind::DevicePrivate => "device",
        _ => "unknown",
    };
    let mut steps = Vec::new();
    if unshare {
        steps.push("un-share");
    }
    if test_young {
        steps.push("young");
    }
    match flush {
        FlushMode::Now => steps.push("flush"),
        FlushMode::MayDefer => steps.push("flush later"),
        FlushMode::NotNeeded => {}
    }
    format!("take {kind}: {}", steps.join(", "))
}

const REPLACE: &str = "
    poisoned !ignore_poison               -> poison
    unused !uffd                          -> unused
    migration                             -> migration
    freeze                                -> migration
    !anon                                 -> file
    swap_backed !swap_cache               -> inconsistent
    !swap_backed swap_cache               -> inconsistent
    !swap_backed dirty                    -> keep
    !swap_backed                          -> discard
                                          -> swap";

const CARRIED_BY_MIGRATION: &str = "
    writable     -> writable
    soft_dirty   -> soft-dirty
    uffd_wp      -> uffd-wp";

const CARRIED_BY_SWAP: &str = "
    soft_dirty   -> soft-dirty
    uffd_wp      -> uffd-wp";

fn bits(bits: PteFlags) -> String {
    let mut names = Vec::new();
    for (bit, name) in [
        (PteFlags::WRITABLE, "writable"),
        (PteFlags::SOFT_DIRTY, "soft-dirty"),
        (PteFlags::UFFD_WP, "uffd-wp"),
    ] {
        if bits.contains(bit) {
            names.push(name);
        }
    }
    assert_eq!(bits & !PteFlags::MIGRATION_CARRIES, PteFlags::empty());
    names.join(", ")
}

fn named(replacement: Replacement) -> String {
    match replacement {
        Replacement::Poison => "poison".to_owned(),
        Replacement::Unused => "unused".to_owned(),
        Replacement::Migration(with) => format!("migration: {}", bits(with)),
        Replacement::PmdMigration(with) => format!("pmd migration: {}", bits(with)),
        Replacement::DevicePrivate(with) => format!("device: {}", bits(with)),
        Replacement::Swap(with) => format!("swap: {}", bits(with)),
        Replacement::DiscardLazyfree => "discard".to_owned(),
        Replacement::KeepLazyfree => "keep".to_owned(),
        Replacement::InconsistentAnon => "inconsistent".to_owned(),
        Replacement::File => "file".to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[test]
fn replace() {
    let table = Table::new(REPLACE);
    let migration = Table::new(CARRIED_BY_MIGRATION);
    let swap = Table::new(CARRIED_BY_SWAP);
    let states = every_state(table.names() | migration.names(), |state| {
        let (request, vma, page) = (state.request(), state.vma(), state.page());
        let expected = match table.first(state) {
            "migration" => format!("migration: {}", migration.all(state)),
            "swap" => format!("swap: {}", swap.all(state)),
            other => other.to_owned(),
        };
        let of = |kind| named(decide::replace(kind, request, vma, page, state.entry()));
        assert_eq!(of(TakeKind::Base), expected, "{}", state.describe());
        let pmd = format!("pmd migration: {}", migration.all(state));
        assert_eq!(of(TakeKind::Pmd), pmd, "{}", state.describe());
        let device = format!("device: {}", swap.all(state));
        assert_eq!(of(TakeKind::DevicePrivate), device, "{}", state.describe());
    });
    println!("replace: {states} states");
}

#[test]
fn what_follows_from_a_replacement() {
    const W: PteFlags = PteFlags::WRITABLE;
    // Replacement; the new entry; then, where it is so: slot, hook, invalidation; the counters.
    let rows = [
        (
            Replacement::Poison,
            Some(NewEntry::Poison),
            "",
            "hugetlb or resident",
        ),
        (Replacement::Unused, None, "invalidate", "resident"),
        (
            Replacement::Migration(W),
            Some(NewEntry::Migration(W)),
            "hook",
            "",
        ),
        (
            Replacement::PmdMigration(W),
            Some(NewEntry::PmdMigration(W)),
            "",
            "",
        ),
        (
            Replacement::DevicePrivate(W),
            Some(NewEntry::Migration(W)),
            "",
            "",
        ),
        (
            Replacement::Swap(W),
            Some(NewEntry::Swap(W)),
            "slot hook invalidate",
            "swap",
        ),
        (Replacement::DiscardLazyfree, None, "invalidate", "resident"),
        (Replacement::KeepLazyfree, None, "", ""),
        (Replacement::InconsistentAnon, None, "", ""),
        (Replacement::File, None, "", "resident"),
    ];
    let resident = Table::new(
        "anon         -> anon -1
         swap_backed  -> shmem -1
                      -> file -1",
    );
    let matter = resident.names() | State::bit("hugetlb");
    for (replacement, entry, steps, counter) in rows {
        assert_eq!(replacement.entry(), entry, "{replacement:?}");
        let has = |step: &str| steps.split(' ').any(|word| word == step);
        assert_eq!(replacement.needs_slot(), has("slot"), "{replacement:?}");
        assert_eq!(replacement.asks_arch(), has("hook"), "{replacement:?}");
        assert_eq!(
            replacement.invalidates(),
            has("invalidate"),
            "{replacement:?}"
        );
        every_state(matter, |state| {
            let huge = state.page().contains(PageFlags::HUGETLB);
            let expected = match counter {
                "hugetlb or resident" if huge => "hugetlb -1",
                "hugetlb or resident" | "resident" => resident.first(state),
                "swap" => "anon -1 swap +1",
                _ => "",
            };
            let delta = replacement.counters(state.page());
            assert_eq!(
                counters(delta),
                expected,
                "{replacement:?}, {}",
                state.describe()
            );
        });
    }
}

fn counters(delta: CounterDelta) -> String {
    let CounterDelta {
        anon,
        file,
        shmem,
        swap_ents,
        hugetlb,
    } = delta;
    [
        ("anon", anon),
        ("file", file),
        ("shmem", shmem),
        ("swap", swap_ents),
        ("hugetlb", hugetlb),
    ]
    .iter()
    .filter(|(_, change)| *change != 0)
    .map(|(name, change)| format!("{name} {change:+}"))
    .collect::<Vec<_>>()
    .join(" ")
}
