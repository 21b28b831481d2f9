//! Faults planted in a pager, each of which the suite of lists must catch; and the pager without
//! one, which it must pass.

use crate::pager::{Config, Fault, Pager};
use pinfold::conformance::{ListsBroken, ListsFailure, ListsTally, MAX_PAGES, Rng, lists_suite};
use pinfold::invariants::Broken;
use proptest::prelude::*;

const ROUNDS: u32 = 8;

fn config(seed: u64, fault: Option<Fault>) -> Config {
    let bit = |n: u64| seed >> n & 1 == 1;
    Config {
        fault,
        exact: bit(0),
        defers: bit(1),
        slow: bit(2),
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<ListsTally, ListsFailure> {
    let mut rng = Rng::new(seed);
    let mut pager = Pager::new(config(seed, fault));
    lists_suite(&mut pager, &mut || rng.next_u64(), ROUNDS)
}

/// How many worlds: more if the environment says so.
fn seeds() -> u64 {
    std::env::var("PINFOLD_WORLDS").map_or(3000, |worlds| worlds.parse().expect("a number"))
}

#[test]
fn a_pager_without_a_fault_passes() {
    let mut sum = ListsTally::default();
    for seed in 0..seeds() {
        match run(seed, None) {
            Ok(tally) => sum = sum.plus(tally),
            Err(failure) => panic!("seed {seed}, {:?}: {failure}", config(seed, None)),
        }
    }
    println!("{sum}");
    for (what, count) in [
        ("pages", sum.pages),
        ("failures", sum.failures),
        ("refusals", sum.refusals),
        ("pins", sum.pins),
        ("pages parked", sum.parked),
        ("pages written", sum.written),
        ("pages freed", sum.freed),
    ] {
        assert!(count > 3000, "hardly any {what}: {sum}");
    }
    assert!(sum.contended > 1500, "hardly any contention: {sum}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// As a fuzzer drives it: the bytes that it has, and then zeros.
    #[test]
    fn bytes_can_drive_it(bytes in prop::collection::vec(any::<u8>(), 0..4000), seed in 0u64..8) {
        let mut words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let mut pager = Pager::new(config(seed, None));
        let held = lists_suite(&mut pager, &mut || words.next().unwrap_or(0), ROUNDS);
        prop_assert!(held.is_ok(), "{held:?}");
    }
}

#[test]
fn any_source_of_choices_comes_to_an_end() {
    for constant in (0..64)
        .map(|bit| 1 << bit)
        .chain([0, u64::MAX, 0x5555_5555_5555_5555])
    {
        let mut pager = Pager::new(config(0, None));
        let tally = lists_suite(&mut pager, &mut || constant, ROUNDS).unwrap();
        assert!((1..=MAX_PAGES as u64).contains(&tally.pages));
        if constant == 0 {
            // A quiet world of one clean page of a file, which the first pass frees.
            assert_eq!((tally.pages, tally.freed), (1, 1));
            assert_eq!((tally.failures, tally.refusals, tally.pins), (0, 0, 0));
        }
    }
}

/// What is planted, and as what it is caught: any of these.
type Row = (Fault, fn(&ListsBroken) -> bool);

/// A pattern of what is broken, as a function.
macro_rules! row {
    ($fault:ident: $($name:ident $(($broken:ident))?)|+) => {
        (Fault::$fault, |broken| match broken {
            $(row!(@ $name $($broken)?) => true,)+
            _ => false,
        })
    };
    (@ Invariant $broken:ident) => {
        ListsBroken::Invariant { broken: Broken::$broken { .. } }
    };
    (@ $name:ident) => {
        ListsBroken::$name { .. }
    };
}

const PLANTED: &[Row] = &[
    // Places.
    row!(PutKeepsReference: References | Misplaced),
    row!(PutTwice: Misplaced | Length),
    row!(PutOnWrongList: Misplaced),
    row!(PutLeavesActive: NotDone),
    row!(PutLocks: Lock),
    row!(TakesYoungest: NotOldest),
    row!(TakesNothing: NotOldest),
    row!(MiscountsList: Length),
    row!(MiscountsParked: Length),
    row!(EndlessList: Endless | Length),
    row!(ParkedAndListed: Misplaced),
    row!(UnparkedLost: Misplaced),
    row!(ParksUnpinned: NotDone),
    row!(RefusedParkLocks: Touched),
    row!(FreeForgets: Misplaced),
    // Locks and writes.
    row!(LockIgnoresOthers: Forbidden),
    row!(LockNotTaken: NotDone),
    row!(LockKept: NotDone),
    row!(LockHoldsOne: Forbidden | Lock),
    row!(LockKeptInBatch: NotDone),
    row!(WriteKeepsLock: NotDone),
    row!(WriteLost: ContentLost),
    row!(WriteHidden: NotDone),
    row!(WriteNotSubmitted: NotDone),
    row!(WaitDoesNotWait: NotDone),
    row!(DmaWriteNotDirty: ContentLost),
    // Leaving memory.
    row!(RemoveIgnoresCount: Forbidden),
    row!(RemoveIgnoresDirty: Forbidden),
    row!(RemoveStaysInCache: NotDone),
    row!(RefusedRemoveFreezes: Touched),
    row!(BuffersDropTwice: References),
    row!(PutLastAlwaysLast: NotDone),
    // Flags and references.
    row!(UpdateForgetsClear: NotDone),
    row!(YoungKept: NotDone),
    row!(YoungMiscounted: NotDone),
    // Swap.
    row!(SwapCacheClean: NotDone),
    row!(SwapCacheWithoutReference: References),
    row!(SwapKeptTooLong: SlotsInUse),
    row!(SlotLeaked: SlotUsers),
    row!(SlotReused: SlotUsers),
    row!(SlotFreedTwice: SlotUsers),
    // Mappings.
    row!(MappingUncounted: Mappings),
    row!(MapCountKept: Invariant(MapsLost)),
    row!(RmapKeepsReference: Invariant(RefsLost)),
    row!(RmapDropsTwice: Invariant(RefsLost)),
    row!(RmapSkipsMapping: NotReclaimed),
    row!(DirtyBitLost: Invariant(DirtyLost)),
    row!(SwapBitsDropped: Invariant(BitsNotCarried)),
    row!(MigrationBitsDropped: Invariant(BitsNotCarried)),
    row!(MigrationEntryForgotten: NotDone),
    row!(RestoredBitsDropped: Invariant(EntryChanged) | NotDone),
    // The TLB.
    row!(ClearForgetsFlush: NotDone),
    row!(DeferredUntold: NotDone),
    row!(FlushForgotten: NotDone),
    row!(FlushForgottenInBatch: NotDone),
    // Pins.
    row!(PinMissedInWalk:
        Invariant(PinAppearedUnmapped) | Invariant(PinMissed) | Invariant(PinMiscounted)),
    row!(LongtermPinMissed:
        Invariant(PinMissed) | Invariant(PinMiscounted) | Invariant(PinnedUnmapped)),
    row!(PinWithoutReference: References),
    row!(OwnUnmapIgnoresPins: Invariant(PinnedUnmapped)),
    row!(OwnUnmapForgetsDebt: NotDone),
];

#[test]
fn a_pass_without_an_end_is_ended() {
    let endless = (0..100).filter(|&seed| {
        let failure = run(seed, Some(Fault::EndlessList)).expect_err("caught");
        matches!(failure.broken, ListsBroken::Endless { .. })
    });
    assert!(endless.count() > 10);
}

#[test]
fn every_planted_fault_is_caught() {
    for &(fault, expected) in PLANTED {
        let mut caught = 0;
        for seed in 0..500 {
            let Err(failure) = run(seed, Some(fault)) else {
                continue;
            };
            assert!(
                expected(&failure.broken),
                "{fault:?}, seed {seed}: {failure}"
            );
            caught += 1;
        }
        println!("{fault:?}: caught in {caught} worlds of 500");
        assert!(caught > 0, "{fault:?} is never caught");
    }
}
