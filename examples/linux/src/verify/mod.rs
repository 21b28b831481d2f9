//! The command `verify`: makes pages in many states, predicts what reclaim does with them, lets the
//! kernel reclaim, and compares.

mod compare;
mod hold;
mod holder;
mod pressure;
mod protocol;
mod rules;
mod slow;
mod states;
mod subject;
mod swap;

pub(crate) use hold::hold;

use crate::args::Verify;
use crate::output::{self, OutputError, note};
use crate::read;
use anyhow::{Context, Result};
use compare::{Outcome, Row};
use pressure::Cgroup;
use rules::Way;
use slow::SlowFs;
use states::State;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use subject::{Made, Subject};
use swap::Swap;

/// The exit status of a run that was skipped, as in automake.
const SKIPPED: u8 = 77;
/// The exit status after SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs `verify`. The exit status is 0 if every page went as predicted, 1 if not, 77 if it cannot run
/// here, 130 if it was interrupted.
pub(crate) fn run(args: &Verify) -> Result<ExitCode> {
    let interrupted = Interrupted::listen()?;
    if let Some(missing) = missing() {
        return skipped(&missing);
    }
    prepare()?;
    let dir = tempfile::Builder::new()
        .prefix("pinfold-verify-")
        .tempdir_in("/var/tmp")?;
    // Dropped in reverse order on every return: swap after its users, before its directory.
    let swap = match Swap::get(dir.path()) {
        Ok(swap) => swap,
        Err(error) => {
            return skipped(&format!("no swap, and none can be set up: {error:#}"));
        }
    };
    let mut bench = Bench::new(args.pages, dir.path(), interrupted);
    let done = bench.page_out().and_then(|()| bench.pressure());
    if bench.interrupted.check().is_err() {
        note(format_args!(
            "verify: interrupted; removing what was set up"
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    done?;
    let outcome = Outcome {
        kernel: read::kernel(),
        swap: swap.what.clone(),
        cgroup: bench.cgroup_name.take(),
        rows: std::mem::take(&mut bench.rows),
        not_made: std::mem::take(&mut bench.not_made),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&outcome)? + "\n"
    } else {
        outcome.text(output::width())
    };
    let code = if outcome.is_right() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    show(&text, code)
}

fn skipped(why: &str) -> Result<ExitCode> {
    let text = output::wrapped(&format!("verify: skipped: {why}"), output::width());
    show(&text, ExitCode::from(SKIPPED))
}

/// Prints the result. That nobody reads it does not change the result.
fn show(text: &str, code: ExitCode) -> Result<ExitCode> {
    match output::print(text) {
        Ok(()) | Err(OutputError::Closed) => Ok(code),
        Err(error) => Err(error.into()),
    }
}

/// What is missing to run here, if anything is.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root (run it with sudo): it reads frames and sets up swap".to_owned());
    }
    let own = i32::try_from(std::process::id()).ok()?;
    let probe = 0u8;
    let page = std::ptr::from_ref(&probe).addr() as u64 & !(procfs::page_size() - 1);
    match read::entries(own, page, 1) {
        Err(error) => Some(format!("frames cannot be read: {error}")),
        Ok(entries) if entries.iter().all(|entry| entry.pfn == 0) => {
            Some("frame numbers are hidden: CAP_SYS_ADMIN is missing".to_owned())
        }
        Ok(_) => None,
    }
}

/// Binds this process and its children to one CPU, because each CPU has its own batches of pages that
/// are not on the LRU lists yet. Makes a mount namespace, so that mounts go with this process.
fn prepare() -> Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &cpus).context("sched_setaffinity")?;
    if crate::sys::own_mounts().is_err() {
        note(format_args!(
            "verify: no mount namespace of its own; mounts are removed at the end"
        ));
    }
    Ok(())
}

/// Whether a signal asked to end. It is checked at every step, so that everything is removed in order.
#[derive(Clone)]
struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            anyhow::bail!("interrupted");
        }
        Ok(())
    }
}

struct Bench<'a> {
    pages: u32,
    dir: &'a std::path::Path,
    interrupted: Interrupted,
    slow: Option<SlowFs>,
    cgroup_name: Option<String>,
    rows: Vec<Row>,
    not_made: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(pages: u32, dir: &'a std::path::Path, interrupted: Interrupted) -> Self {
        let mut not_made = Vec::new();
        let mount = dir.join("slow");
        let slow = std::fs::create_dir(&mount)
            .map_err(Into::into)
            .and_then(|()| SlowFs::mount(&mount))
            .map_err(|error| not_made.push(format!("{}: {error:#}", State::DirectIo.name())))
            .ok();
        Self {
            pages,
            dir,
            interrupted,
            slow,
            cgroup_name: None,
            rows: Vec::new(),
            not_made,
        }
    }

    /// For each state: makes pages and reclaims them with `MADV_PAGEOUT`. Pinned pages are then unpinned
    /// and reclaimed again.
    fn page_out(&mut self) -> Result<()> {
        for state in State::ALL {
            self.interrupted.check()?;
            let Some(mut subject) = self.make(state, None)? else {
                continue;
            };
            self.row(&mut subject, Way::PageOut, Subject::page_out)?;
            if subject.release(self.slow.as_ref())? {
                self.row(&mut subject, Way::PageOut, Subject::page_out)?;
            }
        }
        Ok(())
    }

    /// Makes pages in all states in one memory cgroup and reclaims them by pressure. Pinned pages are
    /// then unpinned and reclaimed again.
    fn pressure(&mut self) -> Result<()> {
        let cgroup = match Cgroup::make() {
            Ok(cgroup) => cgroup,
            Err(error) => {
                self.not_made
                    .push(format!("pressure on a memory cgroup: {error:#}"));
                return Ok(());
            }
        };
        self.cgroup_name = Some(cgroup.what());
        // Declared after the cgroup, so that they are dropped, and their processes end, before it.
        let mut subjects = Vec::new();
        for state in State::ALL {
            self.interrupted.check()?;
            if state == State::FileDirty {
                self.not_made.push(format!(
                    "{}, under memory pressure: its fate depends on when the flusher writes it",
                    state.name()
                ));
                continue;
            }
            subjects.extend(self.make(state, Some(&cgroup))?);
        }
        self.push(&mut subjects, &cgroup)?;
        let mut released = Vec::new();
        for mut subject in subjects {
            if subject.release(self.slow.as_ref())? {
                released.push(subject);
            }
        }
        self.push(&mut released, &cgroup)
    }

    fn push(&mut self, subjects: &mut [Subject], cgroup: &Cgroup) -> Result<()> {
        let mut predicted = Vec::new();
        for subject in &mut *subjects {
            self.interrupted.check()?;
            predicted.push(subject.predict(Way::Cgroup)?);
        }
        cgroup.push()?;
        for (subject, predicted) in subjects.iter_mut().zip(predicted) {
            self.interrupted.check()?;
            let rows = subject.compare(Way::Cgroup, predicted)?;
            self.rows.extend(rows);
        }
        Ok(())
    }

    fn make(&mut self, state: State, cgroup: Option<&Cgroup>) -> Result<Option<Subject>> {
        if state == State::DirectIo && self.slow.is_none() {
            return Ok(None);
        }
        match Subject::make(state, self.pages, self.dir, self.slow.as_ref(), cgroup)? {
            Made::Subject(subject) => Ok(Some(subject)),
            Made::Not(why) => {
                let line = format!("{}: {why}", state.name());
                if !self.not_made.contains(&line) {
                    self.not_made.push(line);
                }
                Ok(None)
            }
        }
    }

    fn row(
        &mut self,
        subject: &mut Subject,
        way: Way,
        reclaim: impl Fn(&mut Subject) -> Result<()>,
    ) -> Result<()> {
        let predicted = subject.predict(way)?;
        reclaim(subject)?;
        let rows = subject.compare(way, predicted)?;
        self.rows.extend(rows);
        Ok(())
    }
}
