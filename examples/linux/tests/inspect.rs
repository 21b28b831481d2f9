//! `inspect` and `record`, run as a user runs them.
#![allow(missing_docs, clippy::unwrap_used)]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-linux"))
}

/// A real process with an `io_uring` buffer registered, recorded by `record`.
fn snapshot() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/pinned.json"
    ))
}

fn json(command: &mut Command) -> Value {
    let output = command.assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails if a part of the text is missing, or a process cannot inspect itself.
#[test]
fn self_is_seen_by_anybody() {
    program()
        .args(["inspect", "--pid", "self"])
        .assert()
        .success()
        .stdout(
            contains("pages in memory")
                .and(contains("[heap]"))
                .and(contains("In total")),
        )
        .stdout(contains("SkipOpportunistic").and(contains("IgnorePins")));
}

/// Fails if pages are lost or counted twice between the VMAs, the classes and the total.
#[test]
fn every_page_is_counted_once() {
    let report = json(program().args(["inspect", "--json", "--pid", "self"]));
    let resident = report["resident"].as_u64().unwrap();
    assert!(resident > 100, "{resident} pages");
    let sum = |map: &Value| -> u64 {
        map.as_object()
            .unwrap()
            .values()
            .map(|pages| pages.as_u64().unwrap())
            .sum()
    };
    for policy in [
        "ignore-pins",
        "skip-pinned",
        "skip-opportunistic",
        "skip-longterm",
    ] {
        let total = &report["totals"][policy];
        assert_eq!(sum(&total["classes"]), resident, "{policy}");
        assert_eq!(sum(&total["sure"]), resident, "{policy}");
        let areas = report["areas"].as_array().unwrap();
        let by_area: u64 = areas
            .iter()
            .map(|area| sum(&area["policies"][policy]["classes"]))
            .sum();
        assert_eq!(by_area, resident, "{policy}");
    }
}

/// Fails if `--top` lists more, or changes what is counted.
#[test]
fn top_lists_fewer_and_counts_all() {
    let all = json(
        program()
            .args(["inspect", "--json", "--snapshot"])
            .arg(snapshot()),
    );
    let top = json(
        program()
            .args(["inspect", "--json", "--top", "2", "--snapshot"])
            .arg(snapshot()),
    );
    assert_eq!(top["totals"], all["totals"]);
    let sizes = |report: &Value| -> Vec<u64> {
        let areas = report["areas"].as_array().unwrap();
        areas
            .iter()
            .map(|area| area["resident"].as_u64().unwrap())
            .collect()
    };
    let mut largest = sizes(&all);
    largest.sort_by_key(|pages| std::cmp::Reverse(*pages));
    assert_eq!(sizes(&top), largest[..2]);
    assert_eq!(top["areas_left_out"], largest.len() - 2);
}

/// Fails if a field is not written to the snapshot, or not read from it.
#[test]
fn a_snapshot_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("self.json");
    program()
        .args(["record", "--pid", "self", "-o"])
        .arg(&file)
        .assert()
        .success();
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let report = json(
        program()
            .args(["inspect", "--json", "--snapshot"])
            .arg(&file),
    );
    assert_eq!(report["process"], recorded["observed"]["process"]);
    let pages = |area: &Value| -> u64 {
        let runs = area["runs"].as_array().unwrap();
        runs.iter().map(|run| run["pages"].as_u64().unwrap()).sum()
    };
    let areas = recorded["observed"]["areas"].as_array().unwrap();
    let total: u64 = areas.iter().map(pages).sum();
    let seen = report["resident"].as_u64().unwrap() + report["swapped"].as_u64().unwrap();
    assert_eq!(seen, total);
}

/// Fails if any decision about a real process with pins changes, under any policy. The numbers
/// follow from what was recorded: see `tests/data/README.md`.
#[test]
fn the_recorded_process_is_decided_exactly() {
    let report = json(
        program()
            .args(["inspect", "--json", "--snapshot"])
            .arg(snapshot()),
    );
    let expected: Value = serde_json::from_str(include_str!("data/pinned.expected.json")).unwrap();
    assert_eq!(report["totals"], expected["totals"]);
    assert_eq!(report["pins"], expected["pins"]);
}

/// Fails if the pinned buffer is not skipped by the policies that skip, is skipped by the one that
/// ignores pins, or the decisions about its 32 pages are called certain.
#[test]
fn the_recorded_buffer_is_pinned() {
    let report = json(
        program()
            .args(["inspect", "--json", "--snapshot"])
            .arg(snapshot()),
    );
    let start = &report["pins"][0]["start"];
    let areas = report["areas"].as_array().unwrap();
    let area = areas.iter().find(|area| area["start"] == *start).unwrap();
    for policy in ["skip-pinned", "skip-opportunistic", "skip-longterm"] {
        assert_eq!(
            area["policies"][policy]["classes"],
            json!({"pinned": 32}),
            "{policy}"
        );
        assert_eq!(
            area["policies"][policy]["sure"],
            json!({"reported": 32}),
            "{policy}"
        );
    }
    // Linux 5.8 adds it to swap, unmaps it, and then cannot free it.
    assert_eq!(
        area["policies"]["ignore-pins"]["classes"],
        json!({"held": 32})
    );
    program()
        .args(["inspect", "--snapshot"])
        .arg(snapshot())
        .assert()
        .success()
        .stdout(
            contains("pinned long-term").and(contains("io_uring fd").and(contains("32 pages"))),
        );
}

/// Fails if a broken file is accepted, or the error does not say where it is broken.
#[test]
fn broken_snapshots_are_refused_with_line_and_field() {
    let good = std::fs::read_to_string(snapshot()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let refuse = |name: &str, text: &str, said: &[&str]| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let refused = program()
            .args(["inspect", "--snapshot"])
            .arg(&file)
            .assert()
            .failure();
        let error = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in said {
            assert!(error.contains(word), "{name}: {word:?} is not in {error:?}");
        }
    };
    refuse("cut", &good[..good.len() / 2], &["line "]);
    refuse("empty", "", &["line 1"]);
    refuse(
        "newer",
        &good.replacen("\"version\": 1", "\"version\": 2", 1),
        &["version", "2"],
    );
    let other = good.replacen("pinfold-linux snapshot", "something", 1);
    refuse("other", &other, &["format", "something"]);
    let word = good.replacen("\"flags\": \"0x", "\"flags\": \"0y", 1);
    refuse("word", &word, &["line ", "flags", "0y"]);
    let field = good.replacen("\"perms\"", "\"prems\"", 1);
    refuse("field", &field, &["line ", "observed.areas[0]", "prems"]);
    let mut value: Value = serde_json::from_str(&good).unwrap();
    value["observed"]["areas"][0]["runs"][0]["pages"] = json!(1u64 << 40);
    refuse(
        "outside",
        &value.to_string(),
        &["observed.areas[0].runs[0]", "outside its VMA"],
    );
    value["observed"]["areas"][0]["end"] = json!(0);
    refuse("backwards", &value.to_string(), &["observed.areas[0].end"]);
    program()
        .args(["inspect", "--snapshot", "/nonexistent"])
        .assert()
        .failure();
}

/// Fails if a process that does not exist is reported as one without pages.
#[test]
fn a_process_that_is_gone_is_said_to_be_gone() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id().to_string();
    child.wait().unwrap();
    for pid in [pid.as_str(), "2147483647"] {
        program()
            .args(["inspect", "--pid", pid])
            .assert()
            .code(1)
            .stderr(contains(format!("there is no process {pid}")).and(contains("\n").count(1)));
    }
    program().args(["inspect", "--pid", "0"]).assert().code(2);
    program().args(["inspect"]).assert().code(2);
}

/// Fails if a zombie, which has no memory, causes a panic or is reported with pages.
#[test]
fn a_zombie_has_no_pages() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let output = program().args(["inspect", "--pid", &pid]).assert();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    let error = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    child.wait().unwrap();
    assert!(
        text.contains("0 pages in memory") || error.contains("has ended"),
        "{text}{error}"
    );
}

/// Fails if a watch does not end with its process, or ends with an error.
#[test]
fn a_watch_ends_with_its_process() {
    let mut child = std::process::Command::new("sleep")
        .arg("2")
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    // It stays a zombie until it is reaped.
    let reaper = std::thread::spawn(move || child.wait());
    program()
        .args(["inspect", "--watch", "1", "--pid", &pid])
        .timeout(std::time::Duration::from_secs(120))
        .assert()
        .success()
        .stderr(contains("ended after"));
    reaper.join().unwrap().unwrap();
}

/// Fails if there are more reports than `--looks` allows, or one is not a JSON value by itself.
#[test]
fn a_watch_prints_one_report_a_look() {
    let output = program()
        .args([
            "inspect", "--json", "--watch", "1", "--looks", "2", "--pid", "self",
        ])
        .assert()
        .success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let reports: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 2);
}

/// Fails if a command is not started, prints to the standard output of the program, or keeps running.
#[test]
fn a_command_is_started_and_ended() {
    let report = json(program().args(["inspect", "--json", "--", "sleep", "1000"]));
    assert_eq!(report["process"]["command"], "sleep");
    let pid = report["process"]["pid"].as_u64().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
    program()
        .args(["inspect", "--", "/nonexistent/command"])
        .assert()
        .code(1)
        .stderr(contains("cannot start"));
}

/// Fails if an ordinary user can inspect a process of root, is not told why not, or gets decisions that
/// depend on hidden frames.
#[test]
fn an_ordinary_user_is_told_what_is_hidden() {
    let mut program = if is_root() {
        // The binary may lie where nobody can reach it, so a copy is run.
        let dir = tempfile::Builder::new()
            .prefix("pinfold")
            .tempdir_in("/tmp")
            .unwrap();
        let copy = dir.path().join("pinfold-linux");
        std::fs::copy(env!("CARGO_BIN_EXE_pinfold-linux"), &copy).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let kept = dir.keep();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(copy);
        Cleanup(kept, command)
    } else {
        Cleanup(PathBuf::new(), program())
    };
    let report = json(program.1.args(["inspect", "--json", "--pid", "self"]));
    let unseen = report["unseen"].to_string();
    assert!(
        unseen.contains("kpageflags")
            && unseen.contains("root")
            && unseen.contains("CAP_SYS_ADMIN"),
        "{unseen}"
    );
    let classes = report["totals"]["skip-opportunistic"]["classes"]
        .as_object()
        .unwrap();
    assert!(
        classes
            .keys()
            .all(|class| ["unknown", "no-swap", "mlocked"].contains(&class.as_str()))
    );

    let mut init = std::process::Command::new(program.1.get_program());
    init.args(program.1.get_args().take_while(|word| *word != "inspect"));
    let refused = init
        .args(["inspect", "--pid", "1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        error.contains("no permission to read the memory map of process 1:"),
        "{error}"
    );
}

struct Cleanup(PathBuf, Command);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
