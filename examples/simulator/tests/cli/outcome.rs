//! Runs that end out of memory: an outcome of these runs, and the others go on.

use crate::{oracle, sim};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// So little memory and swap that it depends on the seed, which draws the pages that are anonymous,
/// whether a run gets to the end.
const SCARCE: &[&str] = &[
    "--frames",
    "300",
    "--swap",
    "122",
    "--workload",
    "none",
    "--write-share",
    "0",
    "--policy",
    "ignore,eager",
];

fn run(args: &[&str]) -> (TempDir, std::process::Output) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.oracleGeneral");
    fs::write(&path, oracle(30_000)).unwrap();
    let output = sim().arg(&path).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (dir, output)
}

fn json(args: &[&str]) -> Value {
    serde_json::from_slice(&run(&[args, &["--json"]].concat()).1.stdout).unwrap()
}

#[test]
fn out_of_memory_ends_a_run_and_not_the_others() {
    let report = json(&[SCARCE, &["--seeds", "12"]].concat());
    assert_eq!(report["requests"], 30_000);
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 24);
    let (ended, whole): (Vec<_>, Vec<_>) = runs
        .iter()
        .partition(|run| run["out_of_memory"].is_object());
    assert!(!ended.is_empty() && !whole.is_empty(), "no mixture");
    for run in &ended {
        let why = &run["out_of_memory"];
        assert_eq!(
            (&why["why"], &why["swap_used"]),
            (&"swap_full".into(), &122.into())
        );
        assert_eq!(why["request"], run["requests"]);
        assert!(run["requests"].as_u64().unwrap() < 30_000);
    }
    assert!(whole.iter().all(|run| run["requests"] == 30_000));
    // A summary is of the runs that got to the end.
    for policy in report["policies"].as_array().unwrap() {
        let mine = || runs.iter().filter(|run| run["policy"] == policy["policy"]);
        let count = mine()
            .filter(|run| run["out_of_memory"].is_object())
            .count();
        assert_eq!(
            (&policy["out_of_memory"], &policy["runs"]),
            (&count.into(), &12.into())
        );
        let by_seed = policy["measures"]["major"]["by_seed"].as_array().unwrap();
        let ended = mine().map(|run| run["out_of_memory"].is_object());
        assert!(by_seed.iter().map(Value::is_null).eq(ended));
    }
}

#[test]
fn the_table_says_how_many_runs_ended_and_why() {
    let (_dir, output) = run(&[SCARCE, &["--seeds", "12"]].concat());
    let text = String::from_utf8(output.stdout)
        .unwrap()
        .replace("\n  ", " ");
    assert!(text.contains("ended out of memory, of 12"), "{text}");
    assert!(text.contains("of 12 runs ended out of memory; the first of them, seed"));
    assert!(text.contains("swap is full (122 of 122 pages)"));
}

#[test]
fn who_was_killed_before_is_said_with_what_they_had_pinned() {
    let args = [
        "--frames", "300", "--swap", "100", "--policy", "eager", "--seeds", "2",
    ];
    let report = json(&args);
    for run in report["runs"].as_array().unwrap() {
        let killed = run["out_of_memory"]["killed"].as_array().unwrap();
        assert!(killed.iter().any(|one| one["pinned"].as_u64().unwrap() > 0));
        // The verdict is from before the kill.
        let verdicts = run["verdicts"].as_array().unwrap();
        let of = verdicts
            .iter()
            .find(|verdict| verdict["killed"].is_string())
            .unwrap();
        assert_eq!(of["killed"], killed[0]["workload"]);
        let owners = of["owners"].as_array().unwrap();
        assert!(owners.iter().any(|owner| owner[0] == of["killed"]), "{of}");
    }
    // With every run ended there is still a report.
    let page = TempDir::new().unwrap();
    let path = page.path().join("report.html");
    let mut all = args.to_vec();
    all.extend(["--report", path.to_str().unwrap()]);
    let (_dir, output) = run(&all);
    let nothing = contains("No run reached the end of the trace");
    assert!(nothing.eval(std::str::from_utf8(&output.stdout).unwrap()));
    assert!(
        fs::read_to_string(path)
            .unwrap()
            .contains("<h2>Out of memory</h2>")
    );
}
