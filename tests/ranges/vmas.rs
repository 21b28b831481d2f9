//! The result of `try_to_unmap` for a page with a mapping in each of several VMAs.

use crate::{ADDRESS, SWAP, page, vma};
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use pinfold::pin::{PinCount, Refined};
use pinfold::unmap::Verdict;
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, IgnorePins, NewEntry, NextVma, Outcome,
    PageFlags, PageLike, PageTables, PinPolicy, PlainPage, PlainVma, PteFlags, Rmap,
    SkipOpportunistic, SkipPinned, UnmapFlags, UnmapRequest, VmFlags, try_to_unmap,
};

/// One mapping in each of these VMAs.
struct Mapped<'a> {
    page: &'a RefCell<PlainPage>,
    vmas: Vec<(VmFlags, PteFlags)>,
    /// How often the next VMA was asked for.
    asked: usize,
    /// The entry that the walk has not come to.
    left: Option<Entry>,
    /// How many entries were taken.
    taken: u32,
}

impl<'a> Mapped<'a> {
    fn new(page: &'a RefCell<PlainPage>, vmas: &[(VmFlags, PteFlags)]) -> Self {
        Self {
            page,
            vmas: vmas.to_vec(),
            asked: 0,
            left: None,
            taken: 0,
        }
    }
}

impl Rmap for Mapped<'_> {
    type Vma = PlainVma;

    fn next_vma(&mut self) -> NextVma<PlainVma> {
        let next = self.vmas.get(self.asked).copied();
        self.asked += 1;
        let Some((flags, bits)) = next else {
            return NextVma::End;
        };
        self.left = Some(Entry {
            address: ADDRESS,
            flags: bits,
        });
        NextVma::Found {
            vma: vma(flags),
            address: ADDRESS,
        }
    }
}

impl PageTables for Mapped<'_> {
    type Error = Infallible;

    fn next_entry(&mut self) -> Result<Option<Entry>, Infallible> {
        Ok(self.left.take())
    }
    fn test_and_clear_young(&mut self, entry: &Entry) -> bool {
        entry.flags.contains(PteFlags::YOUNG)
    }
    fn clear(&mut self, entry: &Entry, _: FlushMode) -> Result<Cleared, Infallible> {
        Ok(Cleared {
            flags: entry.flags,
            deferred: false,
        })
    }
    fn install(&mut self, _: &Entry, _: NewEntry) {}
    fn set_page_dirty(&mut self) {}
    fn remove_rmap(&mut self, _: &Entry) {
        self.page.borrow_mut().maps -= 1;
        self.taken += 1;
    }
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }
}

/// A page whose counts change under the walk, and how often its pins were read.
struct Shared<'a>(&'a RefCell<PlainPage>, Cell<u32>);

fn shared(page: &RefCell<PlainPage>) -> Shared<'_> {
    Shared(page, Cell::new(0))
}

impl PageLike for Shared<'_> {
    fn exact_pins(&self) -> Option<PinCount> {
        self.1.set(self.1.get() + 1);
        None
    }
    fn flags(&self) -> PageFlags {
        self.0.borrow().flags
    }
    fn ref_count(&self) -> i32 {
        self.0.borrow().refs
    }
    fn map_count(&self) -> u32 {
        self.0.borrow().maps
    }
}

fn unmap<L: PinPolicy>(
    page: &Shared<'_>,
    request: &UnmapRequest<L>,
    rmap: &mut Mapped<'_>,
) -> Outcome {
    let mut debt = FlushDebt::none();
    let outcome = try_to_unmap(page, request, rmap, &mut debt).unwrap();
    assert!(debt.is_none());
    outcome
}

/// The outcome, entries taken, and how often the next VMA was asked for.
fn over(
    flags: PageFlags,
    maps: u32,
    asked: UnmapFlags,
    vmas: &[(VmFlags, PteFlags)],
) -> (Outcome, u32, usize) {
    let page = RefCell::new(PlainPage {
        maps,
        ..page(flags)
    });
    let mut rmap = Mapped::new(&page, vmas);
    let outcome = unmap(
        &shared(&page),
        &UnmapRequest::new(asked).unwrap(),
        &mut rmap,
    );
    assert_eq!(outcome.is_unmapped(), page.borrow().maps == 0);
    (outcome, rmap.taken, rmap.asked)
}

/// The page is asked about once, and looked at again after each entry is cleared.
#[test]
fn pins_are_read_once_for_the_page_and_once_for_each_entry() {
    fn reads<L: PinPolicy>(policy: L, vmas: u32) -> u32 {
        let page = RefCell::new(PlainPage {
            maps: 9,
            ..page(PageFlags::PAGE_CACHE)
        });
        let mut rmap = Mapped::new(&page, &vec![PLAIN; vmas as usize]);
        let request = UnmapRequest::new(UnmapFlags::IGNORE_ACCESS).unwrap();
        let shared = shared(&page);
        let outcome = unmap(&shared, &request.with_policy(policy), &mut rmap);
        assert_eq!(outcome, Outcome::NotFound);
        assert_eq!(rmap.taken, vmas);
        shared.1.get()
    }
    for vmas in [0, 1, 5] {
        let default = SkipOpportunistic::<Refined>::new();
        assert_eq!(reads(default, vmas), 1 + vmas);
        assert_eq!(reads(IgnorePins, vmas), 0);
        assert_eq!(
            reads(SkipPinned, vmas),
            vmas,
            "each VMA asks, and the page does not"
        );
    }
}

const PLAIN: (VmFlags, PteFlags) = (VmFlags::empty(), PteFlags::empty());
const STACK: (VmFlags, PteFlags) = (VmFlags::TEMPORARY_STACK, PteFlags::empty());

#[test]
fn the_walk_ends_when_nothing_maps_the_page() {
    let none = UnmapFlags::empty();
    let ended = over(SWAP, 2, none, &[PLAIN; 4]);
    assert_eq!(ended, (Outcome::Unmapped, 2, 2));
    let not_found = Outcome::NotFound;
    assert_eq!(over(SWAP, 3, none, &[PLAIN; 2]), (not_found, 2, 3));
}

#[test]
fn temporary_stacks_are_passed_by() {
    let anon = SWAP;
    let stays = Outcome::TemporaryStack;
    for flags in [UnmapFlags::MIGRATION, UnmapFlags::SPLIT_FREEZE] {
        let world = [STACK, PLAIN];
        assert_eq!(over(anon, 2, flags, &world), (stays, 1, 3));
        // Not for KSM pages, nor for those of files.
        let all = (Outcome::Unmapped, 2, 2);
        assert_eq!(over(anon | PageFlags::KSM, 2, flags, &world), all);
        assert_eq!(over(PageFlags::PAGE_CACHE, 2, flags, &world), all);
    }
    let all = (Outcome::Unmapped, 2, 2);
    assert_eq!(over(anon, 2, UnmapFlags::empty(), &[STACK, PLAIN]), all);
}

#[test]
fn the_first_obstacle_is_the_reason() {
    let munlock = UnmapFlags::MUNLOCK;
    let locked = (VmFlags::LOCKED, PteFlags::empty());
    let first = Outcome::StillMapped(Verdict::NotLocked);
    let ended = over(SWAP, 4, munlock, &[PLAIN, PLAIN, locked, PLAIN]);
    assert_eq!(ended, (first, 0, 3));
}

#[test]
fn the_seed_patch_asks_in_every_vma() {
    let page = RefCell::new(PlainPage {
        refs: 2000,
        ..page(SWAP)
    });
    let mut rmap = Mapped::new(&page, &[PLAIN; 3]);
    let request = UnmapRequest::new(UnmapFlags::empty()).unwrap();
    let skipped = unmap(&shared(&page), &request, &mut rmap);
    assert!(matches!(skipped, Outcome::Skipped(_)));
    assert_eq!(rmap.asked, 0, "once for the page");
    let request = request.with_policy(SkipPinned);
    let shared = shared(&page);
    let passed = unmap(&shared, &request, &mut rmap);
    let verdict = Verdict::NextVma(pinfold::pin::Pins::Maybe {
        estimate: 1,
        longterm: None,
    });
    assert_eq!(passed, Outcome::StillMapped(verdict));
    assert_eq!(rmap.asked, 4, "all VMAs and the end");
    // All pins and the long-term ones.
    assert_eq!(shared.1.get(), 2 * 3, "once for each VMA");
}
