//! Taking and releasing a pin of the pin word, and a pin or a reference of `PageRefs`, beside a bare `fetch_add` and `fetch_sub`, on one
//! thread and while another contends for the word.
//!
//! `cargo bench --bench pins`. Times are per thousand pairs; ratios within one run are in the
//! `ratios` benchmark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::pins::{self, Contended, Own, Refs, RefsPins, Turn, Word};
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use pinfold::pin::PinWord;

const PAIRS: u32 = 1000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(40)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    pins::check();

    let mut group = criterion.benchmark_group("pin and unpin/one thread");
    group.throughput(Throughput::Elements(PAIRS.into()));
    alone::<PinWord>(&mut group);
    alone::<RefsPins>(&mut group);
    alone::<Refs>(&mut group);
    alone::<AtomicU64>(&mut group);
    group.finish();

    let mut group = criterion.benchmark_group("pin and unpin/two threads");
    group.throughput(Throughput::Elements(PAIRS.into()));
    pins::both(&Contended::default(), |own| {
        contended::<PinWord>(&mut group, own);
        contended::<RefsPins>(&mut group, own);
        contended::<Refs>(&mut group, own);
        contended::<AtomicU64>(&mut group, own);
    });
    group.finish();
    criterion.final_summary();
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn alone<W: Word>(group: &mut Group<'_>) {
    group.bench_function(W::NAME, |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| pins::alone::<W>(PAIRS)).sum());
    });
}

fn contended<W: Turn>(group: &mut Group<'_>, own: &Own<'_>) {
    group.bench_function(W::NAME, |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| own.of::<W>(PAIRS)).sum());
    });
}
