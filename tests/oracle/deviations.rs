//! Where the crate differs from Linux 5.8 on purpose, and what a row was not recorded with: how the
//! row's outputs must be changed before they are compared.

use super::{Inputs, MAX_ENTRIES, OraclePage, Outputs, page_flags};
use crate::rows::Row;
use core::convert::Infallible;
use pinfold::conformance::{EntryState, Machine};
use pinfold::{PageFlags, PteFlags, UnmapError, UnmapFlags, Verdict};

/// The recorder took the place of `set_pmd_migration_entry` (`mm/huge_memory.c`) as a whole, and
/// recorded neither the bits of the entry nor the page's dirty bit. Read from 5.8's source: the entry
/// keeps write and soft-dirty, and a dirty PMD makes the page dirty.
///
/// D6: here the entry keeps uffd-wp too. Whether one of the entries had it.
pub(super) fn stand_in_for_pmd(row: &Row, inputs: &Inputs, theirs: &mut Outputs) -> bool {
    const KEPT: PteFlags = PteFlags::WRITABLE.union(PteFlags::SOFT_DIRTY);
    let mut d6 = false;
    for (&before, (state, bits)) in inputs.entries.iter().zip(&mut theirs.entries) {
        if *state != EntryState::PmdMigration {
            continue;
        }
        assert_eq!(
            *bits,
            PteFlags::empty(),
            "recorded after all: {}",
            row.place
        );
        *bits = before & KEPT;
        if before.contains(PteFlags::DIRTY) {
            theirs.page.insert(PageFlags::DIRTY);
        }
        if before.contains(PteFlags::UFFD_WP) {
            bits.insert(PteFlags::UFFD_WP);
            d6 = true;
        }
    }
    d6
}

/// D2: the slot was duplicated, then the architecture's hook failed, and Linux kept the reference.
pub(super) fn refused_after_slot(inputs: &Inputs, theirs: &Outputs) -> bool {
    let swap_entries = theirs
        .entries
        .iter()
        .filter(|(state, _)| *state == EntryState::Swap);
    let duplicated = theirs.told[6] as usize;
    inputs.answers.arch_refuses && duplicated > swap_entries.count()
}

/// D1: Linux cleared the entry of an inconsistent anonymous page and lost it. Here it is intact, so
/// there is no flush, no invalidation, and no dirty bit to move.
pub(super) fn entry_is_not_lost(row: &Row, inputs: &Inputs, theirs: &mut Outputs) {
    let lost = theirs
        .entries
        .iter()
        .rposition(|(state, _)| *state != EntryState::Intact)
        .unwrap_or_else(|| panic!("no entry was lost in {}", row.place));
    assert_eq!(theirs.entries[lost].0, EntryState::Cleared, "{}", row.place);
    assert_eq!(theirs.removed >> lost & 1, 0, "{}", row.place);
    let mut bits = inputs.entries[lost];
    if theirs.split != 0 {
        bits.remove(PteFlags::PMD);
    }
    theirs.entries[lost] = (EntryState::Intact, bits);
    let deferred = inputs.answers.defers && inputs.flags.contains(UnmapFlags::BATCH_FLUSH);
    theirs.told[usize::from(deferred)] -= 1;
    theirs.told[4] -= 1;
    let dirtied = inputs.entries[..lost]
        .iter()
        .any(|bits| bits.contains(PteFlags::DIRTY));
    let was_dirty = page_flags(row.hex(&row.inputs[3])).contains(PageFlags::DIRTY);
    theirs.page.set(PageFlags::DIRTY, was_dirty || dirtied);
}

/// D3: Linux halts; here it is an error, every entry is either in place or taken for good, and the
/// secondary MMUs are told the end.
pub(super) fn expect_halt(
    row: &Row,
    result: Result<Verdict, UnmapError<Infallible>>,
    machine: &Machine<'_, OraclePage, MAX_ENTRIES>,
) {
    let error = result.expect_err(&row.place);
    assert!(
        matches!(error, UnmapError::Inconsistent { .. }),
        "{error} in {}",
        row.place
    );
    let told = machine.told();
    for (at, slot) in machine.entries().iter().enumerate() {
        let taken = told.removed >> at & 1 == 1;
        assert_eq!(slot.state == EntryState::Intact, !taken, "{}", row.place);
    }
    assert_eq!((told.begins, told.ends), (1, 1), "{}", row.place);
    assert_eq!(told.swap_frees, 0, "{}", row.place);
}
