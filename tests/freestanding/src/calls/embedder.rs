//! An embedder that answers anything, and one that implements no more than it must.

use super::values::Mishap;
use crate::{Opaque, hidden, keep, opaque};
use core::ops::Range;
use pinfold::pin::{
    OwnerUse, Owners, PinCount, PinError, PinKind, PinReading, Pinnable, Pins, Released,
};
use pinfold::reclaim::{Lists, Lru, PageOps, PageOut, Referenced, Removal, Watermark};
use pinfold::{
    Attempt, Cleared, Context, CounterDelta, Entry, FlushDebt, FlushMode, NewEntry, NextVma,
    Operation, Outcome, PageFlags, PageLike, PageSnapshot, PageTables, PinMode, PinPolicy,
    PinVerdict, Placed, PlainVma, PteFlags, Rmap, SharedTable, UnmapError, UnmapRequest, Zone,
    try_to_unmap,
};

/// Implements a trait's methods: each answers anything.
macro_rules! answers_anything {
    ($(&mut $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> $out {
            $(keep($arg);)*
            opaque()
        }
    )*};
    ($(&$name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        fn $name(&self, $($arg: $type),*) -> $out {
            $(keep($arg);)*
            opaque()
        }
    )*};
}

pub(super) use answers_anything;

/// A page that says something else every time. It is no bigger than a handle, and is dropped.
#[derive(Debug)]
pub struct AnyPage(u64);

impl Opaque for AnyPage {
    fn opaque() -> Self {
        Self(opaque())
    }
}

impl Drop for AnyPage {
    fn drop(&mut self) {
        keep(self.0);
    }
}

impl PageLike for AnyPage {
    answers_anything! {
        &flags() -> PageFlags;
        &ref_count() -> i32;
        &map_count() -> u32;
        &exact_pins() -> Option<PinCount>;
        &longterm_pins() -> Option<u32>;
        &base_pages() -> u32;
        &base_shift() -> u32;
        &size() -> u64;
        &explained_refs(flags: PageFlags, maps: u32) -> u32;
        &snapshot() -> PageSnapshot;
    }
}

impl Pinnable for AnyPage {
    answers_anything! {
        &try_pin(kind: PinKind) -> Result<(), PinError>;
        &unpin(kind: PinKind) -> Result<Released, PinError>;
        &set_dirty() -> ();
        &settle(duty: Released) -> ();
    }
}

impl Clone for AnyPage {
    fn clone(&self) -> Self {
        keep(self.0);
        opaque()
    }
}

impl Placed for AnyPage {
    answers_anything! {
        &id() -> u64;
        &zone() -> Zone;
        &pinnable(kind: PinKind) -> Result<(), PinError>;
    }
}

/// A page with no more than it must have.
#[derive(Debug, Clone)]
pub struct BarePage;

impl PageLike for BarePage {
    answers_anything! {
        &flags() -> PageFlags;
        &ref_count() -> i32;
        &map_count() -> u32;
    }
}

impl Pinnable for BarePage {
    answers_anything! {
        &try_pin(kind: PinKind) -> Result<(), PinError>;
        &unpin(kind: PinKind) -> Result<Released, PinError>;
    }
}

impl Placed for BarePage {}

#[derive(Debug, Clone, Copy)]
pub struct AnyReading;

impl PinReading for AnyReading {
    fn read_with<P: PageLike + ?Sized>(page: &P, seen: PageSnapshot) -> Pins {
        keep((page.map_count(), seen));
        opaque()
    }
}

/// A policy that keeps to no contract.
#[derive(Debug, Clone, Copy)]
pub struct AnyPolicy<const PER_VMA: bool>;

impl<const PER_VMA: bool> PinPolicy for AnyPolicy<PER_VMA> {
    type Reading = AnyReading;

    fn mode(&self) -> PinMode {
        if PER_VMA {
            PinMode::PerVma
        } else {
            PinMode::PerPage
        }
    }

    answers_anything! {
        &verdict(operation: Operation, context: Context, pins: Pins) -> PinVerdict;
    }
}

/// Every method answers anything.
#[derive(Debug)]
pub struct Any;

/// Only what has no default.
#[derive(Debug)]
pub struct Bare;

impl PageTables for Any {
    type Error = Mishap;

    answers_anything! {
        &mut next_entry() -> Result<Option<Entry>, Mishap>;
        &mut test_and_clear_young(entry: &Entry) -> bool;
        &mut clear(entry: &Entry, flush: FlushMode) -> Result<Cleared, Mishap>;
        &mut install(entry: &Entry, new: NewEntry) -> ();
        &mut set_page_dirty() -> ();
        &mut remove_rmap(entry: &Entry) -> ();
        &mut split_huge_pmd(freeze: bool) -> Result<(), Mishap>;
        &mut widen_for_sharing(range: Range<u64>) -> Range<u64>;
        &mut invalidate_begin(range: Range<u64>) -> Result<(), Mishap>;
        &mut invalidate(range: Range<u64>) -> ();
        &mut invalidate_end(range: Range<u64>) -> ();
        &mut unshare_pmd(entry: &Entry, range: &Range<u64>) -> SharedTable;
        &mut mlock_page() -> ();
        &mut set_swap_backed() -> ();
        &mut update_hiwater() -> ();
        &mut count(delta: CounterDelta) -> ();
        &mut swap_duplicate(entry: &Entry) -> Attempt;
        &mut swap_free(entry: &Entry) -> ();
        &mut arch_unmap(entry: &Entry, cleared: PteFlags) -> Attempt;
    }
}

impl PageTables for Bare {
    type Error = Mishap;

    answers_anything! {
        &mut next_entry() -> Result<Option<Entry>, Mishap>;
        &mut test_and_clear_young(entry: &Entry) -> bool;
        &mut clear(entry: &Entry, flush: FlushMode) -> Result<Cleared, Mishap>;
        &mut install(entry: &Entry, new: NewEntry) -> ();
        &mut set_page_dirty() -> ();
        &mut remove_rmap(entry: &Entry) -> ();
    }
}

super::values::opaque_enum!(NextVma<PlainVma>:
    NextVma::End, NextVma::Contended,
    NextVma::Found { vma: opaque(), address: opaque() });

impl Rmap for Any {
    type Vma = PlainVma;

    answers_anything! {
        &mut next_vma() -> NextVma<PlainVma>;
    }
}

impl Rmap for Bare {
    type Vma = PlainVma;

    answers_anything! {
        &mut next_vma() -> NextVma<PlainVma>;
    }
}

super::values::opaque_struct!(Referenced { entries, vma });
super::values::opaque_struct!(Watermark { free, high });
super::values::opaque_enum!(PageOut:
    PageOut::Keep, PageOut::Activate, PageOut::Success, PageOut::Clean);
super::values::opaque_enum!(Removal: Removal::Lazyfree, Removal::FromCache);

impl Opaque for Owners {
    fn opaque() -> Self {
        Self::collect(hidden(&opaque::<[OwnerUse; 2]>()[..]).iter().copied())
    }
}

impl PageOps for Any {
    type Page = AnyPage;
    type Error = Mishap;

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &AnyPage,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Mishap>> {
        keep(try_to_unmap(page, request, &mut Any, debt)?);
        Ok(opaque())
    }

    answers_anything! {
        &mut update(page: &AnyPage, set: PageFlags, clear: PageFlags) -> ();
        &mut referenced(page: &AnyPage) -> Referenced;
        &mut remove(page: &AnyPage, how: Removal) -> Attempt;
        &mut flush_tlb() -> ();
        &mut try_lock(page: &AnyPage) -> Attempt;
        &mut unlock(page: &AnyPage) -> ();
        &mut is_congested(page: &AnyPage) -> bool;
        &mut wait_for_writeback(page: &AnyPage) -> ();
        &mut add_to_swap(page: &AnyPage) -> Attempt;
        &mut free_swap(page: &AnyPage) -> ();
        &mut is_swap_full(page: &AnyPage) -> bool;
        &mut can_split(page: &AnyPage) -> bool;
        &mut is_pmd_mapped(page: &AnyPage) -> bool;
        &mut split(page: &AnyPage) -> Attempt;
        &mut write_out(page: &AnyPage) -> PageOut;
        &mut write_room() -> u32;
        &mut submit() -> ();
        &mut release_buffers(page: &AnyPage) -> Attempt;
        &mut put_last(page: &AnyPage) -> Option<Released>;
        &mut failed(page: &AnyPage, error: UnmapError<Mishap>) -> ();
    }
}

impl Lists for Any {
    answers_anything! {
        &mut take(list: Lru) -> Option<AnyPage>;
        &mut put(list: Lru, page: AnyPage) -> ();
        &mut free(page: AnyPage) -> ();
        &mut take_parked() -> Option<AnyPage>;
        &mut shrink_others(priority: u8) -> u64;
    }
    answers_anything! {
        &pages(list: Lru) -> u64;
        &pages_parked() -> u64;
        &has_swap() -> bool;
        &pin_owners() -> Owners;
        &watermark() -> Watermark;
    }

    fn park(&mut self, page: AnyPage, pins: Pins) -> Result<(), AnyPage> {
        keep(pins);
        if opaque() { Ok(()) } else { Err(page) }
    }
}

impl PageOps for Bare {
    type Page = BarePage;
    type Error = Mishap;

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &BarePage,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Mishap>> {
        try_to_unmap(page, request, &mut Any, debt)
    }

    answers_anything! {
        &mut update(page: &BarePage, set: PageFlags, clear: PageFlags) -> ();
        &mut referenced(page: &BarePage) -> Referenced;
        &mut remove(page: &BarePage, how: Removal) -> Attempt;
        &mut flush_tlb() -> ();
    }
}

impl Lists for Bare {
    fn take(&mut self, list: Lru) -> Option<BarePage> {
        keep(list);
        opaque::<bool>().then_some(BarePage)
    }

    answers_anything! {
        &mut put(list: Lru, page: BarePage) -> ();
        &mut free(page: BarePage) -> ();
    }
    answers_anything! {
        &pages(list: Lru) -> u64;
    }
}
