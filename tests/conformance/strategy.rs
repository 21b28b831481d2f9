//! Cases as proptest makes and shrinks them: towards no flags, no pins and no faults.

use pinfold::conformance::{Answers, Case, MAX_ENTRIES, MAX_VMAS, PageState};
use pinfold::pin::PinKind;
use pinfold::{PageFlags, PteFlags, UnmapFlags, VmFlags};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A case without faults.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let world = (unmap_flags(), vmas(), answers(), option::of(0..MAX_ENTRIES));
    (page_flags(), counts(), entries(), world).prop_map(
        |(flags, (extra, unexplained, short, longterm), (entries, len), world)| {
            let compound = flags.is_compound();
            let len = if compound { len } else { len.min(MAX_VMAS) };
            let (unmap, vmas, answers, write_at) = world;
            Case {
                page: PageState {
                    flags,
                    maps: len as u32 + extra,
                    unexplained,
                    short,
                    longterm,
                    base_pages: if compound { 512 } else { 1 },
                },
                flags: unmap,
                vmas,
                entries,
                len,
                answers,
                write_at,
                fail: None,
            }
        },
    )
}

/// A case in which one call of a fallible method fails.
pub(crate) fn faulty_case() -> impl Strategy<Value = Case> {
    (case(), 0..26u32).prop_map(|(case, call)| Case {
        fail: Some(call),
        ..case
    })
}

fn unmap_flags() -> impl Strategy<Value = UnmapFlags> {
    let usual = [
        UnmapFlags::empty(),
        UnmapFlags::BATCH_FLUSH | UnmapFlags::IGNORE_ACCESS,
        UnmapFlags::MIGRATION | UnmapFlags::IGNORE_MLOCK | UnmapFlags::IGNORE_ACCESS,
        UnmapFlags::MIGRATION | UnmapFlags::OPPORTUNISTIC,
        UnmapFlags::SPLIT_FREEZE | UnmapFlags::SPLIT_HUGE_PMD | UnmapFlags::IGNORE_MLOCK,
        UnmapFlags::IGNORE_MLOCK | UnmapFlags::IGNORE_ACCESS,
        UnmapFlags::MUNLOCK,
    ];
    let random = any::<u32>().prop_map(UnmapFlags::from_bits_truncate);
    let locked = any::<bool>();
    (
        prop_oneof![3 => select(usual.to_vec()), 1 => random],
        locked,
    )
        .prop_map(|(mut flags, locked)| {
            flags.set(UnmapFlags::RMAP_LOCKED, locked);
            flags
        })
}

fn page_flags() -> impl Strategy<Value = PageFlags> {
    let swap = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
    let device = PageFlags::ZONE_DEVICE;
    let kinds = vec![
        swap,
        swap | PageFlags::THP,
        PageFlags::ANON,
        PageFlags::ANON | PageFlags::THP,
        PageFlags::PAGE_CACHE,
        PageFlags::PAGE_CACHE | PageFlags::SWAP_BACKED,
        PageFlags::PAGE_CACHE | PageFlags::HUGETLB,
        PageFlags::ANON | device | PageFlags::DEVICE_PRIVATE,
        PageFlags::THP | PageFlags::ANON | device | PageFlags::DEVICE_PRIVATE,
        device,
        PageFlags::ANON | PageFlags::SWAP_BACKED,
    ];
    let state = prop_oneof![
        4 => Just(PageFlags::empty()),
        4 => Just(PageFlags::DIRTY),
        1 => Just(PageFlags::HWPOISON),
        1 => Just(PageFlags::HWPOISON | PageFlags::DIRTY),
    ];
    (select(kinds), state).prop_map(|(kind, state)| kind | state)
}

fn counts() -> impl Strategy<Value = (u32, u32, u32, u32)> {
    let near_the_bias = vec![1, 511, 512, 513, 1022, 1023, 1024, 1025, 5000];
    let refs =
        |bits| prop_oneof![6 => Just(0), 2 => select(near_the_bias.clone()), 1 => edge(bits)];
    let pins = || prop_oneof![4 => Just(0u32), 2 => 1..4u32, 1 => edge(20)];
    (refs(30), refs(31), pins(), pins())
}

/// A power of two up to 2^`bits`, one less or one more.
fn edge(bits: u32) -> impl Strategy<Value = u32> {
    (0..=bits, 0..3u32).prop_map(|(bits, more)| (1u32 << bits) - 1 + more)
}

fn vmas() -> impl Strategy<Value = [VmFlags; MAX_VMAS]> {
    let vma = prop_oneof![
        3 => Just(VmFlags::empty()),
        2 => any::<u32>().prop_map(VmFlags::from_bits_truncate),
    ];
    [vma.clone(), vma.clone(), vma]
}

fn answers() -> impl Strategy<Value = Answers> {
    let seldom = || prop::bool::weighted(0.2);
    let kind = prop_oneof![Just(PinKind::Short), Just(PinKind::Longterm)];
    let pin_at = option::of((0..4usize, kind));
    (seldom(), seldom(), seldom(), any::<bool>(), pin_at).prop_map(
        |(unshares, arch_refuses, slot_refuses, defers, pin_at)| Answers {
            unshares,
            arch_refuses,
            slot_refuses,
            defers,
            pin_at,
        },
    )
}

fn entries() -> impl Strategy<Value = ([PteFlags; MAX_ENTRIES], usize)> {
    let bits = any::<u32>().prop_map(PteFlags::from_bits_truncate);
    let base = prop_oneof![
        3 => bits.clone().prop_map(|bits| {
            bits.difference(PteFlags::YOUNG | PteFlags::UNUSED | PteFlags::PMD)
        }),
        1 => bits,
    ];
    (prop::array::uniform8(base), 0..=MAX_ENTRIES)
}
