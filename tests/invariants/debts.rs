//! Flush debts and what is owed, which only a walk can make: one over a single entry, in which
//! chosen callbacks fail.

use crate::story::{SWAP, TAKEN};
use core::convert::Infallible;
use pinfold::conformance::{Faults, Faulty, Injected};
use pinfold::unmap::{Callback, Owed};
use pinfold::{
    Bookkeeping, Cleared, Entry, Failure, FlushMode, Hook, IgnorePins, NewEntry, PageFlags,
    PageTables, PlainPage, PlainVma, PteFlags, SharedTable, UnmapFlags, UnmapRequest, VmFlags,
    Walked, try_to_unmap_one,
};
use std::vec::IntoIter;

/// The bits of every entry here.
pub(crate) const BITS: PteFlags = PteFlags::DIRTY.union(PteFlags::WRITABLE);

/// Entries that go and come back; their flushes are put off, their page table is shared.
struct Tables(IntoIter<Entry>);

type Told<T> = Result<T, Infallible>;

impl PageTables for Tables {
    type Error = Infallible;

    fn next_entry(&mut self) -> Told<Option<Entry>> {
        Ok(self.0.next())
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> Told<bool> {
        Ok(false)
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Told<Cleared> {
        Ok(Cleared {
            flags: entry.flags,
            deferred: flush == FlushMode::MayDefer,
        })
    }
    fn install(&mut self, _: &Entry, _: NewEntry) -> Told<()> {
        Ok(())
    }
    fn set_page_dirty(&mut self) -> Told<()> {
        Ok(())
    }
    fn remove_rmap(&mut self, _: &Entry) -> Told<()> {
        Ok(())
    }
}

impl Bookkeeping for Tables {
    fn unshare_pmd(&mut self, _: &Entry, _: &core::ops::Range<u64>) -> Told<SharedTable> {
        Ok(SharedTable::Unshared)
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Told<Hook> {
        Ok(Hook::Done)
    }
}

fn walk(
    flags: PageFlags,
    ask: UnmapFlags,
    entries: Vec<Entry>,
    faults: &Faults,
) -> Result<Walked, Failure<Injected>> {
    let page = PlainPage {
        flags,
        refs: 5,
        maps: 2,
        pins: None,
        base_pages: 2,
    };
    let vma = PlainVma {
        flags: VmFlags::empty(),
        range: TAKEN..TAKEN + 0x2000,
    };
    let request = UnmapRequest::new(ask).unwrap().with_policy(IgnorePins);
    let mut walk = Faulty::new(Tables(entries.into_iter()), faults);
    try_to_unmap_one(&page, &vma, TAKEN, &request, &mut walk)
}

fn entry(address: u64, flags: PteFlags) -> Entry {
    Entry { address, flags }
}

/// A walk that takes two entries with these bits, and puts their flushes off; `Err` if a call
/// fails.
pub(crate) fn deferred(bits: PteFlags, fail: Option<u32>) -> Result<Walked, Failure<Injected>> {
    let entries = [TAKEN, TAKEN + 0x1000].map(|address| entry(address, bits));
    let faults = Faults::at(fail, None);
    walk(SWAP, UnmapFlags::BATCH_FLUSH, entries.to_vec(), &faults)
}

/// What a walk over the entry at [`TAKEN`] with [`BITS`] owes if these callbacks fail, the second
/// while the first is undone.
pub(crate) fn owed(page: PageFlags, first: Callback, second: Option<Callback>) -> Owed {
    let failing = |calls: [Option<u32>; 2]| {
        let faults = Faults::at(calls[0], calls[1]);
        let ask = UnmapFlags::RMAP_LOCKED;
        let failure = walk(page, ask, vec![entry(TAKEN, BITS)], &faults).err()?;
        let hits = faults.hits().map(|hit| hit.map(|hit| hit.callback));
        (hits == [Some(first), second]).then_some(failure.owed)
    };
    let calls = (0..20).flat_map(|one| (one + 1..20).map(move |two| [Some(one), Some(two)]));
    let single = (0..20).map(|one| [Some(one), None]);
    single.chain(calls).find_map(failing).unwrap()
}

/// The entry at [`TAKEN`], with [`BITS`].
pub(crate) fn owed_entry() -> Owed {
    owed(SWAP, Callback::UpdateHiwater, Some(Callback::Restore))
}

/// One reference on its swap slot.
pub(crate) fn owed_slot() -> Owed {
    owed(SWAP, Callback::ArchUnmap, Some(Callback::SwapFree))
}

/// The undoing of one entry's counters.
pub(crate) fn owed_counters() -> Owed {
    owed(SWAP, Callback::RemoveRmap, Some(Callback::Count))
}

/// The end of the invalidation.
pub(crate) fn owed_end() -> Owed {
    owed(SWAP, Callback::InvalidateEnd, None)
}

/// The invalidation of a page table that was un-shared.
pub(crate) fn owed_invalidate() -> Owed {
    owed(PageFlags::HUGETLB, Callback::Invalidate, None)
}
