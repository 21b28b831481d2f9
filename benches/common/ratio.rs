//! Ratios within one run: two things are timed in turn many times over, and what counts is the
//! median of the paired ratios, which a busy machine disturbs least.

use core::time::Duration;

/// How much is measured: everything, or (`cargo bench -- --test`) just enough to check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) test: bool,
}

impl Scale {
    pub(crate) fn from_args() -> Self {
        Self {
            test: std::env::args().any(|arg| arg == "--test"),
        }
    }

    /// `full`, or `tiny` where only answers are checked.
    pub(crate) const fn of(self, full: usize, tiny: usize) -> usize {
        if self.test { tiny } else { full }
    }
}

/// What is printed at the top of a table.
pub(crate) fn header(title: &str, unit: &str) {
    println!("\n{title} ({unit})");
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>7}   target",
        "", "ours", "theirs", "ratio", "+-"
    );
}

/// A pair of medians, in nanoseconds per operation, and how they compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
    /// Half of what lies between the quartiles of the paired ratios.
    pub(crate) spread: f64,
}

/// Times both in turn, `rounds` times, in the order ours, theirs, theirs, ours; `operations` in
/// each.
pub(crate) fn paired(
    rounds: usize,
    operations: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> Ratio {
    let per = 2e-9 * operations as f64;
    let (mut a, mut b, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let first = ours();
        let between = theirs() + theirs();
        let last = ours();
        a.push((first + last).as_secs_f64() / per);
        b.push(between.as_secs_f64() / per);
        ratios.push((first + last).as_secs_f64() / between.as_secs_f64());
    }
    Ratio {
        ours: quantile(&mut a, 2),
        theirs: quantile(&mut b, 2),
        ratio: quantile(&mut ratios, 2),
        spread: (quantile(&mut ratios, 3) - quantile(&mut ratios, 1)) / 2.0,
    }
}

/// Times `copies` of both, which come up in turn, `rounds` times each; `operations` in each. What
/// is compared is the copy of either that is fastest, by its median.
pub(crate) fn fastest(
    copies: usize,
    rounds: usize,
    operations: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> Ratio {
    let mut times = vec![[vec![], vec![]]; copies];
    for _ in 0..rounds {
        for [a, b] in &mut times {
            a.push(ours().as_secs_f64() * 1e9 / operations as f64);
            b.push(theirs().as_secs_f64() * 1e9 / operations as f64);
        }
    }
    let mut best = |side: usize| {
        let quartiles = times.iter_mut().map(|copy| {
            let values = &mut copy[side];
            [
                quantile(values, 2),
                quantile(values, 1),
                quantile(values, 3),
            ]
        });
        let [median, low, high] = quartiles
            .min_by(|one, other| one[0].total_cmp(&other[0]))
            .unwrap();
        (median, (high - low) / 2.0)
    };
    let ((ours, spread), (theirs, _)) = (best(0), best(1));
    Ratio {
        ours,
        theirs,
        ratio: ours / theirs,
        spread: spread / theirs,
    }
}

impl Ratio {
    pub(crate) fn print(self, name: &str, target: &str) {
        let Self {
            ours,
            theirs,
            ratio,
            spread,
        } = self;
        println!("{name:<44} {ours:>9.2} {theirs:>9.2} {ratio:>7.3} {spread:>7.3}   {target}");
    }
}

/// The quartile `quarters` of 4.
fn quantile(values: &mut [f64], quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * quarters / 4]
}
