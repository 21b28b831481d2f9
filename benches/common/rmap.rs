//! One page, mapped in many areas.

use crate::common::cases::{BASE, RECLAIM};
use crate::common::embed::{Mm, PRESENT, Pte, Walk};
use crate::common::pages::{KernelPage, Page, State};
use core::cell::Cell;
use core::convert::Infallible;
use core::hint::black_box;
use pinfold::{
    InVma, Outcome, PageFlags, PinPolicy, PlainVma, Reason, Rmap, SkipPinned, UnmapRequest,
    Unmapped, Verdict, VmFlags, try_to_unmap,
};

/// A pinned page that so many areas map, one entry in each.
#[derive(Debug)]
pub(crate) struct Mapped {
    page: KernelPage,
    mm: Mm,
    vmas: Vec<(PlainVma, Pte)>,
}

impl Mapped {
    pub(crate) fn new(times: usize) -> Self {
        let state = State {
            flags: PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE,
            refs: times as i32 + 2 + 1024,
            maps: times as u32,
        };
        let vma = |index| {
            let start = BASE + 0x1_0000 * index as u64;
            let vma = PlainVma {
                flags: VmFlags::empty(),
                range: start..start + 0x1_0000,
            };
            (vma, Cell::new(PRESENT))
        };
        Self {
            page: KernelPage::new(state),
            mm: Mm::new(true, u64::MAX),
            vmas: (0..times).map(vma).collect(),
        }
    }

    fn unmap<L: PinPolicy>(&self, request: &UnmapRequest<L>) -> Unmapped {
        let mut rmap = Areas {
            mapped: self,
            left: self.vmas.iter(),
        };
        try_to_unmap(&self.page, black_box(request), &mut rmap).unwrap()
    }

    /// Under the default policy.
    #[inline(never)]
    pub(crate) fn skip_opportunistic(&self) -> Unmapped {
        self.unmap(&UnmapRequest::new(RECLAIM).unwrap())
    }

    /// Under the policy of the 2020 patch.
    #[inline(never)]
    pub(crate) fn skip_pinned(&self) -> Unmapped {
        let request = UnmapRequest::new(RECLAIM).unwrap();
        self.unmap(&request.with_policy(SkipPinned))
    }

    /// Both leave the page alone; the default does not look at a single area, the patch at all.
    pub(crate) fn check(&self) {
        let ours = self.skip_opportunistic();
        assert!(matches!(ours.outcome, Outcome::Skipped(_)), "{ours:?}");
        assert_eq!((ours.vmas, ours.taken), (0, 0));
        let patch = self.skip_pinned();
        let per_vma =
            Outcome::StillMapped(Reason::InVma(Verdict::NextVma(pinfold::pin::Pins::Maybe {
                estimate: (self.vmas.len() as u32 + 2 + 1024) / 1024,
                longterm: None,
            })));
        assert_eq!(patch.outcome, per_vma);
        assert_eq!((patch.vmas as usize, patch.taken), (self.vmas.len(), 0));
        for (_, pte) in &self.vmas {
            assert_eq!(pte.get(), PRESENT);
        }
    }
}

struct Areas<'a> {
    mapped: &'a Mapped,
    left: core::slice::Iter<'a, (PlainVma, Pte)>,
}

impl<'m> Rmap for Areas<'m> {
    type Vma = &'m PlainVma;
    type Walk<'a>
        = Walk<'m, KernelPage>
    where
        Self: 'a;
    type Error = Infallible;

    #[inline]
    fn next_vma(&mut self) -> Result<Option<InVma<Self::Vma, Self::Walk<'_>>>, Infallible> {
        Ok(self.left.next().map(|(vma, pte)| {
            let address = vma.range.start;
            let (page, mm) = (&self.mapped.page, &self.mapped.mm);
            InVma {
                vma,
                address,
                walk: Walk::new(page, mm, core::slice::from_ref(pte), address),
            }
        }))
    }
}
