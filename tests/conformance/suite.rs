//! The suite as an embedder runs it, with the share of cases that each representation can hold.

use crate::pages::{CountedPage, FramePage, LargePage, PackedPage, PlainCells, WordPage};
use pinfold::conformance::{BuildPage, Tally, suite};

const SEED: u64 = 20_200_624;
const CASES: u64 = 3000;

/// Runs the suite; at least `percent` of the cases must be representable.
fn run<P: BuildPage>(percent: u64) {
    let tally: Tally = suite::<P>(SEED, CASES).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{}: {tally}", core::any::type_name::<P>());
    assert_eq!(tally.cases, CASES);
    let held = tally.cases - tally.unrepresentable;
    assert!(held * 100 >= percent * CASES, "too little was run: {tally}");
    for (what, count) in [
        ("walks", tally.walks),
        ("entries taken", tally.taken),
        ("skips", tally.skips),
        ("stops", tally.stops),
        ("failures", tally.failures),
        ("contended reverse maps", tally.contended),
        ("pins that appeared", tally.pins_appeared),
    ] {
        assert!(count > 10, "hardly any {what}: {tally}");
    }
}

#[test]
fn plain_cells() {
    run::<PlainCells>(100);
}

#[test]
fn packed_word() {
    // Its counts have 18 and 27 bits.
    run::<PackedPage>(80);
}

#[test]
fn kernel_frame() {
    run::<FramePage>(80);
}

#[test]
fn pin_word() {
    // A count that fits with 1024 references for each pin may be next to the sign with one.
    run::<WordPage>(99);
}

#[test]
fn references_and_pins_in_one_word() {
    // It counts up to 2^20 references, 2^16 short pins and 2^18 long-term ones.
    run::<CountedPage>(80);
}

#[test]
fn large_page() {
    run::<LargePage>(15);
}
