//! A migration that moves nothing: entries go, and come back with their bits.

use super::checked::Checked;
use super::{ListsBroken, TestLists};
use crate::conformance::MAX_ENTRIES;
use crate::flags::{PteFlags, UnmapFlags};
use crate::invariants::EntryKind;
use crate::page::PageLike;
use crate::policy::{Context, SkipOpportunistic};
use crate::reclaim::{Lists, Lru, PageOps};
use crate::unmap::{Attempt, FlushDebt, UnmapRequest};

/// What a migration entry carries there and back.
const CARRIED: PteFlags = PteFlags::WRITABLE
    .union(PteFlags::SOFT_DIRTY)
    .union(PteFlags::UFFD_WP);

impl<B: TestLists> Checked<'_, '_, B> {
    /// Migrates the oldest page of some list to where it is.
    pub(super) fn migrate(&mut self) {
        let list = self.state.choices.pick(&Lru::ALL);
        let Some(page) = list.and_then(|list| self.take(list)) else {
            return;
        };
        if self.try_lock(&page) == Attempt::Done {
            self.migrate_locked(&page);
            self.unlock(&page);
        }
        self.put(Lru::of(page.flags()), page);
    }

    fn migrate_locked(&mut self, page: &B::Page) {
        let id = self.lists.id(page);
        let before = self.bits(id);
        let flags = UnmapFlags::MIGRATION
            .union(UnmapFlags::IGNORE_MLOCK)
            .union(UnmapFlags::IGNORE_ACCESS);
        let policy: SkipOpportunistic = SkipOpportunistic::new();
        let request = UnmapRequest::of(flags, policy, Context::default());
        let mut debt = FlushDebt::none();
        if let Err(error) = self.unmap_checked(page, &request, &mut debt) {
            self.failed(page, error);
        }
        debt.flush(|| self.flush_tlb());
        self.lists.end_migration(page);
        let after = self.bits(id);
        if before != after {
            let what = "the entries are back, with their bits";
            self.state
                .note("end_migration", id, Err(ListsBroken::NotDone { what }));
        }
        self.check("end_migration", id);
    }

    /// Which entries map the page, and the bits that a migration must not lose.
    fn bits(&self, id: usize) -> [Option<PteFlags>; MAX_ENTRIES] {
        core::array::from_fn(|at| {
            let entry = self.lists.entry(id, at)?;
            let present = entry.kind == EntryKind::Present;
            present.then(|| entry.flags.intersection(CARRIED))
        })
    }
}
