//! `verify`: make pages in every state, predict their fate, let the kernel reclaim, compare.

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

/// The exit code of a run that was skipped, as test harnesses know it.
const SKIPPED: u8 = 77;
/// The exit code after SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs `verify`: 0 if the kernel did as predicted, 1 if not, 77 if it could not be asked.
pub(crate) fn run(args: &Verify) -> Result<ExitCode> {
    let interrupted = Interrupted::listen()?;
    if let Some(missing) = missing() {
        println!("verify: skipped: {missing}");
        return Ok(ExitCode::from(SKIPPED));
    }
    prepare()?;
    let dir = tempfile::Builder::new()
        .prefix("pinfold-verify-")
        .tempdir_in("/var/tmp")?;
    // Dropped in the reverse order, on every way out: swap last but for the directory it may be in.
    let swap = match Swap::get(dir.path()) {
        Ok(swap) => swap,
        Err(error) => {
            println!("verify: skipped: no swap, and none can be set up: {error:#}");
            return Ok(ExitCode::from(SKIPPED));
        }
    };
    let mut bench = Bench::new(args.pages, dir.path(), interrupted);
    let done = bench.page_out().and_then(|()| bench.pressure());
    if bench.interrupted.check().is_err() {
        eprintln!("verify: interrupted; taking away what was set up");
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
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{outcome}");
    }
    Ok(if outcome.is_right() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What this cannot do without, if it is not there.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root, so frames are hidden and swap cannot be set up".to_owned());
    }
    let own = i32::try_from(std::process::id()).ok()?;
    let probe = 0u8;
    let page = std::ptr::from_ref(&probe).addr() as u64 & !(procfs::page_size() - 1);
    match read::entries(own, page, 1) {
        Err(error) => Some(format!("frames cannot be read: {error}")),
        Ok(entries) if entries.iter().all(|entry| entry.pfn == 0) => {
            Some("frame numbers are hidden (no CAP_SYS_ADMIN)".to_owned())
        }
        Ok(_) => None,
    }
}

/// One CPU for all, since each gathers fresh pages on lists of its own first; and mounts of our own,
/// which end with us whatever happens.
fn prepare() -> Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &cpus).context("sched_setaffinity")?;
    if crate::sys::own_mounts().is_err() {
        eprintln!("verify: no mount namespace of our own; mounts are taken away at the end");
    }
    Ok(())
}

/// Whether a signal asked us to end. Every step looks, so that everything is taken away in order.
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

    /// Each state for itself: made, reclaimed with `MADV_PAGEOUT`; unpinned if it was pinned, and
    /// reclaimed once more.
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

    /// All states together in a cgroup that is pushed; then unpinned, and pushed once more.
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
        // After the cgroup, so that they are dropped, and their processes gone, before it.
        let mut subjects = Vec::new();
        for state in State::ALL {
            self.interrupted.check()?;
            if state == State::FileDirty {
                self.not_made.push(format!(
                    "{}, under pressure: when the flusher writes it is not the page's to say",
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
