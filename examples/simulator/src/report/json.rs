//! The report as JSON.

use super::Report;
use crate::error::Error;
use crate::summary::MEASURES;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The version of what `--json` prints. It goes up when a field goes, or changes its meaning.
const FORMAT_VERSION: u32 = 2;

/// What every JSON output begins with.
#[derive(Serialize)]
struct Document<T> {
    /// "report", "model" or "scenarios".
    format: &'static str,
    format_version: u32,
    program: &'static str,
    program_version: &'static str,
    command_line: Vec<String>,
    #[serde(flatten)]
    content: T,
}

/// A JSON output of the program: this content after what every one of them begins with.
pub fn document(format: &'static str, content: Value) -> Result<String, Error> {
    let arguments = std::env::args_os().skip(1);
    let program = env!("CARGO_PKG_NAME");
    let document = Document {
        format,
        format_version: FORMAT_VERSION,
        program,
        program_version: env!("CARGO_PKG_VERSION"),
        command_line: std::iter::once(program.to_owned())
            .chain(arguments.map(|argument| argument.to_string_lossy().into_owned()))
            .collect(),
        content,
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::Machine(error.to_string()))?;
    Ok(text + "\n")
}

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
            json!({
                "policy": row.policy.name(),
                "library": row.policy.library(),
                "about": row.policy.about(),
                "runs": row.runs.len(),
                "out_of_memory": row.out_of_memory().count(),
                "measures": values,
            })
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
                "requests": run.outcome.requests,
                "out_of_memory": run.outcome.out_of_memory,
                "verdicts": run.outcome.verdicts,
                "stall_histogram": stalls,
                "series": run.outcome.series,
            })
        })
        .collect();
    let content = json!({
        "trace": report.trace,
        "requests": report.requests,
        "footprint_pages": report.footprint,
        "frames": report.plan.frames,
        "swap_pages": report.plan.swap,
        "seeds": report.seeds,
        "workloads": report.plan.workloads,
        "modelled_costs": report.plan.costs,
        "note": "stalls and times are modelled, in model units from modelled_costs; nothing was \
                 measured. by_seed is in the order of seeds; null where the run ended out of memory, \
                 or had too few stalls for the percentile",
        "measures": MEASURES,
        "policies": policies,
        "findings": report.findings,
        "runs": runs,
    });
    document("report", content)
}
