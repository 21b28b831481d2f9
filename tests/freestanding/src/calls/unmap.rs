//! `try_to_unmap_one`, `try_to_unmap`, and what they are made of.

use super::embedder::{Any, AnyPage, AnyPolicy, Bare, BarePage};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::pin::{Biased, Refined};
use pinfold::unmap::decide::{self, Gate, Inconsistency, Look, Replacement, Split, Take, TakeKind};
use pinfold::unmap::{Callback, Owed, Stop, UnmapError};
use pinfold::{
    Bookkeeping, Cleared, CounterDelta, Entry, Failure, FlushDebt, FlushMode, Hook, IgnorePins,
    InVma, NewEntry, Outcome, PageLike, PageTables, PinPolicy, PlainPage, PlainVma, Reason, Rmap,
    SharedTable, SkipLongterm, SkipOpportunistic, SkipPinned, UnmapRequest, Unmapped, Verdict,
    Walked, try_to_unmap, try_to_unmap_one,
};

pub fn call() {
    decisions();
    drivers();
    callbacks(&mut Any);
    callbacks(&mut Bare);
    callbacks(&mut &mut Any);
    debts();
    owed();
    texts();
}

super::values::opaque_enum!(TakeKind:
    TakeKind::Base, TakeKind::Pmd, TakeKind::DevicePrivate);
super::values::opaque_enum!(Replacement:
    Replacement::Poison, Replacement::Unused, Replacement::Migration(opaque()),
    Replacement::PmdMigration(opaque()), Replacement::DevicePrivate(opaque()),
    Replacement::Swap(opaque()), Replacement::DiscardLazyfree, Replacement::KeepLazyfree,
    Replacement::InconsistentAnon, Replacement::File);

fn decisions() {
    let gate = decide::gate(opaque(), opaque(), opaque());
    debug::<Gate>(&gate);
    if let Gate::Walk(split) = gate {
        debug::<Split>(&split);
    }
    keep(Split::of(opaque()));
    let look = decide::look(opaque(), opaque(), opaque(), opaque());
    debug::<Look>(&look);
    if let Look::Take(take) = look {
        debug::<Take>(&take);
    }
    keep(decide::replace(opaque(), opaque(), opaque(), opaque()));
    keep(decide::replace_kind(
        opaque(),
        opaque(),
        opaque(),
        opaque(),
        opaque(),
    ));
    keep(Replacement::entry(opaque()));
    keep(Replacement::needs_slot(opaque()));
    keep(Replacement::asks_arch(opaque()));
    keep(Replacement::invalidates(opaque()));
    keep(Replacement::counters(opaque(), opaque()));
    debug::<TakeKind>(&opaque());
    debug::<Replacement>(&opaque());
    debug::<Inconsistency>(&opaque());
}

fn drivers() {
    let Ok(request) = UnmapRequest::new(opaque()) else {
        return;
    };
    let request = UnmapRequest::with_context(request, opaque());
    keep(UnmapRequest::flags(&request));
    keep(UnmapRequest::policy(&request));
    keep(UnmapRequest::context(&request));
    debug::<UnmapRequest>(&request);
    embedders(&request);
    under(request);
    under(UnmapRequest::with_policy(request, IgnorePins));
    under(UnmapRequest::with_policy(request, SkipPinned));
    under(request.with_policy(SkipOpportunistic::<Biased>::new()));
    under(request.with_policy(SkipLongterm::<Refined>::new()));
    under(request.with_policy(AnyPolicy::<true>));
    under(request.with_policy(&AnyPolicy::<false>));
}

fn under<L: PinPolicy>(request: UnmapRequest<L>) {
    let request = hidden(&request);
    keep(UnmapRequest::ask(request, &opaque::<AnyPage>()));
    let pages = [opaque::<AnyPage>(), opaque()];
    let told = |index, verdict, pins| {
        keep((index, verdict, pins));
    };
    UnmapRequest::ask_all(request, hidden(&pages), told);
    unmap(&opaque::<AnyPage>(), request, &mut Any);
}

fn embedders(request: &UnmapRequest) {
    unmap(&opaque::<PlainPage>(), request, &mut Bare);
    unmap(&BarePage, request, &mut &mut Any);
    let (page, mut walk) = (opaque::<AnyPage>(), Any);
    let walk: &mut dyn Bookkeeping<Error = Mishap> = hidden(&mut walk);
    unmap::<dyn PageLike, _, _>(hidden(&page), request, walk);
}

fn unmap<P, L, W>(page: &P, request: &UnmapRequest<L>, walk: &mut W)
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: Bookkeeping<Error = Mishap> + ?Sized,
{
    let vma: PlainVma = opaque();
    match try_to_unmap_one(page, &vma, opaque(), request, walk) {
        Ok(walked) => debug::<Walked>(&walked),
        Err(failure) => broken_off(failure),
    }
    match try_to_unmap(page, request, &mut Any) {
        Ok(unmapped) => debug::<Unmapped>(&unmapped),
        Err(failure) => broken_off(failure),
    }
}

#[inline(never)]
fn broken_off(failure: Failure<Mishap>) {
    error::<Failure<Mishap>>(&failure);
    settle(failure.owed);
}

fn settle(owed: Owed) {
    keep(Owed::is_none(&owed));
    keep(Owed::entry(&owed));
    keep(Owed::swap_slot(&owed));
    keep(Owed::counters(&owed));
    keep(Owed::invalidate(&owed));
    keep(Owed::invalidate_end(&owed));
    debug::<Owed>(&owed);
    if let Err((owed, mishap)) = Owed::settle(owed, &mut Any) {
        keep((Owed::settle(owed, &mut &mut Bare), mishap));
    }
}

fn owed() {
    settle(hidden(Owed::default()));
}

fn callbacks<W: Bookkeeping<Error: Debug>>(walk: &mut W) {
    let entry = &opaque::<Entry>();
    keep(PageTables::next_entry(walk).ok());
    keep(PageTables::test_and_clear_young(walk, entry).ok());
    keep(PageTables::clear(walk, entry, opaque()).ok());
    keep(PageTables::install(walk, entry, opaque()).ok());
    keep(PageTables::set_page_dirty(walk).ok());
    keep(PageTables::remove_rmap(walk, entry).ok());
    keep(Bookkeeping::split_huge_pmd(walk, opaque()).ok());
    keep(Bookkeeping::widen_for_sharing(walk, opaque()).ok());
    keep(Bookkeeping::invalidate_begin(walk, opaque()).ok());
    keep(Bookkeeping::invalidate(walk, opaque()).ok());
    keep(Bookkeeping::invalidate_end(walk, opaque()).ok());
    keep(Bookkeeping::unshare_pmd(walk, entry, &opaque()).ok());
    keep(Bookkeeping::mlock_page(walk).ok());
    keep(Bookkeeping::set_swap_backed(walk).ok());
    keep(Bookkeeping::update_hiwater(walk).ok());
    keep(Bookkeeping::count(walk, opaque()).ok());
    keep(Bookkeeping::swap_duplicate(walk, entry).ok());
    keep(Bookkeeping::swap_free(walk, entry).ok());
    keep(Bookkeeping::arch_unmap(walk, entry, opaque()).ok());
}

fn debts() {
    let mut debt = hidden(FlushDebt::none());
    FlushDebt::absorb(&mut debt, hidden(FlushDebt::none()));
    keep(FlushDebt::is_none(&debt));
    keep(FlushDebt::entries(&debt));
    keep(FlushDebt::is_dirty(&debt));
    print::<FlushDebt>(&debt);
    match FlushDebt::flush(debt, opaque::<Result<(), Mishap>>) {
        Ok(()) => {}
        Err((debt, mishap)) => {
            keep(mishap);
            FlushDebt::ignore(debt);
        }
    }
    keep(CounterDelta::undone(opaque()));
    keep(CounterDelta::plus(opaque(), opaque()));
}

fn texts() {
    keep(Verdict::goes_on(opaque()));
    keep(Verdict::is_pin_skip(opaque()));
    keep(Outcome::is_unmapped(opaque()));
    print::<Verdict>(&opaque());
    print::<Stop>(&opaque());
    print::<Outcome>(&opaque());
    print::<Reason>(&opaque());
    error::<UnmapError<Mishap>>(&opaque());
    debug::<Callback>(&opaque());
    debug::<Entry>(&opaque());
    debug::<NewEntry>(&opaque());
    debug::<Cleared>(&opaque());
    debug::<Hook>(&opaque());
    debug::<SharedTable>(&opaque());
    debug::<FlushMode>(&opaque());
    debug::<CounterDelta>(&opaque());
    if let Ok(Some(in_vma)) = Rmap::next_vma(&mut Any) {
        debug::<InVma<PlainVma, &mut Any>>(&in_vma);
    }
}
