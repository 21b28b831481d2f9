//! Errors as a new user meets them: each names its cause once, and says what to do.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{assert_narrow, program, snapshot};
use std::process::{Command, Stdio};

/// The message of a command line that is refused with this status.
fn refused(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {error}");
    assert_narrow(&format!("{command:?}"), &error);
    // Messages are wrapped; what they say is the same on one line.
    error.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn said(line: &[&str], code: i32) -> String {
    let mut command = program();
    command.args(line).stdin(Stdio::null());
    refused(command, code)
}

fn assert_says(message: &str, all: &[&str]) {
    for words in all {
        assert!(message.contains(words), "{words:?} is not in {message:?}");
    }
}

/// Fails if the system's reason is given twice, or the file is not named.
#[test]
fn a_missing_snapshot_is_named_once() {
    let error = said(&["inspect", "--snapshot", "/nonexistent/x.json"], 1);
    assert_eq!(error.matches("/nonexistent/x.json").count(), 1, "{error}");
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
    let error = said(&["inspect", "--snapshot", "/"], 1);
    assert_eq!(error.matches("directory").count(), 1, "{error}");
}

/// Fails if the place in a broken file is given twice.
#[test]
fn a_broken_snapshot_is_located_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.json");
    std::fs::write(&file, "{\n").unwrap();
    let file = file.display().to_string();
    let error = said(&["inspect", "--snapshot", &file], 1);
    assert_eq!(error.matches("line 2").count(), 1, "{error}");
    assert_says(&error, &["column 0", "EOF"]);
    assert!(!error.contains('?'), "a field that is not known: {error}");
    std::fs::write(&file, "[package]\n").unwrap();
    assert_says(
        &said(&["inspect", "--snapshot", &file], 1),
        &["line 1", "not a snapshot"],
    );
    // The standard input of these tests is empty.
    let error = said(&["inspect", "--snapshot", "-"], 1);
    assert_says(&error, &["standard input: line 1"]);
}

/// Fails if a number or a file without its option gets no hint of the option.
#[test]
fn a_stray_argument_gets_a_hint() {
    assert_says(&said(&["inspect", "1"], 2), &["'--pid 1'"]);
    assert_says(&said(&["record", "17"], 2), &["'--pid 17'"]);
    assert_says(&said(&["inspect", "self"], 2), &["'--pid self'"]);
    let verify = said(&["verify", "17"], 2);
    assert!(!verify.contains("--pid"), "{verify}");
    let file = snapshot().display().to_string();
    assert_says(&said(&["inspect", &file], 2), &["'--snapshot "]);
    assert_says(&said(&["inspect", "sleep", "10"], 2), &["'-- sleep'"]);
}

/// Fails if nothing at all, or a number that cannot be, is answered in the words of the code.
#[test]
fn numbers_that_cannot_be_are_refused_with_what_can() {
    let error = said(&["inspect", "--watch", "0", "--pid", "self"], 2);
    assert_says(&error, &["--watch", "at least 1 second"]);
    assert!(!error.contains("non-zero type"), "{error}");
    let looks = ["inspect", "--watch", "--looks", "0", "--pid", "self"];
    assert_says(&said(&looks, 2), &["--looks", "at least 1"]);
    for pid in ["0", "-1", "abc", "99999999999"] {
        let option = format!("--pid={pid}");
        let error = said(&["inspect", &option], 2);
        assert_says(&error, &[pid, "process ID", "self"]);
    }
}

/// Fails if an option that does nothing is taken without a word.
#[test]
fn options_that_would_do_nothing_are_refused() {
    let file = snapshot().display().to_string();
    let watch = [
        "inspect",
        "--watch",
        "1",
        "--looks",
        "2",
        "--snapshot",
        &file,
    ];
    assert_says(&said(&watch, 2), &["--watch", "--snapshot"]);
    let after = ["inspect", "--after", "10", "--pid", "self"];
    assert_says(&said(&after, 2), &["--after", "--pid"]);
    let top = ["inspect", "--top", "0", "--pid", "self"];
    assert_says(&said(&top, 2), &["--top", "at least 1"]);
}

/// Fails if a command that ends at once is called a process that is gone, or its status is lost.
#[test]
fn a_command_that_ends_early_is_named() {
    let error = said(&["inspect", "--", "false"], 1);
    assert_says(&error, &["false", "exit status: 1", "--after"]);
    assert!(!error.contains("no process"), "{error}");
    let error = said(&["inspect", "--", "/nonexistent/command"], 1);
    assert_eq!(error.matches("/nonexistent/command").count(), 1, "{error}");
}

/// Fails if a place that cannot be written is not named, or named twice.
#[test]
fn an_output_that_cannot_be_made_is_named_once() {
    let error = said(&["record", "--pid", "self", "-o", "/nonexistent/x"], 1);
    assert_says(&error, &["cannot write"]);
    assert_eq!(error.matches("/nonexistent/x").count(), 1, "{error}");
    let error = said(&["record", "--pid", "self", "-o", "/"], 1);
    assert_eq!(error.matches("directory").count(), 1, "{error}");
}

/// Newer kernels accept each of the three.
const NONE: &str = "-sys_ptrace,-perfmon,-sys_admin";

/// A process that only a capability lets the program read, and the message without that capability.
fn without(capabilities: &str, user: &[&str], victim: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // The binary may lie where nobody else can reach it, so a copy is run.
    let dir = tempfile::Builder::new()
        .prefix("pinfold")
        .tempdir_in("/tmp")
        .unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let copy = dir.path().join("pinfold-linux");
    std::fs::copy(env!("CARGO_BIN_EXE_pinfold-linux"), &copy).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(user)
        .arg(format!("--bounding-set={capabilities}"))
        .arg(copy)
        .args(["inspect", "--pid", victim]);
    Some(refused(command, 1))
}

struct Victim(std::process::Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fails if a process that may not be read is refused without naming the capability that is missing,
/// or if root is told to become root.
#[test]
fn a_missing_capability_is_named() {
    let sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    let victim = Victim(sleep);
    let pid = victim.0.id().to_string();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let Some(error) = without(NONE, &nobody, &pid) else {
        return;
    };
    assert_says(
        &error,
        &[
            &format!("process {pid}"),
            "without CAP_SYS_PTRACE",
            "user 65534",
            "user 0",
        ],
    );
    assert!(error.contains("sudo"), "{error}");
    // The process has a capability that the program has not, so being root is not enough.
    let Some(error) = without(NONE, &[], &pid) else {
        return;
    };
    assert_says(
        &error,
        &[
            &format!("process {pid}"),
            "without CAP_SYS_PTRACE",
            "user 0",
        ],
    );
    assert!(
        !error.contains("sudo") && !error.contains("as root"),
        "{error}"
    );
}
