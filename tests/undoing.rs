//! What a walk calls to put an entry back that it has cleared, and that the flush which was deferred
//! for it is still owed.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use core::ops::Range;
use pinfold::pin::{PinCount, Pins};
use pinfold::unmap::{Stop, Verdict};
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, NewEntry, PageFlags, PageLike,
    PageTables, PlainVma, PteFlags, UnmapFlags, UnmapRequest, VmFlags, try_to_unmap_one,
};

const ADDRESS: u64 = 0x20_0000;
const BITS: PteFlags = PteFlags::DIRTY.union(PteFlags::WRITABLE);
const LAZYFREE: PageFlags = PageFlags::ANON;
const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);

struct Page {
    flags: Cell<PageFlags>,
    pins: Cell<u32>,
}

impl Page {
    const fn new(flags: PageFlags) -> Self {
        Self {
            flags: Cell::new(flags),
            pins: Cell::new(0),
        }
    }
}

impl PageLike for Page {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        3
    }
    fn map_count(&self) -> u32 {
        1
    }
    fn exact_pins(&self) -> Option<PinCount> {
        Some(PinCount {
            total: self.pins.get(),
            longterm: Some(0),
        })
    }
}

/// Two entries, of which the first is taken up to what a test refuses. Logs what is called from the
/// clearing on.
struct Walk<'a> {
    page: &'a Page,
    entries: u64,
    /// What happens to the page while the entry is empty.
    meanwhile: fn(&Page),
    refuses: Option<&'static str>,
    log: Vec<String>,
}

impl Walk<'_> {
    fn call(&mut self, method: &'static str) -> Attempt {
        self.log.push(method.to_owned());
        if self.refuses == Some(method) {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }
}

impl PageTables for Walk<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let address = ADDRESS + 0x1000 * self.entries;
        self.entries += 1;
        let flags = BITS;
        Ok((self.entries <= 2).then_some(Entry { address, flags }))
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        assert_eq!(flush, FlushMode::MayDefer);
        (self.meanwhile)(self.page);
        Ok(Cleared {
            flags: entry.flags,
            deferred: true,
        })
    }
    fn install(&mut self, entry: &Entry, new: NewEntry) {
        self.log
            .push(format!("install {:#x} {new:?}", entry.address));
    }
    fn set_page_dirty(&mut self) {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::DIRTY);
    }
    fn remove_rmap(&mut self, _: &Entry) {
        self.log.push("remove_rmap".to_owned());
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        self.call("swap_duplicate")
    }
    fn swap_free(&mut self, _: &Entry) {
        self.log.push("swap_free".to_owned());
    }
    fn arch_unmap(&mut self, _: &Entry, cleared: PteFlags) -> Attempt {
        assert_eq!(cleared, BITS);
        self.call("arch_unmap")
    }
    fn set_swap_backed(&mut self) {
        self.log.push("set_swap_backed".to_owned());
    }
    fn count(&mut self, delta: CounterDelta) {
        self.log.push(format!("count {delta:?}"));
    }
    fn invalidate_end(&mut self, range: Range<u64>) {
        self.log.push(format!("invalidate_end {:#x}", range.start));
    }
}

/// Runs a walk over a page with these flags, which must stop for `why` and put its first entry back;
/// what is called beside that, in order.
fn stops(
    flags: PageFlags,
    refuses: Option<&'static str>,
    meanwhile: fn(&Page),
    why: Stop,
) -> Vec<String> {
    let page = Page::new(flags);
    let mut walk = Walk {
        page: &page,
        entries: 0,
        meanwhile,
        refuses,
        log: Vec::new(),
    };
    let vma = PlainVma {
        flags: VmFlags::empty(),
        range: ADDRESS..ADDRESS + 0x2000,
    };
    let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH).unwrap();
    let mut debt = FlushDebt::none();
    let verdict = try_to_unmap_one(&page, &vma, ADDRESS, &request, &mut walk, &mut debt);
    assert_eq!(verdict, Ok(Verdict::Stopped(why)));
    assert_eq!((debt.entries(), debt.is_dirty()), (1, true));
    debt.ignore();
    let restored = format!("install {ADDRESS:#x} {:?}", NewEntry::Restored(BITS));
    let (put_back, mut others): (Vec<_>, Vec<_>) =
        walk.log.into_iter().partition(|call| *call == restored);
    assert_eq!(put_back.len(), 1, "once, with its bits");
    assert_eq!(others.pop(), Some(format!("invalidate_end {ADDRESS:#x}")));
    others
}

const fn nothing(_: &Page) {}

#[test]
fn a_slot_that_is_refused_is_not_given_back() {
    let calls = stops(SWAP, Some("swap_duplicate"), nothing, Stop::SwapSlotRefused);
    assert_eq!(calls, ["swap_duplicate"]);
}

#[test]
fn a_slot_is_given_back_if_the_architecture_refuses() {
    let calls = stops(SWAP, Some("arch_unmap"), nothing, Stop::ArchRefused);
    assert_eq!(calls, ["swap_duplicate", "arch_unmap", "swap_free"]);
}

#[test]
fn a_lazily_freed_page_that_was_written_to_is_swap_backed_again() {
    let calls = stops(LAZYFREE, None, nothing, Stop::LazyfreeRedirtied);
    assert_eq!(calls, ["set_swap_backed"]);
}

#[test]
fn a_pin_that_appears_stops_the_walk_before_the_page_is_written_to() {
    let pins = Pins::Exactly(PinCount {
        total: 1,
        longterm: Some(0),
    });
    let pin = |page: &Page| page.pins.set(1);
    let calls = stops(SWAP, None, pin, Stop::PinAppeared(pins));
    assert_eq!(calls, [""; 0]);
}

/// D1 asks before the entry is cleared; a page that leaves the swap cache after that is found all
/// the same.
#[test]
fn an_anonymous_page_that_becomes_inconsistent_keeps_its_entry() {
    let leave = |page: &Page| page.flags.set(SWAP - PageFlags::SWAP_BACKED);
    let calls = stops(SWAP, None, leave, Stop::InconsistentAnon);
    assert_eq!(calls, [""; 0]);
}
