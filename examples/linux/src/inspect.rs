//! The commands `inspect` and `record`.

use crate::args::{Inspect, Record, Subject};
use crate::file;
use crate::model::Observed;
use crate::output::{self, note};
use crate::read::{self, ReadError};
use crate::report::Report;
use crate::snapshot;
use crate::table::Shown;
use anyhow::{Context, Result, bail};
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a started command runs before the first report, in milliseconds.
const AFTER: u64 = 500;

/// Runs `inspect`.
pub(crate) fn run(args: &Inspect) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second one ends the program at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut source = Source::open(&args.subject)?;
    let time = Duration::from_millis(args.after.unwrap_or(AFTER));
    source.settle(time, &interrupted);
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
                if output::is_terminal() && !args.json {
                    output::print("\x1b[H\x1b[2J")?;
                }
                print(args, &observed)?;
            }
            // That it ends after the first report is how a watch ends.
            Err(error) if look > 0 && is_gone(&error) => {
                note(format_args!("the process ended after {look} report(s)"));
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
        Some(path) if path.as_os_str() != "-" => file::write(path, &text)?,
        _ => output::print_bytes(&text)?,
    }
    Ok(())
}

fn print(args: &Inspect, observed: &Observed) -> Result<()> {
    let top = args.top.and_then(|top| usize::try_from(top.get()).ok());
    let report = Report::of(observed, top);
    let printed = if args.json {
        output::print(serde_json::to_string(&report)? + "\n")
    } else {
        output::print(Shown {
            report: &report,
            policy: args.policy,
            width: output::width(),
        })
    };
    Ok(printed?)
}

fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReadError::Gone(_))) || error.is::<Ended>()
}

/// Waits for `time`; `false` if interrupted.
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

/// Where the observed process comes from.
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

    /// Lets a started command run, so that it has pages.
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
                if let Some(status) = started.process.try_wait()? {
                    let name = started.name.clone();
                    return Err(Ended { name, status }.into());
                }
                Ok(read::observe(i32::try_from(started.process.id())?)?)
            }
        }
    }
}

/// A command that ended before it was inspected.
#[derive(Debug, thiserror::Error)]
#[error(
    "the command {name} ended before it was inspected ({status}); --after sets the time until then, \
     in milliseconds"
)]
struct Ended {
    name: String,
    status: ExitStatus,
}

/// A command that this program has started, killed when dropped.
struct Started {
    name: String,
    process: Child,
}

impl Started {
    fn start(command: &[String]) -> Result<Self> {
        let Some((name, arguments)) = command.split_first() else {
            bail!("no command");
        };
        let process = Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.clone(),
            process,
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
