//! A simulated machine with one page, on which pinfold's `shrink_page` runs to see what would happen.

use crate::model::Frame;
use crate::page::{Holders, Imagined, Region};
use pinfold::reclaim::{
    Fate, PageOps, PageOut, Referenced, Removal, Rotate, ScanControl, ScanFlags, ShrinkError,
    Stats, shrink_page,
};
use pinfold::{
    Bookkeeping, Cleared, Entry, Failure, FlushDebt, FlushMode, Hook, InVma, NewEntry, NextVma,
    PageFlags, PageLike, PageTables, PinPolicy, PteFlags, Rmap, UnmapFlags, UnmapRequest, Unmapped,
    VmFlags, try_to_unmap,
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
        Ok(control) => control.with_policy(policy).with_parking(Rotate),
        Err(unknown) => unreachable!("{unknown}"),
    };
    let (mut debt, mut stats) = (FlushDebt::none(), Stats::default());
    let fate = match shrink_page(&&page, &control, &mut machine, &mut debt, &mut stats) {
        Ok(fate) => fate,
        Err(ShrinkError::Op { source, .. }) => match source {},
        // A state in which Linux halts, such as a hugetlb page without its lock.
        Err(_) => Fate::Kept(pinfold::reclaim::KeepReason::Failed),
    };
    debt.ignore();
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

    fn update(
        &mut self,
        page: &&'a Imagined,
        set: PageFlags,
        clear: PageFlags,
    ) -> Result<(), Infallible> {
        page.flags.set((page.flags.get() | set) - clear);
        Ok(())
    }

    fn referenced(&mut self, _: &&'a Imagined) -> Result<Referenced, Infallible> {
        Ok(Referenced {
            entries: 0,
            vma: self.scene.vma,
        })
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &&'a Imagined,
        request: &UnmapRequest<L>,
    ) -> Result<Unmapped, Failure<Infallible>> {
        let mut mappings = Mappings::of(page, self);
        try_to_unmap(page, request, &mut mappings)
    }

    fn remove(&mut self, page: &&'a Imagined, how: Removal) -> Result<Hook, Infallible> {
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => page.explained(),
        };
        let held = u32::try_from(page.ref_count()) != Ok(expected);
        Ok(if held || page.flags().contains(PageFlags::DIRTY) {
            Hook::Refused
        } else {
            Hook::Done
        })
    }

    fn flush_tlb(&mut self) -> Result<(), Infallible> {
        // No CPU runs on this machine.
        Ok(())
    }

    fn try_lock(&mut self, page: &&'a Imagined) -> Result<Hook, Infallible> {
        Ok(if page.flags().contains(PageFlags::LOCKED) {
            Hook::Refused
        } else {
            Hook::Done
        })
    }

    fn add_to_swap(&mut self, page: &&'a Imagined) -> Result<Hook, Infallible> {
        if !self.scene.swap {
            return Ok(Hook::Refused);
        }
        let cached = page.base_pages().cast_signed();
        page.refs.set(page.refs.get().saturating_add(cached));
        page.flags
            .set(page.flags.get() | PageFlags::SWAP_CACHE | PageFlags::DIRTY);
        Ok(Hook::Done)
    }

    fn can_split(&mut self, page: &&'a Imagined) -> bool {
        u32::try_from(page.ref_count()) == Ok(page.explained())
    }

    fn is_pmd_mapped(&mut self, _: &&'a Imagined) -> bool {
        self.scene.frame.pmd
    }

    /// From here on the page is the base page that the question is about.
    fn split(&mut self, page: &&'a Imagined) -> Result<Hook, Infallible> {
        if !self.can_split(page) {
            return Ok(Hook::Refused);
        }
        page.base_pages.set(1);
        page.flags.set(page.flags.get() - PageFlags::THP);
        page.maps.set(page.maps.get().min(1));
        page.refs.set(page.explained().cast_signed());
        Ok(Hook::Done)
    }

    fn write_out(&mut self, page: &&'a Imagined) -> Result<PageOut, Infallible> {
        if !self.scene.swap {
            return Ok(PageOut::Activate);
        }
        page.flags.set(page.flags.get() - PageFlags::DIRTY);
        Ok(PageOut::Success)
    }
}

/// The mappings of the page: those in the observed VMA, then those elsewhere. Linux exports only the
/// number of the latter; if one of their VMAs were locked, the page would be unevictable.
struct Mappings<'m, 'a> {
    page: &'a Imagined,
    machine: &'m mut Machine<'a>,
    regions: std::vec::IntoIter<(Region, u32)>,
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
        }
    }
}

impl<'a> Rmap for Mappings<'_, 'a> {
    type Vma = Region;
    type Walk<'w>
        = Walk<'w, 'a>
    where
        Self: 'w;
    type Error = Infallible;

    fn next_vma(&mut self) -> NextVma<'_, Self> {
        let Some((vma, left)) = self.regions.next() else {
            return Ok(None);
        };
        let walk = Walk {
            page: self.page,
            machine: self.machine,
            left,
            removed: 0,
            at: 0,
        };
        Ok(Some(InVma {
            vma,
            address: 0,
            walk,
        }))
    }
}

/// The entries of one VMA. All entries in it are alike, and the verdict of a policy about the later
/// ones cannot differ: with each mapping the reference count only falls. So the first entry is a
/// mapping, and the second stands for all the others.
struct Walk<'w, 'a> {
    page: &'a Imagined,
    machine: &'w mut Machine<'a>,
    left: u32,
    /// The mappings that the entry returned last stands for.
    removed: u32,
    at: u64,
}

impl PageTables for Walk<'_, '_> {
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

    fn test_and_clear_young(&mut self, _: &Entry) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn clear(&mut self, entry: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }

    fn install(&mut self, _: &Entry, new: NewEntry) -> Result<(), Infallible> {
        self.machine.swap_entry = matches!(new, NewEntry::Swap(_));
        Ok(())
    }

    fn set_page_dirty(&mut self) -> Result<(), Infallible> {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::DIRTY);
        Ok(())
    }

    fn remove_rmap(&mut self, _: &Entry) -> Result<(), Infallible> {
        let Imagined { maps, refs, .. } = self.page;
        maps.set(maps.get().saturating_sub(self.removed));
        refs.set(refs.get().saturating_sub_unsigned(self.removed));
        Ok(())
    }
}

impl Bookkeeping for Walk<'_, '_> {
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
    fn swap_duplicate(&mut self, _: &Entry) -> Result<Hook, Infallible> {
        Ok(Hook::Done)
    }

    fn set_swap_backed(&mut self) -> Result<(), Infallible> {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::SWAP_BACKED);
        Ok(())
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
