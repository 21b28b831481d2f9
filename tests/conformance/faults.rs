//! Every call of a fallible method fails, and the reverse map is contended at every VMA, in cases
//! that reach every kind of replacement and every way of stopping.

use crate::pages::{PlainCells, WordPage};
use crate::properties::ends_as;
use pinfold::conformance::{
    Answers, BuildPage, Case, Fallible, MAX_ENTRIES, Observed, PageState, Reach, observe,
};
use pinfold::pin::PinKind;
use pinfold::{IgnorePins, PageFlags, PinPolicy, PteFlags, SkipOpportunistic, UnmapFlags, VmFlags};
use std::collections::BTreeMap;

const ALL: [Fallible; 5] = [
    Fallible::NextVma,
    Fallible::NextEntry,
    Fallible::Clear,
    Fallible::SplitHugePmd,
    Fallible::InvalidateBegin,
];

const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);
const DEVICE: PageFlags = PageFlags::ZONE_DEVICE.union(PageFlags::DEVICE_PRIVATE);
const MIGRATE: UnmapFlags = UnmapFlags::MIGRATION.union(UnmapFlags::RMAP_LOCKED);
const BITS: PteFlags = PteFlags::DIRTY
    .union(PteFlags::WRITABLE)
    .union(PteFlags::SOFT_DIRTY);

/// A name, and what is asked of a page whose entries have these bits.
fn case(page: PageFlags, flags: UnmapFlags, bits: PteFlags) -> Case {
    let compound = page.is_compound();
    let len = if compound { 4 } else { 3 };
    Case {
        page: PageState {
            flags: page,
            maps: len as u32,
            unexplained: 0,
            short: 0,
            longterm: 0,
            base_pages: if compound { 512 } else { 1 },
        },
        flags,
        vmas: [VmFlags::empty(); 3],
        entries: [bits; MAX_ENTRIES],
        len,
        answers: Answers::default(),
        write_at: None,
        fail: None,
    }
}

fn answering(case: Case, answers: Answers) -> Case {
    Case { answers, ..case }
}

/// All kinds of replacements, and all ways in which a walk stops.
fn cases() -> Vec<(&'static str, Case)> {
    let none = UnmapFlags::empty();
    let swap = case(SWAP | PageFlags::THP, none, BITS);
    let lazyfree = PageFlags::ANON | PageFlags::THP;
    let hugetlb = PageFlags::HUGETLB | PageFlags::PAGE_CACHE;
    let answers = Answers::default();
    let mut mlocked = case(SWAP, none, BITS);
    mlocked.vmas = [VmFlags::LOCKED; 3];
    let mut redirtied = case(PageFlags::ANON, none, PteFlags::empty());
    redirtied.write_at = Some(0);
    vec![
        (
            "poison",
            case(SWAP | PageFlags::HWPOISON | PageFlags::THP, none, BITS),
        ),
        (
            "poison, hugetlb",
            case(hugetlb | PageFlags::HWPOISON, MIGRATE, BITS),
        ),
        (
            "unused",
            case(SWAP | PageFlags::THP, none, BITS | PteFlags::UNUSED),
        ),
        ("migration", case(SWAP | PageFlags::THP, MIGRATE, BITS)),
        (
            "freeze",
            case(
                SWAP | PageFlags::THP,
                UnmapFlags::SPLIT_FREEZE | UnmapFlags::SPLIT_HUGE_PMD,
                BITS | PteFlags::PMD,
            ),
        ),
        (
            "pmd migration",
            case(SWAP | PageFlags::THP, MIGRATE, BITS | PteFlags::PMD),
        ),
        (
            "device private",
            case(PageFlags::ANON | PageFlags::THP | DEVICE, MIGRATE, BITS),
        ),
        ("swap", swap),
        (
            "swap, deferred",
            answering(
                Case {
                    flags: UnmapFlags::BATCH_FLUSH,
                    ..swap
                },
                Answers {
                    defers: true,
                    ..answers
                },
            ),
        ),
        ("discard", case(lazyfree, none, PteFlags::WRITABLE)),
        ("keep", case(lazyfree, none, BITS)),
        ("keep, written to late", redirtied),
        (
            "inconsistent",
            case(PageFlags::ANON | PageFlags::SWAP_BACKED, none, BITS),
        ),
        (
            "file",
            case(PageFlags::PAGE_CACHE | PageFlags::THP, none, BITS),
        ),
        (
            "shmem",
            case(PageFlags::PAGE_CACHE | PageFlags::SWAP_BACKED, none, BITS),
        ),
        (
            "small file, all VMAs",
            case(PageFlags::PAGE_CACHE, none, BITS),
        ),
        ("hugetlb", case(hugetlb, MIGRATE, BITS)),
        (
            "hugetlb, unshared",
            answering(
                case(hugetlb, MIGRATE, BITS),
                Answers {
                    unshares: true,
                    ..answers
                },
            ),
        ),
        ("hugetlb, not locked", case(hugetlb, none, BITS)),
        (
            "arch refuses swap",
            answering(
                swap,
                Answers {
                    arch_refuses: true,
                    ..answers
                },
            ),
        ),
        (
            "arch refuses migration",
            answering(
                case(SWAP, MIGRATE, BITS),
                Answers {
                    arch_refuses: true,
                    ..answers
                },
            ),
        ),
        (
            "slot refused",
            answering(
                swap,
                Answers {
                    slot_refuses: true,
                    ..answers
                },
            ),
        ),
        (
            "pin appears",
            answering(
                swap,
                Answers {
                    pin_at: Some((1, PinKind::Short)),
                    ..answers
                },
            ),
        ),
        ("young", case(SWAP, none, BITS | PteFlags::YOUNG)),
        ("mlocked", mlocked),
        ("munlock", case(SWAP, UnmapFlags::MUNLOCK, BITS)),
    ]
}

type Hits = BTreeMap<String, u32>;

fn run<P: BuildPage, L: PinPolicy>(name: &str, case: &Case, policy: &L, reach: Reach) -> Observed {
    let observed = observe::<P, L>(case, policy, reach).expect(name);
    let (hit, how) = (observed.hit(), observed.ending().how);
    let place = || format!("{name}, {reach:?}, {hit:?}: {how:?}");
    if let Err(broken) = observed.check_all() {
        panic!("{broken}: {}", place());
    }
    if let Some(hit) = hit {
        assert_eq!(how, ends_as(hit), "{}", place());
        assert_eq!(
            observed.calls(),
            hit.call + 1,
            "it is the last: {}",
            place()
        );
    }
    observed
}

/// Fails every call of a case, one at a time.
fn every_call<P: BuildPage, L: PinPolicy>(name: &str, case: &Case, policy: &L, hits: &mut Hits) {
    for reach in [Reach::OneVma, Reach::AllVmas] {
        let calls = run::<P, L>(name, case, policy, reach).calls();
        for call in 0..calls {
            let faulty = Case {
                fail: Some(call),
                ..*case
            };
            let observed = run::<P, L>(name, &faulty, policy, reach);
            let hit = observed
                .hit()
                .expect("every call up to the last is made again");
            *hits.entry(format!("{:?}", hit.method)).or_default() += 1;
        }
    }
}

#[test]
fn every_call_fails() {
    let mut hits = Hits::new();
    for (name, case) in cases() {
        every_call::<PlainCells, _>(name, &case, &IgnorePins, &mut hits);
        let default = SkipOpportunistic::default();
        every_call::<PlainCells, _>(name, &case, &default, &mut hits);
        every_call::<WordPage, SkipOpportunistic>(name, &case, &default, &mut hits);
    }
    println!("failed calls: {hits:?}");
    for method in ALL {
        let name = format!("{method:?}");
        assert!(hits.contains_key(&name), "{name} has never failed");
    }
    assert_eq!(hits.len(), ALL.len(), "a method is missing in ALL");
}
