//! One page, mapped in many areas.

use crate::common::cases::{BASE, RECLAIM};
use crate::common::embed::{Mm, PRESENT, Pte, Walk};
use crate::common::pages::{KernelPage, Page, State};
use core::cell::Cell;
use core::convert::Infallible;
use core::hint::black_box;
use pinfold::{
    Cleared, Entry, FlushDebt, FlushMode, NewEntry, NextVma, Outcome, PageFlags, PageTables,
    PinPolicy, PlainVma, Rmap, SkipPinned, UnmapRequest, Verdict, VmFlags, try_to_unmap,
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

    /// The outcome, and how many areas were walked into.
    fn unmap<L: PinPolicy>(&self, request: &UnmapRequest<L>) -> (Outcome, usize) {
        let mut rmap = Areas {
            mapped: self,
            left: self.vmas.iter(),
            walk: None,
        };
        let mut debt = FlushDebt::none();
        let outcome = try_to_unmap(&self.page, black_box(request), &mut rmap, &mut debt).unwrap();
        debt.ignore();
        (outcome, self.vmas.len() - rmap.left.len())
    }

    /// Under the default policy.
    #[inline(never)]
    pub(crate) fn skip_opportunistic(&self) -> (Outcome, usize) {
        self.unmap(&UnmapRequest::new(RECLAIM).unwrap())
    }

    /// Under the policy of the 2020 patch.
    #[inline(never)]
    pub(crate) fn skip_pinned(&self) -> (Outcome, usize) {
        let request = UnmapRequest::new(RECLAIM).unwrap();
        self.unmap(&request.with_policy(SkipPinned))
    }

    /// Both leave the page alone; the default does not look at a single area, the patch at all.
    pub(crate) fn check(&self) {
        let (ours, vmas) = self.skip_opportunistic();
        assert!(matches!(ours, Outcome::Skipped(_)), "{ours:?}");
        assert_eq!(vmas, 0);
        let pins = pinfold::pin::Pins::Maybe {
            estimate: (self.vmas.len() as u32 + 2 + 1024) / 1024,
            longterm: None,
        };
        let per_vma = Outcome::StillMapped(Verdict::NextVma(pins));
        assert_eq!(self.skip_pinned(), (per_vma, self.vmas.len()));
        for (_, pte) in &self.vmas {
            assert_eq!(pte.get(), PRESENT);
        }
    }
}

struct Areas<'a> {
    mapped: &'a Mapped,
    left: core::slice::Iter<'a, (PlainVma, Pte)>,
    walk: Option<Walk<'a, KernelPage>>,
}

impl<'m> Rmap for Areas<'m> {
    type Vma = &'m PlainVma;

    #[inline]
    fn next_vma(&mut self) -> NextVma<Self::Vma> {
        let Some((vma, pte)) = self.left.next() else {
            return NextVma::End;
        };
        let address = vma.range.start;
        let (page, mm) = (&self.mapped.page, &self.mapped.mm);
        self.walk = Some(Walk::new(page, mm, core::slice::from_ref(pte), address));
        NextVma::Found { vma, address }
    }
}

impl<'m> Areas<'m> {
    #[inline]
    fn walk(&mut self) -> &mut Walk<'m, KernelPage> {
        self.walk.as_mut().unwrap()
    }
}

impl PageTables for Areas<'_> {
    type Error = Infallible;

    #[inline]
    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        self.walk().next_entry()
    }
    #[inline]
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        self.walk().test_and_clear_young(entry)
    }
    #[inline]
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Infallible> {
        self.walk().clear(entry, flush)
    }
    #[inline]
    fn install(&mut self, entry: &Entry, new: NewEntry) {
        self.walk().install(entry, new);
    }
    #[inline]
    fn set_page_dirty(&mut self) {
        self.walk().set_page_dirty();
    }
    #[inline]
    fn remove_rmap(&mut self, entry: &Entry) {
        self.walk().remove_rmap(entry);
    }
}
