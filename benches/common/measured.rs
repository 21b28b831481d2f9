//! What is measured: the crate and its twin, each in functions of their own that are not inlined,
//! so that callgrind can tell them apart by name (`--toggle-collect='*measured_*'`).

use crate::common::embed::Walk;
use crate::common::hand::{self, HandFailure, HandWalked};
use crate::common::pages::{KernelPage, Packed, Page, PlainCells};
use core::convert::Infallible;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};
use pinfold::{
    FlushDebt, PlainVma, UnmapError, UnmapFlags, UnmapRequest, Verdict, try_to_unmap_one,
};

pub(crate) type Ours = Result<Verdict, UnmapError<Infallible>>;
type Hand = Result<HandWalked, HandFailure>;

/// A representation with both of its walks and both of its gates.
pub(crate) trait Measured: Page {
    fn ours<const COPY: usize>(
        page: &Self,
        vma: &PlainVma,
        address: u64,
        request: &UnmapRequest,
        walk: &mut Walk<'_, Self, COPY>,
        debt: &mut FlushDebt,
    ) -> Ours;
    fn hand<const COPY: usize>(
        page: &Self,
        vma: &PlainVma,
        address: u64,
        flags: UnmapFlags,
        walk: &mut Walk<'_, Self, COPY>,
    ) -> Hand;
    fn gate_ours(pages: &[Self], request: &UnmapRequest) -> usize;
    fn gate_all(pages: &[Self], request: &UnmapRequest) -> usize;
    fn gate_hand(pages: &[Self], flags: UnmapFlags) -> usize;
}

/// How many copies of each there are, at addresses of their own, which are called in turn.
///
/// A loop of eight instructions takes one cycle or two, as it lies to a cache line, and a call of 84
/// takes 23 to 26. Where code comes to lie is the linker's doing, not its writer's: either side is
/// given many places, and what is compared is what it takes at its best one.
pub(crate) const COPIES: usize = 16;

/// Makes the function that it is in another one for each copy, and of another length: what follows
/// lies elsewhere. For places where a benchmark comes seldom.
#[inline(always)]
pub(crate) fn apart<const COPY: usize>() {
    for n in 0..=COPY {
        black_box(n);
    }
}

pub(crate) struct Turn(AtomicUsize);

impl Turn {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) % COPIES
    }
}

macro_rules! copies {
    ($($gate:ident)::+) => {
        [
            $($gate)::+::<0>, $($gate)::+::<1>, $($gate)::+::<2>, $($gate)::+::<3>,
            $($gate)::+::<4>, $($gate)::+::<5>, $($gate)::+::<6>, $($gate)::+::<7>,
            $($gate)::+::<8>, $($gate)::+::<9>, $($gate)::+::<10>, $($gate)::+::<11>,
            $($gate)::+::<12>, $($gate)::+::<13>, $($gate)::+::<14>, $($gate)::+::<15>,
        ]
    };
}
pub(crate) use copies;

macro_rules! measured {
    ($page:ty, $gate:ident, $walk:ident, $gate_hand:ident, $walk_hand:ident) => {
        #[inline(never)]
        fn $gate<const COPY: usize>(pages: &[$page], request: &UnmapRequest) -> usize {
            apart::<COPY>();
            pages
                .iter()
                .filter(|page| !request.ask(*page).0.proceeds())
                .count()
        }

        #[inline(never)]
        fn $walk<const COPY: usize>(
            page: &$page,
            vma: &PlainVma,
            address: u64,
            request: &UnmapRequest,
            walk: &mut Walk<'_, $page, COPY>,
            debt: &mut FlushDebt,
        ) -> Ours {
            try_to_unmap_one(page, vma, address, request, walk, debt)
        }

        impl Measured for $page {
            #[inline]
            fn ours<const COPY: usize>(
                page: &Self,
                vma: &PlainVma,
                address: u64,
                request: &UnmapRequest,
                walk: &mut Walk<'_, Self, COPY>,
                debt: &mut FlushDebt,
            ) -> Ours {
                $walk(page, vma, address, request, walk, debt)
            }
            #[inline]
            fn hand<const COPY: usize>(
                page: &Self,
                vma: &PlainVma,
                address: u64,
                flags: UnmapFlags,
                walk: &mut Walk<'_, Self, COPY>,
            ) -> Hand {
                hand::$walk_hand(page, vma, address, flags, walk)
            }
            fn gate_ours(pages: &[Self], request: &UnmapRequest) -> usize {
                static TURN: Turn = Turn::new();
                copies!($gate)[TURN.next()](pages, request)
            }
            #[inline(never)]
            fn gate_all(pages: &[Self], request: &UnmapRequest) -> usize {
                let mut skipped = 0;
                request.ask_all(pages, |_, _, _| skipped += 1);
                skipped
            }
            fn gate_hand(pages: &[Self], flags: UnmapFlags) -> usize {
                static TURN: Turn = Turn::new();
                copies!(hand::$gate_hand)[TURN.next()](pages, flags)
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
