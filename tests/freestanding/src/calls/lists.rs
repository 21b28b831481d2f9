//! The suite of lists, on lists that answer anything.

use super::embedder::{Any, AnyPage};
use super::text::{debug, error, print};
use crate::{hidden, keep, opaque};
use pinfold::conformance::{
    Act, ListsBroken, ListsFailure, ListsTally, NewPage, SeenPage, Stale, TestLists, Whereabouts,
    lists_suite,
};
use pinfold::invariants::EntryAt;
use pinfold::pin::PinKind;
use pinfold::{Attempt, PteFlags, VmFlags};

pub fn call() {
    keep(suite(&mut Any));
    asked(&mut Any);
    texts();
}

impl TestLists for Any {
    type Rmap<'a> = Self;
    const MIGRATES: bool = true;

    fn rmap<'a>(&'a mut self, page: &AnyPage) -> Self {
        keep(page);
        Self
    }

    fn pin_in_walk(page: &AnyPage, kind: PinKind) -> Attempt {
        keep((page, kind));
        opaque()
    }

    fn injected() -> Option<Self::Error> {
        opaque()
    }

    super::embedder::answers_anything! {
        &mut end_migration(page: &AnyPage) -> ();
        &mut add(id: usize, page: &NewPage<'_>) -> Attempt;
        &mut act(id: usize, act: Act) -> Attempt;
    }
    super::embedder::answers_anything! {
        &id(page: &AnyPage) -> usize;
        &see(id: usize) -> SeenPage;
        &entry(id: usize, at: usize) -> Option<EntryAt>;
        &refs_per_pin() -> u32;
        &refs_there(whereabouts: Whereabouts) -> u32;
        &slots_in_use() -> Option<u32>;
    }
}

super::values::opaque_enum!(Whereabouts:
    Whereabouts::Listed(opaque()), Whereabouts::Isolated, Whereabouts::Elsewhere,
    Whereabouts::Free);
super::values::opaque_enum!(Stale: Stale::No, Stale::Clean, Stale::Dirty);
super::values::opaque_enum!(Act:
    Act::Pin(opaque()), Act::Unpin(opaque()), Act::DmaWrite(opaque()),
    Act::Store(opaque(), opaque()), Act::Hold, Act::Release, Act::Lock, Act::Unlock,
    Act::EndWriteback);
super::values::opaque_struct!(SeenPage {
    whereabouts,
    flags,
    refs,
    maps,
    locked,
    writing,
    stale,
    content,
    slot,
});
super::values::opaque_enum!(ListsBroken:
    ListsBroken::Misplaced { expected: opaque(), found: opaque() },
    ListsBroken::Length { place: opaque(), expected: opaque(), found: opaque() },
    ListsBroken::NotOldest { oldest: opaque() },
    ListsBroken::References { expected: opaque(), found: opaque() },
    ListsBroken::Mappings { entries: opaque(), maps: opaque() },
    ListsBroken::Lock { expected: opaque() },
    ListsBroken::ContentLost { expected: opaque(), found: opaque() },
    ListsBroken::SlotUsers { expected: opaque(), found: opaque() },
    ListsBroken::SlotsInUse { expected: opaque(), found: opaque() },
    ListsBroken::NotDone { what: hidden("it") },
    ListsBroken::Touched { what: hidden("it") },
    ListsBroken::Forbidden { why: hidden("it") },
    ListsBroken::Endless { taken: opaque() },
    ListsBroken::NotReclaimed { whereabouts: opaque() },
    ListsBroken::Invariant { broken: opaque() });

fn suite<B: TestLists>(lists: &mut B) -> bool {
    match lists_suite(lists, hidden(&mut || opaque()), opaque()) {
        Ok(tally) => {
            print::<ListsTally>(&ListsTally::plus(tally, tally));
            true
        }
        Err(failure) => {
            error::<ListsFailure>(&failure);
            false
        }
    }
}

fn asked<B: TestLists<Page = AnyPage>>(lists: &mut B) {
    let page: AnyPage = opaque();
    let mappings: [(VmFlags, PteFlags); 2] = opaque();
    let new = NewPage {
        flags: opaque(),
        mappings: hidden(&mappings[..]),
        content: opaque(),
    };
    debug::<NewPage<'_>>(&new);
    keep(TestLists::add(lists, opaque(), &new));
    keep(TestLists::id(lists, &page));
    keep(TestLists::see(lists, opaque()));
    keep(TestLists::entry(lists, opaque(), opaque()));
    keep(TestLists::act(lists, opaque(), opaque()));
    TestLists::end_migration(lists, &page);
    keep(TestLists::refs_per_pin(lists));
    keep(TestLists::refs_there(lists, opaque()));
    keep(TestLists::slots_in_use(lists));
    keep(<B as TestLists>::pin_in_walk(&page, opaque()));
    keep(<B as TestLists>::injected().is_some());
    let rmap = TestLists::rmap(lists, &page);
    let _ = hidden(&rmap);
}

fn texts() {
    debug::<Whereabouts>(&opaque());
    debug::<Stale>(&opaque());
    debug::<SeenPage>(&opaque());
    debug::<Act>(&opaque());
    error::<ListsBroken>(&opaque());
}
