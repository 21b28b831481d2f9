//! The report as JSON.

use super::Report;
use crate::error::Error;
use crate::summary::MEASURES;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything that was measured, of every policy, and each run by itself.
pub fn json(report: &Report<'_>) -> Result<String, Error> {
    let policies: Vec<Value> = report
        .rows
        .iter()
        .map(|row| {
            let values: BTreeMap<&str, _> = MEASURES
                .iter()
                .zip(&row.values)
                .map(|(measure, value)| (measure.key, value))
                .collect();
            json!({ "policy": row.policy, "about": row.about, "measures": values })
        })
        .collect();
    let runs: Vec<Value> = report
        .runs
        .iter()
        .map(|run| {
            let stalls: Vec<Value> = run
                .outcome
                .stalls
                .iter_recorded()
                .map(|step| json!([step.value_iterated_to(), step.count_since_last_iteration()]))
                .collect();
            json!({
                "policy": run.policy.name(),
                "seed": run.seed,
                "verdicts": run.outcome.verdicts,
                "stall_histogram": stalls,
                "series": run.outcome.series,
            })
        })
        .collect();
    let whole = json!({
        "trace": report.trace,
        "requests": report.requests,
        "footprint_pages": report.footprint,
        "frames": report.plan.frames,
        "swap_pages": report.plan.swap,
        "seeds": report.seeds,
        "workloads": report.plan.workloads,
        "modelled_costs": report.plan.costs,
        "note": "stalls and times are modelled, in model units from modelled_costs; nothing was measured",
        "measures": MEASURES,
        "policies": policies,
        "findings": report.findings,
        "runs": runs,
    });
    serde_json::to_string_pretty(&whole).map_err(|error| Error::Machine(error.to_string()))
}
