//! The gate over 16 million pages in one array, of 8 and of 64 bytes each, beside a plain sum over
//! the same memory.
//!
//! `cargo bench --bench gate`. It needs 1 GiB of memory. The throughput that criterion prints is
//! that of the memory; ratios within one run are in the `ratios` benchmark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::pages::{KernelPage, Packed};
use common::ratio::Scale;
use common::scan::{Array, Fill, MANY, Summed};
use core::time::Duration;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let pages = Scale::from_args().of(MANY, 5120);
    scan::<Packed>(&mut criterion, pages);
    scan::<KernelPage>(&mut criterion, pages);
    criterion.final_summary();
}

fn scan<P: Summed>(criterion: &mut Criterion, pages: usize) {
    let mut group = criterion.benchmark_group(format!("scan/{}", P::NAME));
    group.throughput(Throughput::Bytes((pages * size_of::<P>()) as u64));
    group.sampling_mode(SamplingMode::Flat);
    let mut array = Array::<P>::new(pages);
    for fill in [Fill::None, Fill::Objects, Fill::All] {
        array.fill(fill);
        array.check();
        group.bench_function(BenchmarkId::new("gate", fill.name()), |bencher| {
            bencher.iter(|| array.gate());
        });
        group.bench_function(BenchmarkId::new("gate by hand", fill.name()), |bencher| {
            bencher.iter(|| array.gate_by_hand());
        });
        group.bench_function(BenchmarkId::new("plain sum", fill.name()), |bencher| {
            bencher.iter(|| array.sum());
        });
    }
    // All pages are pinned now.
    group.bench_function("try_to_unmap_one", |bencher| {
        bencher.iter(|| array.unmap_one());
    });
    group.bench_function("try_to_unmap_one by hand", |bencher| {
        bencher.iter(|| array.unmap_one_by_hand());
    });
    group.finish();
}
