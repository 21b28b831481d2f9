//! What the embedder is told, to the address, and in which order (below); and the result of
//! `try_to_unmap` for several VMAs (`ranges/vmas.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::convert::Infallible;
use core::ops::Range;
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, IgnorePins, NewEntry, PageFlags,
    PageTables, PlainPage, PlainVma, PteFlags, SharedTable, UnmapFlags, UnmapRequest, VmFlags,
    try_to_unmap_one,
};

#[path = "ranges/vmas.rs"]
mod vmas;

const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);
const ADDRESS: u64 = 0x20_0000;

/// Writes down what it is told.
#[derive(Default)]
struct Recorder {
    log: Vec<String>,
    entries: Vec<Entry>,
    unshares: bool,
}

fn at(range: &Range<u64>) -> String {
    format!("{:x}..{:x}", range.start, range.end)
}

impl Recorder {
    fn of(entries: &[(u64, PteFlags)]) -> Self {
        let entries = entries.iter().rev();
        let entry = |&(address, flags): &(u64, PteFlags)| Entry { address, flags };
        Self {
            entries: entries.map(entry).collect(),
            ..Self::default()
        }
    }

    fn told(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }
}

impl PageTables for Recorder {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        Ok(self.entries.pop())
    }
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        self.told(format!("young {:x}", entry.address));
        entry.flags.contains(PteFlags::YOUNG)
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        self.told(format!("clear {:x} {flush:?}", entry.address));
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        self.told(format!("install {new:?}"));
    }
    fn set_page_dirty(&mut self) {
        self.told("page dirty");
    }
    fn remove_rmap(&mut self, entry: &Entry) {
        self.told(format!("remove {:x}", entry.address));
    }
    fn split_huge_pmd(&mut self, freeze: bool) -> Result<(), Infallible> {
        self.told(format!("split, freeze: {freeze}"));
        Ok(())
    }
    fn widen_for_sharing(&mut self, range: Range<u64>) -> Range<u64> {
        self.told(format!("widen {}", at(&range)));
        0..0x4000_0000
    }
    fn invalidate_begin(&mut self, range: Range<u64>) -> Result<(), Infallible> {
        self.told(format!("begin {}", at(&range)));
        Ok(())
    }
    fn invalidate(&mut self, range: Range<u64>) {
        self.told(format!("invalidate {}", at(&range)));
    }
    fn invalidate_end(&mut self, range: Range<u64>) {
        self.told(format!("end {}", at(&range)));
    }
    fn unshare_pmd(&mut self, _: &Entry, range: &Range<u64>) -> SharedTable {
        self.told(format!("un-share {}", at(range)));
        if self.unshares {
            SharedTable::Unshared
        } else {
            SharedTable::No
        }
    }
    fn update_hiwater(&mut self) {
        self.told("high water");
    }
    fn count(&mut self, delta: CounterDelta) {
        let CounterDelta {
            anon,
            file,
            shmem,
            swap_ents,
            hugetlb,
        } = delta;
        self.told(format!("count {anon} {file} {shmem} {swap_ents} {hugetlb}"));
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        self.told("slot");
        Attempt::Done
    }
    fn arch_unmap(&mut self, _: &Entry, _: PteFlags) -> Attempt {
        self.told("arch");
        Attempt::Done
    }
}

fn page(flags: PageFlags) -> PlainPage {
    PlainPage {
        flags,
        refs: 10,
        maps: 4,
        pins: None,
        base_pages: if flags.is_compound() { 512 } else { 1 },
    }
}

fn vma(flags: VmFlags) -> PlainVma {
    PlainVma {
        flags,
        range: 0x10_0000..0x100_0000,
    }
}

/// What one walk is told, in its order.
fn told(page: PlainPage, range: Range<u64>, flags: UnmapFlags, mut walk: Recorder) -> Vec<String> {
    let request = UnmapRequest::new(flags).unwrap().with_policy(IgnorePins);
    let area = PlainVma {
        flags: VmFlags::empty(),
        range,
    };
    let mut debt = FlushDebt::none();
    let verdict = try_to_unmap_one(&page, &area, ADDRESS, &request, &mut walk, &mut debt);
    assert!(verdict.unwrap().goes_on());
    assert!(debt.is_none());
    walk.log
}

#[test]
fn a_swap_in_the_order_of_linux() {
    let bits = PteFlags::DIRTY | PteFlags::SOFT_DIRTY | PteFlags::WRITABLE;
    let walk = Recorder::of(&[(ADDRESS, bits)]);
    let log = told(page(SWAP), 0x10_0000..0x100_0000, UnmapFlags::empty(), walk);
    let swap = format!("install {:?}", NewEntry::Swap(PteFlags::SOFT_DIRTY));
    let expected = [
        "begin 200000..201000",
        "young 200000",
        "clear 200000 Now",
        "page dirty",
        "high water",
        "slot",
        "arch",
        &swap,
        "count -1 0 0 1 0",
        "invalidate 200000..201000",
        "remove 200000",
        "end 200000..201000",
    ];
    assert_eq!(log, expected);
}

#[test]
fn the_range_ends_with_the_vma() {
    let thp = page(SWAP | PageFlags::THP);
    let flags = UnmapFlags::SPLIT_HUGE_PMD;
    let log = told(thp, 0x10_0000..0x30_0000, flags, Recorder::default());
    let clipped = [
        "split, freeze: false",
        "begin 200000..300000",
        "end 200000..300000",
    ];
    assert_eq!(log, clipped);
    let log = told(
        thp,
        0x10_0000..0x50_0000,
        flags | UnmapFlags::SPLIT_FREEZE,
        Recorder::default(),
    );
    let whole = [
        "split, freeze: true",
        "begin 200000..400000",
        "end 200000..400000",
    ];
    assert_eq!(log, whole);
}

#[test]
fn hugetlb_ranges_are_widened_and_entries_span_the_page() {
    let huge = page(PageFlags::HUGETLB | PageFlags::PAGE_CACHE);
    let flags = UnmapFlags::RMAP_LOCKED | UnmapFlags::IGNORE_ACCESS;
    let range = 0x10_0000..0x100_0000u64;

    let walk = Recorder::of(&[(ADDRESS, PteFlags::UNUSED)]);
    let expected = [
        "widen 200000..400000",
        "begin 0..40000000",
        "un-share 0..40000000",
        "clear 200000 Now",
        "high water",
        "count 0 -1 0 0 0",
        "invalidate 200000..400000",
        "remove 200000",
        "end 0..40000000",
    ];
    assert_eq!(told(huge, range.clone(), flags, walk), expected);

    let walk = Recorder {
        unshares: true,
        ..Recorder::of(&[(ADDRESS, PteFlags::empty())])
    };
    let expected = [
        "widen 200000..400000",
        "begin 0..40000000",
        "un-share 0..40000000",
        "invalidate 0..40000000",
        "end 0..40000000",
    ];
    assert_eq!(told(huge, range, flags, walk), expected);
}
