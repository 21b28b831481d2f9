//! `inspect` and `record`: look, decide, print.

use crate::args::{Inspect, Record, Subject};
use crate::model::Observed;
use crate::read::{self, ReadError};
use crate::report::Report;
use crate::snapshot;
use crate::table::Shown;
use anyhow::{Context, Result, bail};
use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs `inspect`.
pub(crate) fn run(args: &Inspect) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second one ends the program at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut source = Source::open(&args.subject)?;
    source.settle(Duration::from_millis(args.after), &interrupted);
    let Some(every) = args.watch else {
        return print(args, &source.look()?);
    };
    let looks = args.looks.map_or(u32::MAX, std::num::NonZeroU32::get);
    for look in 0..looks {
        if look > 0 && !pause(Duration::from_secs(every.get().into()), &interrupted) {
            break;
        }
        match source.look() {
            Ok(observed) => {
                if io::stdout().is_terminal() && !args.json {
                    print!("\x1b[H\x1b[2J");
                }
                print(args, &observed)?;
            }
            // It was there before: a watch ends with the process that it watches.
            Err(error) if look > 0 && is_gone(&error) => {
                eprintln!("the process ended after {look} looks");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Runs `record`.
pub(crate) fn record(args: &Record) -> Result<()> {
    let text = snapshot::write(&read::observe(args.pid)?)?;
    match &args.output {
        None => io::stdout().write_all(&text).context("standard output"),
        Some(path) => std::fs::write(path, text).with_context(|| path.display().to_string()),
    }
}

fn print(args: &Inspect, observed: &Observed) -> Result<()> {
    let report = Report::of(observed, args.top);
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(
            out,
            "{}",
            Shown {
                report: &report,
                policy: args.policy
            }
        )?;
    }
    Ok(out.flush()?)
}

fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReadError::Gone(_)))
}

/// Waits; `false` if it was interrupted.
fn pause(time: Duration, interrupted: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if interrupted.load(Ordering::Relaxed) {
            return false;
        }
        sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
    }
    !interrupted.load(Ordering::Relaxed)
}

/// Where pages come from.
enum Source {
    Live(i32),
    File(Box<Observed>),
    Started(Started),
}

impl Source {
    fn open(subject: &Subject) -> Result<Self> {
        if let Some(path) = &subject.snapshot {
            return Ok(Self::File(Box::new(snapshot::read(path)?)));
        }
        if let Some(pid) = subject.pid {
            return Ok(Self::Live(pid));
        }
        Ok(Self::Started(Started::start(&subject.command)?))
    }

    /// Gives a command that was started the time to make its pages.
    fn settle(&self, time: Duration, interrupted: &AtomicBool) {
        if matches!(self, Self::Started(_)) {
            pause(time, interrupted);
        }
    }

    fn look(&mut self) -> Result<Observed> {
        match self {
            Self::Live(pid) => Ok(read::observe(*pid)?),
            Self::File(observed) => Ok((**observed).clone()),
            Self::Started(started) => {
                let pid = i32::try_from(started.0.id())?;
                if let Some(status) = started.0.try_wait()? {
                    eprintln!("the command ended: {status}");
                    return Err(ReadError::Gone(pid).into());
                }
                Ok(read::observe(pid)?)
            }
        }
    }
}

/// A command that we started, and that ends when we are done with it.
struct Started(Child);

impl Started {
    fn start(command: &[String]) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            bail!("no command");
        };
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self(child))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
