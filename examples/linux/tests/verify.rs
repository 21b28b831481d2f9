//! `verify`, for real where that is possible.
//!
//! Where it is not, the program prints what is missing. These tests pass if all pages agree or if it
//! prints such a reason, and on nothing else.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Swap belongs to the whole machine, so only one test at a time may set it up: of this process, and
/// of any other run of these tests, whose traces would be taken for leftovers.
fn alone() -> (MutexGuard<'static, ()>, File) {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::temp_dir().join("pinfold-linux-tests.lock");
    let file = File::create(path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    (guard, file)
}

fn verify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold-linux"));
    command.args(["verify", "--pages", "16"]);
    command
}

/// Whether a run was skipped with a reason.
fn skipped(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout);
    let reason = text.strip_prefix("verify: skipped: ");
    assert_eq!(
        output.status.code() == Some(77),
        reason.is_some(),
        "{output:?}"
    );
    if let Some(reason) = reason {
        assert!(
            reason.trim().len() > 10 && !reason.contains("predicted"),
            "no reason: {text:?}"
        );
        let able =
            rustix::process::geteuid().is_root() && std::env::var_os("PINFOLD_VERIFY").is_some();
        assert!(!able, "PINFOLD_VERIFY demands a run: {reason}");
    }
    reason.is_some()
}

/// Fails if any page did not go as predicted, a page pinned with `io_uring` or direct I/O was predicted
/// to be reclaimed, a state is missing without a reason, or unpinned pages were kept.
#[test]
fn the_kernel_does_as_predicted() {
    let _alone = alone();
    let before = traces();
    let output = verify().arg("--json").output().unwrap();
    if skipped(&output) {
        return;
    }
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{outcome:#}");
    let not_made = outcome["not_made"].to_string();
    let rows = outcome["rows"].as_array().unwrap();
    let mut states = BTreeSet::new();
    for row in rows {
        assert_eq!(row["agreed"], row["pages"], "{row:#}");
        assert_eq!(row["predicted"], row["observed"], "{row:#}");
        assert_eq!(row["pinned_but_reclaimable"], 0, "{row:#}");
        assert!(row["pages"].as_u64().unwrap() > 0);
        if row["pinned"] == true {
            let reclaimed = ["swapped", "gone"].map(|end| row["observed"][end].is_null());
            assert_eq!(reclaimed, [true; 2], "a pinned page was reclaimed: {row:#}");
        }
        states.insert(row["state"].as_str().unwrap().to_owned());
    }
    let expected = [
        "anonymous, dirty",
        "anonymous, clean (in swap cache)",
        "anonymous, PROT_NONE",
        "mlocked",
        "MADV_FREE",
        "MADV_FREE, then written",
        "zero page",
        "transparent huge page",
        "shared after fork (COW): parent's",
        "shared after fork (COW): child's",
        "shared memory",
        "mapped twice (memfd)",
        "shared file, clean",
        "shared file, dirty",
        "held by vmsplice (no pin)",
        "pinned by io_uring",
        "pinned by io_uring: unregistered",
        "pinned by io_uring, MADV_FREE",
        "pinned by io_uring, MADV_FREE: unregistered",
        "pinned by io_uring, huge page",
        "pinned by io_uring, huge page: unregistered",
        "pinned by io_uring, shared memory",
        "pinned by io_uring, shared memory: unregistered",
        "pinned by io_uring, then forked: parent's",
        "pinned by io_uring, then forked: child's",
        "pinned by io_uring, then forked: parent's: unregistered",
        "pinned by direct I/O in flight",
        "pinned by direct I/O in flight: I/O ended",
    ];
    for state in expected {
        let name = state.split(": ").next().unwrap();
        assert!(
            states.contains(state) || not_made.contains(name),
            "{state} is neither compared nor excused: {not_made}"
        );
    }
    assert!(states.contains("anonymous, dirty") && states.contains("mlocked"));
    assert_nothing_left(&before);
}

/// Fails if output that nobody reads, or that cannot be written, is a panic, changes the result, or
/// keeps `verify` from removing what it made; or if a line is wider than a terminal.
#[test]
fn the_end_of_its_output_leaves_nothing_behind() {
    let _alone = alone();
    let before = traces();
    let read = verify().output().unwrap();
    let mut closed = verify();
    closed.stdout(common::closed_pipe()).stderr(Stdio::piped());
    let closed = closed.output().unwrap();
    assert_eq!(closed.status, read.status, "{closed:?}");
    assert!(!String::from_utf8_lossy(&closed.stderr).contains("panicked"));
    assert_nothing_left(&before);

    let mut full = verify();
    full.stdout(common::full()).stderr(Stdio::piped());
    let full = full.output().unwrap();
    let error = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot write to standard output"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    assert_nothing_left(&before);

    common::assert_narrow("verify", &String::from_utf8_lossy(&read.stdout));
    if !skipped(&read) {
        assert_eq!(read.status.code(), Some(0), "{read:?}");
    }
}

/// Fails if an interrupt at any moment leaves swap, a device, a cgroup, a mount or files behind, or
/// ends with status 0.
#[test]
fn an_interrupt_leaves_nothing_behind() {
    let _alone = alone();
    let before = traces();
    let mut interrupted = 0;
    for (signal, after) in [
        (libc::SIGINT, 300),
        (libc::SIGTERM, 1500),
        (libc::SIGINT, 4000),
    ] {
        let child = verify()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(after));
        let pid = rustix::process::Pid::from_child(&child);
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        let _ = rustix::process::kill_process(pid, signal);
        let output = child.wait_with_output().unwrap();
        let code = output.status.code();
        if code == Some(77) {
            assert!(skipped(&output));
            return;
        }
        // It may have been done before the signal came.
        assert!(matches!(code, Some(130 | 0)), "{output:?}");
        interrupted += u32::from(code == Some(130));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!error.contains("left behind"), "{error}");
        assert_nothing_left(&before);
    }
    assert!(interrupted > 0, "every run was done before its signal came");
}

/// Fails if a run of an ordinary user does anything but print why it is skipped.
#[test]
fn an_ordinary_user_is_told_why_it_is_skipped() {
    let output = if rustix::process::geteuid().is_root() {
        let dir = tempfile::Builder::new()
            .prefix("pinfold")
            .tempdir_in("/tmp")
            .unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).unwrap();
        let copy = dir.path().join("pinfold-linux");
        fs::copy(env!("CARGO_BIN_EXE_pinfold-linux"), &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(copy).arg("verify").output().unwrap()
    } else {
        verify().output().unwrap()
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(text.starts_with("verify: skipped: not root"), "{text}");
}

/// Everything that a run can leave behind: swap, zram devices, cgroups, mounts, files, processes.
fn traces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    found.extend(
        swaps
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .map(String::from),
    );
    for (dir, prefix) in [
        ("/sys/block", "zram"),
        ("/sys/fs/cgroup", "pinfold-verify"),
        ("/sys/fs/cgroup/memory", "pinfold-verify"),
        ("/var/tmp", "pinfold-verify"),
    ] {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.starts_with(prefix)));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains("pinfold-verify"))
            .map(String::from),
    );
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.ends_with(b"\0hold\0") {
            found.insert(format!("holder {}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Demands that nothing is left behind. Children of a killed process end a moment after it.
fn assert_nothing_left(before: &BTreeSet<String>) {
    let end = Instant::now() + Duration::from_secs(5);
    while traces() != *before && Instant::now() < end {
        sleep(Duration::from_millis(50));
    }
    assert_eq!(traces(), *before);
}
