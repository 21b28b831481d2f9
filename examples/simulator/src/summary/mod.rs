//! What the runs came to: the measures of every policy over all seeds, and what they say.

mod findings;
mod measures;
#[cfg(test)]
mod tests;

pub use findings::findings;
pub use measures::{MEASURES, Measure, Of, Unit};

use crate::machine::{OutOfMemory, Outcome};
use crate::policy::Policy;
use crate::replay::Run;
use hdrhistogram::Histogram;
use serde::Serialize;

/// One measure of one policy, over the seeds whose runs reached the end of the trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// As [`Of`] says; `None` if no run reached the end, or there are too few stalls for a percentile.
    pub value: Option<f64>,
    /// Of the seeds, where there is a value for each.
    pub lowest: Option<f64>,
    pub highest: Option<f64>,
    /// In the order of the seeds; `None` as above.
    pub by_seed: Vec<Option<f64>>,
}

/// All measures of one policy.
#[derive(Debug)]
pub struct Row<'a> {
    pub policy: Policy,
    pub values: Vec<Value>,
    pub runs: Vec<&'a Run>,
}

impl<'a> Row<'a> {
    fn of(policy: Policy, runs: Vec<&'a Run>) -> Self {
        let values = MEASURES.iter().map(|measure| value_of(measure, &runs));
        Self {
            policy,
            values: values.collect(),
            runs,
        }
    }

    /// The value of a measure.
    pub fn value(&self, key: &str) -> &Value {
        let found = MEASURES.iter().position(|measure| measure.key == key);
        &self.values[found.unwrap_or(0)]
    }

    /// The runs that ended before the trace did, with their seeds.
    pub fn out_of_memory(&self) -> impl Iterator<Item = (u64, &'a OutOfMemory)> + '_ {
        let ended = |run: &&'a Run| Some((run.seed, run.outcome.out_of_memory.as_ref()?));
        self.runs.iter().filter_map(ended)
    }

    /// Whether a measure is 0 or unknown, in all runs together and in each.
    pub fn is_nothing(&self, key: &str) -> bool {
        let value = self.value(key);
        let values = value.by_seed.iter().chain([&value.value]);
        values.flatten().all(|&value| value == 0.0)
    }
}

/// The rows, one for each policy, with its runs in the order of the seeds.
pub fn rows(runs: &[Run]) -> Vec<Row<'_>> {
    let mut policies: Vec<Policy> = Vec::new();
    for run in runs {
        if !policies.contains(&run.policy) {
            policies.push(run.policy);
        }
    }
    let of = |policy| runs.iter().filter(move |run| run.policy == policy);
    let row = |policy| Row::of(policy, of(policy).collect());
    policies.into_iter().map(row).collect()
}

/// The stalls of all runs that reached the end of the trace.
pub fn pooled(runs: &[&Run]) -> Option<Histogram<u64>> {
    let mut finished = runs.iter().filter(|run| run.outcome.finished());
    let mut all = finished.next()?.outcome.stalls.clone();
    for run in finished {
        all.add(&run.outcome.stalls).ok()?;
    }
    Some(all)
}

fn value_of(measure: &Measure, runs: &[&Run]) -> Value {
    let one = |run: &&Run| match measure.of {
        _ if !run.outcome.finished() => None,
        Of::Run(of) => Some(of(&run.outcome)),
        Of::Percentile(percent) => percentile(&run.outcome.stalls, percent),
        Of::Longest => longest(&run.outcome.stalls),
    };
    let by_seed: Vec<Option<f64>> = runs.iter().map(one).collect();
    let known: Vec<f64> = by_seed.iter().copied().flatten().collect();
    let all = || pooled(runs);
    let value = match measure.of {
        Of::Run(_) => median(&known),
        Of::Percentile(percent) => all().and_then(|stalls| percentile(&stalls, percent)),
        Of::Longest => all().and_then(|stalls| longest(&stalls)),
    };
    Value {
        value,
        lowest: known.iter().copied().reduce(f64::min),
        highest: known.iter().copied().reduce(f64::max),
        by_seed,
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// A percentile, if there are so many stalls that one of them at least is expected above it: 2 for
/// the median, 100 for the 99th. With fewer it would be the longest stall under another name.
fn percentile(stalls: &Histogram<u64>, percent: u64) -> Option<f64> {
    let needed = 100u64.div_ceil(100 - percent);
    (stalls.len() >= needed).then(|| stalls.value_at_quantile(percent as f64 / 100.0) as f64)
}

/// The longest stall; 0 if there was none.
fn longest(stalls: &Histogram<u64>) -> Option<f64> {
    Some(stalls.max() as f64)
}

impl Outcome {
    /// Whether the run reached the end of the trace.
    pub fn finished(&self) -> bool {
        self.out_of_memory.is_none()
    }
}
