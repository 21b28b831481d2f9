//! What is measured: the crate and its twin, each in functions of their own that are not inlined,
//! so that callgrind can tell them apart by name (`--toggle-collect='*measured_*'`).

use crate::common::embed::Walk;
use crate::common::hand::{self, HandFailure, HandWalked};
use crate::common::pages::{KernelPage, Packed, Page, PlainCells};
use core::convert::Infallible;
use pinfold::{Failure, PlainVma, UnmapFlags, UnmapRequest, Walked, try_to_unmap_one};

type Ours = Result<Walked, Failure<Infallible>>;
type Hand = Result<HandWalked, HandFailure>;

/// A representation with both of its walks and both of its gates.
pub(crate) trait Measured: Page {
    fn ours(
        page: &Self,
        vma: &PlainVma,
        address: u64,
        request: &UnmapRequest,
        walk: &mut Walk<'_, Self>,
    ) -> Ours;
    fn hand(
        page: &Self,
        vma: &PlainVma,
        address: u64,
        flags: UnmapFlags,
        walk: &mut Walk<'_, Self>,
    ) -> Hand;
    fn gate_ours(pages: &[Self], request: &UnmapRequest) -> usize;
    fn gate_all(pages: &[Self], request: &UnmapRequest) -> usize;
    fn gate_hand(pages: &[Self], flags: UnmapFlags) -> usize;
}

macro_rules! measured {
    ($page:ty, $gate:ident, $walk:ident, $gate_hand:ident, $walk_hand:ident) => {
        #[inline(never)]
        fn $gate(pages: &[$page], request: &UnmapRequest) -> usize {
            pages
                .iter()
                .filter(|page| !request.ask(*page).0.proceeds())
                .count()
        }

        #[inline(never)]
        fn $walk(
            page: &$page,
            vma: &PlainVma,
            address: u64,
            request: &UnmapRequest,
            walk: &mut Walk<'_, $page>,
        ) -> Ours {
            try_to_unmap_one(page, vma, address, request, walk)
        }

        impl Measured for $page {
            #[inline]
            fn ours(
                page: &Self,
                vma: &PlainVma,
                address: u64,
                request: &UnmapRequest,
                walk: &mut Walk<'_, Self>,
            ) -> Ours {
                $walk(page, vma, address, request, walk)
            }
            #[inline]
            fn hand(
                page: &Self,
                vma: &PlainVma,
                address: u64,
                flags: UnmapFlags,
                walk: &mut Walk<'_, Self>,
            ) -> Hand {
                hand::$walk_hand(page, vma, address, flags, walk)
            }
            fn gate_ours(pages: &[Self], request: &UnmapRequest) -> usize {
                $gate(pages, request)
            }
            #[inline(never)]
            fn gate_all(pages: &[Self], request: &UnmapRequest) -> usize {
                let mut skipped = 0;
                request.ask_all(pages, |_, _, _| skipped += 1);
                skipped
            }
            fn gate_hand(pages: &[Self], flags: UnmapFlags) -> usize {
                hand::$gate_hand(pages, flags)
            }
        }
    };
}

measured!(
    PlainCells,
    measured_gate_ours_plain,
    measured_ours_plain,
    measured_gate_hand_plain,
    measured_hand_plain
);
measured!(
    Packed,
    measured_gate_ours_packed,
    measured_ours_packed,
    measured_gate_hand_packed,
    measured_hand_packed
);
measured!(
    KernelPage,
    measured_gate_ours_kernel,
    measured_ours_kernel,
    measured_gate_hand_kernel,
    measured_hand_kernel
);
