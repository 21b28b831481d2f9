//! The program as a user runs it: on the traces that it carries, and on broken ones.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-sim"))
}

/// Runs on a file with this content, which has to fail with these words on standard error.
fn refused(name: &str, content: &[u8], args: &[&str], words: &[&str]) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    let report = dir.path().join("report.html");
    fs::write(&path, content).unwrap();
    let mut command = sim();
    command.arg(&path).args(args).arg("--report").arg(&report);
    let mut assert = command
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("expected"));
    for word in words {
        assert = assert.stderr(contains(*word));
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "something was left behind: {left:?}");
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
    let names = ["IgnorePins", "SkipPinned", "SkipLongterm"];
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
        let of = |key: &str| measures[key]["mean"].as_f64().unwrap();
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
    assert_eq!(told[0]["lines"].as_array().unwrap().len(), 3);
    let numbers = told[0]["numbers"].as_array().unwrap();
    let row = |name: &str| {
        let found = numbers
            .iter()
            .find(|row| row[0].as_str().unwrap().starts_with(name));
        found.unwrap()[1].clone()
    };
    let reclaimed = row("pages reclaimed");
    assert_eq!(row("gave up")[0], "yes", "the old policy fails");
    assert_eq!(
        (&row("gave up")[2], &reclaimed[2]),
        (&"no".into(), &"60".into())
    );
}

#[test]
fn a_machine_with_room_for_all_says_that_nothing_differs() {
    sim()
        .args(["--frames", "400%"])
        .args(SHORT)
        .assert()
        .success()
        .stdout(contains("no policy could make a difference"));
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
fn broken_oracle_general() {
    let mut cut = oracle(100);
    cut.truncate(24 * 99 + 7);
    refused(
        "cut.oracleGeneral",
        &cut,
        &[],
        &["cut.oracleGeneral, offset 2376", "7 bytes"],
    );
    let mut back = oracle(100);
    back.extend(record(3, 1, 1, -1));
    refused(
        "back.oracleGeneral",
        &back,
        &[],
        &["offset 2400", "time goes back"],
    );
    let mut next = oracle(10);
    next.extend(record(1, 1, 1, -7));
    refused(
        "next.oracleGeneral",
        &next,
        &[],
        &["offset 240", "next access is -7"],
    );
}

#[test]
fn broken_csv() {
    let cases: &[(&str, &[&str])] = &[
        ("time,thing\n1,2\n", &["line 1", "unknown column \"thing\""]),
        (
            "time,size\n1,2\n",
            &["line 1", "no column named \"object\""],
        ),
        ("object,object\n1,2\n", &["line 1", "twice"]),
        ("object\n", &["line 2", "no record"]),
        ("object,size\n1,4096\n2\n", &["line 3", "1 fields"]),
        ("object,size\n1,4096\nzwei,1\n", &["line 3", "\"zwei\""]),
        (
            "object,size\n1,99999999999999\n",
            &["line 2", "99999999999999", "4294967295"],
        ),
        ("object,size\n1,0\n", &["line 2", "bytes, from 1"]),
        ("object,operation\n1,jump\n", &["line 2", "jump"]),
        ("object,kind\n1,q\n", &["line 2", "anon"]),
        ("object\n18446744073709551616\n", &["line 2"]),
    ];
    for (content, words) in cases {
        let words: Vec<_> = words
            .iter()
            .copied()
            .map(|word| {
                if word == "no record" {
                    "a heading and no record"
                } else {
                    word
                }
            })
            .collect();
        refused("bad.csv", content.as_bytes(), &[], &words);
    }
}

#[test]
fn broken_lackey() {
    let cases: &[(&str, &[&str])] = &[
        ("I  0400,3\n L 0g,8\n", &["line 2"]),
        ("hello\n", &["line 1", "hello"]),
        (" S 1000,0\n", &["line 1", "0 bytes"]),
        (" S 1000,999999\n", &["line 1", "999999 bytes"]),
        ("==1== only words\n", &["no access at all"]),
    ];
    for (content, words) in cases {
        refused("bad.lackey", content.as_bytes(), &[], words);
    }
}

#[test]
fn broken_and_empty_streams() {
    refused(
        "empty.csv",
        b"",
        &[],
        &["empty.csv, offset 0", "the trace is empty"],
    );
    refused("empty.oracleGeneral", b"", &[], &["the trace is empty"]);
    let whole = fs::read("traces/cc1.csv.zst").unwrap();
    refused(
        "cut.csv.zst",
        &whole[..whole.len() / 2],
        &[],
        &["cut.csv.zst", "stream"],
    );
    let mut corrupt = whole.clone();
    for byte in &mut corrupt[4000..4400] {
        *byte ^= 0x5a;
    }
    refused("corrupt.csv.zst", &corrupt, &[], &["corrupt.csv.zst"]);
    refused("what.bin", b"abc", &[], &["what.bin", "--format"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let small: Vec<u8> = oracle(3000);
    let with = |args: &[&str], words: &[&str]| refused("t.oracleGeneral", &small, args, words);
    with(&["--set", "gpu.pinned=1.5"], &["more pins than frames"]);
    with(&["--set", "gpu.pinned=0.95"], &["pages to be pinned of"]);
    with(&["--set", "gpu.colour=3"], &["gpu", "colour"]);
    with(&["--set", "rdma.pinned=0.1"], &["no workload of this name"]);
    with(&["--set", "costs.scan=-1"], &["costs, scan", "-1"]);
    with(&["--set", "gpu.object_pages=[9, 3]"], &["object_pages"]);
    with(&["--workload", "tpu"], &["tpu", "no such workload"]);
    with(&["--frames", "10"], &["10 frames", "at least 64"]);
    let most = "at most 134217728 in all";
    let absurd = ["--frames", "4000000000"];
    with(&absurd, &["4000000000 frames for each of 60 runs", most]);
    with(
        &["--seeds", "1000", "--frames", "100000"],
        &["of 6000 runs", most],
    );
    with(
        &["--model", "lru", absurd[0], absurd[1]],
        &["of 1 runs", most],
    );
    with(&["--frames", "0.01%"], &["less than one page"]);
    with(&["--write-share", "2"], &["--write-share"]);
    refused(
        "one.csv",
        b"object\n7\n",
        &[],
        &["a footprint of 1 pages", "less than one page"],
    );
    refused(
        "big.csv",
        b"object,size\n7,4294967295\n",
        &["--by-size"],
        &["4294967295 bytes"],
    );
    sim()
        .args(["/no/such/trace.csv"])
        .assert()
        .code(1)
        .stderr(contains("/no/such/trace.csv"));
    sim()
        .args(["-", "--format", "csv"])
        .write_stdin("object\n1\n")
        .assert()
        .code(1)
        .stderr(contains("only once"));
}

#[test]
fn a_report_that_cannot_be_written_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("file"), "").unwrap();
    sim()
        .args(SHORT)
        .arg("--report")
        .arg(&taken)
        .assert()
        .code(1)
        .stderr(contains("taken"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
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
