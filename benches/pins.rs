//! Taking and releasing a pin of the pin word, beside a bare `fetch_add` and `fetch_sub`, on one
//! thread and while another contends for the word.
//!
//! `cargo bench --bench pins`. Times are per thousand pairs; ratios within one run are in the
//! `ratios` benchmark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::pins::{self, Contended};
use core::time::Duration;
use criterion::{Criterion, Throughput};

const PAIRS: u32 = 1000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(40)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    pins::check();

    let mut alone = criterion.benchmark_group("pin and unpin/one thread");
    alone.throughput(Throughput::Elements(PAIRS.into()));
    alone.bench_function("PinWord", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| pins::alone(PAIRS, true)).sum());
    });
    alone.bench_function("fetch_add + fetch_sub", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| pins::alone(PAIRS, false)).sum());
    });
    alone.finish();

    let mut group = criterion.benchmark_group("pin and unpin/two threads");
    group.throughput(Throughput::Elements(PAIRS.into()));
    pins::both(&Contended::default(), |own| {
        group.bench_function("PinWord", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| own.ours(PAIRS)).sum());
        });
        group.bench_function("fetch_add + fetch_sub", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| own.bare(PAIRS)).sum());
        });
    });
    group.finish();
    criterion.final_summary();
}
