//! Broken traces and impossible options: what the program says, and that it leaves nothing behind.

use crate::{SHORT, oracle, record, sim};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use tempfile::TempDir;

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
    with(&["--set", "costs.scan=-1"], &["--set costs.scan", "-1"]);
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
        .args(["--model", "lru", absurd[0], absurd[1]])
        .assert()
        .code(1)
        .stderr(contains("of 1 runs").and(contains(most)));
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
