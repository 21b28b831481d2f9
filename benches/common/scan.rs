//! Many pages in one array: how fast the gate reads them, beside a plain sum over the same memory.

use crate::common::cases::{BASE, RECLAIM, Rng};
use crate::common::embed::{Mm, Pte, Walk};
use crate::common::measured::Measured;
use crate::common::pages::{KernelPage, Packed, State};
use core::cell::Cell;
use core::hint::black_box;
use pinfold::{FlushDebt, PageFlags, PlainVma, UnmapRequest, Verdict, VmFlags};

/// 16 million.
pub(crate) const MANY: usize = 16 << 20;

/// Which pages of an array are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// None.
    None,
    /// One in a hundred, in objects of 512 pages each, as devices pin them.
    FewObjects,
    /// One in ten, in objects of 512 pages each, as devices pin them.
    Objects,
    /// One in ten, in no order, which no branch predictor can learn.
    Scattered,
    /// All.
    All,
}

impl Fill {
    /// The last of them is `All`.
    pub(crate) const ALL: [Self; 5] = [
        Self::None,
        Self::FewObjects,
        Self::Objects,
        Self::Scattered,
        Self::All,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none pinned",
            Self::FewObjects => "1 % in objects",
            Self::Objects => "10 % in objects",
            Self::Scattered => "10 % scattered",
            Self::All => "all pinned",
        }
    }

    fn pins(self, index: usize, rng: &mut Rng) -> bool {
        match self {
            Self::None => false,
            Self::FewObjects => (index / 512) % 100 == 3,
            Self::Objects => (index / 512) % 10 == 3,
            Self::Scattered => rng.one_in(10),
            Self::All => true,
        }
    }
}

/// A representation whose memory can be summed up.
pub(crate) trait Summed: Measured {
    /// Every byte of every page, read in words by plain loads.
    fn sum(pages: &mut [Self]) -> u64;
}

impl Summed for Packed {
    #[inline(never)]
    fn sum(pages: &mut [Self]) -> u64 {
        pages
            .iter_mut()
            .fold(0, |sum, page| sum.wrapping_add(*page.0.get_mut()))
    }
}

impl Summed for KernelPage {
    #[inline(never)]
    fn sum(pages: &mut [Self]) -> u64 {
        pages.iter_mut().fold(0, |sum: u64, page| {
            [
                page.lru[0],
                page.lru[1],
                page.mapping,
                page.index,
                page.private,
                page.mem_cgroup,
                *page.mapcount.get_mut() as u64,
                *page.refcount.get_mut() as u64,
            ]
            .iter()
            .fold(sum.wrapping_add(*page.flags.get_mut()), |sum, word| {
                sum.wrapping_add(*word)
            })
        })
    }
}

/// An array of pages, the numbers that are pinned, and what is asked about them.
#[derive(Debug)]
pub(crate) struct Array<P> {
    pub(crate) pages: Vec<P>,
    pinned: usize,
    request: UnmapRequest,
}

impl<P: Summed> Array<P> {
    pub(crate) fn new(pages: usize) -> Self {
        let anon = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE;
        let state = State {
            flags: anon,
            refs: 3,
            maps: 1,
        };
        Self {
            pages: (0..pages).map(|_| P::new(state)).collect(),
            pinned: 0,
            request: UnmapRequest::new(RECLAIM).unwrap(),
        }
    }

    pub(crate) fn fill(&mut self, fill: Fill) {
        let mut rng = Rng(42);
        self.pinned = 0;
        for (index, page) in self.pages.iter().enumerate() {
            let pinned = fill.pins(index, &mut rng);
            self.pinned += usize::from(pinned);
            page.reset(State {
                refs: if pinned { 1024 + 3 } else { 3 },
                ..page.state()
            });
        }
    }

    /// The gate and the sum find what `fill` put there.
    pub(crate) fn check(&mut self) {
        assert_eq!(self.gate(), self.pinned);
        assert_eq!(self.gate_all(), self.pinned);
        assert_eq!(self.gate_by_hand(), self.pinned);
        if self.pinned == self.pages.len() {
            assert_eq!(self.unmap_one(), self.pinned);
        }
        let sum = self.sum();
        let first = P::sum(&mut self.pages[..1]);
        assert!(sum != 0 && first != 0);
    }

    /// The policy's verdict on every page; how many are skipped.
    pub(crate) fn gate(&self) -> usize {
        P::gate_ours(&self.pages, black_box(&self.request))
    }

    /// The same, of all pages in one call.
    #[inline(never)]
    pub(crate) fn gate_all(&self) -> usize {
        P::gate_all(&self.pages, black_box(&self.request))
    }

    pub(crate) fn gate_by_hand(&self) -> usize {
        P::gate_hand(&self.pages, black_box(self.request.flags()))
    }

    pub(crate) fn sum(&mut self) -> u64 {
        P::sum(black_box(&mut self.pages))
    }

    /// The gate inside `try_to_unmap_one`, for an array whose pages are all pinned; how many are
    /// skipped.
    #[inline(never)]
    pub(crate) fn unmap_one(&self) -> usize {
        let (vma, mm, pte) = self.surroundings();
        let request = black_box(&self.request);
        let mut skipped = 0;
        let mut debt = FlushDebt::none();
        for (address, page) in (BASE..).step_by(4096).zip(&self.pages) {
            let mut walk = Walk::<_>::new(page, &mm, core::slice::from_ref(&pte), address);
            let verdict = P::ours(page, &vma, address, request, &mut walk, &mut debt);
            skipped += usize::from(matches!(verdict, Ok(Verdict::SkipPage(_))));
        }
        debt.ignore();
        skipped
    }

    #[inline(never)]
    pub(crate) fn unmap_one_by_hand(&self) -> usize {
        let (vma, mm, pte) = self.surroundings();
        let flags = black_box(self.request.flags());
        let mut skipped = 0;
        for (address, page) in (BASE..).step_by(4096).zip(&self.pages) {
            let mut walk = Walk::<_>::new(page, &mm, core::slice::from_ref(&pte), address);
            let walked = P::hand(page, &vma, address, flags, &mut walk);
            skipped += usize::from(matches!(
                walked.map(|walked| walked.verdict),
                Ok(Verdict::SkipPage(_))
            ));
        }
        skipped
    }

    fn surroundings(&self) -> (PlainVma, Mm, Pte) {
        let vma = PlainVma {
            flags: VmFlags::empty(),
            range: BASE..BASE + 4096 * self.pages.len() as u64,
        };
        (vma, Mm::new(true, 0), Cell::new(0))
    }
}
