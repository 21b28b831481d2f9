//! Replays memory traces, with DMA pins over them, under every reclaim policy of pinfold.

mod cli;
mod costs;
mod error;
mod generate;
mod import;
mod index;
mod machine;
mod model;
mod policy;
mod replay;
mod report;
mod run;
mod scenario;
mod summary;
mod trace;
mod workload;

use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let handled = ctrlc::set_handler(|| {
        if replay::INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    if let Err(error) = handled {
        eprintln!("pinfold-sim: Ctrl-C will not end this cleanly: {error}");
    }
    match run::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::Error::Interrupted) => {
            eprintln!("pinfold-sim: {}", error::Error::Interrupted);
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("pinfold-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
