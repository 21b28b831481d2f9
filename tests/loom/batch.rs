//! A batch of two pages against a pinner without locks, and against a CPU whose TLB still has an
//! entry of one of them.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use pinfold::pin::race::pin_fast;
use pinfold::pin::{BiasedRefs, PinKind, Pins, Refined};
use pinfold::reclaim::{
    Lists, Lru, LruScan, PageOps, PageOut, Referenced, Removal, ScanControl, ScanFlags,
};
use pinfold::{
    Attempt, Cleared, Context, Entry, FlushDebt, FlushMode, NewEntry, NextVma, Operation, Outcome,
    PageFlags, PageLike, PageTables, PinMode, PinPolicy, PinVerdict, PlainVma, PteFlags, Rmap,
    SkipOpportunistic, UnmapError, UnmapRequest, VmFlags, try_to_unmap,
};
use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;

const MAPPED: usize = 1;
const CLEARED: usize = 0;
const ADDRESS: u64 = 0x1000;

/// What other CPUs see of a page.
struct Shared {
    refs: BiasedRefs,
    entry: AtomicUsize,
    cpu: Mutex<Cpu>,
}

/// A CPU that may still write to the page.
struct Cpu {
    tlb: bool,
    data: u32,
}

impl Shared {
    fn new() -> Self {
        Self {
            // The mapping's, the swap cache's, the list's.
            refs: BiasedRefs::new(3),
            entry: AtomicUsize::new(MAPPED),
            cpu: Mutex::new(Cpu { tlb: true, data: 1 }),
        }
    }
}

/// A dirty page in the swap cache, with one mapping.
struct Frame {
    shared: Arc<Shared>,
    flags: Cell<PageFlags>,
    maps: Cell<u32>,
    swap: Cell<Option<u32>>,
    freed: Cell<bool>,
}

impl Frame {
    fn new() -> Self {
        Self {
            shared: Arc::new(Shared::new()),
            flags: Cell::new(
                PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE | PageFlags::DIRTY,
            ),
            maps: Cell::new(1),
            swap: Cell::new(None),
            freed: Cell::new(false),
        }
    }
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.shared.refs.get()
    }
    fn map_count(&self) -> u32 {
        self.maps.get()
    }
}

struct Walk<'f> {
    frame: &'f Frame,
    vma: bool,
    entry: bool,
}

impl Rmap for Walk<'_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        if std::mem::replace(&mut self.vma, true) {
            return NextVma::End;
        }
        NextVma::Found {
            vma: PlainVma {
                flags: VmFlags::empty(),
                range: ADDRESS..2 * ADDRESS,
            },
            address: ADDRESS,
        }
    }
}

impl PageTables for Walk<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        let first = !std::mem::replace(&mut self.entry, true);
        Ok(first.then_some(Entry {
            address: ADDRESS,
            flags: PteFlags::DIRTY,
        }))
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }
    fn clear(&mut self, _: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        assert_eq!(flush, FlushMode::MayDefer);
        self.frame.shared.entry.swap(CLEARED, Ordering::AcqRel);
        Ok(Cleared {
            flags: PteFlags::DIRTY,
            deferred: true,
        })
    }
    fn install(&mut self, _: &Entry, new: NewEntry) {
        if let NewEntry::Restored(_) = new {
            self.frame.shared.entry.store(MAPPED, Ordering::Release);
        }
    }
    fn set_page_dirty(&mut self) {}
    fn remove_rmap(&mut self, _: &Entry) {
        self.frame.maps.set(0);
        let _ = self.frame.shared.refs.put_ref().unwrap();
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }
}

struct Node<'f> {
    frames: &'f [Frame],
    list: VecDeque<&'f Frame>,
    flushes: bool,
}

impl<'f> PageOps for Node<'f> {
    type Page = &'f Frame;
    type Error = Infallible;

    fn update(&mut self, page: &&'f Frame, set: PageFlags, clear: PageFlags) {
        page.flags.set((page.flags.get() | set).difference(clear));
    }
    fn referenced(&mut self, _: &&'f Frame) -> Referenced {
        Referenced::default()
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'f Frame,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        let mut walk = Walk {
            frame: page,
            vma: false,
            entry: false,
        };
        try_to_unmap(*page, request, &mut walk, debt)
    }
    fn remove(&mut self, page: &&'f Frame, _: Removal) -> Attempt {
        match page.shared.refs.freeze(2) {
            Ok(()) => Attempt::Done,
            Err(_) => Attempt::Refused,
        }
    }
    fn flush_tlb(&mut self) {
        for frame in self.frames.iter().filter(|_| self.flushes) {
            if frame.shared.entry.load(Ordering::Acquire) == CLEARED {
                frame.shared.cpu.lock().unwrap().tlb = false;
            }
        }
    }
    fn write_out(&mut self, page: &&'f Frame) -> PageOut {
        let data = page.shared.cpu.lock().unwrap().data;
        page.swap.set(Some(data));
        let clean = page.flags.get().difference(PageFlags::DIRTY);
        page.flags.set(clean);
        PageOut::Success
    }
}

impl<'f> Lists for Node<'f> {
    fn take(&mut self, list: Lru) -> Option<&'f Frame> {
        (list == Lru::InactiveAnon).then(|| self.list.pop_front())?
    }
    fn put(&mut self, _: Lru, _: &'f Frame) {}
    fn pages(&self, list: Lru) -> u64 {
        // So many that the gentlest priority takes both.
        if list == Lru::InactiveAnon {
            2 << 12
        } else {
            0
        }
    }
    fn free(&mut self, page: &'f Frame) {
        page.freed.set(true);
    }
}

/// Reclaims two pages in one batch.
fn batch<L: PinPolicy>(frames: &[Frame; 2], policy: L, flushes: bool) {
    let mut node = Node {
        frames,
        list: frames.iter().collect(),
        flushes,
    };
    let everything = ScanFlags::MAY_UNMAP | ScanFlags::MAY_WRITE | ScanFlags::IO | ScanFlags::FS;
    let control = ScanControl::new(everything).with_policy(policy);
    let mut scan = LruScan::new(2);
    let _ = scan.step(&mut node, &control, 2);
    assert!(node.list.is_empty() && scan.stats().scanned == 2);
}

/// Asks before the walk and after the flush, but not when an entry is cleared.
struct AroundTheWalk {
    after_the_flush: bool,
}

impl PinPolicy for AroundTheWalk {
    type Reading = Refined;

    fn mode(&self) -> PinMode {
        PinMode::PerVma
    }
    fn verdict(&self, operation: Operation, _: Context, _: Pins) -> PinVerdict {
        match operation {
            Operation::Free if !self.after_the_flush => PinVerdict::Proceed,
            _ => PinVerdict::SkipPage,
        }
    }
}

/// One of the pages is pinned meanwhile. It is neither written nor freed, and with a policy that
/// `keeps_entries` it is not unmapped.
fn pin_against<L: PinPolicy + 'static>(policy: fn() -> L, keeps_entries: bool) {
    for pinned in [0, 1] {
        loom::model(move || {
            let frames = [Frame::new(), Frame::new()];
            let other = frames[pinned].shared.clone();
            let pinner = thread::spawn(move || {
                let entry = || other.entry.load(Ordering::Acquire);
                let seen = entry();
                seen == MAPPED && pin_fast(&other.refs, PinKind::Short, seen, entry).is_ok()
            });
            batch(&frames, policy(), true);
            let is_pinned = pinner.join().unwrap();

            let page = &frames[pinned];
            let mapped = page.shared.entry.load(Ordering::Acquire) == MAPPED;
            if is_pinned {
                assert!(!page.freed.get(), "a pinned page was freed");
                assert_eq!(page.swap.get(), None, "a pinned page was written");
                assert!(mapped || !keeps_entries, "a pinned page lost its entry");
                let _ = page.shared.refs.unpin().unwrap();
            }
            for frame in &frames {
                let refs = 2 + i32::try_from(frame.maps.get()).unwrap();
                let refs = if frame.freed.get() { 0 } else { refs };
                assert_eq!(frame.shared.refs.get(), refs, "a reference was lost");
            }
            assert!(frames[1 - pinned].freed.get(), "nothing held it");
        });
    }
}

#[test]
fn pin_against_a_batch() {
    pin_against(<SkipOpportunistic>::new, true);
}

/// What the walks let through is found after the flush.
#[test]
fn pin_against_a_batch_without_the_look_at_entries() {
    pin_against(
        || AroundTheWalk {
            after_the_flush: true,
        },
        false,
    );
}

#[test]
#[should_panic(expected = "a pinned page was written")]
fn pin_against_a_batch_without_the_look_after_the_flush() {
    pin_against(
        || AroundTheWalk {
            after_the_flush: false,
        },
        false,
    );
}

/// A CPU writes through its TLB to one of the pages; what it wrote is in swap once the page is freed.
fn store_against(flushes: bool) {
    for written in [0, 1] {
        loom::model(move || {
            let frames = [Frame::new(), Frame::new()];
            let other = frames[written].shared.clone();
            let cpu = thread::spawn(move || {
                let mut cpu = other.cpu.lock().unwrap();
                if cpu.tlb {
                    cpu.data = 2;
                }
            });
            batch(&frames, <SkipOpportunistic>::new(), flushes);
            cpu.join().unwrap();
            for frame in &frames {
                assert!(frame.freed.get());
                let data = frame.shared.cpu.lock().unwrap().data;
                assert_eq!(frame.swap.get(), Some(data), "a write was lost");
            }
        });
    }
}

#[test]
fn store_against_a_batch() {
    store_against(true);
}

#[test]
#[should_panic(expected = "a write was lost")]
fn store_against_a_batch_without_the_flush() {
    store_against(false);
}
