//! What reclaim would do with the pages of a live Linux process, and whether the kernel agrees.
//!
//! Linux's own pages plugged into `pinfold`: [`page`] implements its `PageLike` and `Vma` over what
//! `/proc` exports, [`whatif`] its `PageOps` and page tables over a machine of one imagined page, and
//! [`decide`] asks it for every page of a process. [`verify`] makes pages in every state it can, asks
//! the same way, lets the kernel reclaim them, and compares.

mod args;
mod decide;
mod inspect;
mod model;
mod page;
mod read;
mod report;
mod snapshot;
mod sys;
mod table;
mod verify;
mod whatif;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Record(args) => inspect::record(&args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::run(&args),
        Command::Hold => verify::hold().map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        // A reader such as `head` that has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pinfold-linux: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        io == Some(std::io::ErrorKind::BrokenPipe)
    })
}
