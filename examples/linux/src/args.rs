//! The command line.

use crate::decide::Policy;
use clap::{Args, Parser, Subcommand};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What reclaim would do with the pages of a live Linux process, and whether the kernel agrees.
#[derive(Debug, Parser)]
#[command(version, name = "pinfold-linux")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what each policy decides about the pages of a process, and why. Changes nothing.
    Inspect(Inspect),
    /// Make pages in every state, predict their fate, let the kernel reclaim, and compare.
    Verify(Verify),
    /// Write what is seen of a process to a file that `inspect --snapshot` reads.
    Record(Record),
    /// The process that holds the pages of `verify`.
    #[command(hide = true)]
    Hold,
}

/// Whose pages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// A process, by its number, or `self`.
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<i32>,
    /// A file that `record` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// A command to start. Its output goes to standard error, and it is ended afterwards.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// The policy of the table's columns; the totals have all.
    #[arg(long, value_enum, default_value_t = Policy::SkipOpportunistic)]
    pub(crate) policy: Policy,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only the N VMAs with the most pages in memory.
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// Look again every SECONDS, until the process ends or you interrupt.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    pub(crate) watch: Option<NonZeroU32>,
    /// End the watch after N looks.
    #[arg(long, value_name = "N", requires = "watch")]
    pub(crate) looks: Option<NonZeroU32>,
    /// How long a started command runs before the first look, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(crate) after: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Base pages for each state.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) pages: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The process, by its number, or `self`.
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: i32,
    /// The file to write; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn pid(text: &str) -> Result<i32, String> {
    if text == "self" {
        return i32::try_from(std::process::id()).map_err(|error| error.to_string());
    }
    match text.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("neither a process number nor \"self\"".to_owned()),
    }
}
