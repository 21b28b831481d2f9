//! Instructions per call, counted by callgrind: the crate beside its hand-written twin.
//!
//! ```text
//! cargo bench --bench instructions --no-run        # prints the path of the binary
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured_*' \
//!     --callgrind-out-file=/dev/null BINARY ours-plain-unpinned
//! ```
//!
//! Cases are `{ours,hand}-{plain,packed,kernel}-{pinned,unpinned,mixed}` for `try_to_unmap_one`, the
//! same with `gate-` in front for the gate alone, and `pins-ours`,
//! `pins-refs`, `refs`, `pins-bare`. Each does about a
//! million calls, and only what is in functions called `measured_*` is counted; what callgrind
//! prints as collected, divided by the printed number of calls, is the figure.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::cases::{Mix, PAGES, Population, check_all};
use common::measured::Measured;
use common::pages::{KernelPage, Packed, PlainCells};
use common::pins;
use core::hint::black_box;
use core::sync::atomic::AtomicU64;
use pinfold::pin::{PageRefs, PinKind, PinWord};

const CALLS: usize = 1_000_000;

fn main() {
    let cases: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if cases.is_empty() {
        check_all::<PlainCells>();
        check_all::<Packed>();
        check_all::<KernelPage>();
        pins::check();
        println!("answers checked; name a case to count its instructions");
    }
    for case in cases {
        let calls = run(&case).unwrap_or_else(|| panic!("no such case: {case}"));
        println!("{case}: {calls} calls");
    }
}

fn run(case: &str) -> Option<usize> {
    match case {
        "pins-ours" => {
            pins::measured_pins_ours(&PinWord::new(), PinKind::Short, CALLS as u32);
            return Some(CALLS);
        }
        "pins-refs" | "refs" => {
            let page = PageRefs::new();
            page.unfreeze(1).unwrap();
            if case == "refs" {
                pins::measured_refs(&page, CALLS as u32);
            } else {
                pins::measured_pins_refs(&page, PinKind::Short, CALLS as u32);
            }
            return Some(CALLS);
        }
        "pins-bare" => {
            pins::measured_pins_bare(&AtomicU64::new(0), CALLS as u32);
            return Some(CALLS);
        }
        _ => {}
    }
    let (gate, walk) = match case.strip_prefix("gate-") {
        Some(walk) => (true, walk),
        None => (false, case),
    };
    let (whose, rest) = walk.split_once('-')?;
    let (page, mix) = rest.split_once('-')?;
    let mix = Mix::ALL.into_iter().find(|known| known.name() == mix)?;
    let ours = match whose {
        "ours" => true,
        "hand" => false,
        _ => return None,
    };
    match page {
        "plain" => Some(calls::<PlainCells>(gate, ours, mix)),
        "packed" => Some(calls::<Packed>(gate, ours, mix)),
        "kernel" => Some(calls::<KernelPage>(gate, ours, mix)),
        _ => None,
    }
}

fn calls<P: Measured>(gate: bool, ours: bool, mix: Mix) -> usize {
    let pages = Population::<P>::new(mix, PAGES);
    let passes = CALLS / PAGES;
    for _ in 0..passes {
        pages.reset();
        match (gate, ours) {
            (false, true) => drop(black_box(pages.pass_ours())),
            (false, false) => drop(black_box(pages.pass_hand())),
            (true, true) => drop(black_box(pages.gate_ours())),
            (true, false) => drop(black_box(pages.gate_hand())),
        }
    }
    passes * PAGES
}
