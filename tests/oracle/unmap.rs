//! One row of `try_to_unmap_one.csv` against the crate's driver on the crate's machine.

#[path = "deviations.rs"]
mod deviations;

use crate::rows::Row;
use core::cell::Cell;
use core::convert::Infallible;
use deviations::{entry_is_not_lost, expect_halt, refused_after_slot, stand_in_for_pmd};
use pinfold::conformance::{Answers, EntryState, Machine, Recorded, TestPage};
use pinfold::pin::{PinCount, PinKind};
use pinfold::{
    CounterDelta, FlushDebt, IgnorePins, PageFlags, PageLike, PinPolicy, PlainVma, PteFlags,
    SkipPinned, UnmapError, UnmapFlags, UnmapRequest, Verdict, VmFlags, try_to_unmap_one,
};

/// How many rows were compared, and how many of them in which way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) compared: usize,
    /// Every recorded column.
    pub(crate) to_the_letter: usize,
    /// Every recorded column, but for the entry that Linux loses.
    pub(crate) d1_warns: usize,
    /// Every recorded column, and the swap slot that Linux leaks.
    pub(crate) d2_leaks: usize,
    /// An error where Linux halts, which leaves no columns.
    pub(crate) d3_halts: usize,
    /// Every column but two that were not recorded: the bits of a PMD migration entry, and whether
    /// its page becomes dirty. They are held against a reading of 5.8's source.
    pub(crate) pmd_not_recorded: usize,
    /// Of these, where the entry keeps uffd-wp, which 5.8's does not (D6).
    pub(crate) d6_uffd_wp: usize,
}

const MAX_ENTRIES: usize = 8;
const BASE: u64 = 0x20_0000;
const EXACT: u32 = 0x200;
const MLOCKED: u32 = 0x400;

/// A page with the row's counts, which the vectors do not change.
struct OraclePage {
    flags: Cell<PageFlags>,
    refs: i32,
    pins: Option<PinCount>,
}

impl PageLike for OraclePage {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.refs
    }
    fn map_count(&self) -> u32 {
        1
    }
    fn exact_pins(&self) -> Option<PinCount> {
        self.pins
    }
    fn base_pages(&self) -> u32 {
        if self.flags().is_compound() { 512 } else { 1 }
    }
}

impl TestPage for OraclePage {
    fn add_flags(&self, flags: PageFlags) {
        self.flags.set(self.flags.get() | flags);
    }
    fn remove_mapping(&self) {}
    fn add_pin(&self, _: PinKind) {}
}

/// The row's page bits in this crate's flags; `EXACT` is not one of them.
const PAGE_BITS: [(u32, PageFlags); 10] = [
    (0x1, PageFlags::ANON),
    (0x2, PageFlags::SWAP_BACKED),
    (0x4, PageFlags::SWAP_CACHE),
    (0x8, PageFlags::DIRTY),
    (0x10, PageFlags::HWPOISON),
    (0x20, PageFlags::HUGETLB),
    (0x40, PageFlags::THP),
    (0x80, PageFlags::ZONE_DEVICE),
    (0x100, PageFlags::DEVICE_PRIVATE),
    (MLOCKED, PageFlags::MLOCKED),
];

fn page_flags(bits: u32) -> PageFlags {
    PAGE_BITS
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|&(_, flag)| flag)
        .collect()
}

/// What Linux's outputs say, or what they would be with the deviations D1, D2 and D6.
#[derive(Debug, PartialEq, Eq)]
struct Outputs {
    goes_on: bool,
    entries: Vec<(EntryState, PteFlags)>,
    page: PageFlags,
    removed: u64,
    counters: CounterDelta,
    split: u32,
    told: [u32; 7],
    swap_frees: u32,
}

struct Inputs {
    flags: UnmapFlags,
    vma: PlainVma,
    page: OraclePage,
    entries: Vec<PteFlags>,
    answers: Answers,
}

pub(crate) fn compare(row: &Row, tally: &mut Tally) {
    let inputs = inputs(row);
    let mut machine: Machine<'_, _, MAX_ENTRIES> =
        Machine::new(&inputs.page, BASE, &inputs.entries, inputs.answers);
    let mut debt = FlushDebt::none();
    let result = match row.inputs[0].as_str() {
        "0" => run(&inputs, IgnorePins, &mut machine, &mut debt),
        "1" => run(&inputs, SkipPinned, &mut machine, &mut debt),
        other => panic!("`{other}` is neither patched nor not, in {}", row.place),
    };
    if row.outputs[0] == "bug" {
        row.expect_columns(8, 1);
        tally.d3_halts += 1;
        expect_halt(row, result, &machine);
    } else {
        let verdict = result.unwrap_or_else(|error| panic!("{error} in {}", row.place));
        let deferred = machine.told().deferred;
        assert_eq!(debt.entries(), deferred, "flush debt, in {}", row.place);
        let ours = ours(&inputs, verdict.goes_on(), &machine);
        let theirs = theirs(row, &inputs, tally);
        assert_eq!(ours, theirs, "ours and Linux's, in {}", row.place);
    }
    debt.ignore();
    tally.compared += 1;
}

fn run<L: PinPolicy>(
    inputs: &Inputs,
    policy: L,
    machine: &mut Machine<'_, OraclePage, MAX_ENTRIES>,
    debt: &mut FlushDebt,
) -> Result<Verdict, UnmapError<Infallible>> {
    let request = UnmapRequest::under(inputs.flags, policy).expect("as Linux takes them");
    try_to_unmap_one(&inputs.page, &inputs.vma, BASE, &request, machine, debt)
}

fn inputs(row: &Row) -> Inputs {
    assert_eq!(row.inputs.len(), 8, "input columns of {}", row.place);
    let flags = UnmapFlags::try_from(row.hex(&row.inputs[1])).expect("TTU bits");
    let page = row.hex(&row.inputs[3]);
    assert_eq!(page & !0x3ff, 0, "page bits of {}", row.place);
    let vma = row.hex(&row.inputs[2]);
    assert_eq!(vma & !0x3, 0, "VMA bits of {}", row.place);
    let env = row.hex(&row.inputs[6]);
    assert_eq!(env & !0xf, 0, "environment bits of {}", row.place);
    // Linux reads the exact count signed: not pinned from zero down.
    let exact = row.dec::<i32>(&row.inputs[5]).max(0).unsigned_abs();
    let mut vm_flags = VmFlags::empty();
    vm_flags.set(VmFlags::LOCKED, vma & 1 != 0);
    vm_flags.set(VmFlags::UFFD, vma & 2 != 0);
    let entries: Vec<PteFlags> = match row.inputs[7].as_str() {
        "-" => Vec::new(),
        entries => entries
            .split(':')
            .map(|bits| PteFlags::from_bits(row.hex(bits)).expect("entry bits"))
            .collect(),
    };
    assert!(
        entries.len() <= MAX_ENTRIES,
        "too many entries in {}",
        row.place
    );
    Inputs {
        flags,
        vma: PlainVma {
            flags: vm_flags,
            range: BASE - 0x1000..BASE + 0x100_0000,
        },
        page: OraclePage {
            flags: Cell::new(page_flags(page)),
            refs: row.dec(&row.inputs[4]),
            pins: (page & EXACT != 0).then_some(PinCount {
                total: exact,
                longterm: None,
            }),
        },
        entries,
        answers: Answers {
            unshares: env & 1 != 0,
            arch_refuses: env & 2 != 0,
            slot_refuses: env & 4 != 0,
            defers: env & 8 != 0,
            pin_at: None,
        },
    }
}

fn ours(inputs: &Inputs, goes_on: bool, machine: &Machine<'_, OraclePage, MAX_ENTRIES>) -> Outputs {
    let told: &Recorded = machine.told();
    Outputs {
        goes_on,
        entries: machine
            .entries()
            .iter()
            .map(|slot| (slot.state, slot.flags))
            .collect(),
        page: inputs.page.flags(),
        removed: told.removed,
        counters: told.counters,
        split: told.splits + 2 * told.freezes,
        told: [
            told.flushes,
            told.deferred,
            told.begins,
            told.ends,
            told.invalidates,
            told.young_tests,
            told.swap_dups,
        ],
        swap_frees: told.swap_frees,
    }
}

fn theirs(row: &Row, inputs: &Inputs, tally: &mut Tally) -> Outputs {
    row.expect_columns(8, 15);
    let out = &row.outputs;
    let entries = match out[2].as_str() {
        "-" => Vec::new(),
        ends => ends.split(':').map(|end| entry_end(row, end)).collect(),
    };
    assert_eq!(entries.len(), inputs.entries.len(), "ends of {}", row.place);
    let counters: Vec<i32> = out[6].split(':').map(|n| row.dec(n)).collect();
    let [anon, file, shmem, swap_ents, hugetlb] = counters[..] else {
        panic!("five counters are expected in {}", row.place);
    };
    let page_bits = row.hex(&out[3]);
    assert_eq!(
        out[4], out[5],
        "removed and dropped go together: {}",
        row.place
    );
    let mut told = [0; 7];
    for (count, column) in told.iter_mut().zip(&out[8..]) {
        *count = row.dec(column);
    }
    let mut theirs = Outputs {
        goes_on: row.dec::<u8>(&out[1]) != 0,
        entries,
        page: page_flags(page_bits),
        removed: u64::from(row.hex(&out[4])),
        counters: CounterDelta {
            anon,
            file,
            shmem,
            swap_ents,
            hugetlb,
        },
        split: row.dec(&out[7]),
        told,
        swap_frees: 0,
    };
    let pmd = theirs
        .entries
        .iter()
        .any(|(state, _)| *state == EntryState::PmdMigration);
    match out[0].as_str() {
        "ok" if pmd => {
            tally.pmd_not_recorded += 1;
            let uffd_wp = stand_in_for_pmd(row, inputs, &mut theirs);
            tally.d6_uffd_wp += usize::from(uffd_wp);
        }
        "ok" => {
            if refused_after_slot(inputs, &theirs) {
                tally.d2_leaks += 1;
                theirs.swap_frees = 1;
            } else {
                tally.to_the_letter += 1;
            }
        }
        "warn" => {
            tally.d1_warns += 1;
            entry_is_not_lost(row, inputs, &mut theirs);
        }
        other => panic!("unknown verdict `{other}` in {}", row.place),
    }
    theirs
}

fn entry_end(row: &Row, end: &str) -> (EntryState, PteFlags) {
    let (state, bits) = end
        .split_once('.')
        .unwrap_or_else(|| panic!("`{end}` in {}", row.place));
    let state = match state {
        "intact" => EntryState::Intact,
        "cleared" => EntryState::Cleared,
        "restored" => EntryState::Restored,
        "swap" => EntryState::Swap,
        "migration" => EntryState::Migration,
        "hwpoison" => EntryState::Poison,
        "pmd_migration" => EntryState::PmdMigration,
        other => panic!("unknown end `{other}` in {}", row.place),
    };
    let bits = PteFlags::from_bits(row.hex(bits)).expect("entry bits");
    (state, bits)
}
