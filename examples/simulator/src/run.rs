//! What each command does.

use crate::cli::{Amount, Cli, Command, ImportArgs, RunArgs, ScenarioArgs, assignments};
use crate::costs;
use crate::error::Error;
use crate::machine::{Failures, Marks, Plan};
use crate::model::Model;
use crate::output::{Output, note, print};
use crate::policy::Policy;
use crate::progress::{Bar, Timing};
use crate::replay::{read_all, replay};
use crate::report::{self, Report};
use crate::scenario;
use crate::summary;
use crate::trace::{self, Input, Trace};
use crate::workload::{self, Workload};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Runs the command line.
pub fn run(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        None => match cli.run.model {
            Some(model) => cache_model(&cli.run, model),
            None => compare(&cli.run),
        },
        Some(Command::Scenario(args)) => tell(args),
        Some(Command::Import(args)) => import(args),
        Some(Command::Generate(args)) => crate::generate::generate(args),
    }
}

/// The machine needs that many frames for its watermarks to mean something.
const FEWEST_FRAMES: u32 = 64;

/// Over all runs, which go on beside each other: 512 GiB of simulated memory, for which the
/// machines take about 6 GB of the real one, and a model 5.
const MOST_FRAMES: u64 = 1 << 27;

/// All policies over one trace.
fn compare(args: &RunArgs) -> Result<(), Error> {
    let set = assignments(&args.set)?;
    let costs = costs::load(args.costs.as_deref(), &set)?;
    let workloads = load_workloads(&args.workloads, &set)?;
    for (entry, part) in [
        ("--write-share", args.write_share),
        ("--file-share", args.file_share),
    ] {
        if !(0.0..=1.0).contains(&part) {
            return Err(Error::config(entry, part.to_string(), "a part from 0 to 1"));
        }
    }
    let targets = Targets::open(args)?;
    let frames = frames(args)?;
    if frames < FEWEST_FRAMES {
        return Err(Error::config(
            "--frames",
            format!("{frames} frames"),
            format!("at least {FEWEST_FRAMES}, so that there can be watermarks"),
        ));
    }
    let mut policies = args.policies.clone();
    if policies.is_empty() {
        policies = Policy::ALL.to_vec();
    }
    let mut seen = HashSet::new();
    policies.retain(|policy| seen.insert(*policy));
    check_size(frames, args.seeds.saturating_mul(policies.len() as u64))?;
    check_pins(&workloads, frames)?;
    let plan = Plan {
        frames,
        swap: args.swap.of(u64::from(frames)),
        costs,
        workloads,
        seed: args.seed,
        write_share: args.write_share,
        file_share: args.file_share,
        dirty_expire: 30_000,
        failures: Failures::Linux,
    };
    let seeds: Vec<u64> = (0..args.seeds).map(|n| args.seed.wrapping_add(n)).collect();
    let mut opened = Opened::new(args, "replaying")?;
    let timing = Timing::begin();
    let limit = args.limit.unwrap_or(u64::MAX);
    let bar = opened.bar.clone();
    let (requests, runs) = replay(&mut *opened.trace, &policies, &seeds, &plan, limit, || {
        bar.tick()
    })?;
    let timed = timing.of(runs.iter().map(|run| run.outcome.requests).sum());
    opened.bar.finish_and_clear();
    let rows = summary::rows(&runs);
    let report = Report {
        trace: opened.name,
        requests,
        footprint: runs[0].outcome.footprint,
        plan: &plan,
        seeds: &seeds,
        findings: summary::findings(&rows, seeds.len()),
        runs: &runs,
        rows,
    };
    if let Some(output) = targets.report {
        output.write_text(&report::page(&report)?)?;
    }
    if let Some(output) = targets.svg {
        output.write_text(&report::overview(&report)?)?;
    }
    if args.json {
        print(&(report::json(&report)? + "\n"))?;
    } else if !targets.printed {
        print(&report::table(&report, args.all, report::width()))?;
    }
    if args.timing {
        note(&format!(
            "timing (measured): {} runs of {} requests: {timed}",
            runs.len(),
            report.requests
        ))?;
    }
    Ok(())
}

/// Where the report and the chart go, opened before the run so that it is not for nothing.
struct Targets {
    report: Option<Output>,
    svg: Option<Output>,
    /// One of them goes to standard output, in place of the table.
    printed: bool,
}

impl Targets {
    fn open(args: &RunArgs) -> Result<Self, Error> {
        let dash = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        let printed = [
            (dash(&args.report), "--report -"),
            (dash(&args.svg), "--svg -"),
            (args.json, "--json"),
        ];
        let printed: Vec<_> = printed.iter().filter(|(is, _)| *is).collect();
        if let [(_, one), (_, two), ..] = printed[..] {
            return Err(Error::config(
                format!("{one} and {two}"),
                "both for standard output",
                "a file for one of them",
            ));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        let (report, svg) = (open(&args.report)?, open(&args.svg)?);
        if let (Some(one), Some(two)) = (&report, &svg)
            && one.same_file(two)
        {
            return Err(Error::config(
                "--report and --svg",
                "the same file",
                "a file for each",
            ));
        }
        Ok(Self {
            report,
            svg,
            printed: !printed.is_empty(),
        })
    }
}

/// A plain cache model.
fn cache_model(args: &RunArgs, model: Model) -> Result<(), Error> {
    let frames = frames(args)?;
    check_size(frames, 1)?;
    if frames == 0 {
        return Err(Error::config("--frames", "0 frames", "at least 1"));
    }
    let mut opened = Opened::new(args, "replaying")?;
    let bar = opened.bar.clone();
    let limit = args.limit.unwrap_or(u64::MAX);
    let timing = Timing::begin();
    let result = crate::model::run(model, frames, &mut *opened.trace, limit, || bar.tick())?;
    opened.bar.finish_and_clear();
    let ratio = result.misses as f64 / result.requests.max(1) as f64;
    if args.json {
        let json = serde_json::json!({
            "trace": opened.name,
            "model": model.name(),
            "frames": frames,
            "requests": result.requests,
            "misses": result.misses,
            "miss_ratio": ratio,
        });
        print(&report::document("model", json)?)?;
    } else {
        print(&format!(
            "{}, {} on {frames} frames: {} requests, {} misses, miss ratio {ratio:.4}\n",
            opened.name,
            model.name(),
            result.requests,
            result.misses
        ))?;
    }
    if args.timing {
        note(&format!(
            "timing (measured): {}; {:.1} bytes per resident page ({} bytes for {})",
            timing.of(result.requests),
            result.bytes as f64 / result.resident.max(1) as f64,
            result.bytes,
            result.resident
        ))?;
    }
    Ok(())
}

/// The four failures.
fn tell(args: &ScenarioArgs) -> Result<(), Error> {
    let told = scenario::play(&args.which)?;
    if !args.json {
        return print(&scenario::text(&told, report::width()));
    }
    let json = serde_json::json!({ "scenarios": told });
    print(&report::document("scenarios", json)?)
}

fn import(args: &ImportArgs) -> Result<(), Error> {
    let output = match &args.out {
        Some(path) => Output::open(path)?,
        None => Output::standard(),
    };
    let mut trace = trace::open(&args.trace, args.format, Arc::default())?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let done = crate::import::import(&mut *trace, args.window as usize, limit)?;
    output.write(|out| done.write(out))?;
    note(&format!(
        "{} accesses to {} pages, {} of them kept",
        done.accesses,
        done.pages(),
        done.kept()
    ))
}

fn load_workloads(names: &[String], set: &[(String, toml::Value)]) -> Result<Vec<Workload>, Error> {
    let names: Vec<_> = names.iter().filter(|name| *name != "none").collect();
    for (key, _) in set {
        let prefix = key.split_once('.').map(|(prefix, _)| prefix);
        let known = match prefix {
            None => !names.is_empty(),
            Some("costs") => true,
            Some(prefix) => names.iter().any(|name| {
                Path::new(name)
                    .file_stem()
                    .is_some_and(|stem| stem == prefix)
            }),
        };
        if !known {
            return Err(Error::config(
                format!("--set {key}"),
                "no workload of this name is in the run",
                "ENTRY, WORKLOAD.ENTRY or costs.ENTRY",
            ));
        }
    }
    if names.len() > 8 {
        let found = format!("{} workloads", names.len());
        return Err(Error::config("--workload", found, "8 at most"));
    }
    names.iter().map(|name| workload::load(name, set)).collect()
}

/// Pins may not leave fewer frames than the watermarks need.
fn check_pins(workloads: &[Workload], frames: u32) -> Result<(), Error> {
    let pinned: f64 = workloads.iter().map(|w| w.pinned * f64::from(frames)).sum();
    let left = f64::from(frames) - pinned;
    if left < f64::from(2 * Marks::of(frames).high) {
        return Err(Error::config(
            "the workloads",
            format!("{pinned:.0} pages to be pinned of {frames} frames"),
            format!(
                "{} frames at least that are not pinned",
                2 * Marks::of(frames).high
            ),
        ));
    }
    Ok(())
}

/// Every run has frames of its own.
fn check_size(frames: u32, runs: u64) -> Result<(), Error> {
    if u64::from(frames).saturating_mul(runs) <= MOST_FRAMES {
        return Ok(());
    }
    Err(Error::config(
        "--frames",
        format!("{frames} frames for each of {runs} runs"),
        format!("at most {MOST_FRAMES} in all: fewer frames, seeds or policies"),
    ))
}

/// How many frames there are; a part of the footprint takes a pass over the trace.
fn frames(args: &RunArgs) -> Result<u32, Error> {
    let Amount::Percent(percent) = args.frames else {
        return Ok(args.frames.of(0));
    };
    if !Input::is_repeatable(&args.trace) {
        return Err(Error::config(
            "--frames",
            format!("{percent} % of a trace from a pipe, which can be read only once"),
            "--frames N, or the trace in a file",
        ));
    }
    let mut opened = Opened::new(args, "measuring the footprint")?;
    let mut objects = HashSet::new();
    let limit = args.limit.unwrap_or(u64::MAX);
    read_all(&mut *opened.trace, limit, |chunk| {
        objects.extend(chunk.iter().map(|request| request.object));
        opened.bar.tick();
        true
    })?;
    opened.bar.finish_and_clear();
    let frames = args.frames.of(objects.len() as u64);
    if frames == 0 {
        return Err(Error::config(
            &opened.name,
            format!(
                "a footprint of {} pages, {percent} % of which is less than one page",
                objects.len()
            ),
            "a larger footprint, or --frames N",
        ));
    }
    Ok(frames)
}

/// A trace that is being read, and the bar that shows how far.
struct Opened {
    trace: Box<dyn Trace>,
    name: String,
    bar: Bar,
}

impl Opened {
    fn new(args: &RunArgs, what: &'static str) -> Result<Self, Error> {
        let read = Arc::new(AtomicU64::new(0));
        let trace = trace::open(&args.trace, args.format, Arc::clone(&read))?;
        let trace = if args.by_size {
            Box::new(trace::BySize::new(trace, &args.trace))
        } else {
            trace
        };
        Ok(Self {
            trace,
            name: args.trace.clone(),
            bar: Bar::new(Input::length(&args.trace), read, what),
        })
    }
}
