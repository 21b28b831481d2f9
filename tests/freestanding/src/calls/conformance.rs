//! The suite, on a page that says anything, and the parts that it is made of.

use super::embedder::{AnyPage, AnyPolicy};
use super::text::{debug, error, print};
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::conformance::{
    Answers, BuildPage, Case, CaseOutcome, EntrySlot, EntryState, Fallible, Faults, Injected,
    MAX_ENTRIES, Machine, Observed, OneVma, PageState, Reach, Recorded, Rng, SuiteFailure, Tally,
    TestPage, Vmas, check_case, check_page, check_readings, observe, suite,
};
use pinfold::pin::PinKind;
use pinfold::{
    Entry, IgnorePins, NextVma, PageFlags, PageTables, PinPolicy, PlainVma, PteFlags, Rmap,
    SkipOpportunistic,
};

pub fn call() {
    whole();
    cases();
    pages(&opaque::<AnyPage>());
    machines();
    vmas();
    faults();
    texts();
}

impl TestPage for AnyPage {
    super::embedder::answers_anything! {
        &add_flags(flags: PageFlags) -> ();
        &remove_mapping() -> ();
        &add_pin(kind: PinKind) -> ();
    }
}

impl BuildPage for AnyPage {
    fn build(state: &PageState) -> Option<Self> {
        keep(state);
        opaque()
    }

    fn refs_per_pin(&self) -> u32 {
        opaque()
    }
}

super::values::opaque_struct!(PageState {
    flags,
    maps,
    unexplained,
    short,
    longterm,
    base_pages
});
super::values::opaque_struct!(Answers {
    unshares,
    arch_refuses,
    slot_refuses,
    defers,
    pin_at
});
super::values::opaque_struct!(Case {
    page,
    flags,
    vmas,
    entries,
    len,
    answers,
    write_at,
    fail,
});
super::values::opaque_enum!(Reach: Reach::OneVma, Reach::AllVmas);
super::values::opaque_enum!(EntryState:
    EntryState::Intact, EntryState::Cleared, EntryState::Restored, EntryState::Swap,
    EntryState::Migration, EntryState::PmdMigration, EntryState::Poison);
super::values::opaque_struct!(EntrySlot { state, flags });
super::values::opaque_struct!(Recorded {
    flushes,
    pmd_flushes,
    deferred,
    begins,
    ends,
    invalidates,
    unshares,
    young_tests,
    swap_dups,
    swap_frees,
    splits,
    freezes,
    mlocks,
    removed,
    counters,
});

fn whole() {
    match suite::<AnyPage>(opaque(), opaque()) {
        Ok(tally) => print::<Tally>(&tally),
        Err(failure) => error::<SuiteFailure>(&failure),
    }
    one(IgnorePins);
    one::<SkipOpportunistic>(SkipOpportunistic::new());
    one(AnyPolicy::<true>);
}

fn one<L: PinPolicy>(policy: L) {
    if let Some(observed) = observe::<AnyPage, L>(&opaque(), &policy, opaque()) {
        keep(Observed::walk(&observed));
        keep(Observed::reads_unpinned(&observed));
        keep(Observed::calls(&observed));
        keep(Observed::hit(&observed));
        keep(Observed::ending(&observed));
        keep(Observed::check_all(&observed));
        debug::<Observed>(&observed);
    }
    if let Ok(what) = check_case::<AnyPage, L>(&opaque(), policy) {
        debug::<CaseOutcome>(&what);
    }
}

fn cases() {
    let case: Case = opaque();
    keep(Case::random(opaque()));
    keep(Case::entries(hidden(&case)));
    keep(Case::without_faults(case));
    keep(Case::without_pins(case));
    keep(Case::with_pin(case, opaque()));
    debug::<Case>(&case);
    let mut rng = Rng::new(opaque());
    keep(Rng::next_u64(&mut rng));
    keep(Rng::below(&mut rng, opaque()));
    keep(Rng::one_in(&mut rng, opaque()));
    debug::<Rng>(&rng);
}

fn pages<P: BuildPage>(page: &P) {
    let state: PageState = opaque();
    keep(check_page(&state, page));
    keep(check_readings(&state, page));
    keep(PageState::pins(&state));
    keep(PageState::explained(&state));
    keep(PageState::refs(&state, opaque()));
    keep(BuildPage::refs_per_pin(page));
    keep(<P as BuildPage>::build(&state).is_some());
    TestPage::add_flags(page, opaque());
    TestPage::remove_mapping(page);
    TestPage::add_pin(page, opaque());
    debug::<PageState>(&state);
}

fn machines() {
    machine::<MAX_ENTRIES>();
    machine::<1>();
    machine::<0>();
    machine::<100>();
}

fn machine<const N: usize>() {
    let page: AnyPage = opaque();
    let entries: [PteFlags; 4] = opaque();
    let machine = Machine::<_, N>::new(&page, opaque(), hidden(&entries[..]), opaque());
    let mut machine = Machine::with_write_at(machine, opaque());
    walk(hidden(&mut machine));
    keep(Machine::pin_appeared(&machine));
    keep(Machine::written(&machine));
    keep(Machine::entries(&machine));
    keep(Machine::told(&machine));
    debug::<AnyPage>(Machine::page(&machine));
}

/// Any method, in any order.
fn walk<W: PageTables<Error: Debug> + ?Sized>(walk: &mut W) {
    let entry = &opaque::<Entry>();
    while opaque() {
        match opaque::<u8>() {
            0 => keep(walk.next_entry()),
            1 => keep(walk.test_and_clear_young(entry)),
            2 => keep(walk.clear(entry, opaque())),
            3 => keep(walk.install(entry, opaque())),
            4 => keep(walk.set_page_dirty()),
            5 => keep(walk.remove_rmap(entry)),
            6 => keep(walk.split_huge_pmd(opaque())),
            7 => keep(walk.widen_for_sharing(opaque())),
            8 => keep(walk.invalidate_begin(opaque())),
            9 => keep(walk.invalidate(opaque())),
            10 => keep(walk.invalidate_end(opaque())),
            11 => keep(walk.unshare_pmd(entry, &opaque())),
            12 => keep(walk.mlock_page()),
            13 => keep(walk.set_swap_backed()),
            14 => keep(walk.update_hiwater()),
            15 => keep(walk.count(opaque())),
            16 => keep(walk.swap_duplicate(entry)),
            17 => keep(walk.swap_free(entry)),
            _ => keep(walk.arch_unmap(entry, opaque())),
        }
    }
}

fn vmas() {
    reverse_map::<2, 3>();
    reverse_map::<0, 1>();
    reverse_map::<1, 0>();
}

fn reverse_map<const N: usize, const V: usize>() {
    let page: AnyPage = opaque();
    let faults = Faults::at(opaque());
    let one = |_| OneVma {
        vma: opaque(),
        address: opaque(),
        machine: Machine::new(&page, opaque(), hidden(&[opaque()][..]), opaque()),
    };
    let mut vmas = Vmas::<AnyPage, N, V>::new(core::array::from_fn(one), hidden(&faults));
    let vmas = hidden(&mut vmas);
    for one in Vmas::vmas(vmas) {
        debug::<OneVma<'_, AnyPage, N>>(one);
        debug::<Machine<'_, AnyPage, N>>(&one.machine);
    }
    debug::<Vmas<'_, AnyPage, N, V>>(vmas);
    debug::<NextVma<PlainVma>>(&Rmap::next_vma(vmas));
    walk(vmas);
}

super::values::opaque_enum!(Fallible:
    Fallible::NextVma, Fallible::NextEntry, Fallible::Clear, Fallible::SplitHugePmd,
    Fallible::InvalidateBegin);

fn faults() {
    keep(Faults::none());
    let faults = Faults::at(opaque());
    let faults = hidden(&faults);
    if let Err(injected) = Faults::call(faults, opaque()) {
        error::<Injected>(&injected);
    }
    keep(Faults::calls(faults));
    keep(Faults::hit(faults));
    debug::<Faults>(faults);
    debug::<Fallible>(&opaque());
}

fn texts() {
    keep(EntryState::kind(opaque()));
    keep(EntryState::is_present(opaque()));
    keep(Recorded::books(&opaque()));
    debug::<EntryState>(&opaque());
    debug::<EntrySlot>(&opaque());
    debug::<Answers>(&opaque());
    debug::<Recorded>(&opaque());
    debug::<Reach>(&opaque());
}
