//! A simulated machine with one page, on which pinfold's `shrink_page` runs to see what would happen.

use crate::model::Frame;
use crate::page::{Holders, Imagined, Region};
use pinfold::reclaim::{
    Fate, PageOps, PageOut, Parking, Referenced, Removal, ScanControl, ScanFlags, Stats,
    shrink_page,
};
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, NewEntry, NextVma, Outcome, PageFlags, PageLike,
    PageTables, PinPolicy, PteFlags, Rmap, UnmapError, UnmapFlags, UnmapRequest, VmFlags,
    try_to_unmap,
};
use std::convert::Infallible;

/// The state of the machine: everything that the result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub(crate) frame: Frame,
    pub(crate) vma: VmFlags,
    pub(crate) holders: Holders,
    /// Whether the page was written through its page-table entry.
    pub(crate) pte_dirty: bool,
    /// Whether there is free swap.
    pub(crate) swap: bool,
}

/// The result: the fate of the page, and what is left in the page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) fate: Fate,
    /// Whether an entry still maps the page.
    pub(crate) mapped: bool,
    /// Whether its entries were replaced by swap entries.
    pub(crate) swap_entry: bool,
    /// Whether it is swap-backed; a lazily freed page may become so again.
    pub(crate) swap_backed: bool,
}

/// Reclaims the page under a policy. References are ignored, as `MADV_PAGEOUT` does, and as other
/// reclaim does with pages that are not used.
///
/// It takes a bounded number of steps, however often the page is mapped.
pub(crate) fn play<L: PinPolicy>(scene: &Scene, policy: L) -> Played {
    play_in_steps(scene, policy, u32::MAX)
}

/// The same, with no more than `step` mappings removed at a time.
fn play_in_steps<L: PinPolicy>(scene: &Scene, policy: L, step: u32) -> Played {
    let page = Imagined::new(&scene.frame, scene.holders);
    let mut machine = Machine {
        scene,
        step,
        swap_entry: false,
    };
    let flags = ScanFlags::direct() | ScanFlags::IGNORE_REFERENCES;
    let control = match ScanControl::new(flags).with_unmap_flags(UnmapFlags::IGNORE_ACCESS) {
        Ok(control) => control.with_policy(policy).with_parking(Parking::Rotate),
        Err(unknown) => unreachable!("{unknown}"),
    };
    // A state in which Linux halts, such as a hugetlb page without its lock, keeps the page.
    let fate = shrink_page(&&page, &control, &mut machine, &mut Stats::default());
    Played {
        fate,
        mapped: page.map_count() != 0,
        swap_entry: machine.swap_entry,
        swap_backed: page.flags().contains(PageFlags::SWAP_BACKED),
    }
}

struct Machine<'a> {
    scene: &'a Scene,
    step: u32,
    swap_entry: bool,
}

impl<'a> PageOps for Machine<'a> {
    type Page = &'a Imagined;
    type Error = Infallible;

    fn update(&mut self, page: &&'a Imagined, set: PageFlags, clear: PageFlags) {
        page.flags.set((page.flags.get() | set) - clear);
    }

    fn referenced(&mut self, _: &&'a Imagined) -> Referenced {
        Referenced {
            entries: 0,
            vma: self.scene.vma,
        }
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'a Imagined,
        request: &UnmapRequest<L>,
        debt: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        let mut mappings = Mappings::of(page, self);
        try_to_unmap(page, request, &mut mappings, debt)
    }

    fn remove(&mut self, page: &&'a Imagined, how: Removal) -> Attempt {
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => page.explained(),
        };
        let held = u32::try_from(page.ref_count()) != Ok(expected);
        if held || page.flags().contains(PageFlags::DIRTY) {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }

    fn flush_tlb(&mut self) {
        // No CPU runs on this machine.
    }

    fn try_lock(&mut self, page: &&'a Imagined) -> Attempt {
        if page.flags().contains(PageFlags::LOCKED) {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }

    fn add_to_swap(&mut self, page: &&'a Imagined) -> Attempt {
        if !self.scene.swap {
            return Attempt::Refused;
        }
        let cached = page.base_pages().cast_signed();
        page.refs.set(page.refs.get().saturating_add(cached));
        page.flags
            .set(page.flags.get() | PageFlags::SWAP_CACHE | PageFlags::DIRTY);
        Attempt::Done
    }

    fn can_split(&mut self, page: &&'a Imagined) -> bool {
        u32::try_from(page.ref_count()) == Ok(page.explained())
    }

    fn is_pmd_mapped(&mut self, _: &&'a Imagined) -> bool {
        self.scene.frame.pmd
    }

    /// From here on the page is the base page that the question is about.
    fn split(&mut self, page: &&'a Imagined) -> Attempt {
        if !self.can_split(page) {
            return Attempt::Refused;
        }
        page.base_pages.set(1);
        page.flags.set(page.flags.get() - PageFlags::THP);
        page.maps.set(page.maps.get().min(1));
        page.refs.set(page.explained().cast_signed());
        Attempt::Done
    }

    fn write_out(&mut self, page: &&'a Imagined) -> PageOut {
        if !self.scene.swap {
            return PageOut::Activate;
        }
        page.flags.set(page.flags.get() - PageFlags::DIRTY);
        PageOut::Success
    }
}

/// The mappings of the page: those in the observed VMA, then those elsewhere. Linux exports only the
/// number of the latter; if one of their VMAs were locked, the page would be unevictable.
///
/// All entries of one VMA are alike, and the verdict of a policy about the later ones cannot differ:
/// with each mapping the reference count only falls. So the first entry is a mapping, and the second
/// stands for all the others.
struct Mappings<'m, 'a> {
    page: &'a Imagined,
    machine: &'m mut Machine<'a>,
    regions: std::vec::IntoIter<(Region, u32)>,
    /// The mappings in this VMA that no entry has stood for yet.
    left: u32,
    /// The mappings that the entry returned last stands for.
    removed: u32,
    at: u64,
}

impl<'m, 'a> Mappings<'m, 'a> {
    fn of(page: &'a Imagined, machine: &'m mut Machine<'a>) -> Self {
        let maps = page.map_count();
        let here = if machine.scene.frame.pmd {
            1
        } else {
            maps.min(page.base_pages())
        };
        let region = |flags| Region {
            flags,
            range: 0..u64::MAX,
        };
        let regions = vec![
            (region(machine.scene.vma), here),
            (region(VmFlags::empty()), maps.saturating_sub(here)),
        ];
        Self {
            page,
            machine,
            regions: regions.into_iter(),
            left: 0,
            removed: 0,
            at: 0,
        }
    }
}

impl Rmap for Mappings<'_, '_> {
    type Vma = Region;

    fn next_vma(&mut self) -> NextVma<Region> {
        let Some((vma, left)) = self.regions.next() else {
            return NextVma::End;
        };
        (self.left, self.removed, self.at) = (left, 0, 0);
        NextVma::Found { vma, address: 0 }
    }
}

impl PageTables for Mappings<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        if self.left == 0 {
            return Ok(None);
        }
        self.removed = match self.removed {
            0 => 1,
            _ => self.left.min(self.machine.step),
        };
        self.left -= self.removed;
        // The entries of a large page are within its range; those of a base page are each at its
        // address.
        let last = u64::from(self.page.base_pages()).saturating_sub(1) << 12;
        let address = self.at.min(last);
        self.at = self.at.saturating_add(1 << 12);
        let mut flags = PteFlags::empty();
        flags.set(PteFlags::DIRTY, self.machine.scene.pte_dirty);
        Ok(Some(Entry { address, flags }))
    }

    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }

    fn clear(&mut self, entry: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) {
        self.machine.swap_entry = matches!(new, NewEntry::Swap(_));
    }

    fn set_page_dirty(&mut self) {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::DIRTY);
    }

    fn remove_rmap(&mut self, _: &Entry) {
        let Imagined { maps, refs, .. } = self.page;
        maps.set(maps.get().saturating_sub(self.removed));
        refs.set(refs.get().saturating_sub_unsigned(self.removed));
    }

    /// One mapping by a PMD becomes one for each base page.
    fn split_huge_pmd(&mut self, _: bool) -> Result<(), Infallible> {
        if self.machine.scene.frame.pmd && self.left == 1 {
            let more = self.page.base_pages().saturating_sub(1);
            self.left = self.page.base_pages();
            self.page
                .maps
                .set(self.page.maps.get().saturating_add(more));
            self.page
                .refs
                .set(self.page.refs.get().saturating_add_unsigned(more));
        }
        Ok(())
    }

    /// A page is played through once, so nothing else comes to its slot.
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }

    fn set_swap_backed(&mut self) {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::SWAP_BACKED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::kpf;
    use pinfold::pin::{Biased, Refined};
    use pinfold::{IgnorePins, SkipLongterm, SkipOpportunistic, SkipPinned};

    /// Fails if removing many mappings in one step ends otherwise than removing them one by one.
    #[test]
    fn steps_do_not_change_the_result() {
        fn same(scene: &Scene, policy: impl PinPolicy + Copy) {
            assert_eq!(
                play_in_steps(scene, policy, 1),
                play(scene, policy),
                "{scene:?}"
            );
        }
        let anon = kpf::LRU | kpf::ANON;
        let flags = [
            anon,
            anon | kpf::SWAPBACKED,
            kpf::LRU,
            kpf::LRU | kpf::DIRTY,
        ];
        let shapes = [(1, false), (512, false), (512, true), (1024, true)];
        let maps = [
            0, 1, 2, 3, 511, 512, 513, 1022, 1023, 1024, 1025, 1026, 2047, 2050, 5000,
        ];
        let holders = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1023)];
        let vmas = [VmFlags::empty(), VmFlags::LOCKED];
        for (flags, (pages, pmd)) in flags.iter().flat_map(|f| shapes.map(|shape| (*f, shape))) {
            for (maps, (short, longterm, others)) in maps
                .iter()
                .flat_map(|maps| holders.map(|held| (*maps, held)))
            {
                for (vma, pte_dirty) in vmas.iter().flat_map(|v| [(*v, false), (*v, true)]) {
                    let frame = Frame {
                        flags,
                        maps,
                        pages,
                        pmd,
                    };
                    let holders = Holders {
                        short,
                        longterm,
                        others,
                        exact: pages > 1,
                    };
                    let scene = Scene {
                        frame,
                        vma,
                        holders,
                        pte_dirty,
                        swap: true,
                    };
                    same(&scene, IgnorePins);
                    same(&scene, SkipPinned);
                    same(&scene, SkipOpportunistic::<Refined>::new());
                    same(&scene, SkipOpportunistic::<Biased>::new());
                    same(&scene, SkipLongterm::<Refined>::new());
                }
            }
        }
    }
}
