//! `try_to_unmap_one`, `try_to_unmap`, and what they are made of.

use super::embedder::{Any, AnyPage, AnyPolicy, Bare, BarePage};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::pin::{Biased, Refined};
use pinfold::unmap::decide::{self, Inconsistency, Look, Replacement, TakeKind};
use pinfold::unmap::{Stop, UnmapError};
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, IgnorePins, NewEntry, NextVma,
    Outcome, PageLike, PageTables, PinPolicy, PlainPage, PlainVma, Rmap, SharedTable, SkipLongterm,
    SkipOpportunistic, SkipPinned, UnmapRequest, Verdict, try_to_unmap, try_to_unmap_one,
};

pub fn call() {
    decisions();
    drivers();
    methods(&mut Any);
    methods(&mut Bare);
    methods(&mut &mut Any);
    debts();
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
    keep(decide::gate(opaque(), opaque(), opaque()));
    debug::<Look>(&decide::look(opaque(), opaque(), opaque(), opaque()));
    keep(decide::replace(
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
    keep(UnmapRequest::under(opaque(), SkipPinned).is_ok());
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
    let walk: &mut dyn Rmap<Error = Mishap, Vma = PlainVma> = hidden(&mut walk);
    unmap::<dyn PageLike, _, _>(hidden(&page), request, walk);
}

fn unmap<P, L, W>(page: &P, request: &UnmapRequest<L>, walk: &mut W)
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: Rmap<Error = Mishap> + ?Sized,
{
    let vma: PlainVma = opaque();
    let mut debt = hidden(FlushDebt::none());
    match try_to_unmap_one(page, &vma, opaque(), request, walk, &mut debt) {
        Ok(verdict) => print::<Verdict>(&verdict),
        Err(failed) => error::<UnmapError<Mishap>>(&failed),
    }
    match try_to_unmap(page, request, walk, &mut debt) {
        Ok(outcome) => print::<Outcome>(&outcome),
        Err(failed) => error::<UnmapError<Mishap>>(&failed),
    }
    keep(debt);
}

fn methods<W: Rmap<Error: Debug, Vma = PlainVma>>(walk: &mut W) {
    let entry = &opaque::<Entry>();
    keep(PageTables::next_entry(walk).ok());
    keep(PageTables::test_and_clear_young(walk, entry));
    keep(PageTables::clear(walk, entry, opaque()).ok());
    PageTables::install(walk, entry, opaque());
    PageTables::set_page_dirty(walk);
    PageTables::remove_rmap(walk, entry);
    keep(PageTables::split_huge_pmd(walk, opaque()).ok());
    keep(PageTables::widen_for_sharing(walk, opaque()));
    keep(PageTables::invalidate_begin(walk, opaque()).ok());
    PageTables::invalidate(walk, opaque());
    PageTables::invalidate_end(walk, opaque());
    keep(PageTables::unshare_pmd(walk, entry, &opaque()));
    PageTables::mlock_page(walk);
    PageTables::set_swap_backed(walk);
    PageTables::update_hiwater(walk);
    PageTables::count(walk, opaque());
    keep(PageTables::swap_duplicate(walk, entry));
    PageTables::swap_free(walk, entry);
    keep(PageTables::arch_unmap(walk, entry, opaque()));
    debug::<NextVma<PlainVma>>(&Rmap::next_vma(walk));
}

fn debts() {
    let mut debt = hidden(FlushDebt::none());
    FlushDebt::absorb(&mut debt, hidden(FlushDebt::none()));
    keep(FlushDebt::is_none(&debt));
    keep(FlushDebt::entries(&debt));
    keep(FlushDebt::is_dirty(&debt));
    print::<FlushDebt>(&debt);
    FlushDebt::flush(&mut debt, || keep(opaque::<u64>()));
    FlushDebt::ignore(debt);
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
    error::<UnmapError<Mishap>>(&opaque());
    debug::<Entry>(&opaque());
    debug::<NewEntry>(&opaque());
    debug::<Cleared>(&opaque());
    debug::<Attempt>(&opaque());
    debug::<SharedTable>(&opaque());
    debug::<FlushMode>(&opaque());
    debug::<CounterDelta>(&opaque());
}
