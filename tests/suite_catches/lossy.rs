//! Walks that lose or invent bits of the entries which they install.

use crate::pages::PlainCells;
use core::convert::Infallible;
use pinfold::conformance::{BuildPage, Case, Machine};
use pinfold::invariants::{self, Broken, Ending, EntryAt, Snapshot, Walk, WalkRequest};
use pinfold::{
    Attempt, Cleared, CounterDelta, Entry, FlushDebt, FlushMode, IgnorePins, NewEntry, PageLike,
    PageTables, PlainVma, PteFlags, UnmapRequest, try_to_unmap_one,
};

const BASE: u64 = 0x10_0000;
const N: usize = 8;

type Recorded<T> = Result<T, Infallible>;
/// What becomes of an entry on its way into the page table.
type Change = fn(NewEntry) -> NewEntry;

/// The suite's machine, but for the bits of what is installed.
struct Lossy<'w, 'a> {
    machine: &'w mut Machine<'a, PlainCells, N>,
    change: Change,
}

impl PageTables for Lossy<'_, '_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Recorded<Option<Entry>> {
        self.machine.next_entry()
    }
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        self.machine.test_and_clear_young(entry)
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Recorded<Cleared> {
        self.machine.clear(entry, flush)
    }
    fn install(&mut self, entry: &Entry, new: NewEntry) {
        self.machine.install(entry, (self.change)(new));
    }
    fn set_page_dirty(&mut self) {
        self.machine.set_page_dirty();
    }
    fn remove_rmap(&mut self, entry: &Entry) {
        self.machine.remove_rmap(entry);
    }
    fn split_huge_pmd(&mut self, freeze: bool) -> Recorded<()> {
        self.machine.split_huge_pmd(freeze)
    }
    fn count(&mut self, delta: CounterDelta) {
        self.machine.count(delta);
    }
    fn swap_duplicate(&mut self, entry: &Entry) -> Attempt {
        self.machine.swap_duplicate(entry)
    }
    fn swap_free(&mut self, entry: &Entry) {
        self.machine.swap_free(entry);
    }
    fn mlock_page(&mut self) {
        self.machine.mlock_page();
    }
    fn set_swap_backed(&mut self) {
        self.machine.set_swap_backed();
    }
}

fn entries(machine: &Machine<'_, PlainCells, N>, case: &Case) -> Vec<EntryAt> {
    let at = |(index, slot): (usize, &pinfold::conformance::EntrySlot)| EntryAt {
        address: BASE + ((index as u64) << 12),
        kind: slot.state.kind(),
        flags: slot.flags,
        vma: case.vmas[0],
    };
    machine.entries().iter().enumerate().map(at).collect()
}

fn snapshot<'a>(
    page: &PlainCells,
    machine: &Machine<'_, PlainCells, N>,
    entries: &'a [EntryAt],
) -> Snapshot<'a> {
    Snapshot {
        page: page.flags(),
        refs: page.ref_count().into(),
        maps: page.map_count(),
        entries,
        books: machine.told().books(),
        ..Snapshot::EMPTY
    }
}

/// What all invariants say of a walk over the case.
fn walk(case: &Case, change: Change) -> Result<(), Broken> {
    let Some(page) = PlainCells::build(&case.page) else {
        return Ok(());
    };
    let request = UnmapRequest::under(case.flags, IgnorePins).unwrap();
    let mut machine = Machine::new(&page, BASE, case.entries(), case.answers);
    let old = entries(&machine, case);
    let before = snapshot(&page, &machine, &old);
    let vma = PlainVma {
        flags: case.vmas[0],
        range: BASE..BASE + 0x20_0000,
    };
    let mut lossy = Lossy {
        machine: &mut machine,
        change,
    };
    let mut debt = FlushDebt::none();
    let result = try_to_unmap_one(&page, &vma, BASE, &request, &mut lossy, &mut debt);
    let new = entries(&machine, case);
    invariants::walk(&Walk {
        asked: WalkRequest::new(case.flags, &IgnorePins, request.context()),
        before,
        after: snapshot(&page, &machine, &new),
        ending: Ending::of_walk(&result, &debt),
        pin_appeared: None,
    })
}

/// In how many of so many cases the invariants find bits that are not as they were.
fn found(change: Change) -> usize {
    let broken = (0..2000).filter(|&seed| {
        let case = Case::random(seed).without_pins();
        match walk(&case, change) {
            Ok(()) => false,
            Err(Broken::BitsNotCarried { .. }) => true,
            Err(other) => panic!("{seed}: {other}"),
        }
    });
    broken.count()
}

#[test]
fn bits_that_a_walk_loses_or_invents_are_caught() {
    use NewEntry::{Migration, PmdMigration, Swap};
    assert_eq!(found(|new| new), 0);
    for (what, change) in [
        (
            "all, of swap entries",
            (|new| match new {
                Swap(_) => Swap(PteFlags::empty()),
                other => other,
            }) as Change,
        ),
        ("soft-dirty, of swap entries", |new| match new {
            Swap(bits) => Swap(bits - PteFlags::SOFT_DIRTY),
            other => other,
        }),
        ("write protection, of swap entries", |new| match new {
            Swap(bits) => Swap(bits - PteFlags::UFFD_WP),
            other => other,
        }),
        ("soft-dirty comes, in swap entries", |new| match new {
            Swap(bits) => Swap(bits | PteFlags::SOFT_DIRTY),
            other => other,
        }),
        ("all, of migration entries", |new| match new {
            Migration(_) => Migration(PteFlags::empty()),
            other => other,
        }),
        ("write, of migration entries", |new| match new {
            Migration(bits) => Migration(bits - PteFlags::WRITABLE),
            other => other,
        }),
        ("write comes, in migration entries", |new| match new {
            Migration(bits) => Migration(bits | PteFlags::WRITABLE),
            other => other,
        }),
        ("all, of migration entries of PMDs", |new| match new {
            PmdMigration(_) => PmdMigration(PteFlags::empty()),
            other => other,
        }),
    ] {
        let found = found(change);
        assert!(found > 5, "{what}: caught in {found} cases of 2000");
    }
}
