//! Reclaim: the decisions, one page, the lists.

use super::embedder::{Any, AnyParking, AnyPolicy, AnyReading, Bare};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use pinfold::pin::{Biased, PinReading, Refined};
use pinfold::reclaim::decide::{
    self, Backing, Dirty, Entrance, Leave, Referenced, References, UnderWriteback,
};
use pinfold::reclaim::{
    ActivateReason, Fate, Futile, Futility, KeepReason, Lists, Lru, LruScan, PageOps, PageOut, Parking, Progress, Refill, Removal, ScanControl, Stats, Unparked, Watermark, age_page,
    refill, shrink_page, unpark,
};
use pinfold::unmap::Owed;
use pinfold::{FlushDebt, IgnorePins, PinPolicy, UnmapRequest};

pub fn call() {
    decisions();
    control();
    operations(&mut Any);
    operations(&mut Bare);
    lists(&mut Any);
    lists(&mut Bare);
    parking();
    stats(hidden(&mut Stats::default()));
    futility();
    texts();
}

super::values::opaque_enum!(References:
    References::Reclaim, References::ReclaimClean, References::Keep, References::Activate);

fn decisions() {
    keep(decide::references(opaque(), opaque()));
    debug::<Entrance>(&decide::entrance(opaque(), opaque(), opaque()));
    keep(decide::may_enter_fs(opaque(), opaque()));
    keep(opaque().counts_as_io());
    debug::<UnderWriteback>(&decide::under_writeback(opaque(), opaque(), opaque()));
    debug::<Backing>(&decide::backing(opaque(), opaque()));
    keep(UnmapFlags::for_reclaim(opaque(), opaque()));
    debug::<Dirty>(&decide::dirty(opaque(), opaque(), opaque(), opaque()));
    keep(opaque().has_mapping());
    debug::<Leave>(&decide::leave(opaque()));
    keep(decide::frees_swap(opaque(), opaque()));
    debug::<References>(&opaque());
    debug::<Referenced>(&opaque());
    keep(refill(opaque(), opaque()));
    debug::<Refill>(&opaque());
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
    scans(&mut Any, ScanControl::with_parking(any, AnyParking));
    let any = control.with_policy(&AnyPolicy::<true>);
    scans(&mut Any, any.with_parking(&Parking::Lazy));
}

fn scans<B, L, K>(lists: &mut B, control: ScanControl<L>)
where
    B: Lists<Error = Mishap>,
    L: PinPolicy,
{
    let control = hidden(&control);
    let mut flush = FlushDebt::none();
    let mut stats = Stats::default();
    if let Some(page) = lists.take(opaque()) {
        match shrink_page(
            &page,
            control,
            lists,
            hidden(&mut flush),
            hidden(&mut stats),
        ) {
            Ok(fate) => keep(fate),
            Err(error) => broken_off(error),
        }
        match age_page(opaque(), page, control, lists, hidden(&mut stats)) {
            Ok(refill) => keep(refill),
            Err(error) => broken_off(error),
        }
    }
    keep((flush, stats));
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
    keep(LruScan::errors(scan));
    keep(LruScan::flush_debt(scan));
    keep(LruScan::pinned_on(scan, opaque()));
    debug::<LruScan>(scan);
    keep(LruScan::take_flush_debt(scan));
    let mut futility = Futility::new(opaque());
    if let Some(futile) = Futility::note(hidden(&mut futility), scan, opaque(), lists) {
        print::<Futile>(&futile);
    }
}

#[inline(never)]
fn broken_off(failed: ShrinkError<Mishap>) {
    error::<ShrinkError<Mishap>>(&failed);
    keep(ShrinkError::is_locked(&failed));
}

fn operations<O: PageOps<Error = Mishap> + Lists>(ops: &mut O) {
    let Some(page) = Lists::take(ops, opaque()) else {
        return;
    };
    keep(PageOps::update(ops, &page, opaque(), opaque()));
    keep(PageOps::referenced(ops, &page));
    if let Ok(request) = UnmapRequest::new(opaque()) {
        keep(PageOps::unmap(ops, &page, &request));
    }
    keep(PageOps::remove(ops, &page, opaque()));
    keep(PageOps::flush_tlb(ops));
    keep(PageOps::try_lock(ops, &page));
    keep(PageOps::unlock(ops, &page));
    keep(PageOps::is_congested(ops, &page));
    keep(PageOps::wait_for_writeback(ops, &page));
    keep(PageOps::add_to_swap(ops, &page));
    keep(PageOps::free_swap(ops, &page));
    keep(PageOps::is_swap_full(ops, &page));
    keep(PageOps::can_split(ops, &page));
    keep(PageOps::is_pmd_mapped(ops, &page));
    keep(PageOps::split(ops, &page));
    keep(PageOps::write_out(ops, &page));
    keep(PageOps::release_buffers(ops, &page));
    keep(PageOps::put_last(ops, &page));
}

fn lists<B: Lists<Error = Mishap>>(lists: &mut B) {
    if let Some(page) = Lists::take(lists, opaque()) {
        Lists::failed(lists, Some(&page), opaque());
        match Lists::park(lists, page, opaque()) {
            Ok(()) => {}
            Err(page) if opaque() => Lists::put(lists, opaque(), page),
            Err(page) => Lists::free(lists, page, opaque()),
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

fn parking() {
    park(&Parking::Longterm);
    park(&Rotate);
    park(&Parking::Lazy);
    park(&Parking::Eager);
    park(&&AnyParking);
    debug::<Parking::Longterm>(&Parking::Longterm);
    debug::<Rotate>(&Rotate);
    debug::<Parking::Lazy>(&Parking::Lazy);
    debug::<Parking::Eager>(&Parking::Eager);
    debug::<OnScan>(&opaque());
    debug::<OnPin>(&opaque());
}

fn park<K: ParkPolicy>(parking: &K) {
    keep(ParkPolicy::on_scan(parking, opaque()));
    keep(ParkPolicy::on_pin(parking, opaque()));
}

fn stats(stats: &mut Stats) {
    keep(Stats::kept_for(stats, opaque()));
    keep(Stats::activated_for(stats, opaque()));
    keep(Stats::reclaimed(stats));
    keep(Stats::is_conserved(stats));
    Stats::merge(stats, hidden(&Stats::default()));
    debug::<Stats>(stats);
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

super::values::opaque_enum!(ShrinkError<Mishap>:
    ShrinkError::Op { op: opaque(), source: opaque(), locked: opaque() },
    ShrinkError::Unmap { error: opaque(), owed: hidden(Owed::default()), locked: opaque() });

fn texts() {
    keep(Lru::of(opaque()));
    keep(Lru::is_active(opaque()));
    keep(Lru::is_file(opaque()));
    broken_off(opaque());
    debug::<Lru>(&opaque());
    debug::<Release>(&opaque());
    debug::<Watermark>(&opaque());
    debug::<PageOut>(&opaque());
    debug::<Removal>(&opaque());
    debug::<PageOp>(&opaque());
    debug::<Fate>(&opaque());
    debug::<KeepReason>(&opaque());
    debug::<ActivateReason>(&opaque());
}
