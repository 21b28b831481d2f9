//! Files that results go to: those that exist already, links, pipes, devices, and places that cannot be
//! written to.
#![cfg(unix)]

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use tempfile::TempDir;

const SIM: &str = env!("CARGO_BIN_EXE_pinfold-sim");

/// A run that takes no time.
const SHORT: &[&str] = &["--limit=3000", "--seeds=1", "--policy=lazy"];

fn sim() -> Command {
    Command::new(SIM)
}

/// Every way to write a file, and how the file begins then. The path follows the arguments.
const WRITERS: [(&[&str], &[u8]); 4] = [
    (
        &[SHORT[0], SHORT[1], SHORT[2], "--report"],
        b"<!doctype html>",
    ),
    (&[SHORT[0], SHORT[1], SHORT[2], "--svg"], b"<svg"),
    (
        &["import", "sqlite", "--limit", "3000", "--out"],
        b"time,object",
    ),
    (
        &[
            "generate",
            "--requests=500",
            "--format=oracleGeneral",
            "--objects=9",
        ],
        &[0, 0, 0, 0],
    ),
];

fn written(writer: usize, path: &Path) {
    let (args, begins) = WRITERS[writer];
    sim().args(args).arg(path).assert().success();
    let content = fs::read(path).unwrap().to_ascii_lowercase();
    assert!(content.starts_with(begins), "{args:?}");
    assert!(content.len() > 100);
}

fn names(dir: &TempDir) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn links_are_followed() {
    for writer in 0..WRITERS.len() {
        let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let target = elsewhere.path().join("target.out");
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        symlink(&target, &first).unwrap();
        symlink("first", &second).unwrap();
        // The target is made where the link says, and then replaced there.
        for _ in 0..2 {
            written(writer, &second);
            for link in [&first, &second] {
                assert!(fs::symlink_metadata(link).unwrap().is_symlink());
            }
            assert!(target.is_file());
            assert_eq!((names(&dir).len(), names(&elsewhere).len()), (2, 1));
        }
    }
}

#[test]
fn modes_and_other_names_are_kept() {
    for writer in 0..WRITERS.len() {
        let dir = TempDir::new().unwrap();
        let (fresh, plain) = (dir.path().join("fresh"), dir.path().join("plain"));
        File::create(&plain).unwrap();
        written(writer, &fresh);
        assert_eq!(mode(&fresh), mode(&plain), "a new file follows the umask");
        for bits in [0o600, 0o640, 0o606, 0o755] {
            fs::set_permissions(&plain, Permissions::from_mode(bits)).unwrap();
            written(writer, &plain);
            assert_eq!(mode(&plain), bits);
        }
        let other = dir.path().join("other");
        fs::hard_link(&plain, &other).unwrap();
        fs::write(&plain, "old ".repeat(200_000)).unwrap();
        written(writer, &plain);
        let content = fs::read(&other).unwrap();
        assert_eq!(content, fs::read(&plain).unwrap());
        assert!(!content.ends_with(b"old "), "nothing old is left");
    }
}

#[test]
fn owners_are_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("theirs");
    File::create(&path).unwrap();
    // Only root can give files away.
    if std::os::unix::fs::chown(&path, Some(65534), Some(65534)).is_err() {
        return;
    }
    for writer in 0..WRITERS.len() {
        written(writer, &path);
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.uid(), now.gid()), (65534, 65534));
    }
}

fn succeeds(program: &str, args: &[&str], path: &Path) -> bool {
    let status = Process::new(program)
        .args([path.as_os_str()])
        .args(args)
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn pipes_are_written_to() {
    for (args, begins) in WRITERS {
        let dir = TempDir::new().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(succeeds("mkfifo", &[], &fifo));
        let reader = Process::new("timeout")
            .args(["60", "cat"])
            .arg(&fifo)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        sim().args(args).arg(&fifo).assert().success();
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
        let got = reader.wait_with_output().unwrap().stdout;
        assert!(got.to_ascii_lowercase().starts_with(begins));
        assert_eq!(names(&dir).len(), 1);
    }
}

/// A device of one's own: only root can make one, and only where the file system allows devices.
fn device(dir: &TempDir, minor: &str) -> Option<PathBuf> {
    let path = dir.path().join(minor);
    let made = succeeds("mknod", &["c", "1", minor], &path);
    (made && File::options().write(true).open(&path).is_ok()).then_some(path)
}

#[test]
fn devices_are_written_to() {
    let dir = TempDir::new().unwrap();
    let (Some(null), Some(full)) = (device(&dir, "3"), device(&dir, "7")) else {
        return;
    };
    for (args, _) in WRITERS {
        sim().args(args).arg(&null).assert().success();
        sim()
            .args(args)
            .arg(&full)
            .assert()
            .code(1)
            .stderr(contains(full.to_str().unwrap()))
            .stderr(contains("No space left on device"));
        for node in [&null, &full] {
            assert!(fs::metadata(node).unwrap().file_type().is_char_device());
        }
    }
    assert_eq!(names(&dir).len(), 2);
}

#[test]
fn a_run_that_fails_leaves_the_old_file() {
    let dir = TempDir::new().unwrap();
    let (bad, old) = (dir.path().join("bad.csv"), dir.path().join("old"));
    fs::write(&bad, "object\n1\n2\nthree\n").unwrap();
    fs::write(&old, "old").unwrap();
    for args in [
        &["import"][..],
        &["--frames=100", "--workload=none"],
        &["--workload=none"],
    ] {
        let option = if args == ["import"] {
            "--out"
        } else {
            "--report"
        };
        let mut command = sim();
        command.args(args).arg(&bad).arg(option).arg(&old);
        command.assert().code(1).stderr(contains("line 4"));
        assert_eq!(fs::read(&old).unwrap(), b"old");
        assert_eq!(names(&dir).len(), 2);
    }
}

/// That the target is named, and not the trace, shows that nothing was read before.
#[test]
fn targets_are_checked_before_the_run() {
    let dir = TempDir::new().unwrap();
    let below_a_file = dir.path().join("file/x.html");
    fs::write(dir.path().join("file"), "").unwrap();
    let looping = dir.path().join("looping");
    symlink("looping", &looping).unwrap();
    for (target, says) in [
        (Path::new("/no/such/place/x.html"), "no such directory"),
        (&below_a_file, "file/x.html"),
        (&looping, "looping"),
        (dir.path(), "a directory"),
        (Path::new("new/"), "a directory"),
    ] {
        for frames in ["60%", "1000"] {
            for option in ["--report", "--svg"] {
                sim()
                    .args(["/no/such/trace.csv", "--frames", frames, option])
                    .arg(target)
                    .assert()
                    .code(1)
                    .stderr(contains(says).and(contains(".part").not()));
            }
        }
        sim()
            .args(["import", "/no/such/trace.csv", "--out"])
            .arg(target)
            .assert()
            .code(1)
            .stderr(contains(says));
        sim()
            .args(["generate", "--format=csv"])
            .arg(target)
            .assert()
            .code(1)
            .stderr(contains(says));
    }
    assert_eq!(names(&dir), [Path::new("file"), Path::new("looping")]);
}

#[test]
fn two_results_do_not_go_into_one_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("both");
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    sim()
        .args(SHORT)
        .arg("--report")
        .arg(&path)
        .arg("--svg")
        .arg(&link)
        .assert()
        .code(1)
        .stderr(contains("--svg").and(contains("--report")));
    assert_eq!(names(&dir).len(), 1);
}

#[test]
fn an_interrupt_takes_back_what_was_begun() {
    let dir = TempDir::new().unwrap();
    let old = dir.path().join("old.oracleGeneral");
    fs::write(&old, "old").unwrap();
    let mut child = Process::new(SIM)
        .arg("generate")
        .arg(&old)
        .arg("--requests=4000000000")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    let pid = child.id().to_string();
    let killed = Process::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // It would write 96 GB.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(fs::read(&old).unwrap(), b"old");
    assert_eq!(names(&dir).len(), 1);
}
