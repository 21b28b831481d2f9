//! Lists and page operations by mutable reference.

use super::ShrinkError;
use super::decide::Referenced;
use super::lists::{Lists, Lru, Release, Watermark};
use super::ops::{PageOps, PageOut, Removal};
use crate::flags::PageFlags;
use crate::pin::{Owners, Pins, RefsLeft};
use crate::policy::PinPolicy;
use crate::rmap::Unmapped;
use crate::unmap::{Failure, Hook, UnmapRequest};

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
    ) -> Result<Unmapped, Failure<Self::Error>> {
        (**self).unmap(page, request)
    }

    forward! {
        update(page: &Self::Page, set: PageFlags, clear: PageFlags) -> Result<(), Self::Error>;
        referenced(page: &Self::Page) -> Result<Referenced, Self::Error>;
        remove(page: &Self::Page, how: Removal) -> Result<Hook, Self::Error>;
        flush_tlb() -> Result<(), Self::Error>;
        try_lock(page: &Self::Page) -> Result<Hook, Self::Error>;
        unlock(page: &Self::Page) -> Result<(), Self::Error>;
        is_congested(page: &Self::Page) -> bool;
        wait_for_writeback(page: &Self::Page) -> Result<(), Self::Error>;
        add_to_swap(page: &Self::Page) -> Result<Hook, Self::Error>;
        free_swap(page: &Self::Page) -> Result<(), Self::Error>;
        is_swap_full(page: &Self::Page) -> bool;
        can_split(page: &Self::Page) -> bool;
        is_pmd_mapped(page: &Self::Page) -> bool;
        split(page: &Self::Page) -> Result<Hook, Self::Error>;
        write_out(page: &Self::Page) -> Result<PageOut, Self::Error>;
        release_buffers(page: &Self::Page) -> Result<Hook, Self::Error>;
        put_last(page: &Self::Page) -> Result<Option<RefsLeft>, Self::Error>;
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
        free(page: Self::Page, release: Release) -> ();
        failed(page: Option<&Self::Page>, error: ShrinkError<Self::Error>) -> ();
        park(page: Self::Page, pins: Pins) -> Result<(), Self::Page>;
        take_parked() -> Option<Self::Page>;
        shrink_others(priority: u8) -> u64;
    }
}
