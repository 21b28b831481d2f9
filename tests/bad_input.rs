//! Input that cannot be: a typed error that says where, and nothing changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

use core::cell::Cell;
use core::convert::Infallible;
use core::error::Error;
use pinfold::conformance::{Answers, Faults, Machine, OneVma, Recorded, TestPage, Vmas};
use pinfold::pin::PinKind;
use pinfold::unmap::decide::Inconsistency;
use pinfold::unmap::{FlushDebt, UnmapError, Verdict};
use pinfold::{
    BadFlags, IgnorePins, PageFlags, PageLike, PinPolicy, PlainVma, PteFlags, SkipOpportunistic,
    SkipPinned, UnmapFlags, UnmapRequest, VmFlags, try_to_unmap, try_to_unmap_one,
};

#[path = "bad_input/ends.rs"]
mod ends;

/// A page whose numbers may be anything.
#[derive(Debug, Clone, PartialEq)]
struct Odd {
    flags: Cell<PageFlags>,
    refs: Cell<i32>,
    maps: Cell<u32>,
    base_pages: u32,
    base_shift: u32,
}

const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);

impl Odd {
    fn new(flags: PageFlags) -> Self {
        let base_pages = if flags.is_compound() { 512 } else { 1 };
        Self {
            flags: Cell::new(flags),
            refs: Cell::new(10),
            maps: Cell::new(5),
            base_pages,
            base_shift: 12,
        }
    }
}

impl PageLike for Odd {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.refs.get()
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
    fn base_pages(&self) -> u32 {
        self.base_pages
    }
    fn base_shift(&self) -> u32 {
        self.base_shift
    }
}

impl TestPage for Odd {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.set(self.flags.get() | flags);
    }
    fn remove_mapping(&self) {
        self.maps.set(self.maps.get().checked_sub(1).unwrap());
        self.refs.set(self.refs.get().wrapping_sub(1));
    }
    fn add_pin(&self, _: PinKind) {
        self.refs.set(self.refs.get().wrapping_add(1024));
    }
}

const ADDRESS: u64 = 0x20_0000;
const VMA: core::ops::Range<u64> = 0x10_0000..0x100_0000;
const BITS: PteFlags = PteFlags::DIRTY.union(PteFlags::WRITABLE);

type Ending = Result<Verdict, UnmapError<Infallible>>;

/// One walk, its ending and what was told; the page and the entries must be as before if it failed.
fn walk<L: PinPolicy>(
    page: &Odd,
    (range, address, machine_base): (core::ops::Range<u64>, u64, u64),
    (flags, policy): (UnmapFlags, L),
    bits: &[PteFlags],
) -> (Ending, Recorded) {
    let vma = PlainVma {
        flags: VmFlags::empty(),
        range,
    };
    let request = UnmapRequest::new(flags).unwrap().with_policy(policy);
    let mut machine: Machine<'_, _, 4> = Machine::new(page, machine_base, bits, Answers::default());
    let before = (page.clone(), machine.entries().to_vec());
    let mut debt = FlushDebt::none();
    let result = try_to_unmap_one(page, &vma, address, &request, &mut machine, &mut debt);
    assert!(debt.is_none(), "nothing may be deferred");
    if let Err(failure) = &result {
        let after = (page.clone(), machine.entries().to_vec());
        assert_eq!(after, before, "{failure}");
    }
    (result, *machine.told())
}

/// An error before the walk: nobody was told anything, under any policy.
fn refused_at_once(
    page: &Odd,
    range: &core::ops::Range<u64>,
    address: u64,
    expected: UnmapError<Infallible>,
    text: &str,
) {
    let place = (range.clone(), address, address);
    let none = UnmapFlags::empty();
    for (result, told) in [
        walk(page, place.clone(), (none, IgnorePins), &[BITS]),
        walk(page, place.clone(), (none, SkipPinned), &[BITS]),
        walk(page, place, (none, <SkipOpportunistic>::new()), &[BITS]),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none(), "{error}");
        assert_eq!(told, Recorded::default(), "{text}");
    }
}

/// An error at an entry: it is in place, and the invalidation that began has its end.
fn refused_at_entry(
    page: &Odd,
    machine_base: u64,
    flags: UnmapFlags,
    bits: PteFlags,
    what: Inconsistency,
) {
    let place = (VMA, ADDRESS, machine_base);
    let (result, told) = walk(page, place, (flags, IgnorePins), &[bits]);
    let failure = result.unwrap_err();
    let error = UnmapError::Inconsistent {
        what,
        address: machine_base,
    };
    assert_eq!(failure, error);
    assert_eq!(
        failure.to_string(),
        format!("{what:?} at {machine_base:#x}")
    );
    assert!(failure.source().is_none());
    let told_of_range = Recorded {
        begins: 1,
        ends: 1,
        ..Recorded::default()
    };
    assert_eq!(told, told_of_range);
}

#[test]
fn unknown_flag_bits() {
    const KNOWN: [u32; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16];
    for bit in 0..32 {
        let flags = UnmapFlags::from_bits_retain(1 << bit);
        let known = KNOWN.contains(&bit);
        assert_eq!(UnmapRequest::new(flags).is_ok(), known, "bit {bit}");
        assert_eq!(
            UnmapFlags::try_from(1u32 << bit).is_ok(),
            known,
            "bit {bit}"
        );
        let among_all = UnmapFlags::all() | flags;
        let request = UnmapRequest::under(among_all, IgnorePins).map(|request| request.flags());
        let expected = if known {
            Ok(UnmapFlags::all())
        } else {
            Err(BadFlags::Unknown(1 << bit))
        };
        assert_eq!(request, expected, "bit {bit}");
    }
    let error = UnmapRequest::new(UnmapFlags::from_bits_retain(0x8000_0201)).unwrap_err();
    assert_eq!(error.to_string(), "unknown unmap flag bits 0x80000200");
    let munlock = UnmapFlags::MUNLOCK | UnmapFlags::MIGRATION | UnmapFlags::BATCH_FLUSH;
    let error = UnmapRequest::new(munlock).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MUNLOCK takes no entries, but was asked with UnmapFlags(MIGRATION)"
    );
}

#[test]
fn address_outside_its_vma() {
    let page = Odd::new(SWAP);
    for address in [0, VMA.start - 0x1000, VMA.end, VMA.end + 0x1000, !0xfff] {
        let text = format!("{address:#x} is outside the VMA");
        refused_at_once(
            &page,
            &VMA,
            address,
            UnmapError::OutsideVma { address },
            &text,
        );
    }
    let empty = ADDRESS..ADDRESS;
    let error = UnmapError::OutsideVma { address: ADDRESS };
    refused_at_once(&page, &empty, ADDRESS, error, "0x200000 is outside the VMA");
}

#[test]
fn vma_that_ends_before_it_begins() {
    let page = Odd::new(SWAP);
    #[allow(clippy::reversed_empty_ranges)]
    let range = 0x30_0000..0x10_0000;
    let error = UnmapError::BadVma {
        start: range.start,
        end: range.end,
    };
    refused_at_once(
        &page,
        &range,
        ADDRESS,
        error,
        "VMA 0x300000..0x100000 ends before it begins",
    );
}

#[test]
fn misaligned_address() {
    let page = Odd::new(SWAP);
    for off in [1, 8, 0x800, 0xfff] {
        let address = ADDRESS + off;
        let text = format!("{address:#x} is not page-aligned");
        refused_at_once(
            &page,
            &VMA,
            address,
            UnmapError::Misaligned { address },
            &text,
        );
    }
}

#[test]
fn no_reference() {
    let page = Odd::new(SWAP);
    page.refs.set(0);
    let text = "the page's reference count is zero";
    refused_at_once(&page, &VMA, ADDRESS, UnmapError::NoReference, text);

    let faults = Faults::none();
    let mut world = vmas(&page, [&[BITS], &[BITS]], &faults);
    let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
    let error = try_to_unmap(&page, &request, &mut world, &mut FlushDebt::none()).unwrap_err();
    assert_eq!(error, UnmapError::NoReference);
    assert_eq!(faults.calls(), 0, "not even the first VMA is asked for");
}

fn vmas<'a>(page: &'a Odd, bits: [&[PteFlags]; 2], faults: &'a Faults) -> Vmas<'a, Odd, 4, 2> {
    let [one, two] = bits.map(|bits| OneVma {
        vma: PlainVma {
            flags: VmFlags::empty(),
            range: VMA,
        },
        address: ADDRESS,
        machine: Machine::new(page, ADDRESS, bits, Answers::default()),
    });
    Vmas::new([one, two], faults)
}

/// How many entries each VMA has lost.
fn taken(world: &Vmas<'_, Odd, 4, 2>) -> Vec<u32> {
    let vmas = world.vmas().iter();
    vmas.map(|one| one.machine.told().books().removed).collect()
}

#[test]
fn pmd_where_a_pte_must_be() {
    for page in [SWAP, SWAP | PageFlags::THP] {
        let what = Inconsistency::UnexpectedPmd;
        let none = UnmapFlags::empty();
        refused_at_entry(&Odd::new(page), ADDRESS, none, BITS | PteFlags::PMD, what);
    }
}

#[test]
fn hugetlb_without_its_lock() {
    let page = Odd::new(PageFlags::HUGETLB | PageFlags::PAGE_CACHE);
    let what = Inconsistency::HugetlbNotRmapLocked;
    for flags in [
        UnmapFlags::empty(),
        UnmapFlags::MIGRATION,
        UnmapFlags::LINUX
            & !(UnmapFlags::RMAP_LOCKED | UnmapFlags::MUNLOCK | UnmapFlags::SPLIT_HUGE_PMD),
    ] {
        refused_at_entry(&page, ADDRESS, flags, BITS, what);
    }
}

#[test]
fn entry_outside_the_range() {
    let what = Inconsistency::EntryOutsideRange;
    let all = UnmapFlags::IGNORE_ACCESS;
    for (page, size) in [(SWAP, 0x1000), (SWAP | PageFlags::THP, 0x20_0000)] {
        for base in [ADDRESS + size, ADDRESS - 0x1000, 0, !0xfff] {
            refused_at_entry(&Odd::new(page), base, all, BITS, what);
        }
    }
}

#[test]
fn an_error_in_a_later_vma_keeps_what_was_done() {
    let page = Odd::new(PageFlags::PAGE_CACHE);
    let faults = Faults::none();
    let mut world = vmas(&page, [&[BITS], &[BITS | PteFlags::PMD]], &faults);
    let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
    let error = try_to_unmap(&page, &request, &mut world, &mut FlushDebt::none()).unwrap_err();
    assert_eq!(taken(&world), [1, 0]);
    assert_eq!((page.maps.get(), page.refs.get()), (4, 9));
    assert_eq!(error.to_string(), "UnexpectedPmd at 0x200000");
}
