//! What the runs came to: the same measures for every policy, over all seeds, and what they say.

use crate::machine::Outcome;
use crate::policy::Policy;
use crate::replay::Run;
use pinfold::pin::Pins;
use pinfold::reclaim::{ActivateReason, KeepReason, Stats};
use serde::Serialize;

/// What is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measure {
    pub key: &'static str,
    pub label: &'static str,
    pub group: &'static str,
    pub unit: Unit,
    /// Whether it is shown in the short table.
    pub short: bool,
    #[serde(skip)]
    of: fn(&Outcome) -> f64,
}

/// In what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count,
    /// Of a machine that is modelled, not measured.
    ModelUnits,
    Percent,
}

/// One measure of one policy over the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

fn scans(outcome: &Outcome) -> Stats {
    let mut stats = outcome.background;
    stats.merge(&outcome.direct);
    stats
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        100.0 * part as f64 / of as f64
    }
}

fn kept(outcome: &Outcome, reason: KeepReason) -> f64 {
    scans(outcome).kept_for(reason) as f64
}

fn activated(outcome: &Outcome, reason: ActivateReason) -> f64 {
    scans(outcome).activated_for(reason) as f64
}

fn quantile(outcome: &Outcome, quantile: f64) -> f64 {
    outcome.stalls.value_at_quantile(quantile) as f64
}

const fn measure(
    group: &'static str,
    key: &'static str,
    label: &'static str,
    unit: Unit,
    of: fn(&Outcome) -> f64,
) -> Measure {
    Measure {
        key,
        label,
        group,
        unit,
        short: true,
        of,
    }
}

const fn detail(measure: Measure) -> Measure {
    Measure {
        short: false,
        ..measure
    }
}

const STALLS: &str = "direct-reclaim stalls (modelled)";
const SCANS: &str = "scans";
const KEPT: &str = "pages skipped, by reason";
const FAULTS: &str = "faults";
const DEVICES: &str = "writes and devices";
const PINS: &str = "pins";
const END: &str = "giving up";

/// All measures, in the order of the report.
pub const MEASURES: &[Measure] = &[
    measure(STALLS, "stalls", "stalls", Unit::Count, |o| {
        o.stalls.len() as f64
    }),
    measure(STALLS, "stall_p50", "p50", Unit::ModelUnits, |o| {
        quantile(o, 0.5)
    }),
    measure(STALLS, "stall_p90", "p90", Unit::ModelUnits, |o| {
        quantile(o, 0.9)
    }),
    measure(STALLS, "stall_p95", "p95", Unit::ModelUnits, |o| {
        quantile(o, 0.95)
    }),
    measure(STALLS, "stall_p99", "p99", Unit::ModelUnits, |o| {
        quantile(o, 0.99)
    }),
    measure(STALLS, "stall_max", "max", Unit::ModelUnits, |o| {
        o.stalls.max() as f64
    }),
    measure(
        STALLS,
        "stalled",
        "all stalls together",
        Unit::ModelUnits,
        |o| o.stalled as f64,
    ),
    measure(
        STALLS,
        "clock",
        "time of the whole run",
        Unit::ModelUnits,
        |o| o.clock as f64,
    ),
    detail(measure(
        STALLS,
        "background",
        "background reclaimer at work",
        Unit::ModelUnits,
        |o| o.background_spent as f64,
    )),
    measure(SCANS, "scanned", "pages scanned", Unit::Count, |o| {
        scans(o).scanned as f64
    }),
    measure(SCANS, "reclaimed", "reclaimed", Unit::Count, |o| {
        scans(o).reclaimed() as f64
    }),
    measure(
        SCANS,
        "efficiency",
        "efficiency, reclaimed / scanned",
        Unit::Percent,
        |o| percent(scans(o).reclaimed(), scans(o).scanned),
    ),
    measure(
        SCANS,
        "direct_share",
        "share of direct scans",
        Unit::Percent,
        |o| percent(o.direct.scanned, scans(o).scanned),
    ),
    detail(measure(
        SCANS,
        "refilled",
        "looked at on active lists",
        Unit::Count,
        |o| scans(o).refilled as f64,
    )),
    measure(
        KEPT,
        "kept_pinned",
        "pinned, kept on the list",
        Unit::Count,
        |o| kept(o, KeepReason::Pinned(Pins::None)),
    ),
    measure(KEPT, "parked", "pinned, parked", Unit::Count, |o| {
        (scans(o).parked + scans(o).active_parked) as f64
    }),
    measure(
        KEPT,
        "still_mapped",
        "could not be unmapped",
        Unit::Count,
        |o| activated(o, ActivateReason::StillMapped),
    ),
    measure(
        KEPT,
        "held",
        "held by somebody, at the end",
        Unit::Count,
        |o| kept(o, KeepReason::Held) + kept(o, KeepReason::NotWritten),
    ),
    measure(KEPT, "referenced", "in use", Unit::Count, |o| {
        kept(o, KeepReason::Referenced) + activated(o, ActivateReason::Referenced)
    }),
    detail(measure(KEPT, "dirty", "dirty", Unit::Count, |o| {
        kept(o, KeepReason::Dirty) + activated(o, ActivateReason::Dirty)
    })),
    detail(measure(
        KEPT,
        "no_swap",
        "no room in swap",
        Unit::Count,
        |o| activated(o, ActivateReason::NoSwap),
    )),
    measure(FAULTS, "major", "major", Unit::Count, |o| {
        o.counts.major_faults as f64
    }),
    measure(FAULTS, "minor", "minor", Unit::Count, |o| {
        o.counts.minor_faults as f64
    }),
    measure(FAULTS, "refaults", "refaults", Unit::Count, |o| {
        o.counts.refaults as f64
    }),
    measure(
        DEVICES,
        "swap_writes",
        "pages written to swap",
        Unit::Count,
        |o| o.counts.swap_writes as f64,
    ),
    detail(measure(
        DEVICES,
        "file_writes",
        "pages written to files",
        Unit::Count,
        |o| o.counts.file_writes as f64,
    )),
    measure(DEVICES, "notifier", "notifier calls", Unit::Count, |o| {
        o.counts.notifier_calls as f64
    }),
    measure(
        DEVICES,
        "revocations",
        "devices stopped by an unmap",
        Unit::Count,
        |o| o.counts.revocations as f64,
    ),
    measure(
        DEVICES,
        "device_stops",
        "devices stopped by their shrinker",
        Unit::Count,
        |o| o.counts.device_stops as f64,
    ),
    detail(measure(
        DEVICES,
        "tlb_flushes",
        "TLB flushes",
        Unit::Count,
        |o| o.counts.tlb_flushes as f64,
    )),
    measure(PINS, "pinned_pages", "pages pinned", Unit::Count, |o| {
        o.pins.pages as f64
    }),
    measure(
        PINS,
        "pin_list_ops",
        "list operations to pin and unpin",
        Unit::Count,
        |o| (o.pins.pin_list_ops + o.pins.unpin_list_ops) as f64,
    ),
    detail(measure(
        PINS,
        "pin_path_ops",
        "of these, to pin",
        Unit::Count,
        |o| o.pins.pin_list_ops as f64,
    )),
    detail(measure(
        PINS,
        "revoked",
        "pages given back by a shrinker",
        Unit::Count,
        |o| o.pins.revoked_pages as f64,
    )),
    detail(measure(
        PINS,
        "refused",
        "objects refused",
        Unit::Count,
        |o| o.pins.refused as f64,
    )),
    detail(measure(
        PINS,
        "list_ops",
        "list operations, all",
        Unit::Count,
        |o| o.list_operations as f64,
    )),
    measure(END, "futile", "futility verdicts", Unit::Count, |o| {
        o.futile as f64
    }),
    measure(
        END,
        "oom",
        "out of memory, something killed",
        Unit::Count,
        |o| o.oom as f64,
    ),
];

/// All measures of one policy.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub policy: &'static str,
    pub about: &'static str,
    #[serde(skip)]
    pub which: Policy,
    pub values: Vec<Spread>,
    /// The same by measure and then by seed.
    #[serde(skip)]
    by_seed: Vec<Vec<f64>>,
}

/// The rows, one for each policy, in the order of the measures.
pub fn rows(runs: &[Run]) -> Vec<Row> {
    let mut policies: Vec<Policy> = Vec::new();
    for run in runs {
        if !policies.contains(&run.policy) {
            policies.push(run.policy);
        }
    }
    policies
        .into_iter()
        .map(|policy| {
            let mine: Vec<&Run> = runs.iter().filter(|run| run.policy == policy).collect();
            let seeds = |measure: &Measure| {
                mine.iter()
                    .map(|run| (measure.of)(&run.outcome))
                    .collect::<Vec<f64>>()
            };
            let by_seed: Vec<Vec<f64>> = MEASURES.iter().map(seeds).collect();
            Row {
                policy: policy.name(),
                about: policy.about(),
                which: policy,
                values: by_seed.iter().map(|values| spread(values)).collect(),
                by_seed,
            }
        })
        .collect()
}

fn spread(values: &[f64]) -> Spread {
    Spread {
        mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// The value of a measure in a row.
pub fn value(row: &Row, key: &str) -> Spread {
    row.values[index(key)]
}

fn index(key: &str) -> usize {
    let found = MEASURES.iter().position(|measure| measure.key == key);
    found.unwrap_or(0)
}

/// Whether a measure differs in the same direction under every seed. The schedule of pins differs by
/// seed, not by policy, so runs are compared seed by seed.
fn apart(base: &Row, row: &Row, key: &str) -> bool {
    let (old, new) = (&base.by_seed[index(key)], &row.by_seed[index(key)]);
    let pairs = || old.iter().zip(new);
    pairs().all(|(old, new)| new < old) || pairs().all(|(old, new)| new > old)
}

/// What the numbers say, in sentences; above all where a policy makes no difference.
pub fn findings(rows: &[Row], seeds: usize) -> Vec<String> {
    let mut said = Vec::new();
    if rows.iter().all(|row| value(row, "scanned").max == 0.0) {
        said.push(
            "Nothing was ever reclaimed: the machine has room for everything, so no policy could \
             make a difference. Try fewer frames (--frames 40%)."
                .into(),
        );
        return said;
    }
    if rows.iter().all(|row| value(row, "pinned_pages").max == 0.0) {
        said.push("Nothing was pinned, so the policies have nothing to disagree about.".into());
    }
    said.extend(same_as(rows));
    // Each against Linux as it was, and what came after the patch against the patch.
    let find = |policy| rows.iter().find(move |row| row.which == policy);
    if let Some(base) = find(Policy::Ignore) {
        let others = rows.iter().filter(|row| row.which != Policy::Ignore);
        said.extend(others.map(|row| against(base, row, seeds)));
    }
    if let Some(base) = find(Policy::Patch) {
        let others = rows.iter().filter(|row| !row.which.is_old());
        said.extend(others.map(|row| against(base, row, seeds)));
    }
    if seeds == 1 {
        said.push("With one seed, small differences may be chance: see --seeds.".into());
    }
    said
}

/// Policies whose every number is that of another.
fn same_as(rows: &[Row]) -> Vec<String> {
    let mut said = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let twin = rows[..index]
            .iter()
            .find(|other| other.values == row.values);
        if let Some(twin) = twin {
            said.push(format!(
                "{} made no difference to {}: every number is the same.",
                row.policy, twin.policy
            ));
        }
    }
    said
}

/// How a policy did against another, by what a user feels.
fn against(base: &Row, row: &Row, seeds: usize) -> String {
    let mut parts = Vec::new();
    for (key, what) in [
        ("stalled", "stalled time"),
        ("stall_p99", "p99 stall"),
        ("scanned", "pages scanned"),
        ("major", "major faults"),
        ("clock", "time of the run"),
    ] {
        let (old, new) = (value(base, key), value(row, key));
        let change = 100.0 * (new.mean - old.mean) / old.mean.max(1.0);
        if !apart(base, row, key) || change.abs() < 1.0 {
            continue;
        }
        parts.push(if change <= -90.0 && new.mean > 0.0 {
            format!("{what} 1/{:.0} of it", old.mean / new.mean)
        } else {
            format!("{what} {change:+.0} %")
        });
    }
    if parts.is_empty() {
        let why = if seeds > 1 {
            "of 1 % or more that every seed shows"
        } else {
            "of 1 % or more"
        };
        format!(
            "{}: no difference to {} {why} in stalls, scans, faults or time.",
            row.policy, base.policy
        )
    } else {
        format!(
            "{} against {}: {}.",
            row.policy,
            base.policy,
            parts.join(", ")
        )
    }
}
