//! Files of workloads and costs, which say only what differs, and `--set`.

use assert_cmd::Command;
use predicates::str::{contains, diff};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-sim"))
}

fn file(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A run that takes no time.
const SHORT: &[&str] = &["--limit=3000", "--seeds=1", "--policy=lazy"];

#[test]
fn a_workload_says_only_what_differs() {
    let dir = TempDir::new().unwrap();
    let run = |workload: &Path| {
        let mut command = sim();
        command.args(SHORT).arg("--workload").arg(workload);
        command.arg("--json").output().unwrap()
    };
    let my = file(&dir, "my.toml", "pinned = 0.2\n");
    let output = run(&my);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let whole = &json["workloads"][0];
    assert_eq!(
        (&whole["name"], &whole["pinned"]),
        (&"my".into(), &0.2.into())
    );
    // What it stands for, written out, is the same workload.
    let mut all = String::new();
    for (key, value) in whole.as_object().unwrap() {
        if key != "name" {
            all += &format!("{key} = {value}\n");
        }
    }
    fs::remove_file(&my).unwrap();
    let written_out = run(&file(&dir, "my.toml", all));
    let again: serde_json::Value = serde_json::from_slice(&written_out.stdout).unwrap();
    assert_eq!(json["runs"], again["runs"]);
    assert_eq!(json["workloads"], again["workloads"]);
    sim()
        .args(SHORT)
        .arg("--workload")
        .arg(file(&dir, "none.toml", ""))
        .assert()
        .code(1)
        .stderr(contains("none.toml, pinned: missing"));
    sim()
        .args(SHORT)
        .args(["--set=none.pinned=0.1", "--workload"])
        .arg(dir.path().join("none.toml"))
        .assert()
        .success();
}

#[test]
fn a_wrong_entry_is_named_with_its_line() {
    let dir = TempDir::new().unwrap();
    let says = |content: &str, words: &[&str]| {
        let path = file(&dir, "w.toml", content);
        let mut command = sim();
        let run = command.args(SHORT).arg("--workload").arg(&path);
        let output = run.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert_eq!(said.matches("expected").count(), 1, "{said}");
        assert_eq!(said.matches("w.toml").count(), 1, "{said}");
    };
    says(
        "pinned = \"abc\"",
        &["w.toml, line 1, pinned: ", "\"abc\"", "a number"],
    );
    says(
        "pinned = 0.1\nobject_pages = 3",
        &["w.toml, line 2, object_pages: ", "`3`"],
    );
    says(
        "pinned = 0.1\n\ncolour = 1",
        &["w.toml, line 3", "`colour`", "notifier"],
    );
    says("pinned = 0.1\nname = \"x\"", &["w.toml, line 2", "`name`"]);
    says(
        "pinned = 0.1\nkind = \"medium\"",
        &["line 2, kind", "`medium`", "short"],
    );
    says("pinned = = 0.1", &["w.toml, line 1"]);
    says("pinned = 2", &["w.toml, pinned: 2"]);
    let set = |set: &str, words: &[&str]| {
        let output = sim().args(SHORT).args(["--set", set]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert_eq!(said.matches("expected").count(), 1, "{said}");
    };
    set("gpu.pinned=x", &["--set gpu.pinned: ", "\"x\""]);
    set("gpu.colour=3", &["--set gpu.colour: ", "notifier"]);
    set("colour=3", &["--set colour: ", "notifier"]);
    set("costs.colour=3", &["--set costs.colour: ", "swap_read"]);
    set("costs.scan=x", &["--set costs.scan: ", "\"x\""]);
}

#[test]
fn a_cost_table_says_only_what_differs() {
    let dir = TempDir::new().unwrap();
    let table = file(&dir, "my.toml", "swap_read = 601\n");
    let json = |args: &[&str]| -> serde_json::Value {
        let output = sim().args(SHORT).arg("--json").args(args).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let changed = json(&["--costs", table.to_str().unwrap()]);
    assert_eq!(changed["modelled_costs"]["swap_read"], 601);
    assert_eq!(
        changed["modelled_costs"],
        json(&["--set=costs.swap_read=601"])["modelled_costs"]
    );
    for (content, words) in [
        ("scan = \"x\"", &["my.toml, scan: \"x\""][..]),
        ("colour = 3", &["my.toml, colour: ", "swap_read"]),
        ("scan = = 3", &["my.toml, line 1", "`=`"]),
    ] {
        let path = file(&dir, "my.toml", content);
        let mut command = sim();
        let mut assert = command.arg("--costs").arg(path).assert().code(1);
        for word in words {
            assert = assert.stderr(contains(*word));
        }
    }
    let missing = dir.path().join("missing.toml");
    for option in ["--costs", "--workload"] {
        let line = format!(
            "pinfold-sim: {}: no such file; expected a {} in TOML\n",
            missing.display(),
            if option == "--costs" {
                "cost table"
            } else {
                "workload"
            }
        );
        let mut command = sim();
        let run = command.arg(option).arg(&missing);
        run.assert().code(1).stderr(diff(line));
    }
}
