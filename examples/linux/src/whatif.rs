//! A machine of one page, on which the crate's `shrink_page` runs to see what would happen.

use crate::model::Frame;
use crate::page::{Holders, Imagined, Region};
use pinfold::reclaim::{
    Fate, PageOps, PageOut, Parking, Referenced, Removal, ScanControl, ScanFlags, Stats,
    shrink_page,
};
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, NewEntry, NextVma, PageFlags, PageLike,
    PageTables, PinPolicy, PteFlags, Rmap, UnmapFlags, UnmapRequest, VmFlags, try_to_unmap,
};
use std::convert::Infallible;

/// All that a fate depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub(crate) frame: Frame,
    pub(crate) vma: VmFlags,
    pub(crate) holders: Holders,
    /// Whether the page was written through its page-table entry.
    pub(crate) pte_dirty: bool,
    /// Whether swap has room.
    pub(crate) swap: bool,
}

/// How it ended: the fate, and what is left in the page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) fate: Fate,
    /// Whether an entry still maps the page.
    pub(crate) mapped: bool,
    /// Whether the entries that mapped it lead to swap now.
    pub(crate) swap_entry: bool,
    /// Whether swap is its backing store, which a lazily freed page may come to be again.
    pub(crate) swap_backed: bool,
}

/// Tries out reclaim on the page, with a policy: references are ignored, as `MADV_PAGEOUT` does and
/// as reclaim comes to do with pages that nobody uses.
pub(crate) fn play<L: PinPolicy>(scene: &Scene, policy: L) -> Played {
    let page = Imagined::new(&scene.frame, scene.holders);
    let mut machine = Machine {
        scene,
        swap_entry: false,
    };
    let flags = ScanFlags::direct() | ScanFlags::IGNORE_REFERENCES;
    let control = match ScanControl::new(flags).with_unmap_flags(UnmapFlags::IGNORE_ACCESS) {
        Ok(control) => control.with_policy(policy).with_parking(Parking::Rotate),
        Err(unknown) => unreachable!("{unknown}"),
    };
    let (mut debt, mut stats) = (FlushDebt::none(), Stats::default());
    let fate = match shrink_page(&&page, &control, &mut machine, &mut stats) {
        Ok(fate) => fate,
        Err(ShrinkError::Op { source, .. }) => match source {},
        // A state in which Linux halts, such as the lock of a hugetlb page that is missing.
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
        try_to_unmap(page, request, &mut mappings)
    }

    fn remove(&mut self, page: &&'a Imagined, how: Removal) -> Attempt {
        let expected = match how {
            Removal::Lazyfree => 1,
            Removal::FromCache => page.explained(),
        };
        let held = u32::try_from(page.ref_count()) != expected;
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

    /// What is followed from here on is the base page that the question is about.
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

/// The mappings of the page: those in the VMA that is looked at, then those elsewhere. Of the latter
/// Linux exports the number alone; were one of their VMAs locked, the page would be unevictable.
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
            at: 0,
        };
        Ok(Some(InVma {
            vma,
            address: 0,
            walk,
        }))
    }
}

struct Walk<'w, 'a> {
    page: &'a Imagined,
    machine: &'w mut Machine<'a>,
    left: u32,
    at: u64,
}

impl PageTables for Walk<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        // All entries of a large page lie in its range; of others, each its own page's.
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
        self.page.maps.set(self.page.maps.get().saturating_sub(1));
        self.page.refs.set(self.page.refs.get().saturating_sub(1));
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
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }

    fn set_swap_backed(&mut self) {
        self.page
            .flags
            .set(self.page.flags.get() | PageFlags::SWAP_BACKED);
    }
}
