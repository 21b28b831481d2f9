//! What is measured, the same for every policy.

use crate::machine::Outcome;
use Unit::{Count, ModelUnits, Percent};
use pinfold::pin::Pins;
use pinfold::reclaim::{ActivateReason, KeepReason, Stats};
use serde::{Serialize, Serializer};

/// What is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measure {
    pub key: &'static str,
    pub label: &'static str,
    pub group: &'static str,
    pub unit: Unit,
    /// Whether it is shown in the short table.
    pub short: bool,
    #[serde(rename = "statistic")]
    pub of: Of,
}

/// Where the value of a measure comes from, over several seeds.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// One value for each run; the median of these.
    Run(fn(&Outcome) -> f64),
    /// A percentile of the stalls of all seeds together: one run has too few for the high ones.
    Percentile(u64),
    /// The longest stall of all seeds.
    Longest,
}

impl Serialize for Of {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Run(_) => "median of the seeds",
            Self::Percentile(_) => "percentile of the stalls of all seeds together",
            Self::Longest => "longest stall of all seeds",
        })
    }
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

/// A measure of one run.
const fn run(
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
        of: Of::Run(of),
    }
}

/// A measure of the stalls of all runs together.
const fn stall(key: &'static str, label: &'static str, of: Of) -> Measure {
    Measure {
        key,
        label,
        group: STALLS,
        unit: Unit::ModelUnits,
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

const STALLS: &str = "direct-reclaim stalls";
const SCANS: &str = "scans";
const KEPT: &str = "pages skipped, by reason";
const FAULTS: &str = "faults";
const DEVICES: &str = "writes and devices";
const PINS: &str = "pins";
const END: &str = "giving up";

/// All measures, in the order of the report. A label leaves room for six policies in 80 columns.
#[rustfmt::skip]
pub const MEASURES: &[Measure] = &[
    run(STALLS, "stalls", "stalls", Count, |o| o.stalls.len() as f64),
    stall("stall_p50", "p50", Of::Percentile(50)),
    stall("stall_p90", "p90", Of::Percentile(90)),
    stall("stall_p95", "p95", Of::Percentile(95)),
    stall("stall_p99", "p99", Of::Percentile(99)),
    stall("stall_max", "longest", Of::Longest),
    run(STALLS, "stalled", "all stalls together", ModelUnits, |o| o.stalled as f64),
    run(STALLS, "clock", "time of the whole run", ModelUnits, |o| o.clock as f64),
    detail(run(STALLS, "background", "background reclaimer at work", ModelUnits, |o| o.background_spent as f64)),
    run(SCANS, "scanned", "pages scanned", Count, |o| scans(o).scanned as f64),
    run(SCANS, "reclaimed", "reclaimed", Count, |o| scans(o).reclaimed() as f64),
    run(SCANS, "efficiency", "reclaimed of scanned, %", Percent, |o| percent(scans(o).reclaimed(), scans(o).scanned)),
    run(SCANS, "direct_share", "share of direct scans, %", Percent, |o| percent(o.direct.scanned, scans(o).scanned)),
    detail(run(SCANS, "refilled", "looked at on active lists", Count, |o| scans(o).refilled as f64)),
    run(KEPT, "kept_pinned", "pinned, kept on the list", Count, |o| kept(o, KeepReason::Pinned(Pins::None))),
    run(KEPT, "parked", "pinned, parked", Count, |o| (scans(o).parked + scans(o).active_parked) as f64),
    run(KEPT, "still_mapped", "could not be unmapped", Count, |o| activated(o, ActivateReason::StillMapped)),
    run(KEPT, "held", "held by somebody, at the end", Count, |o| kept(o, KeepReason::Held) + kept(o, KeepReason::NotWritten)),
    run(KEPT, "referenced", "in use", Count, |o| kept(o, KeepReason::Referenced) + activated(o, ActivateReason::Referenced)),
    detail(run(KEPT, "dirty", "dirty", Count, |o| kept(o, KeepReason::Dirty) + activated(o, ActivateReason::Dirty))),
    detail(run(KEPT, "no_swap", "no room in swap", Count, |o| activated(o, ActivateReason::NoSwap))),
    run(FAULTS, "major", "major", Count, |o| o.counts.major_faults as f64),
    run(FAULTS, "minor", "minor", Count, |o| o.counts.minor_faults as f64),
    run(FAULTS, "refaults", "refaults", Count, |o| o.counts.refaults as f64),
    run(DEVICES, "swap_writes", "pages written to swap", Count, |o| o.counts.swap_writes as f64),
    detail(run(DEVICES, "file_writes", "pages written to files", Count, |o| o.counts.file_writes as f64)),
    run(DEVICES, "notifier", "notifier calls", Count, |o| o.counts.notifier_calls as f64),
    run(DEVICES, "revocations", "devices stopped by an unmap", Count, |o| o.counts.revocations as f64),
    run(DEVICES, "device_stops", "devices stopped by shrinker", Count, |o| o.counts.device_stops as f64),
    detail(run(DEVICES, "tlb_flushes", "TLB flushes", Count, |o| o.counts.tlb_flushes as f64)),
    run(PINS, "pinned_pages", "pages pinned", Count, |o| o.pins.pages as f64),
    run(PINS, "pin_list_ops", "list operations for pins", Count, |o| (o.pins.pin_list_ops + o.pins.unpin_list_ops) as f64),
    detail(run(PINS, "pin_path_ops", "of these, to pin", Count, |o| o.pins.pin_list_ops as f64)),
    detail(run(PINS, "revoked", "pages taken by a shrinker", Count, |o| o.pins.revoked_pages as f64)),
    detail(run(PINS, "refused", "objects refused", Count, |o| o.pins.refused as f64)),
    detail(run(PINS, "list_ops", "list operations, all", Count, |o| o.list_operations as f64)),
    run(END, "futile", "futility verdicts", Count, |o| o.futile as f64),
    run(END, "oom", "out of memory, one killed", Count, |o| o.oom as f64),
];
