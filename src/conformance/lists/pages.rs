//! The pages of a world, in the states in which reclaim meets them.

use super::checked::Checked;
use super::world::Truth;
use super::{MAX_PAGES, NewPage, TestLists, Whereabouts};
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::reclaim::{Lru, Place};
use crate::unmap::Attempt;

impl<B: TestLists> Checked<'_, '_, B> {
    pub(super) fn add_pages(&mut self) {
        let pages = self.state.choices.index(MAX_PAGES).saturating_add(1);
        let kinds = self.kinds();
        for _ in 0..pages {
            let id = self.state.len;
            let flags = self.new_flags(kinds);
            let mut mappings = [(VmFlags::empty(), PteFlags::empty()); 3];
            for mapping in &mut mappings {
                *mapping = self.new_mapping();
            }
            // Anonymous memory is there because it is mapped; what is in no cache cannot be.
            let orphan = !flags.intersects(PageFlags::ANON.union(PageFlags::PAGE_CACHE));
            let len = if orphan {
                0
            } else if flags.contains(PageFlags::ANON) {
                self.state.choices.index(3).saturating_add(1)
            } else {
                self.state.choices.index(4)
            };
            let content = self.state.tick();
            let mapped = mappings.get(..len).unwrap_or_default();
            let page = NewPage {
                flags,
                mappings: mapped,
                content,
            };
            if self.lists.add(id, &page) == Attempt::Refused {
                continue;
            }
            // Its entries may be dirty already: then it is not the page to drop.
            let dirty = mapped
                .iter()
                .any(|(_, entry)| entry.contains(PteFlags::DIRTY));
            let lazy = flags.contains(PageFlags::ANON) && !flags.contains(PageFlags::SWAP_BACKED);
            let place = Whereabouts::Listed(Place::List(Lru::of(flags)));
            let since = self.state.tick();
            if let Some(truth) = self.state.pages.get_mut(id) {
                *truth = Truth::new(place, content, orphan || lazy && !dirty, since);
            }
            self.state.len = id.saturating_add(1);
            self.state.tally.pages = self.state.tally.pages.saturating_add(1);
        }
    }

    /// The kinds of pages of this world: all, or those of one list, so that batches are long.
    fn kinds(&mut self) -> &'static [PageFlags] {
        const FILE: PageFlags = PageFlags::PAGE_CACHE;
        const ANON: PageFlags = PageFlags::ANON.union(PageFlags::SWAP_BACKED);
        const SHMEM: PageFlags = FILE.union(PageFlags::SWAP_BACKED);
        const FILES: [PageFlags; 2] = [FILE, FILE.union(PageFlags::PRIVATE)];
        const SWAPPED: [PageFlags; 2] = [ANON, SHMEM];
        const ALL: [PageFlags; 7] = [
            FILE,
            ANON,
            ANON,
            SHMEM,
            FILE.union(PageFlags::PRIVATE),
            // Freed lazily.
            PageFlags::ANON,
            // Cut off its file, and held by its buffers.
            PageFlags::PRIVATE,
        ];
        match self.state.choices.below(4) {
            1 => &FILES,
            2 => &SWAPPED,
            _ => &ALL,
        }
    }

    fn new_flags(&mut self, kinds: &[PageFlags]) -> PageFlags {
        let choices = &mut self.state.choices;
        let mut flags = choices.pick(kinds).unwrap_or(PageFlags::PAGE_CACHE);
        if flags.contains(PageFlags::PAGE_CACHE) && choices.one_in(3) {
            flags |= PageFlags::DIRTY;
        }
        for (chance, flag) in [
            (3, PageFlags::ACTIVE),
            (4, PageFlags::REFERENCED),
            (12, PageFlags::UNEVICTABLE),
        ] {
            flags.set(flag, choices.one_in(chance));
        }
        flags
    }

    fn new_mapping(&mut self) -> (VmFlags, PteFlags) {
        let choices = &mut self.state.choices;
        let mut vma = VmFlags::empty();
        for (chance, flag) in [(12, VmFlags::LOCKED), (4, VmFlags::EXEC)] {
            vma.set(flag, choices.one_in(chance));
        }
        let mut entry = PteFlags::WRITABLE;
        for (chance, flag) in [
            (3, PteFlags::YOUNG),
            (3, PteFlags::DIRTY),
            (3, PteFlags::SOFT_DIRTY),
            (3, PteFlags::UFFD_WP),
        ] {
            entry.set(flag, choices.one_in(chance));
        }
        (vma, entry)
    }
}
