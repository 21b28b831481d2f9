//! The command line.

use crate::decide::Policy;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Shows what page reclaim would do with the pages of a Linux process, and checks it against the
/// running kernel
#[derive(Debug, Parser)]
#[command(version, name = "pinfold-linux")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what each policy decides about the pages of a process, and why
    ///
    /// Only reads. Your own processes can be inspected by any user, others with `CAP_SYS_PTRACE`. The
    /// state of frames needs root and `CAP_SYS_ADMIN`; without them most pages are shown as unknown.
    Inspect(Inspect),
    /// Make pages in many states, predict what reclaim does, let the kernel reclaim, and compare
    ///
    /// Needs root. Takes about 20 seconds, makes its own pages, swap and memory cgroup, and removes
    /// them. Exit status: 0 if every page went as predicted, 1 if not, 77 if it could not run here,
    /// 130 if interrupted.
    Verify(Verify),
    /// Write the state of a process to a file that `inspect --snapshot` reads
    Record(Record),
    /// The process that holds the pages of `verify`; not for use by hand
    #[command(hide = true)]
    Hold,
}

/// Whose pages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// Inspect the process with this ID; `self` is this program itself
    #[arg(long, value_name = "PID", value_parser = pid, allow_hyphen_values = true)]
    pub(crate) pid: Option<i32>,
    /// Inspect a file that `record` wrote; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Start this command and inspect it. Its output goes to standard error, and it is killed
    /// afterwards
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// The policy that the table of VMAs is for; the totals are for all policies
    #[arg(long, value_enum, default_value_t = Policy::SkipOpportunistic)]
    pub(crate) policy: Policy,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// List only the N VMAs with the most pages in memory
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) top: Option<NonZeroU32>,
    /// Repeat every SECONDS (2 if not given), until the process ends or you press Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = seconds, conflicts_with = "snapshot")]
    pub(crate) watch: Option<NonZeroU32>,
    /// Stop after N reports
    #[arg(long, value_name = "N", requires = "watch", value_parser = count)]
    pub(crate) looks: Option<NonZeroU32>,
    /// How long COMMAND runs before the first report, in milliseconds [default: 500]
    #[arg(long, value_name = "MS", conflicts_with_all = ["pid", "snapshot"])]
    pub(crate) after: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Base pages for each state
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) pages: u32,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Record the process with this ID; `self` is this program itself
    #[arg(long, value_name = "PID", value_parser = pid, allow_hyphen_values = true)]
    pub(crate) pid: i32,
    /// The file to write; `-`, the default, is standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn pid(text: &str) -> Result<i32, String> {
    if text == "self" {
        return i32::try_from(std::process::id()).map_err(|error| error.to_string());
    }
    match text.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("it is neither a process ID nor 'self'".to_owned()),
    }
}

fn seconds(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| "the interval is a whole number, at least 1 second".to_owned())
}

fn count(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| "it is a whole number, at least 1".to_owned())
}

impl Cli {
    /// Parses the command line of this program.
    ///
    /// # Errors
    ///
    /// What is wrong with it; or the help text, if that is asked for.
    pub(crate) fn read(width: usize) -> Result<Self, clap::Error> {
        let words: Vec<_> = std::env::args_os().collect();
        Self::command()
            .term_width(width)
            .try_get_matches_from(&words)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| with_hint(error, &words))
    }
}

/// Adds the option that was probably meant, where there is an argument too many.
fn with_hint(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(stray)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let is = |command| words.get(1).is_some_and(|word| word == command);
    let tip = if pid(stray).is_ok() && (is("inspect") || is("record")) {
        format!("to name a process, use '--pid {stray}'")
    } else if stray.starts_with('-') || !is("inspect") {
        return error;
    } else if Path::new(stray).is_file() && stray.ends_with(".json") {
        format!("to read a snapshot, use '--snapshot {stray}'")
    } else {
        format!("to start a command, use '-- {stray}'")
    };
    let tip = ContextValue::StyledStrs(vec![tip.into()]);
    error.insert(ContextKind::Suggested, tip);
    error
}
