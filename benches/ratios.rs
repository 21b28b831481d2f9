//! The README's figures about speed, as ratios within one run: `cargo bench --bench ratios`.
//!
//! Each answer is checked before it is timed. Arguments that are words restrict the run to the
//! tables whose names contain one of them: `cargo bench --bench ratios -- pins`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::cases::{Mix, PAGES, Population, check_all};
use common::measured::{COPIES, Measured};
use common::pages::{KernelPage, Packed, PlainCells};
use common::pins::{self, Contended, Refs, RefsPins, Turn};
use common::ratio::{Ratio, Scale, fastest, header, paired};
use common::rmap::Mapped;
use common::scan::{Array, Fill, MANY, Summed};
use core::hint::black_box;
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use pinfold::Outcome;
use pinfold::pin::PinWord;
use std::time::Instant;

/// Measures and prints one table.
type Table = fn(Scale);

/// `try_to_unmap` under some policy.
type UnmapAll = fn(&Mapped) -> (Outcome, usize);

fn main() {
    let scale = Scale::from_args();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let tables: [(&str, Table); 4] = [
        ("unmap", unmap),
        ("mapped", mapped),
        ("pins", contended),
        ("scan", scan),
    ];
    for (name, table) in tables {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            table(scale);
        }
    }
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(run());
    start.elapsed()
}

/// a. The gate and the whole `try_to_unmap_one`, beside the hand-written twins.
fn unmap(scale: Scale) {
    header(
        "beside the same by hand, for one representation",
        "ns per page",
    );
    unmap_of::<PlainCells>(scale);
    unmap_of::<Packed>(scale);
    unmap_of::<KernelPage>(scale);
}

fn unmap_of<P: Measured>(scale: Scale) {
    check_all::<P>();
    for mix in Mix::ALL {
        let pages = Population::<P>::new(mix, PAGES);
        let ours = || pages.timed(Population::gate_ours);
        let by_hand = || pages.timed(Population::gate_hand);
        let name = format!("gate, {}, {}", P::NAME, mix.name());
        fastest(COPIES, scale.of(1260, 1), PAGES, ours, by_hand).print(&name, "<= 1.02");
    }
    for mix in Mix::ALL {
        let pages = Population::<P>::new(mix, PAGES);
        let ours = || pages.timed(Population::pass_ours);
        let by_hand = || pages.timed(Population::pass_hand);
        let name = format!("try_to_unmap_one, {}, {}", P::NAME, mix.name());
        fastest(COPIES, scale.of(252, 1), PAGES, ours, by_hand).print(&name, "<= 1.02");
    }
}

/// c. `try_to_unmap` of a pinned page that is mapped often, beside the same mapped once.
fn mapped(scale: Scale) {
    header(
        "try_to_unmap of a pinned page, beside the same page mapped once",
        "ns per page",
    );
    let policies: [(&str, UnmapAll, &str); 2] = [
        ("default", Mapped::skip_opportunistic, "constant"),
        ("SkipPinned", Mapped::skip_pinned, "(grows)"),
    ];
    for (policy, unmap, target) in policies {
        let once = Mapped::new(1);
        for times in [1, 10, 100, 1000] {
            let mapped = Mapped::new(times);
            mapped.check();
            let operations = scale.of(1000, 1);
            let repeat = |mapped: &Mapped| {
                timed(|| {
                    for _ in 0..operations {
                        let _ = black_box(unmap(black_box(mapped)));
                    }
                })
            };
            let name = format!("{policy}, mapped {times} times");
            paired(
                scale.of(30, 1),
                operations,
                || repeat(&mapped),
                || repeat(&once),
            )
            .print(&name, target);
        }
    }
}

/// d. The counters of one word beside a bare atomic.
fn contended(scale: Scale) {
    pins::check();
    header(
        "take + give back beside fetch_add + fetch_sub",
        "ns per pair",
    );
    contended_of::<PinWord>(scale);
    contended_of::<RefsPins>(scale);
    contended_of::<Refs>(scale);
}

fn contended_of<W: Turn>(scale: Scale) {
    let (rounds, pairs) = (scale.of(300, 1), scale.of(20_000, 1000) as u32);
    paired(
        rounds,
        pairs as usize,
        || pins::alone::<W>(pairs),
        || pins::alone::<AtomicU64>(pairs),
    )
    .print(&format!("{}, one thread", W::NAME), "<= 1.2");
    // Short, so that both threads run from the beginning to the end of most. What it costs to hand a
    // cache line over depends on its address: many pairs of them, and the one in the middle counts.
    let (rounds, pairs) = (scale.of(100, 1), scale.of(1000, 100) as u32);
    let places: Vec<Contended> = (0..scale.of(63, 1)).map(|_| Contended::default()).collect();
    let mut ratios = Vec::new();
    for place in &places {
        pins::both(place, |own| {
            let (ours, bare) = (|| own.of::<W>(pairs), || own.of::<AtomicU64>(pairs));
            ratios.push(paired(rounds, pairs as usize, ours, bare));
        });
    }
    ratios.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
    ratios[ratios.len() / 2].print(&format!("{}, two threads", W::NAME), "<= 1.2");
}

/// b. The gate over 16 million pages, beside a plain sum over the same memory.
fn scan(scale: Scale) {
    header(
        "16 Mi pages beside a plain sum of their memory",
        "ns per page",
    );
    scan_of::<Packed>(scale, 15);
    scan_of::<KernelPage>(scale, 9);
}

fn scan_of<P: Summed>(scale: Scale, rounds: usize) {
    let pages = scale.of(MANY, 5120);
    let mut array = Array::<P>::new(pages);
    let rounds = scale.of(rounds, 1);
    let bandwidth = |ratio: Ratio| format!(">= 0.90 of its bandwidth: {:.2}", 1.0 / ratio.ratio);
    for fill in Fill::ALL {
        array.fill(fill);
        array.check();
        let array = core::cell::RefCell::new(&mut array);
        let sum = || timed(|| array.borrow_mut().sum());
        let ratio = paired(rounds, pages, || timed(|| array.borrow().gate()), sum);
        let name = format!("gate, {}, {}", P::NAME, fill.name());
        ratio.print(&name, &bandwidth(ratio));
        let ratio = paired(rounds, pages, || timed(|| array.borrow().gate_all()), sum);
        ratio.print(
            &format!("  all in one call, {}", fill.name()),
            &bandwidth(ratio),
        );
        let ratio = paired(
            rounds,
            pages,
            || timed(|| array.borrow().gate_by_hand()),
            sum,
        );
        ratio.print(&format!("  by hand, {}", fill.name()), &bandwidth(ratio));
    }
    let ours = || timed(|| array.unmap_one());
    let by_hand = || timed(|| array.unmap_one_by_hand());
    let ratio = paired(rounds, pages, ours, by_hand);
    ratio.print(
        &format!("try_to_unmap_one, {}, beside by hand", P::NAME),
        "<= 1.02",
    );
}
