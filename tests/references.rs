//! What takes an embedder's type takes a reference to it as well, and asks the type through it.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use core::num::NonZeroU64;
use pinfold::pin::{
    Accounting, BiasedRefs, LedgerError, Owners, PinError, PinGuard, PinKind, Pinnable, Released,
};
use pinfold::placement::{Placed, Zone};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::revoke::{Answer, Level, PinOwner, Pressure};
use pinfold::shrinker::{Pass, Scan, Shrinker};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PageLike, PinPolicy, PlainPage, UnmapError, UnmapFlags,
    UnmapRequest, VmFlags,
};

/// A device that answers nothing as the defaults do.
#[derive(Default)]
struct Device {
    pressed: u32,
    cleared: u32,
    idle: u64,
}

impl PinOwner for Device {
    type Error = Infallible;

    fn pressure(&mut self, _: Level) -> Result<Answer, Infallible> {
        self.pressed += 1;
        Ok(Answer::WillTry)
    }
    fn all_clear(&mut self) -> Result<(), Infallible> {
        self.cleared += 1;
        Ok(())
    }
}

impl Shrinker for Device {
    fn count(&mut self) -> Option<u64> {
        Some(self.idle)
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.idle -= objects.get();
        Scan::Did {
            scanned: objects.get(),
            freed: objects.get(),
        }
    }
    fn seeks(&self) -> u32 {
        9
    }
    fn batch(&self) -> u64 {
        5
    }
    fn pages(&self, freed: u64) -> u64 {
        freed * 2
    }
}

fn tell<O: PinOwner<Error = Infallible>>(mut owner: O) -> Option<Answer> {
    let mut pressure = Pressure::new();
    let answer = pressure.tell(&mut owner, Some(Level::Low)).unwrap();
    pressure.tell(&mut owner, None).unwrap();
    answer
}

fn shrink<S: Shrinker>(mut shrinker: S) -> (u64, u32, u64) {
    let pages = Pass::shrink_pages(&mut shrinker, 10).pages;
    (pages, shrinker.seeks(), shrinker.batch())
}

#[test]
fn devices() {
    let device = || Device {
        idle: 100,
        ..Device::default()
    };
    let mut one = device();
    assert_eq!(tell(&mut one), Some(Answer::WillTry));
    assert_eq!(tell(&mut &mut one), Some(Answer::WillTry));
    assert_eq!((one.pressed, one.cleared), (2, 2));
    assert_eq!(shrink(&mut one), (10, 9, 5));
    assert_eq!(shrink(&mut one as &mut dyn Shrinker), (10, 9, 5));
    assert_eq!(one.idle, 90);

    // A pair is both.
    let mut two = device();
    assert_eq!(tell((&mut one, &mut two)), Some(Answer::WillTry));
    assert_eq!(shrink((&mut one, &mut two)), (10, 9, 5));
    assert_eq!((one.pressed, two.pressed), (3, 0));
    assert_eq!((one.idle, two.idle), (90, 95));
    let mut pair = (one, two);
    assert_eq!(tell(&mut pair), Some(Answer::WillTry));
    assert_eq!(shrink(&mut pair), (10, 9, 5));
}

#[test]
fn accounts() {
    /// Refuses everything.
    struct Closed;
    impl Accounting for Closed {
        type Charge = ();
        fn charge(&mut self, _: PinKind, _: u64) -> Result<(), LedgerError> {
            Err(LedgerError::Full)
        }
        fn release(&mut self, (): ()) -> Result<(), LedgerError> {
            Err(LedgerError::UnknownCharge)
        }
    }
    fn close<A: Accounting<Charge = ()>>(mut account: A) -> [Result<(), LedgerError>; 2] {
        [account.charge(PinKind::Short, 1), account.release(())]
    }
    let refused = [Err(LedgerError::Full), Err(LedgerError::UnknownCharge)];
    assert_eq!(close(&mut Closed), refused);
    assert_eq!(close(&mut &mut Closed), refused);
}

#[test]
fn pages() {
    struct Frame {
        refs: BiasedRefs,
        dirty: Cell<bool>,
        settled: Cell<bool>,
    }
    impl PageLike for Frame {
        fn flags(&self) -> PageFlags {
            PageFlags::ANON
        }
        fn ref_count(&self) -> i32 {
            self.refs.get()
        }
        fn map_count(&self) -> u32 {
            0
        }
    }
    impl Pinnable for Frame {
        fn try_pin(&self, _: PinKind) -> Result<(), PinError> {
            self.refs.pin()
        }
        fn unpin(&self, _: PinKind) -> Result<Released, PinError> {
            self.refs.unpin()
        }
        fn set_dirty(&self) {
            self.dirty.set(true);
        }
        fn settle(&self, _: Released) {
            self.settled.set(true);
        }
    }
    impl Placed for Frame {
        fn id(&self) -> u64 {
            7
        }
        fn zone(&self) -> Zone {
            Zone::Cma
        }
        fn pinnable(&self, _: PinKind) -> Result<(), PinError> {
            Err(PinError::Blocked)
        }
    }
    fn page<P: Placed + Pinnable>(page: P) -> (u64, Zone, bool) {
        let placed = (
            page.id(),
            page.zone(),
            page.pinnable(PinKind::Short).is_ok(),
        );
        let mut guard = PinGuard::pin([page], PinKind::Short).unwrap();
        guard.set_dirty_on_release(true);
        placed
    }
    let mut frame = Frame {
        refs: BiasedRefs::new(1),
        dirty: Cell::new(false),
        settled: Cell::new(false),
    };
    let wanted = (7, Zone::Cma, false);
    assert_eq!(page(&frame), wanted);
    assert!(frame.dirty.get() && !frame.settled.get());
    assert_eq!(page(&mut frame), wanted);
    let (shared, exclusive) = (&&frame, &frame);
    assert_eq!((page(shared), page(exclusive)), (wanted, wanted));
    assert_eq!(frame.refs.get(), 1);

    // The default id is the page's address, through any reference.
    struct Plain(u8);
    impl PageLike for Plain {
        fn flags(&self) -> PageFlags {
            PageFlags::ANON
        }
        fn ref_count(&self) -> i32 {
            i32::from(self.0)
        }
        fn map_count(&self) -> u32 {
            0
        }
    }
    impl Placed for Plain {}
    fn id<P: Placed>(page: P) -> u64 {
        page.id()
    }
    let mut two = [Plain(1), Plain(1)];
    let (first, second) = (id(&two[0]), id(&two[1]));
    assert_ne!(first, second);
    let twice = &&two[0];
    assert_eq!(id(twice), first);
    let [one, _] = &mut two;
    assert_eq!(id::<&dyn Placed>(one), first);
    assert_eq!(id(one), first);
}

/// Lists that answer nothing as the defaults do, and count what they are asked.
#[derive(Default)]
struct Asked(u32);

impl Asked {
    fn ask<T>(&mut self, answer: T) -> T {
        self.0 += 1;
        answer
    }
}

impl PageOps for Asked {
    type Page = PlainPage;
    type Error = &'static str;

    fn update(&mut self, _: &PlainPage, _: PageFlags, _: PageFlags) {
        self.ask(());
    }
    fn referenced(&mut self, _: &PlainPage) -> Referenced {
        self.ask(FOUND)
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        _: &PlainPage,
        _: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<&'static str>> {
        self.ask(Ok(Outcome::Contended))
    }
    fn remove(&mut self, _: &PlainPage, _: Removal) -> Attempt {
        self.ask(Attempt::Done)
    }
    fn flush_tlb(&mut self) {
        self.ask(());
    }
    fn try_lock(&mut self, _: &PlainPage) -> Attempt {
        self.ask(Attempt::Refused)
    }
    fn unlock(&mut self, _: &PlainPage) {
        self.ask(());
    }
    fn is_congested(&mut self, _: &PlainPage) -> bool {
        self.ask(true)
    }
    fn wait_for_writeback(&mut self, _: &PlainPage) {
        self.ask(());
    }
    fn add_to_swap(&mut self, _: &PlainPage) -> Attempt {
        self.ask(Attempt::Done)
    }
    fn free_swap(&mut self, _: &PlainPage) {
        self.ask(());
    }
    fn is_swap_full(&mut self, _: &PlainPage) -> bool {
        self.ask(true)
    }
    fn can_split(&mut self, _: &PlainPage) -> bool {
        self.ask(true)
    }
    fn is_pmd_mapped(&mut self, _: &PlainPage) -> bool {
        self.ask(true)
    }
    fn split(&mut self, _: &PlainPage) -> Attempt {
        self.ask(Attempt::Done)
    }
    fn write_out(&mut self, _: &PlainPage) -> PageOut {
        self.ask(PageOut::Activate)
    }
    fn release_buffers(&mut self, _: &PlainPage) -> Attempt {
        self.ask(Attempt::Done)
    }
    fn put_last(&mut self, _: &PlainPage) -> Option<Released> {
        self.ask(Some(Released::Done))
    }
    fn write_room(&mut self) -> u32 {
        self.ask(3)
    }
    fn submit(&mut self) {
        self.ask(());
    }
    fn failed(&mut self, _: &PlainPage, _: UnmapError<&'static str>) {
        self.ask(());
    }
}

const PAGE: PlainPage = PlainPage {
    flags: PageFlags::ANON,
    refs: 2,
    maps: 1,
    pins: None,
    base_pages: 1,
};
const FOUND: Referenced = Referenced {
    entries: 3,
    vma: VmFlags::EXEC,
};
const WATERMARK: Watermark = Watermark { free: 4, high: 5 };

impl Lists for Asked {
    fn take(&mut self, _: Lru) -> Option<PlainPage> {
        self.ask(Some(PAGE))
    }
    fn put(&mut self, _: Lru, _: PlainPage) {
        self.ask(());
    }
    fn pages(&self, _: Lru) -> u64 {
        6
    }
    fn free(&mut self, _: PlainPage) {
        self.ask(());
    }
    fn park(&mut self, _: PlainPage, _: pinfold::pin::Pins) -> Result<(), PlainPage> {
        self.ask(Ok(()))
    }
    fn take_parked(&mut self) -> Option<PlainPage> {
        self.ask(Some(PAGE))
    }
    fn pages_parked(&self) -> u64 {
        7
    }
    fn pin_owners(&self) -> Owners {
        let usage = pinfold::pin::OwnerUse {
            id: 8,
            limit: 1,
            live_short: 1,
            live_longterm: 0,
            acquired: 1,
            released: 0,
            oldest: None,
        };
        Owners::collect([usage])
    }
    fn has_swap(&self) -> bool {
        false
    }
    fn watermark(&self) -> Watermark {
        WATERMARK
    }
    fn shrink_others(&mut self, _: u8) -> u64 {
        self.ask(9)
    }
}

#[test]
fn lists_and_operations_on_pages() {
    fn ask<B: Lists<Page = PlainPage, Error = &'static str>>(mut lists: B) {
        let (list, page) = (Lru::InactiveFile, &PAGE);
        let none = PageFlags::empty();
        let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
        let mut debt = FlushDebt::none();
        lists.update(page, none, none);
        assert_eq!(lists.referenced(page), FOUND);
        let outcome = lists.unmap(page, &request, &mut debt);
        assert_eq!(outcome, Ok(Outcome::Contended));
        assert_eq!(lists.remove(page, Removal::Lazyfree), Attempt::Done);
        lists.flush_tlb();
        assert_eq!(lists.try_lock(page), Attempt::Refused);
        lists.unlock(page);
        assert!(lists.is_congested(page));
        lists.wait_for_writeback(page);
        assert_eq!(lists.add_to_swap(page), Attempt::Done);
        lists.free_swap(page);
        assert!(lists.is_swap_full(page) && lists.can_split(page) && lists.is_pmd_mapped(page));
        assert_eq!(lists.split(page), Attempt::Done);
        assert_eq!(lists.write_out(page), PageOut::Activate);
        assert_eq!(lists.write_room(), 3);
        lists.submit();
        assert_eq!(lists.release_buffers(page), Attempt::Done);
        assert_eq!(lists.put_last(page), Some(Released::Done));
        lists.failed(page, UnmapError::NoReference);

        assert_eq!(lists.take(list), Some(PAGE));
        lists.put(list, PAGE);
        lists.free(PAGE);
        assert_eq!(lists.park(PAGE, pinfold::pin::Pins::None), Ok(()));
        assert_eq!(lists.take_parked(), Some(PAGE));
        assert_eq!(lists.shrink_others(0), 9);
        assert_eq!((lists.pages(list), lists.pages_parked()), (6, 7));
        assert_eq!(lists.pin_owners().pages(), 1);
        assert!(!lists.has_swap());
        assert_eq!(lists.watermark(), WATERMARK);
    }
    let mut asked = Asked::default();
    ask(&mut asked);
    ask(&mut &mut asked);
    assert_eq!(asked.0, 2 * 27);
}
