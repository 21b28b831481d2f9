//! An embedder that has swap, hugetlb pages and huge mappings, and implements nothing for them: no
//! default says that something was done which was not.

use crate::{ENTRY, page};
use core::convert::Infallible;
use pinfold::unmap::decide::Inconsistency;
use pinfold::unmap::{Stop, UnmapError};
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, NewEntry, PageFlags, PageTables, PlainPage,
    PlainVma, PteFlags, SharedTable, UnmapFlags, UnmapRequest, Verdict, VmFlags, try_to_unmap_one,
};

/// A walk over one entry, with no more than it must have.
struct BareWalk {
    left: Option<Entry>,
    log: Vec<&'static str>,
}

impl BareWalk {
    const fn over(flags: PteFlags) -> Self {
        Self {
            left: Some(Entry { flags, ..ENTRY }),
            log: Vec::new(),
        }
    }

    fn log(&mut self, what: &'static str) {
        self.log.push(what);
    }
}

impl PageTables for BareWalk {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        Ok(self.left.take())
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }
    fn clear(&mut self, entry: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        self.log("clear");
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        self.log(match new {
            NewEntry::Restored(_) => "restore",
            _ => "install",
        });
    }
    fn set_page_dirty(&mut self) {}
    fn remove_rmap(&mut self, _: &Entry) {
        self.log("remove");
    }
}

#[test]
fn a_bare_walk() {
    let mut walk = BareWalk::over(PteFlags::empty());
    assert_eq!(walk.swap_duplicate(&ENTRY), Attempt::Refused);
    assert_eq!(walk.unshare_pmd(&ENTRY, &(0..1)), SharedTable::Unknown);
    assert_eq!(walk.widen_for_sharing(4..8), 4..8);
    assert_eq!(walk.arch_unmap(&ENTRY, PteFlags::DIRTY), Attempt::Done);
    assert_eq!(walk.split_huge_pmd(true), Ok(()));
    assert_eq!(walk.invalidate_begin(4..8), Ok(()));
    assert!(walk.log.is_empty());
}

/// What becomes of a page's one entry, and what the page tables were told.
fn walked(
    flags: UnmapFlags,
    state: PageFlags,
    entry: PteFlags,
) -> (Result<Verdict, UnmapError<Infallible>>, Vec<&'static str>) {
    let page = PlainPage {
        flags: state,
        base_pages: if state.is_compound() { 512 } else { 1 },
        ..page(3, None)
    };
    let vma = PlainVma {
        flags: VmFlags::empty(),
        range: 0..0x4000_0000,
    };
    let request = UnmapRequest::new(flags).unwrap();
    let mut walk = BareWalk::over(entry);
    let mut debt = FlushDebt::none();
    let result = try_to_unmap_one(&page, &vma, ENTRY.address, &request, &mut walk, &mut debt);
    assert!(debt.is_none());
    (result, walk.log)
}

/// Who has swap and forgets its slots would see them used again under live swap entries.
#[test]
fn who_forgets_swap_slots_gets_no_swap_entry() {
    let swap = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
    let (verdict, log) = walked(UnmapFlags::empty(), swap, PteFlags::empty());
    assert_eq!(verdict, Ok(Verdict::Stopped(Stop::SwapSlotRefused)));
    assert_eq!(log, ["clear", "restore"]);
}

/// Who has shared page tables and forgets to say so would unmap the page from others too.
#[test]
fn who_forgets_shared_page_tables_keeps_hugetlb_pages() {
    let hugetlb = PageFlags::PAGE_CACHE | PageFlags::HUGETLB;
    let (verdict, log) = walked(UnmapFlags::RMAP_LOCKED, hugetlb, PteFlags::empty());
    assert_eq!(verdict, Ok(Verdict::Stopped(Stop::SharingUnknown)));
    assert_eq!(log, [""; 0]);
}

/// Who has huge mappings and forgets to split them would have them taken whole, or frozen by nobody.
#[test]
fn who_forgets_to_split_keeps_the_huge_mapping() {
    let thp = PageFlags::PAGE_CACHE | PageFlags::THP;
    let split = UnmapFlags::SPLIT_HUGE_PMD;
    for flags in [
        split,
        split | UnmapFlags::SPLIT_FREEZE,
        split | UnmapFlags::MIGRATION,
        split | UnmapFlags::MIGRATION | UnmapFlags::IGNORE_MLOCK,
    ] {
        let (error, log) = walked(flags, thp, PteFlags::PMD);
        let unsplit = UnmapError::Inconsistent {
            what: Inconsistency::UnexpectedPmd,
            address: ENTRY.address,
        };
        assert_eq!(error, Err(unsplit), "{flags:?}");
        assert_eq!(log, [""; 0], "{flags:?}");
    }
    let (verdict, log) = walked(UnmapFlags::MIGRATION, thp, PteFlags::PMD);
    assert_eq!(verdict, Ok(Verdict::Done), "whole, as asked");
    assert_eq!(log, ["clear", "install", "remove"]);
}
