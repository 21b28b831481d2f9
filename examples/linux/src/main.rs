//! Shows what page reclaim would do with the pages of a Linux process, and checks it against the
//! running kernel.
//!
//! [`read`] reads a process from `/proc`, and [`model`] holds what was read. [`page`] implements
//! pinfold's `PageLike` and `Vma` for it, and [`whatif`] implements `PageOps`, `Rmap` and `PageTables`
//! for a simulated machine with one page. [`decide`] runs pinfold's `shrink_page` on that machine for
//! each page of the process, and [`report`] counts the results. [`verify`] makes pages in many states,
//! predicts in the same way what reclaim does with them, lets the kernel reclaim, and compares.

mod args;
mod check;
mod decide;
mod file;
mod inspect;
mod layout;
mod model;
mod output;
mod page;
mod pinned;
mod read;
mod report;
mod snapshot;
mod sys;
mod table;
mod verify;
mod whatif;

use args::{Cli, Command};
use output::OutputError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match Cli::read(output::width()) {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error),
    };
    let done = match command {
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Record(args) => inspect::record(&args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::run(&args),
        Command::Hold => verify::hold().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// Prints what the command line asks for, such as help, or what is wrong with it.
fn usage(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if error.use_stderr() {
        output::note_lines(&error.to_string());
        return code;
    }
    let printed = error
        .print()
        .and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
    match printed {
        Err(source) => failed(&OutputError::new("standard output", source).into()),
        Ok(()) => code,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(OutputError::Closed) => ExitCode::SUCCESS,
        _ => {
            output::note(format_args!("pinfold-linux: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
