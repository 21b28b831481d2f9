//! The gate and the whole `try_to_unmap_one` beside the same by hand, for three representations and
//! three populations; and `try_to_unmap` of a pinned page that is mapped often.
//!
//! `cargo bench --bench unmap`. The answers are checked before anything is timed. Times are per
//! 2,048 pages; ratios within one run are in the `ratios` benchmark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod common;

use common::cases::{Mix, PAGES, Population, check_all};
use common::measured::Measured;
use common::pages::{KernelPage, Packed, PlainCells};
use common::rmap::Mapped;
use core::time::Duration;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    unmap_of::<PlainCells>(&mut criterion);
    unmap_of::<Packed>(&mut criterion);
    unmap_of::<KernelPage>(&mut criterion);
    mapped_often(&mut criterion);
    criterion.final_summary();
}

fn unmap_of<P: Measured>(criterion: &mut Criterion) {
    check_all::<P>();

    let mut gate = criterion.benchmark_group(format!("gate/{}", P::NAME));
    gate.throughput(Throughput::Elements(PAGES as u64));
    for mix in Mix::ALL {
        let pages = Population::<P>::new(mix, PAGES);
        gate.bench_function(BenchmarkId::new("pinfold", mix.name()), |bencher| {
            bencher.iter(|| pages.gate_ours());
        });
        gate.bench_function(BenchmarkId::new("by hand", mix.name()), |bencher| {
            bencher.iter(|| pages.gate_hand());
        });
    }
    gate.finish();

    let mut walk = criterion.benchmark_group(format!("try_to_unmap_one/{}", P::NAME));
    walk.throughput(Throughput::Elements(PAGES as u64));
    for mix in Mix::ALL {
        let pages = Population::<P>::new(mix, PAGES);
        time_passes(&mut walk, "pinfold", mix, &pages, Population::pass_ours);
        time_passes(&mut walk, "by hand", mix, &pages, Population::pass_hand);
    }
    walk.finish();
}

/// Times passes over pages that are set up anew before each; setting them up is not timed.
fn time_passes<P: Measured>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    whose: &str,
    mix: Mix,
    pages: &Population<P>,
    pass: fn(&Population<P>) -> u32,
) {
    group.bench_function(BenchmarkId::new(whose, mix.name()), |bencher| {
        bencher.iter_custom(|passes| (0..passes).map(|_| pages.timed(pass)).sum());
    });
}

fn mapped_often(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("try_to_unmap, pinned, mapped");
    for times in [1, 10, 100, 1000] {
        let mapped = Mapped::new(times);
        mapped.check();
        group.bench_function(BenchmarkId::new("SkipOpportunistic", times), |bencher| {
            bencher.iter(|| mapped.skip_opportunistic());
        });
        group.bench_function(BenchmarkId::new("SkipPinned", times), |bencher| {
            bencher.iter(|| mapped.skip_pinned());
        });
    }
    group.finish();
}
