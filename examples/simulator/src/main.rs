//! Replays memory traces, with DMA pins over them, under every reclaim policy of pinfold.

mod cli;
mod costs;
mod error;
mod generate;
mod import;
mod index;
mod machine;
mod model;
mod output;
mod policy;
mod progress;
mod replay;
mod report;
mod run;
mod scenario;
mod summary;
mod toml_file;
mod trace;
mod workload;

use clap::Parser;
use error::Error;
use output::note;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => return show(&shown),
    };
    let handled = ctrlc::set_handler(|| {
        if replay::INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    if let Err(error) = handled {
        // The run does not depend on it.
        let _ = note(&format!(
            "pinfold-sim: Ctrl-C will not end this cleanly: {error}"
        ));
    }
    run::run(&cli).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &Error) -> ExitCode {
    // If this cannot be said, there is still the exit code.
    let _ = note(&format!("pinfold-sim: {error}"));
    match error {
        Error::Interrupted => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    }
}

/// Prints the help, the version, or what is wrong with the arguments.
fn show(shown: &clap::Error) -> ExitCode {
    let printed = shown.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&Error::write("standard output")(error))
        }
        _ => u8::try_from(shown.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}
