//! What the numbers say, in sentences; above all where a policy makes no difference.

use super::{Row, median};
use crate::policy::Policy;

/// The sentences.
pub fn findings(rows: &[Row<'_>], seeds: usize) -> Vec<String> {
    let mut said: Vec<String> = rows.iter().filter_map(ended).collect();
    let finished = |row: &Row<'_>| row.runs.iter().any(|run| run.outcome.finished());
    if !rows.iter().any(finished) {
        said.push("No run reached the end of the trace, so there is nothing to compare.".into());
        return said;
    }
    if said.is_empty() && rows.iter().all(|row| row.is_nothing("scanned")) {
        said.push(
            "Nothing was ever reclaimed: the machine has room for everything, so no policy could \
             make a difference. Try fewer frames (--frames 40%)."
                .into(),
        );
        return said;
    }
    if said.is_empty() && rows.iter().all(|row| row.is_nothing("pinned_pages")) {
        said.push("Nothing was pinned, so the policies have nothing to disagree about.".into());
    }
    said.extend(same_as(rows));
    // Each against Linux as it was, and what came after the patch against the patch.
    let find = |policy| rows.iter().find(move |row| row.policy == policy);
    if let Some(base) = find(Policy::Ignore) {
        let others = rows.iter().filter(|row| row.policy != Policy::Ignore);
        said.extend(others.filter_map(|row| against(base, row, seeds)));
    }
    if let Some(base) = find(Policy::Patch) {
        let others = rows.iter().filter(|row| !row.policy.is_old());
        said.extend(others.filter_map(|row| against(base, row, seeds)));
    }
    if seeds == 1 {
        said.push("With one seed, small differences may be chance: see --seeds.".into());
    }
    said
}

/// How many runs of a policy ran out of memory, and what the first of them says.
fn ended(row: &Row<'_>) -> Option<String> {
    let (seed, first) = row.out_of_memory().next()?;
    Some(format!(
        "{}: {} of {} runs ended out of memory; the first of them, seed {seed}, at request {}: {first}.",
        row.policy.name(),
        row.out_of_memory().count(),
        row.runs.len(),
        first.request,
    ))
}

/// Policies whose every number is that of another.
fn same_as(rows: &[Row<'_>]) -> Vec<String> {
    let mut said = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let same = |other: &&Row<'_>| {
            let pairs = || other.runs.iter().zip(&row.runs);
            other.values == row.values
                && pairs().all(|(a, b)| a.outcome.out_of_memory == b.outcome.out_of_memory)
        };
        if let Some(twin) = rows[..index].iter().find(same) {
            said.push(format!(
                "{} made no difference to {}: every number is the same.",
                row.policy.name(),
                twin.policy.name()
            ));
        }
    }
    said
}

/// By how much a measure differs, where it does in the same direction under every seed: the median
/// of new / old. The schedule of pins differs by seed, not by policy, so runs are compared seed by
/// seed; `None` also if a seed has no value under both.
fn change(pairs: &[(Option<f64>, Option<f64>)]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = pairs
        .iter()
        .map(|&(old, new)| Some((old?, new?)))
        .collect::<Option<_>>()?;
    let apart =
        pairs.iter().all(|(old, new)| new < old) || pairs.iter().all(|(old, new)| new > old);
    let ratios: Vec<f64> = pairs.iter().map(|(old, new)| new / old).collect();
    median(&ratios).filter(|_| apart)
}

/// How a policy did against another, by what a user feels; nothing, if there is no seed with which
/// both reached the end of the trace.
fn against(base: &Row<'_>, row: &Row<'_>, seeds: usize) -> Option<String> {
    let (old, new) = (base.policy.name(), row.policy.name());
    // Which seeds both of them finished.
    let both: Vec<bool> = base
        .runs
        .iter()
        .zip(&row.runs)
        .map(|(old, new)| old.outcome.finished() && new.outcome.finished())
        .collect();
    let finished = both.iter().filter(|&&both| both).count();
    if finished == 0 {
        return None;
    }
    let mut parts = Vec::new();
    for (key, what) in [
        ("stalled", "stalled time"),
        ("stall_p90", "p90 stall"),
        ("scanned", "pages scanned"),
        ("major", "major faults"),
        ("clock", "time of the run"),
    ] {
        let by_seed = |row: &Row<'_>| row.value(key).by_seed.clone();
        let pairs: Vec<_> = by_seed(base)
            .into_iter()
            .zip(by_seed(row))
            .zip(&both)
            .filter_map(|(pair, &both)| both.then_some(pair))
            .collect();
        let Some(ratio) = change(&pairs) else {
            continue;
        };
        let percent = 100.0 * (ratio - 1.0);
        if percent.abs() < 1.0 {
            continue;
        }
        parts.push(if percent.is_infinite() {
            format!("{what} where there was none")
        } else if percent <= -90.0 && ratio > 0.0 {
            format!("{what} 1/{:.0} of it", 1.0 / ratio)
        } else if ratio >= 10.0 {
            format!("{what} {ratio:.0} times as much")
        } else {
            format!("{what} {percent:+.0} %")
        });
    }
    let mut said = if parts.is_empty() {
        let every = if finished > 1 {
            " that every seed shows"
        } else {
            ""
        };
        format!(
            "{new}: no difference to {old} of 1 % or more{every} in stalls, scans, faults or time"
        )
    } else {
        format!("{new} against {old}: {}", parts.join(", "))
    };
    if finished < seeds {
        said += &format!(" ({finished} of {seeds} seeds, with which both reached the end)");
    }
    Some(said + ".")
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn a_difference_needs_every_seed_and_its_size_is_the_median_of_the_pairs() {
        let pairs = |of: &[(f64, f64)]| -> Vec<_> {
            of.iter()
                .map(|&(old, new)| (Some(old), Some(new)))
                .collect()
        };
        let seen = change(&pairs(&[(10.0, 5.0), (100.0, 20.0), (1000.0, 900.0)]));
        assert_eq!(seen, Some(0.5));
        assert_eq!(change(&pairs(&[(10.0, 5.0), (10.0, 11.0)])), None);
        assert_eq!(change(&pairs(&[(10.0, 10.0), (10.0, 5.0)])), None);
        assert_eq!(change(&[(Some(9.0), Some(3.0)), (None, Some(1.0))]), None);
        assert_eq!(change(&pairs(&[(0.0, 5.0)])), Some(f64::INFINITY));
    }
}
