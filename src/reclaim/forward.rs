//! Lists and page operations by mutable reference.

use super::decide::Referenced;
use super::lists::{Lists, Lru, Watermark};
use super::ops::{PageOps, PageOut, Removal};
use crate::flags::PageFlags;
use crate::pin::{Owners, Pins, Released};
use crate::policy::PinPolicy;
use crate::rmap::Outcome;
use crate::unmap::{Attempt, FlushDebt, UnmapError, UnmapRequest};

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline]
        fn $name(&mut self, $($arg: $type),*) -> $out {
            (**self).$name($($arg),*)
        }
    )*};
}

// A method with a default that is not forwarded would not be asked of the embedder.
#[deny(clippy::missing_trait_methods)]
impl<B: PageOps + ?Sized> PageOps for &mut B {
    type Page = B::Page;
    type Error = B::Error;

    #[inline]
    fn unmap<L: PinPolicy>(
        &mut self,
        page: &Self::Page,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Self::Error>> {
        (**self).unmap(page, request, debt)
    }

    forward! {
        update(page: &Self::Page, set: PageFlags, clear: PageFlags) -> ();
        referenced(page: &Self::Page) -> Referenced;
        remove(page: &Self::Page, how: Removal) -> Attempt;
        flush_tlb() -> ();
        try_lock(page: &Self::Page) -> Attempt;
        unlock(page: &Self::Page) -> ();
        is_congested(page: &Self::Page) -> bool;
        wait_for_writeback(page: &Self::Page) -> ();
        add_to_swap(page: &Self::Page) -> Attempt;
        free_swap(page: &Self::Page) -> ();
        is_swap_full(page: &Self::Page) -> bool;
        can_split(page: &Self::Page) -> bool;
        is_pmd_mapped(page: &Self::Page) -> bool;
        split(page: &Self::Page) -> Attempt;
        write_out(page: &Self::Page) -> PageOut;
        release_buffers(page: &Self::Page) -> Attempt;
        put_last(page: &Self::Page) -> Option<Released>;
        write_room() -> u32;
        submit() -> ();
        failed(page: &Self::Page, error: UnmapError<Self::Error>) -> ();
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: Lists + ?Sized> Lists for &mut B {
    #[inline]
    fn pages(&self, list: Lru) -> u64 {
        (**self).pages(list)
    }
    #[inline]
    fn pages_parked(&self) -> u64 {
        (**self).pages_parked()
    }
    #[inline]
    fn pin_owners(&self) -> Owners {
        (**self).pin_owners()
    }
    #[inline]
    fn has_swap(&self) -> bool {
        (**self).has_swap()
    }
    #[inline]
    fn watermark(&self) -> Watermark {
        (**self).watermark()
    }

    forward! {
        take(list: Lru) -> Option<Self::Page>;
        put(list: Lru, page: Self::Page) -> ();
        free(page: Self::Page) -> ();
        park(page: Self::Page, pins: Pins) -> Result<(), Self::Page>;
        take_parked() -> Option<Self::Page>;
        shrink_others(priority: u8) -> u64;
    }
}
