//! Makes a memory cgroup for `verify` and reclaims from it.

use crate::output::note;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Reclaim ends after this time without progress. The kernel balances active and inactive lists by
/// statistics that it updates every two seconds (`FLUSH_TIME`, `mm/memcontrol.c`), and until then does
/// not deactivate the pages of a small group.
const PATIENCE: Duration = Duration::from_millis(4500);

/// A memory cgroup that `verify` made; removed when dropped.
pub(super) struct Cgroup {
    dir: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Cgroup {
    pub(super) fn make() -> Result<Self> {
        let (parent, version) = mounted()?;
        if version == Version::V2 {
            // It is enabled already on most machines. If it cannot be, a file is missing below.
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        }
        let dir = parent.join(format!("pinfold-verify-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let cgroup = Self { dir, version };
        let file = cgroup.dir.join(cgroup.file());
        if !file.exists() {
            bail!("no {}", file.display());
        }
        if version == Version::V1 {
            fs::write(cgroup.dir.join("memory.swappiness"), "100").context("memory.swappiness")?;
        }
        Ok(cgroup)
    }

    pub(super) fn what(&self) -> String {
        format!("{} on {}", self.file(), self.dir.display())
    }

    /// Moves the process to the group, which is charged for what it allocates from now on.
    pub(super) fn take(&self, pid: i32) -> Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string()).context("cgroup.procs")
    }

    /// Lets the kernel reclaim until there is no progress: a page that one pass finds referenced may be
    /// taken by the next.
    pub(super) fn push(&self) -> Result<()> {
        let (mut usage, mut progress) = (u64::MAX, Instant::now());
        while progress.elapsed() < PATIENCE {
            self.push_once()?;
            sleep(Duration::from_millis(200));
            let now = self.usage()?;
            if now < usage {
                (usage, progress) = (now, Instant::now());
            }
        }
        Ok(())
    }

    fn push_once(&self) -> Result<()> {
        let file = self.dir.join(self.file());
        match self.version {
            // The limit cannot be reached: the kernel reclaims until there is no progress, then refuses
            // the limit. If it is reached, it is lifted at once.
            Version::V1 => {
                let pushed = fs::write(&file, "0");
                fs::write(&file, "-1").context("memory.limit_in_bytes")?;
                check(pushed, ErrorKind::ResourceBusy)
            }
            Version::V2 => check(
                fs::write(&file, self.usage()?.to_string()),
                ErrorKind::WouldBlock,
            ),
        }
    }

    fn usage(&self) -> Result<u64> {
        let file = match self.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        Ok(fs::read_to_string(self.dir.join(file))
            .context(file)?
            .trim()
            .parse()?)
    }

    const fn file(&self) -> &'static str {
        match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.reclaim",
        }
    }
}

/// The error that not all could be reclaimed is expected.
fn check(pushed: std::io::Result<()>, expected: ErrorKind) -> Result<()> {
    match pushed {
        Err(error) if error.kind() != expected && error.kind() != ErrorKind::Interrupted => {
            Err(error).context("memory pressure")
        }
        _ => Ok(()),
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed leaves its group a moment later.
        for _ in 0..100 {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    sleep(Duration::from_millis(20));
                }
                Err(error) => {
                    let dir = self.dir.display();
                    return note(format_args!("left behind: {dir}: {error}"));
                }
                Ok(()) => return,
            }
        }
        note(format_args!(
            "left behind: {}: still in use",
            self.dir.display()
        ));
    }
}

fn mounted() -> Result<(PathBuf, Version)> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    find(&mounts, |dir| {
        let controllers = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        controllers.split_whitespace().any(|name| name == "memory")
    })
    .context("no memory controller is mounted")
}

fn find(mounts: &str, v2_has_memory: impl Fn(&Path) -> bool) -> Option<(PathBuf, Version)> {
    mounts.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (dir, kind, options) = (Path::new(words.next()?), words.next()?, words.next()?);
        match kind {
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                Some((dir.to_owned(), Version::V1))
            }
            "cgroup2" if v2_has_memory(dir) => Some((dir.to_owned(), Version::V2)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if the mount of another controller, or a v2 mount without memory, is used.
    #[test]
    fn the_memory_controller_is_found_in_either_version() {
        let mounts = "cgroup /c/cpu cgroup rw,cpu 0 0\ncgroup2 /c/v2 cgroup2 rw 0 0\n\
                      cgroup /c/memory cgroup rw,memory 0 0\n";
        let found = |has_memory| find(mounts, |_| has_memory).map(|(dir, _)| dir);
        assert_eq!(found(false), Some(PathBuf::from("/c/memory")));
        assert_eq!(found(true), Some(PathBuf::from("/c/v2")));
        assert!(find("tmpfs /tmp tmpfs rw,memory 0 0\n", |_| true).is_none());
    }
}
