//! The command line.

use crate::error::Error;
use crate::model::Model;
use crate::policy::Policy;
use crate::trace::Format;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Replays a memory trace with DMA pins over it, under every reclaim policy of pinfold, and shows
/// who stalls, for how long, and why.
///
/// Without arguments: a compiler run that the program carries, a GPU that pins and re-pins its
/// buffers, and direct I/O. Times are model units from a cost table: they compare policies, they
/// were not measured on any machine.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell the four historical failures of pin-blind reclaim, under the old and the new policy.
    Scenario(ScenarioArgs),
    /// Reduce a trace to pages and write it as csv.
    Import(ImportArgs),
    /// Write a synthetic trace in oracleGeneral or csv, for benchmarks.
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The trace: cc1 or sqlite (both carried by the program), a file, or - for standard input.
    #[arg(default_value = "cc1")]
    pub trace: String,
    /// The format of the trace, if its name does not say. zstd and gzip are recognised by themselves.
    #[arg(long)]
    pub format: Option<Format>,
    /// Frames of memory: a number, or a part of the trace's footprint.
    #[arg(long, default_value = "60%", value_name = "N|PERCENT")]
    pub frames: Amount,
    /// Swap: pages, or a part of the frames.
    #[arg(long, default_value = "400%", value_name = "N|PERCENT")]
    pub swap: Amount,
    /// Who pins: gpu, rdma, io_uring, passthrough, directio, a TOML file, or none. May be given
    /// several times.
    #[arg(long = "workload", value_name = "NAME|FILE", default_values = ["gpu", "directio"])]
    pub workloads: Vec<String>,
    /// Change an entry of a workload (pinned=0.3, gpu.hold=1000) or of the cost table
    /// (costs.swap_read=100). May be given several times.
    #[arg(long = "set", value_name = "ENTRY=VALUE")]
    pub set: Vec<String>,
    /// A TOML file of costs that differ from the program's own.
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// The policies to compare.
    #[arg(long = "policy", value_delimiter = ',', value_name = "POLICY")]
    pub policies: Vec<Policy>,
    /// How many seeds to repeat the run over.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Replay only so many requests; with --by-size each page of an object is one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Part of the accesses that write, where the trace does not say.
    #[arg(long, default_value_t = 0.3, value_name = "PART")]
    pub write_share: f64,
    /// Part of the pages that are a file's, where the trace does not say.
    #[arg(long, default_value_t = 0.4, value_name = "PART")]
    pub file_share: f64,
    /// Take an object for as many pages as its size says, instead of for one.
    #[arg(long)]
    pub by_size: bool,
    /// A plain cache model without pins instead of the machine; takes --frames, --limit, --by-size,
    /// --format, --json and --timing.
    #[arg(long, conflicts_with_all = [
        "swap", "workloads", "set", "costs", "policies", "seeds", "seed", "write_share", "file_share",
        "all", "report", "svg",
    ])]
    pub model: Option<Model>,
    /// Show requests per second and memory; these are measured.
    #[arg(long)]
    pub timing: bool,
    /// Show every measure.
    #[arg(long)]
    pub all: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Write a report with charts: one HTML file that needs nothing else. - prints it instead of the
    /// table.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write the chart of stalls and scans as SVG. - prints it instead of the table.
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Which: all, or a, b, c or d.
    #[arg(default_value = "all", value_parser = ["all", "a", "b", "c", "d"])]
    pub which: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The trace to read, or - for standard input.
    pub trace: String,
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave out accesses to a page that is among the last N used; 1 merges consecutive duplicates.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub window: u64,
    /// Read only so many accesses.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Where to write; standard output if not given, or if it is -.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Where to write, or - for standard output.
    pub out: PathBuf,
    /// The format, if the name does not say: oracleGeneral or csv.
    #[arg(long)]
    pub format: Option<Format>,
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub objects: u64,
    /// The exponent of the Zipf distribution.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub skew: f64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A number of pages, or a part of something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    Pages(u32),
    Percent(f64),
}

impl std::str::FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?}; expected a number of pages up to 4294967294, or a percentage such as 60%"
            )
        };
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| wrong())?;
            if percent.is_finite() && (0.0..=1_000_000.0).contains(&percent) {
                return Ok(Self::Percent(percent));
            }
            return Err(wrong());
        }
        match text.parse() {
            Ok(u32::MAX) | Err(_) => Err(wrong()),
            Ok(pages) => Ok(Self::Pages(pages)),
        }
    }
}

impl Amount {
    /// So many pages, of `whole`.
    pub fn of(self, whole: u64) -> u32 {
        match self {
            Self::Pages(pages) => pages,
            Self::Percent(percent) => (percent / 100.0 * whole as f64) as u32,
        }
    }
}

/// Splits `ENTRY=VALUE`; the value is TOML, or a string if it is not.
pub fn assignments(set: &[String]) -> Result<Vec<(String, toml::Value)>, Error> {
    set.iter()
        .map(|text| {
            let Some((key, value)) = text.split_once('=') else {
                let place = format!("--set {text}");
                return Err(Error::config(place, "no value", "ENTRY=VALUE"));
            };
            let parsed = format!("value = {value}").parse::<toml::Table>();
            let value = parsed
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| value.into());
            Ok((key.trim().to_owned(), value))
        })
        .collect()
}
