//! What a walk owes when undoing fails too: each debt alone, told for what it is, and settled by
//! the calls that were missing and no others.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use core::cell::Cell;
use pinfold::unmap::{Callback, Owed, Stop, UnmapError, Verdict};
use pinfold::{
    Bookkeeping, Cleared, CounterDelta, Entry, FlushMode, Hook, IgnorePins, NewEntry, PageFlags,
    PageLike, PageTables, PlainVma, PteFlags, SharedTable, UnmapFlags, UnmapRequest, VmFlags,
    try_to_unmap_one,
};

const ADDRESS: u64 = 0x20_0000;
const DIRTY: PteFlags = PteFlags::DIRTY;
const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);

struct Page(Cell<PageFlags>);

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.0.get()
    }
    fn ref_count(&self) -> i32 {
        3
    }
    fn map_count(&self) -> u32 {
        1
    }
    fn base_pages(&self) -> u32 {
        if self.flags().is_compound() { 512 } else { 1 }
    }
}

/// One entry; some callbacks fail. Writes down what undoes something or is told to others.
struct Walk<'a> {
    entry: Option<Entry>,
    /// Each fails when it is called for the so-manieth time.
    fails: &'a [(Callback, u32)],
    calls: Vec<Callback>,
    log: Vec<String>,
    unshares: bool,
    /// What the page becomes while the entry is clear.
    becomes: Option<(&'a Page, PageFlags)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Injected;

impl<'a> Walk<'a> {
    fn new(flags: PteFlags, fails: &'a [(Callback, u32)]) -> Self {
        let address = ADDRESS;
        Self {
            entry: Some(Entry { address, flags }),
            fails,
            calls: Vec::new(),
            log: Vec::new(),
            unshares: false,
            becomes: None,
        }
    }

    fn call(&mut self, callback: Callback) -> Result<(), Injected> {
        self.calls.push(callback);
        let times = self.calls.iter().filter(|&&call| call == callback).count();
        let at = |&(fails, nth): &(Callback, u32)| fails == callback && nth as usize == times;
        if self.fails.iter().any(at) {
            Err(Injected)
        } else {
            self.log.push(format!("{callback:?}"));
            Ok(())
        }
    }
}

impl PageTables for Walk<'_> {
    type Error = Injected;

    fn next_entry(&mut self) -> Result<Option<Entry>, Injected> {
        Ok(self.entry.take())
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> Result<bool, Injected> {
        Ok(false)
    }
    fn clear(&mut self, entry: &Entry, _: FlushMode) -> Result<Cleared, Injected> {
        if let Some((page, flags)) = self.becomes {
            page.0.set(flags);
        }
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) -> Result<(), Injected> {
        match new {
            NewEntry::Restored(bits) => {
                self.call(Callback::Restore)?;
                self.log.push(format!("{bits:?}"));
                Ok(())
            }
            _ => self.call(Callback::Install),
        }
    }
    fn set_page_dirty(&mut self) -> Result<(), Injected> {
        self.call(Callback::SetPageDirty)
    }
    fn remove_rmap(&mut self, _: &Entry) -> Result<(), Injected> {
        self.call(Callback::RemoveRmap)
    }
}

impl Bookkeeping for Walk<'_> {
    fn invalidate(&mut self, _: core::ops::Range<u64>) -> Result<(), Injected> {
        self.call(Callback::Invalidate)
    }
    fn invalidate_end(&mut self, _: core::ops::Range<u64>) -> Result<(), Injected> {
        self.call(Callback::InvalidateEnd)
    }
    fn unshare_pmd(
        &mut self,
        _: &Entry,
        _: &core::ops::Range<u64>,
    ) -> Result<SharedTable, Injected> {
        Ok(if self.unshares {
            SharedTable::Unshared
        } else {
            SharedTable::No
        })
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Result<Hook, Injected> {
        Ok(Hook::Done)
    }
    fn count(&mut self, delta: CounterDelta) -> Result<(), Injected> {
        self.call(Callback::Count)?;
        self.log.push(format!("{} {}", delta.anon, delta.swap_ents));
        Ok(())
    }
    fn swap_free(&mut self, _: &Entry) -> Result<(), Injected> {
        self.call(Callback::SwapFree)
    }
    fn arch_unmap(&mut self, _: &Entry, _: PteFlags) -> Result<Hook, Injected> {
        self.call(Callback::ArchUnmap)?;
        Ok(Hook::Done)
    }
}

fn vma() -> PlainVma {
    PlainVma {
        flags: VmFlags::empty(),
        range: 0..0x1000_0000,
    }
}

/// What failed, and what is owed, after a walk over one page with these failures.
fn fail(flags: PageFlags, mut walk: Walk<'_>) -> (Callback, Owed) {
    let page = Page(Cell::new(flags));
    let locked = if flags.is_compound() {
        UnmapFlags::RMAP_LOCKED
    } else {
        UnmapFlags::empty()
    };
    let request = UnmapRequest::new(locked).unwrap().with_policy(IgnorePins);
    let failure = try_to_unmap_one(&page, &vma(), ADDRESS, &request, &mut walk).unwrap_err();
    failure.flush.ignore();
    match failure.error {
        UnmapError::Callback { callback, .. } => (callback, failure.owed),
        other => unreachable!("{other:?}"),
    }
}

/// What settling a debt calls.
fn settled(owed: Owed) -> Vec<String> {
    let mut walk = Walk::new(PteFlags::empty(), &[]);
    owed.settle(&mut walk).unwrap();
    walk.log
}

/// Which debts there are: entry, swap slot, counters, invalidation, its end.
fn debts(owed: &Owed) -> [bool; 5] {
    [
        owed.entry().is_some(),
        owed.swap_slot().is_some(),
        owed.counters() != CounterDelta::NONE,
        owed.invalidate(),
        owed.invalidate_end(),
    ]
}

#[test]
fn an_entry() {
    let fails = [(Callback::SetPageDirty, 1), (Callback::Restore, 1)];
    let (failed, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
    assert_eq!(failed, Callback::SetPageDirty);
    assert_eq!(debts(&owed), [true, false, false, false, false]);
    assert!(!owed.is_none());
    let (entry, bits) = owed.entry().unwrap();
    assert_eq!((entry.address, bits), (ADDRESS, DIRTY));
    assert_eq!(settled(owed), ["Restore", "PteFlags(DIRTY)"]);
}

#[test]
fn a_swap_slot() {
    let fails = [(Callback::ArchUnmap, 1), (Callback::SwapFree, 1)];
    let (failed, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
    assert_eq!(failed, Callback::ArchUnmap);
    assert_eq!(debts(&owed), [false, true, false, false, false]);
    assert!(!owed.is_none());
    assert_eq!(owed.swap_slot().unwrap().address, ADDRESS);
    assert_eq!(settled(owed), ["SwapFree"]);
}

#[test]
fn a_counter() {
    let fails = [(Callback::Invalidate, 1), (Callback::Count, 2)];
    let (failed, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
    assert_eq!(failed, Callback::Invalidate);
    assert_eq!(debts(&owed), [false, false, true, false, false]);
    assert!(!owed.is_none());
    assert_eq!(settled(owed), ["Count", "1 -1"], "the change taken back");
}

#[test]
fn an_invalidation() {
    let fails = [(Callback::Invalidate, 1)];
    let mut walk = Walk::new(DIRTY, &fails);
    walk.unshares = true;
    let (failed, owed) = fail(PageFlags::HUGETLB | PageFlags::PAGE_CACHE, walk);
    assert_eq!(failed, Callback::Invalidate);
    assert_eq!(debts(&owed), [false, false, false, true, false]);
    assert!(!owed.is_none());
    assert_eq!(settled(owed), ["Invalidate"]);
}

#[test]
fn the_end_of_an_invalidation() {
    let fails = [(Callback::InvalidateEnd, 1)];
    let (failed, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
    assert_eq!(failed, Callback::InvalidateEnd);
    assert_eq!(debts(&owed), [false, false, false, false, true]);
    assert!(!owed.is_none());
    assert_eq!(settled(owed), ["InvalidateEnd"]);
}

#[test]
fn nothing_if_undoing_succeeds() {
    for failing in [
        Callback::SetPageDirty,
        Callback::ArchUnmap,
        Callback::Install,
        Callback::Count,
        Callback::Invalidate,
        Callback::RemoveRmap,
    ] {
        let fails = [(failing, 1)];
        let (failed, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
        assert_eq!(failed, failing);
        assert!(owed.is_none(), "{failing:?}: {owed:?}");
        assert_eq!(debts(&owed), [false; 5]);
        assert_eq!(settled(owed), [""; 0]);
    }
}

#[test]
fn what_still_fails_is_still_owed() {
    let fails = [(Callback::SetPageDirty, 1), (Callback::Restore, 1)];
    let (_, owed) = fail(SWAP, Walk::new(DIRTY, &fails));
    let mut walk = Walk::new(PteFlags::empty(), &[(Callback::Restore, 1)]);
    let (owed, error) = owed.settle(&mut walk).unwrap_err();
    assert_eq!(error, Injected);
    assert_eq!(debts(&owed), [true, false, false, false, false]);
    assert_eq!(settled(owed), ["Restore", "PteFlags(DIRTY)"]);
}

/// D1 asks before the entry is cleared; a page that leaves the swap cache after that is found out
/// all the same, and the entry is put back.
#[test]
fn an_anonymous_page_that_becomes_inconsistent_keeps_its_entry() {
    let page = Page(Cell::new(SWAP));
    let mut walk = Walk::new(DIRTY, &[]);
    walk.becomes = Some((&page, SWAP - PageFlags::SWAP_BACKED));
    let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
    let walked = try_to_unmap_one(&page, &vma(), ADDRESS, &request, &mut walk).unwrap();
    assert_eq!(walked.verdict, Verdict::Stopped(Stop::InconsistentAnon));
    assert_eq!(walked.taken, 0);
    walked.flush.ignore();
    let log = [
        "SetPageDirty",
        "Restore",
        "PteFlags(DIRTY)",
        "InvalidateEnd",
    ];
    assert_eq!(walk.log, log);
}
