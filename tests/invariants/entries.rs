//! What a walk leaves of the entries: `mlocked_stays`, `in_place`, `dirty_kept`, and that the two
//! snapshots name the same ones.

use crate::story::{Holds, LEFT, OTHER, SWAP, Story, TAKEN, changed};
use pinfold::invariants::{self, Broken, EntryKind, dirty_kept, in_place, mlocked_stays};
use pinfold::{PageFlags, PteFlags, UnmapFlags, VmFlags};

fn lock(story: &mut Story, at: usize) {
    story.old[at].vma |= VmFlags::LOCKED;
    story.new[at].vma |= VmFlags::LOCKED;
}

#[test]
fn both_snapshots_name_the_same_entries() {
    const fn mismatch(before: usize, after: usize) -> Holds {
        Err(Broken::EntriesMismatch { before, after })
    }
    changed(
        &Story::reclaimed(),
        invariants::walk,
        &[
            ("one less", |s| s.new.truncate(2), mismatch(3, 2)),
            ("one more", |s| s.old.truncate(2), mismatch(2, 3)),
            ("elsewhere", |s| s.new[1].address += 1, mismatch(3, 3)),
            (
                "in another VMA",
                |s| s.new[2].vma |= VmFlags::EXEC,
                mismatch(3, 3),
            ),
            ("in another order", |s| s.new.reverse(), mismatch(3, 3)),
            ("in a locked VMA, both times", |s| lock(s, 1), Ok(())),
        ],
    );
}

#[test]
fn an_entry_of_a_locked_vma_stays() {
    fn taken(story: &mut Story, flags: UnmapFlags, bits: PteFlags) {
        lock(story, 0);
        story.ask(flags);
        story.old[0].flags |= bits;
    }
    const MIGRATION: UnmapFlags = UnmapFlags::MIGRATION;
    const SPLIT: UnmapFlags = UnmapFlags::SPLIT_HUGE_PMD;
    const PTE: PteFlags = PteFlags::empty();
    let broken = Err(Broken::MlockedTaken { address: TAKEN });
    changed(
        &Story::reclaimed(),
        mlocked_stays,
        &[
            ("taken", |s| lock(s, 0), broken),
            ("left", |s| lock(s, 1), Ok(())),
            ("not there before", |s| lock(s, 2), Ok(())),
            (
                "of another VMA flag",
                |s| s.old[0].vma |= VmFlags::EXEC,
                Ok(()),
            ),
            (
                "IGNORE_MLOCK",
                |s| taken(s, UnmapFlags::IGNORE_MLOCK, PTE),
                Ok(()),
            ),
            ("MIGRATION", |s| taken(s, MIGRATION, PTE), broken),
            (
                "a PMD",
                |s| taken(s, UnmapFlags::empty(), PteFlags::PMD),
                broken,
            ),
            (
                "a PMD under MIGRATION",
                |s| taken(s, MIGRATION, PteFlags::PMD),
                Ok(()),
            ),
            (
                "a PMD that MIGRATION splits first",
                |s| taken(s, MIGRATION | SPLIT, PteFlags::PMD),
                broken,
            ),
            (
                "a PTE, and a split",
                |s| taken(s, MIGRATION | SPLIT, PTE),
                broken,
            ),
        ],
    );
}

#[test]
fn an_entry_in_place_keeps_its_bits() {
    const fn at(address: u64) -> Holds {
        Err(Broken::EntryChanged { address })
    }
    const PMD: PteFlags = PteFlags::PMD;
    fn split(story: &mut Story) {
        story.ask(UnmapFlags::SPLIT_HUGE_PMD);
    }
    changed(
        &Story::reclaimed(),
        in_place,
        &[
            ("young stays", |s| s.new[1].flags |= PteFlags::YOUNG, Ok(())),
            (
                "young comes",
                |s| {
                    s.old[1].flags -= PteFlags::YOUNG;
                    s.new[1].flags |= PteFlags::YOUNG;
                },
                at(LEFT),
            ),
            (
                "a bit falls",
                |s| s.new[1].flags -= PteFlags::DIRTY,
                at(LEFT),
            ),
            (
                "a bit comes",
                |s| s.new[1].flags |= PteFlags::UFFD_WP,
                at(LEFT),
            ),
            ("PMD falls", |s| s.old[1].flags |= PMD, at(LEFT)),
            (
                "PMD falls in a split",
                |s| {
                    s.old[1].flags |= PMD;
                    split(s);
                },
                Ok(()),
            ),
            (
                "PMD comes in a split",
                |s| {
                    s.new[1].flags |= PMD;
                    split(s);
                },
                at(LEFT),
            ),
            (
                "what is taken has others",
                |s| s.new[0].flags |= PMD,
                Ok(()),
            ),
            (
                "other kind",
                |s| s.new[2].kind = EntryKind::Empty,
                at(OTHER),
            ),
            (
                "other bits",
                |s| s.new[2].flags |= PteFlags::UFFD_WP,
                at(OTHER),
            ),
            (
                "even a young bit",
                |s| s.old[2].flags |= PteFlags::YOUNG,
                at(OTHER),
            ),
        ],
    );
}

#[test]
fn what_was_dirty_is_dirty() {
    fn clean(story: &mut Story) {
        story.after.page = SWAP;
    }
    const fn at(address: u64) -> Holds {
        Err(Broken::DirtyLost {
            address: Some(address),
        })
    }
    changed(
        &Story::reclaimed(),
        dirty_kept,
        &[
            ("the entry", clean, at(TAKEN)),
            (
                "the page",
                |s| (s.before.page, s.after.page) = (SWAP | PageFlags::DIRTY, SWAP),
                Err(Broken::DirtyLost { address: None }),
            ),
            (
                "the page stays so",
                |s| s.before.page |= PageFlags::DIRTY,
                Ok(()),
            ),
            (
                "a clean entry is taken",
                |s| {
                    clean(s);
                    s.old[0].flags -= PteFlags::DIRTY;
                },
                Ok(()),
            ),
            (
                "the entry is put back",
                |s| {
                    clean(s);
                    s.put_back();
                },
                Ok(()),
            ),
            (
                "an entry that stays",
                |s| {
                    clean(s);
                    s.put_back();
                    s.new[1].flags -= PteFlags::DIRTY;
                },
                at(LEFT),
            ),
            (
                "the bit is in what took its place",
                |s| {
                    clean(s);
                    s.new[0].flags |= PteFlags::DIRTY;
                },
                at(TAKEN),
            ),
            (
                "an entry that did not map the page",
                |s| {
                    clean(s);
                    s.put_back();
                    s.old[2].flags |= PteFlags::DIRTY;
                },
                Ok(()),
            ),
        ],
    );
}

/// Entries that the CPU never wrote through, and never had in its TLB: neither their dirty bit
/// counts nor their flush.
#[test]
fn the_entries_of_device_private_memory_are_exempt() {
    const DEVICE: PageFlags = PageFlags::ZONE_DEVICE.union(PageFlags::DEVICE_PRIVATE);
    const MIGRATION: UnmapFlags = UnmapFlags::MIGRATION;
    fn ask(story: &mut Story, flags: UnmapFlags, page: PageFlags, bits: PteFlags) {
        story.ask(flags);
        story.before.page = page;
        story.after.page = page;
        story.old[0].flags |= bits;
        story.after.books.flushed = story.before.books.flushed;
    }
    let (none, pmd) = (PteFlags::empty(), PteFlags::PMD);
    let split = MIGRATION | UnmapFlags::SPLIT_HUGE_PMD;
    for (what, flags, page, bits, exempt) in [
        ("migrated", MIGRATION, DEVICE, none, true),
        ("not migrated", UnmapFlags::empty(), DEVICE, none, false),
        (
            "a split alone",
            UnmapFlags::SPLIT_HUGE_PMD,
            DEVICE,
            pmd,
            false,
        ),
        (
            "not private",
            MIGRATION,
            PageFlags::ZONE_DEVICE,
            none,
            false,
        ),
        ("a PMD", MIGRATION, DEVICE, pmd, false),
        ("a PMD that is split", split, DEVICE, pmd, true),
        ("a PTE, and a split", split, DEVICE, none, true),
    ] {
        let mut story = Story::reclaimed();
        ask(&mut story, flags, page, bits);
        let address = Some(TAKEN);
        let lost = Err(Broken::DirtyLost { address });
        let expected = if exempt { Ok(()) } else { lost };
        assert_eq!(dirty_kept(&story.walk()), expected, "{what}");
        let missing = Err(Broken::FlushMissing {
            gone: 1,
            flushes: 0,
        });
        let expected = if exempt { Ok(()) } else { missing };
        assert_eq!(invariants::flushes(&story.walk()), expected, "{what}");
    }
}
