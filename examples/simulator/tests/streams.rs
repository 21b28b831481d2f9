//! Standard output and standard error: closed, full, and asked for by name.
#![cfg(unix)]

use assert_cmd::Command;
use predicates::str::{contains, is_empty, starts_with};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};
use tempfile::TempDir;

const SIM: &str = env!("CARGO_BIN_EXE_pinfold-sim");

/// A run that takes no time.
const SHORT: &[&str] = &["--limit=3000", "--seeds=1", "--policy=lazy"];

fn sim() -> Command {
    Command::new(SIM)
}

fn names(dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into())
        .collect()
}

/// Everything that is printed.
const PRINTERS: [&[&str]; 11] = [
    SHORT,
    &[SHORT[0], SHORT[1], SHORT[2], "--json"],
    &[SHORT[0], SHORT[1], SHORT[2], "--report=-"],
    &["--model=lru", "--limit=3000"],
    &["--model=lru", "--limit=3000", "--json"],
    &["scenario"],
    &["scenario", "a", "--json"],
    &["import", "sqlite", "--limit=3000"],
    &["generate", "-", "--format=csv", "--requests=9999"],
    &["--help"],
    &["--version"],
];

fn with(args: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Output {
    let mut process = Process::new(SIM);
    process.args(args).stdin(Stdio::null());
    process.stdout(stdout).stderr(stderr).output().unwrap()
}

fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for args in PRINTERS {
        let output = with(args, closed(), Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        // `import` says how much it kept.
        assert!(
            said.is_empty() || args[0] == "import" && said.lines().count() == 1,
            "{args:?}: {said}"
        );
    }
}

#[test]
fn full_output_is_an_error() {
    for args in PRINTERS {
        let output = with(args, full(), Stdio::piped());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("pinfold-sim: standard output cannot be written: No space left"),
            "{args:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn full_standard_error_is_no_panic() {
    for stream in [full, closed] {
        // What was asked for and cannot be shown is an error, which nobody can be told.
        for args in [
            &["--model=lru", "--limit=3000", "--timing"][..],
            &["import", "sqlite", "--limit=3000"],
            &["/no/such/trace.csv"],
        ] {
            let output = with(args, Stdio::piped(), stream());
            assert_eq!(output.status.code(), Some(1), "{args:?}");
        }
        let output = with(&["--seeds=none"], Stdio::piped(), stream());
        assert!(matches!(output.status.code(), Some(1 | 2)));
    }
}

#[test]
fn a_dash_is_standard_output() {
    let dir = TempDir::new().unwrap();
    let here = |args: &[&str]| sim().current_dir(&dir).args(args).assert();
    let short = |more: &[&'static str]| [SHORT, more].concat();
    here(&short(&["--report", "-"]))
        .success()
        .stdout(starts_with("<!doctype html>"));
    here(&short(&["--svg", "-"]))
        .success()
        .stdout(starts_with("<svg"));
    here(&["import", "sqlite", "--limit=3000", "--out", "-"])
        .success()
        .stdout(starts_with("time,object,size"));
    let generated = here(&["generate", "-", "--format=oracleGeneral", "--requests=50"]).success();
    assert_eq!(generated.get_output().stdout.len(), 50 * 24);
    for more in [
        &["--report", "-", "--svg", "-"][..],
        &["--report", "-", "--json"],
        &["--svg", "-", "--json"],
    ] {
        here(&short(more))
            .code(1)
            .stdout(is_empty())
            .stderr(contains("standard output"));
    }
    assert_eq!(names(&dir).len(), 0, "no file of that name");
    here(&short(&["--report", "./-"])).success();
    assert_eq!(names(&dir), [Path::new("-")]);
}

/// `--report /dev/stdout >file`: the file is the shell's, and must not be replaced under it.
#[test]
fn what_the_shell_has_opened_is_written_to() {
    let dir = TempDir::new().unwrap();
    for (stream, device) in [("1", "/dev/stdout"), ("2", "/dev/stderr")] {
        let path = dir.path().join(stream);
        fs::write(&path, "before\n").unwrap();
        let log = || File::options().append(true).open(&path).unwrap();
        let mut args = SHORT.to_vec();
        args.extend(["--timing", "--report", device]);
        let output = if stream == "1" {
            with(&args, log(), Stdio::piped())
        } else {
            with(&args, Stdio::piped(), log())
        };
        assert!(output.status.success());
        let all = fs::read_to_string(&path).unwrap();
        let own = if stream == "1" { "cc1: 3000" } else { "timing" };
        assert!(all.starts_with("before\n") && all.contains("</html>") && all.contains(own));
    }
}
