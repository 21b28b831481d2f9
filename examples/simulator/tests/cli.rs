//! The program as a user runs it: on the traces that it carries, and on broken ones.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[path = "cli/outcome.rs"]
mod outcome;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/shown.rs"]
mod shown;

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-sim"))
}

fn record(time: u32, object: u64, size: u32, next: i64) -> Vec<u8> {
    let mut bytes = time.to_le_bytes().to_vec();
    bytes.extend(object.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes
}

/// Objects in a loop with some locality, as oracleGeneral.
fn oracle(requests: u32) -> Vec<u8> {
    let object = |n: u32| u64::from(n.wrapping_mul(2_654_435_761) >> 20) % 700;
    (0..requests)
        .flat_map(|n| record(n / 10, object(n / 3), 4096, -1))
        .collect()
}

const SHORT: &[&str] = &["--limit", "30000", "--seeds", "2"];

#[test]
fn the_default_run_shows_every_policy() {
    let names = [
        "IgnorePins",
        "SkipPinned",
        "SkipOpportunistic",
        "SkipLongterm",
    ];
    let mut assert = sim().args(SHORT).assert().success().stderr("");
    for name in names {
        assert = assert.stdout(contains(name));
    }
    assert
        .stdout(
            contains("rotate")
                .and(contains("lazy"))
                .and(contains("eager")),
        )
        .stdout(contains("modelled"));
}

#[test]
fn the_second_trace_runs_too() {
    sim()
        .args(["sqlite", "--workload", "rdma"])
        .args(SHORT)
        .assert()
        .success()
        .stdout(contains("sqlite"));
}

#[test]
fn every_workload_runs() {
    for name in ["gpu", "rdma", "io_uring", "passthrough", "directio", "none"] {
        sim()
            .args(["--workload", name, "--limit", "15000", "--seeds", "1"])
            .assert()
            .success();
    }
}

#[test]
fn same_seed_same_output() {
    let run = |extra: &[&str]| {
        let output = sim().args(SHORT).args(extra).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let dir = TempDir::new().unwrap();
    let page = |name: &str| {
        let path = dir.path().join(name);
        run(&["--report", path.to_str().unwrap()]);
        fs::read(path).unwrap()
    };
    assert_eq!(run(&["--json"]), run(&["--json"]));
    assert_eq!(page("one.html"), page("two.html"));
    assert_ne!(run(&["--json"]), run(&["--json", "--seed", "9"]));
}

#[test]
fn json_holds_every_policy_and_run() {
    let output = sim().args(SHORT).arg("--json").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["policies"].as_array().unwrap().len(), 6);
    assert_eq!(json["runs"].as_array().unwrap().len(), 12);
    for policy in json["policies"].as_array().unwrap() {
        let measures = &policy["measures"];
        let of = |key: &str| measures[key]["value"].as_f64().unwrap();
        assert!(of("reclaimed") <= of("scanned"));
        assert!(of("refaults") <= of("major") + of("minor"));
    }
}

#[test]
fn the_report_needs_nothing_else() {
    let dir = TempDir::new().unwrap();
    let report = dir.path().join("report.html");
    let svg = dir.path().join("chart.svg");
    sim()
        .args(SHORT)
        .arg("--report")
        .arg(&report)
        .arg("--svg")
        .arg(&svg)
        .assert()
        .success();
    let page = fs::read_to_string(&report).unwrap();
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("modelled"));
    for outside in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Every drawn colour is a class, so that it follows the scheme.
    for drawing in [&page, &fs::read_to_string(&svg).unwrap()] {
        assert!(!drawing.contains("fill=\"#") && !drawing.contains("stroke=\"#"));
    }
}

#[test]
fn a_trace_may_come_from_standard_input_and_be_compressed() {
    let bytes = fs::read(Path::new("traces/cc1.csv.zst")).unwrap();
    let whole = sim()
        .args(["--frames", "1000", "--json"])
        .args(SHORT)
        .output()
        .unwrap();
    let piped = sim()
        .args(["-", "--format", "csv", "--frames", "1000", "--json"])
        .args(SHORT)
        .write_stdin(bytes)
        .output()
        .unwrap();
    assert!(piped.status.success());
    let runs = |output: &std::process::Output| -> serde_json::Value {
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["runs"].clone()
    };
    assert_eq!(runs(&whole), runs(&piped));
}

#[test]
fn plain_models_count_misses_as_they_should() {
    // 1 2 3 1 4 1 2 5 1: what goes differs by model.
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("small.csv");
    fs::write(&path, "object\n1\n2\n3\n1\n4\n1\n2\n5\n1\n").unwrap();
    for (model, misses) in [("lru", 6), ("fifo", 7), ("clock", 6)] {
        sim()
            .arg(&path)
            .args(["--model", model, "--frames", "3"])
            .assert()
            .success()
            .stdout(contains(format!("9 requests, {misses} misses")));
    }
}

#[test]
fn models_know_oracle_general() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("loop.oracleGeneral.bin");
    let bytes: Vec<u8> = (0..1000)
        .flat_map(|n| record(n, u64::from(n % 50), 1, -1))
        .collect();
    fs::write(&path, bytes).unwrap();
    sim()
        .arg(&path)
        .args(["--model", "lru", "--frames", "49", "--timing"])
        .assert()
        .success()
        .stdout(contains("1000 misses"))
        .stderr(contains("bytes per resident page"));
}

#[test]
fn scenarios_show_the_difference() {
    sim().arg("scenario").assert().success().stdout(
        contains("(a)")
            .and(contains("(b)"))
            .and(contains("(c)"))
            .and(contains("(d)")),
    );
    let output = sim().args(["scenario", "a", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = &told["scenarios"];
    assert_eq!(told[0]["lines"].as_array().unwrap().len(), 3);
    let numbers = told[0]["numbers"].as_array().unwrap();
    let row = |name: &str| {
        let found = numbers
            .iter()
            .find(|row| row[0].as_str().unwrap().starts_with(name));
        found.unwrap()[1].clone()
    };
    let reclaimed = row("pages reclaimed");
    assert_eq!(row("gave up")[0], true, "the old policy fails");
    assert_eq!(
        (&row("gave up")[2], &reclaimed[2]),
        (&false.into(), &60.into())
    );
}

#[test]
fn a_machine_with_room_for_all_says_that_nothing_differs() {
    sim()
        .args(["--frames", "400%"])
        .args(SHORT)
        .assert()
        .success()
        .stdout(contains("so no policy"));
}

#[test]
fn without_pins_the_policies_are_the_same_and_it_says_so() {
    sim()
        .args(["--workload", "none"])
        .args(SHORT)
        .assert()
        .success()
        .stdout(contains("Nothing was pinned").and(contains("every number is the same")));
}

#[test]
fn lackey_is_reduced_to_pages() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out.csv");
    let lackey = "==1== Lackey\nI  00400000,4\nI  00400004,4\n L 1ffe,8\n S 00500010,8\n \
                  L 00500018,8\n M 1ff0,4\n L 00900000,8\nI  00400008,4\n";
    sim()
        .args([
            "import", "-", "--format", "lackey", "--window", "8", "--out",
        ])
        .arg(&out)
        .write_stdin(lackey)
        .assert()
        .success()
        .stderr(contains("9 accesses to 5 pages, 6 of them kept"));
    let csv = fs::read_to_string(&out).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "time,object,size,operation,kind");
    assert_eq!(lines[1], "0,1024,4096,x,f");
    assert_eq!(lines[2], "0,1,4096,r,a", "read first, and written to later");
    assert!(lines.contains(&"0,1,4096,w,a") && lines.contains(&"0,2304,4096,r,f"));
    sim()
        .arg(&out)
        .args(["--model", "fifo", "--frames", "5"])
        .assert()
        .success()
        .stdout(contains("6 requests, 5 misses"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_it_cleanly() {
    use std::process::{Command as Process, Stdio};
    let dir = TempDir::new().unwrap();
    let report = dir.path().join("report.html");
    let mut child = Process::new(env!("CARGO_BIN_EXE_pinfold-sim"))
        .args([
            "-",
            "--format",
            "csv",
            "--frames",
            "300",
            "--workload",
            "none",
            "--report",
        ])
        .arg(&report)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        use std::io::Write;
        let mut written = input.write_all(b"object\n");
        // For as long as it reads.
        for n in 0u64.. {
            if written.is_err() {
                break;
            }
            written = writeln!(input, "{}", n * 7919 % 500);
        }
    });
    std::thread::sleep(std::time::Duration::from_millis(600));
    let killed = Process::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
