//! Reclaim: the decisions, one page, the lists.

use super::embedder::{Any, AnyPolicy, AnyReading, Bare};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::pin::{Biased, PinReading, Refined};
use pinfold::reclaim::decide::{self, Backing, Dirty, Referenced, References, UnderWriteback};
use pinfold::reclaim::{
    ActivateReason, Fate, Futile, Futility, KeepReason, Link, ListError, Lists, Lru, LruScan,
    PageLists, PageOps, PageOut, Parking, Place, Progress, Removal, ScanControl, Stats, Unparked,
    Watermark, shrink_page, unpark,
};
use pinfold::{FlushDebt, IgnorePins, PinPolicy, UnmapRequest};

pub fn call() {
    decisions();
    control();
    operations(&mut Any);
    operations(&mut Bare);
    operations(&mut &mut Any);
    lists(&mut Any);
    lists(&mut Bare);
    lists(&mut &mut Any);
    page_lists();
    parking();
    stats(hidden(&mut Stats::default()));
    futility();
    texts();
}

super::values::opaque_enum!(References:
    References::Reclaim, References::ReclaimClean, References::Keep, References::Activate);

fn decisions() {
    keep(decide::references(opaque(), opaque()));
    keep(decide::entrance(opaque(), opaque(), opaque()));
    debug::<UnderWriteback>(&decide::under_writeback(opaque(), opaque(), opaque()));
    debug::<Backing>(&decide::backing(opaque(), opaque()));
    debug::<Dirty>(&decide::dirty(opaque(), opaque(), opaque(), opaque()));
    keep(decide::leave(opaque()));
    debug::<References>(&opaque());
    debug::<Referenced>(&opaque());
}

fn control() {
    let control = ScanControl::new(opaque());
    let control = ScanControl::with_context(control, opaque());
    let Ok(control) = ScanControl::with_unmap_flags(control, opaque()) else {
        return;
    };
    keep(ScanControl::flags(&control));
    keep(ScanControl::parking(&control));
    keep(ScanControl::context(&control));
    debug::<ScanControl>(&control);
    scans(&mut Any, control);
    scans(&mut Bare, control);
    scans(&mut Any, ScanControl::with_policy(control, IgnorePins));
    let any = control.with_policy(AnyPolicy::<false>);
    scans(&mut Any, ScanControl::with_parking(any, opaque()));
    let any = control.with_policy(&AnyPolicy::<true>);
    scans(&mut Any, any.with_parking(Parking::Lazy));
}

fn scans<B, L>(lists: &mut B, control: ScanControl<L>)
where
    B: Lists<Error = Mishap>,
    L: PinPolicy,
{
    let control = hidden(&control);
    let mut stats = Stats::default();
    if let Some(page) = lists.take(opaque()) {
        debug::<Fate>(&shrink_page(&page, control, lists, hidden(&mut stats)));
    }
    keep(stats);
    let mut scan = LruScan::new(opaque());
    keep(LruScan::step(hidden(&mut scan), lists, control, opaque()));
    keep(LruScan::run(hidden(&mut scan), lists, control));
    about(hidden(&mut scan), lists);
}

fn about<B: Lists>(scan: &mut LruScan, lists: &B) {
    keep(LruScan::target(scan));
    keep(LruScan::reclaimed(scan));
    keep(LruScan::priority(scan));
    keep(LruScan::stats(scan));
    keep(LruScan::pinned_on(scan, opaque()));
    debug::<LruScan>(scan);
    let mut futility = Futility::new(opaque());
    if let Some(futile) = Futility::note(hidden(&mut futility), scan, opaque(), lists) {
        print::<Futile>(&futile);
    }
}

fn operations<O: PageOps<Error = Mishap> + Lists>(ops: &mut O) {
    let Some(page) = Lists::take(ops, opaque()) else {
        return;
    };
    PageOps::update(ops, &page, opaque(), opaque());
    keep(PageOps::referenced(ops, &page));
    if let Ok(request) = UnmapRequest::new(opaque()) {
        keep(PageOps::unmap(
            ops,
            &page,
            &request,
            hidden(&mut FlushDebt::none()),
        ));
    }
    keep(PageOps::remove(ops, &page, opaque()));
    PageOps::flush_tlb(ops);
    keep(PageOps::try_lock(ops, &page));
    PageOps::unlock(ops, &page);
    keep(PageOps::is_congested(ops, &page));
    PageOps::wait_for_writeback(ops, &page);
    keep(PageOps::add_to_swap(ops, &page));
    PageOps::free_swap(ops, &page);
    keep(PageOps::is_swap_full(ops, &page));
    keep(PageOps::can_split(ops, &page));
    keep(PageOps::is_pmd_mapped(ops, &page));
    keep(PageOps::split(ops, &page));
    keep(PageOps::write_out(ops, &page));
    keep(PageOps::write_room(ops));
    PageOps::submit(ops);
    PageOps::failed(ops, &page, opaque());
    keep(PageOps::release_buffers(ops, &page));
    keep(PageOps::put_last(ops, &page));
}

fn lists<B: Lists<Error = Mishap>>(lists: &mut B) {
    if let Some(page) = Lists::take(lists, opaque()) {
        match Lists::park(lists, page, opaque()) {
            Ok(()) => {}
            Err(page) if opaque() => Lists::put(lists, opaque(), page),
            Err(page) => Lists::free(lists, page),
        }
    }
    keep(Lists::take_parked(lists).is_some());
    keep(Lists::pages(lists, opaque()));
    keep(Lists::pages_parked(lists));
    keep(Lists::pin_owners(lists));
    keep(Lists::has_swap(lists));
    keep(Lists::watermark(lists));
    keep(Lists::shrink_others(lists, opaque()));
    keep(LruScan::reclaimable_pages(lists));
    unparked::<B, Biased>(lists);
    unparked::<B, Refined>(lists);
    unparked::<B, AnyReading>(lists);
}

fn unparked<B: Lists, R: PinReading>(lists: &mut B) {
    let unparked = unpark::<B, R>(lists, opaque(), |_| opaque());
    debug::<Unparked>(&unparked);
}

super::values::opaque_enum!(Parking:
    Parking::Rotate, Parking::Longterm, Parking::Lazy, Parking::Eager);

fn parking() {
    keep(Parking::parks_on_scan(opaque(), opaque()));
    keep(Parking::parks_on_pin(opaque(), opaque()));
    keep(Parking::default());
    debug::<Parking>(&opaque());
}

fn page_lists() {
    let mut links = hidden([Link::default(); 4]);
    page_lists_over(links);
    page_lists_over(hidden(&mut links[..]));
}

fn page_lists_over<S: AsRef<[Link]> + AsMut<[Link]> + Debug>(links: S) {
    let mut lists = PageLists::new(links);
    let lists = hidden(&mut lists);
    while opaque() {
        keep(PageLists::put(lists, opaque(), opaque(), opaque()));
        keep(PageLists::park(lists, opaque(), opaque()));
        keep(PageLists::take(lists, opaque()));
        keep(PageLists::take_parked(lists));
        keep(PageLists::remove(lists, opaque()));
        keep(PageLists::make_oldest(lists, opaque()));
        keep(PageLists::place(lists, opaque()));
        keep(PageLists::pages(lists, opaque()));
        keep(PageLists::pages_parked(lists));
    }
    debug::<PageLists<S>>(lists);
    error::<ListError>(&opaque());
    debug::<Link>(&Link::default());
    debug::<Place>(&opaque());
}

fn stats(stats: &mut Stats) {
    keep(Stats::kept_for(stats, opaque()));
    keep(Stats::activated_for(stats, opaque()));
    keep(Stats::reclaimed(stats));
    keep(Stats::is_conserved(stats));
    Stats::merge(stats, hidden(&Stats::default()));
    for counter in Stats::iter(stats) {
        keep(counter);
    }
    print::<Stats>(stats);
}

super::values::opaque_enum!(Progress: Progress::More, Progress::Reached, Progress::Exhausted);

fn futility() {
    keep(Futility::default());
    let mut futility = Futility::new(opaque());
    let futility = hidden(&mut futility);
    keep(Futility::failed_to_reach(futility));
    keep(Futility::failures(futility));
    keep(Futility::is_futile(futility));
    Futility::reached(futility);
    debug::<Futility>(futility);
    debug::<Progress>(&opaque());
}

fn texts() {
    keep(Lru::of(opaque()));
    keep(Lru::is_active(opaque()));
    keep(Lru::is_file(opaque()));
    debug::<Lru>(&opaque());
    debug::<Watermark>(&opaque());
    debug::<PageOut>(&opaque());
    debug::<Removal>(&opaque());
    debug::<Fate>(&opaque());
    debug::<KeepReason>(&opaque());
    debug::<ActivateReason>(&opaque());
}
