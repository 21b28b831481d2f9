//! A walk that holds, to be broken in one place.

use pinfold::invariants::{
    self, Broken, Ending, EntryAt, EntryKind, Snapshot, Walk, WalkCounts, WalkEnd, WalkRequest,
};
use pinfold::{
    CounterDelta, PageFlags, PinPolicy, PteFlags, SkipOpportunistic, UnmapFlags, Verdict, VmFlags,
};

pub(crate) type Holds = Result<(), Broken>;
pub(crate) type Check = fn(&Walk<'_>) -> Holds;
pub(crate) type Change = fn(&mut Story);
/// What is changed, how, and what the check says then.
pub(crate) type Row = (&'static str, Change, Holds);

pub(crate) const SWAP: PageFlags = PageFlags::ANON
    .union(PageFlags::SWAP_BACKED)
    .union(PageFlags::SWAP_CACHE);
/// Where the entry is that the walk takes.
pub(crate) const TAKEN: u64 = 0x1000;
/// Where the entry is that it comes by, and leaves.
pub(crate) const LEFT: u64 = 0x2000;
/// Where an entry is that did not map the page.
pub(crate) const OTHER: u64 = 0x3000;

/// A walk that owns its entries.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) asked: WalkRequest,
    pub(crate) before: Snapshot<'static>,
    pub(crate) after: Snapshot<'static>,
    pub(crate) old: Vec<EntryAt>,
    pub(crate) new: Vec<EntryAt>,
    pub(crate) ending: Ending,
    pub(crate) pin_appeared: Option<usize>,
}

const fn entry(address: u64, kind: EntryKind, flags: PteFlags) -> EntryAt {
    EntryAt {
        address,
        kind,
        flags,
        vma: VmFlags::empty(),
    }
}

impl Story {
    /// Reclaim takes a dirty entry of a swap-cached page, and leaves a young one.
    pub(crate) fn reclaimed() -> Self {
        use EntryKind::{Present, Swap};
        let (dirty, young) = (PteFlags::DIRTY | PteFlags::WRITABLE, PteFlags::YOUNG);
        // Only differences count, so the books do not begin at 0.
        let before = Snapshot {
            page: SWAP,
            refs: 5,
            maps: 3,
            books: WalkCounts {
                counters: CounterDelta {
                    anon: 7,
                    file: 6,
                    shmem: 5,
                    swap_ents: 4,
                    hugetlb: 3,
                },
                removed: 10,
                swap_dups: 20,
                swap_frees: 30,
                flushed: 40,
                deferred: 50,
                begins: 60,
                ends: 70,
                unshares: 80,
                invalidates: 90,
                others: 100,
            },
            ..Snapshot::EMPTY
        };
        let told = WalkCounts {
            counters: CounterDelta {
                anon: -1,
                swap_ents: 1,
                ..CounterDelta::NONE
            },
            removed: 1,
            swap_dups: 1,
            flushed: 1,
            begins: 1,
            ends: 1,
            invalidates: 1,
            others: 1,
            ..WalkCounts::default()
        };
        Self {
            asked: asked(UnmapFlags::empty()),
            before,
            after: Snapshot {
                page: SWAP | PageFlags::DIRTY,
                refs: 4,
                maps: 2,
                books: before.books.plus(told),
                ..before
            },
            old: vec![
                entry(TAKEN, Present, dirty),
                entry(LEFT, Present, dirty | young),
                entry(OTHER, Swap, PteFlags::SOFT_DIRTY),
            ],
            new: vec![
                entry(TAKEN, Swap, PteFlags::empty()),
                entry(LEFT, Present, dirty),
                entry(OTHER, Swap, PteFlags::SOFT_DIRTY),
            ],
            ending: Ending::new(WalkEnd::InVma(Verdict::Done)),
            pin_appeared: None,
        }
    }

    /// Nothing is done, and this is how the walk ended.
    pub(crate) fn untouched(how: WalkEnd) -> Self {
        let story = Self::reclaimed();
        Self {
            after: story.before,
            new: story.old.clone(),
            ending: Ending::new(how),
            ..story
        }
    }

    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk {
            asked: self.asked,
            before: Snapshot {
                entries: &self.old,
                ..self.before
            },
            after: Snapshot {
                entries: &self.new,
                ..self.after
            },
            ending: self.ending,
            pin_appeared: self.pin_appeared,
        }
    }

    /// The default policy is asked for this.
    pub(crate) fn ask(&mut self, flags: UnmapFlags) {
        self.asked = asked(flags);
    }

    pub(crate) fn ask_by<L: PinPolicy>(&mut self, policy: &L) {
        self.asked = WalkRequest::new(self.asked.flags, policy, pinfold::Context::default());
    }

    /// The entry that was taken is in place.
    pub(crate) fn put_back(&mut self) {
        self.new[0] = self.old[0];
    }
}

pub(crate) fn asked(flags: UnmapFlags) -> WalkRequest {
    WalkRequest::new(
        flags,
        &<SkipOpportunistic>::new(),
        pinfold::Context::default(),
    )
}

/// `check` holds of `story`, and says what the rows tell once it is changed; what it finds, the
/// check of all invariants does not pass over.
pub(crate) fn changed(story: &Story, check: Check, rows: &[Row]) {
    assert_eq!(invariants::walk(&story.walk()), Ok(()), "unchanged");
    assert_eq!(check(&story.walk()), Ok(()), "unchanged");
    for (what, change, expected) in rows {
        let mut story = story.clone();
        change(&mut story);
        let walk = story.walk();
        assert_eq!(check(&walk), *expected, "{what}: {walk:#?}");
        if expected.is_err() {
            assert!(invariants::walk(&walk).is_err(), "{what}: {walk:#?}");
        }
    }
}
