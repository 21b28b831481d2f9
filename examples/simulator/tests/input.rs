//! What the program reads: compressed traces, the wrong formats, sizes, pipes.

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SIM: &str = env!("CARGO_BIN_EXE_pinfold-sim");
const MODEL: &[&str] = &["--model=lru", "--frames=100"];

fn sim() -> Command {
    Command::new(SIM)
}

fn file(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn csv(requests: u64) -> String {
    let objects = (0..requests).map(|n| format!("{}\n", n * n % 517));
    "object\n".to_owned() + &objects.collect::<String>()
}

fn oracle(requests: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for n in 0..requests {
        all.extend((n as u32).to_le_bytes());
        all.extend((n * n % 517).to_le_bytes());
        all.extend(4096u32.to_le_bytes());
        all.extend((-1i64).to_le_bytes());
    }
    all
}

/// Runs on this trace, which is refused with these words, the file named once and in one line.
fn refused(path: &Path, args: &[&str], words: &[&str]) {
    let output = sim().arg(path).args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(said.matches(name).count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.len() < 400 + path.as_os_str().len(), "{said}");
}

#[test]
fn gzip_is_read() {
    let dir = TempDir::new().unwrap();
    let (text, records) = (csv(3000), oracle(3000));
    let (first, second) = text.as_bytes().split_at(4000);
    let parts = [gzip(first), gzip(second)].concat();
    let result = "3000 requests, ";
    let plain = sim()
        .arg(file(&dir, "t.csv", &text))
        .args(MODEL)
        .output()
        .unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    let (_, misses) = plain.split_once(result).unwrap();
    for (name, bytes) in [
        ("t.csv.gz", gzip(text.as_bytes())),
        ("two-members.csv.gz", parts),
        ("no-ending.csv", gzip(text.as_bytes())),
        ("t.oracleGeneral.gz", gzip(&records)),
        ("t.oracleGeneral.bin.GZ", gzip(&records)),
    ] {
        sim()
            .arg(file(&dir, name, &bytes))
            .args(MODEL)
            .assert()
            .success()
            .stdout(contains(format!("{result}{misses}")));
        let format = if name.contains("csv") {
            "--format=csv"
        } else {
            "--format=oracleGeneral"
        };
        sim()
            .args(["-", format])
            .args(MODEL)
            .write_stdin(bytes)
            .assert()
            .success()
            .stdout(contains(format!("{result}{misses}")));
    }
}

#[test]
fn gzip_that_is_cut_or_broken_is_refused() {
    let dir = TempDir::new().unwrap();
    let whole = gzip(&oracle(3000));
    let cut = file(&dir, "cut.oracleGeneral.gz", &whole[..whole.len() / 2]);
    refused(&cut, &[], &["offset", "complete gzip stream"]);
    let mut wrong = whole.clone();
    let checksum = wrong.len() - 8;
    wrong[checksum] ^= 1;
    let wrong = file(&dir, "wrong.oracleGeneral.gz", wrong);
    refused(&wrong, &[], &["offset", "complete gzip stream"]);
    let cut = file(&dir, "cut.csv.gz", &gzip(csv(9000).as_bytes())[..500]);
    refused(&cut, &[], &["complete gzip stream"]);
}

#[test]
fn other_packings_are_named() {
    let dir = TempDir::new().unwrap();
    for (name, magic, tool) in [
        ("t.csv.xz", &b"\xfd7zXZ\0\0\0\0\0\0\0"[..], "xz -dc"),
        (
            "t.oracleGeneral.bz2",
            b"BZh91AY&SY\0\0\0\0\0\0\0\0",
            "bzip2 -dc",
        ),
        ("t.csv.lz4", b"\x04\x22\x4d\x18\0\0\0\0\0\0\0", "lz4 -dc"),
        ("t.csv", b"PK\x03\x04\x14\0\0\0\0\0\0\0", "unzip -p"),
        ("trace", b"\xfd7zXZ\0\0\0\0\0\0\0", "xz -dc"),
    ] {
        let path = file(&dir, name, magic);
        refused(&path, &[], &[tool, "pinfold-sim - --format"]);
        refused(&path, &["--format=oracleGeneral"], &[tool]);
    }
}

#[test]
fn the_wrong_format_is_said_to_be_that() {
    let dir = TempDir::new().unwrap();
    let binary = file(&dir, "binary.csv", oracle(100));
    refused(&binary, &[], &["offset 0", "binary", "oracleGeneral"]);
    let binary = file(&dir, "binary.lackey", oracle(100));
    refused(&binary, &[], &["offset 0", "binary", "oracleGeneral"]);
    let text = file(&dir, "text.oracleGeneral", csv(100));
    refused(&text, &[], &["offset 0", "text", "csv"]);
    let packed = gzip(csv(100).as_bytes());
    let packed = file(&dir, "packed.oracleGeneral.gz", packed);
    refused(&packed, &[], &["offset 0", "text", "csv"]);
    let bare = file(&dir, "bare.csv", "517\n518\n");
    refused(&bare, &[], &["line 1", "\"517\"", "heading"]);
    let long = file(&dir, "long.csv", "x".repeat(5000));
    refused(&long, &[], &["line 1", "xxx"]);
    let unknown = file(&dir, "unknown", csv(100));
    refused(&unknown, &[], &["--format", ".gz"]);
}

#[test]
fn a_missing_trace_is_named_once_and_says_what_may_be_given() {
    let dir = TempDir::new().unwrap();
    for name in ["missing", "missing.csv", "scenarios"] {
        let words = ["no such file", "cc1", "sqlite", "standard input"];
        refused(&dir.path().join(name), &[], &words);
    }
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    refused(&folder, &[], &["a directory", "a trace"]);
}

#[test]
fn a_slow_pipe_is_read_like_a_file() {
    use std::process::{Command as Process, Stdio};
    let whole = fs::read("traces/cc1.csv.zst").unwrap();
    let mut child = Process::new(SIM)
        .args(["-", "--format=csv", "--limit=3000"])
        .args(MODEL)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for byte in &whole[..3] {
        input.write_all(&[*byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    // It need not read all.
    let _ = input.write_all(&whole[3..]);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("3000 requests"));
}

/// Sizes of 1 GiB: 262,144 pages each.
fn huge(dir: &TempDir, records: u64) -> PathBuf {
    let lines = (0..records).map(|n| format!("{n},1073741824\n"));
    let text = "object,size\n".to_owned() + &lines.collect::<String>();
    file(dir, "huge.csv", text)
}

#[test]
fn the_limit_counts_pages_of_large_objects() {
    let dir = TempDir::new().unwrap();
    let huge = huge(&dir, 3);
    for limit in [1, 100, 300_000] {
        let limited = format!("--limit={limit}");
        sim()
            .arg(&huge)
            .args(["--by-size", &limited])
            .args(MODEL)
            .assert()
            .success()
            .stdout(contains(format!(
                ": {limit} requests, {limit} misses, miss ratio 1.0000"
            )));
    }
    sim()
        .arg(&huge)
        .args(["--by-size", "--limit=700", "--frames=100", "--seeds=1"])
        .args(["--workload=none", "--policy=lazy"])
        .assert()
        .success()
        .stdout(contains("700 requests over 700 pages"));
    // The record after the limit is not read.
    let later = file(
        &dir,
        "later.csv",
        "object,size\n1,9000\n2,4294967295\n3,nonsense\n",
    );
    sim()
        .arg(&later)
        .args(["--by-size", "--limit=3"])
        .args(MODEL)
        .assert()
        .success();
    refused(
        &later,
        &["--by-size", "--limit=4"],
        &["record 2", "4294967295 bytes", "1 GiB"],
    );
}

/// In 96 MiB of address space; the requests of one reading would take 512.
#[cfg(target_os = "linux")]
#[test]
fn large_objects_take_constant_memory() {
    let dir = TempDir::new().unwrap();
    let huge = huge(&dir, 64);
    Command::new("sh")
        .args(["-c", "ulimit -v 98304; exec \"$0\" \"$@\"", SIM])
        .arg(&huge)
        .args(["--by-size", "--limit=5000000"])
        .args(MODEL)
        .assert()
        .success()
        .stdout(contains(": 5000000 requests, 5000000 misses"));
}

#[test]
fn an_access_over_two_pages_does_not_pass_the_limit() {
    let dir = TempDir::new().unwrap();
    let trace = file(&dir, "t.lackey", " L 1ffe,8\n S 5000,65536\n");
    for (limit, requests) in [(1, 1), (2, 2), (3, 3), (17, 17), (18, 18), (99, 18)] {
        let limit = format!("--limit={limit}");
        sim()
            .arg(&trace)
            .args(MODEL)
            .arg(limit)
            .assert()
            .success()
            .stdout(contains(format!(": {requests} requests")));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_once() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut command = sim();
    let once = command
        .arg(&fifo)
        .timeout(std::time::Duration::from_secs(20));
    once.assert()
        .code(1)
        .stderr(contains("read only once").and(contains("--frames N")));
}

#[test]
fn the_format_of_a_generated_trace_is_that_of_its_name() {
    let dir = TempDir::new().unwrap();
    let generate = |name: &str, more: &[&str]| {
        let mut command = sim();
        command.current_dir(&dir).args(["generate", name]);
        command.args(["--requests=5000", "--objects=700"]);
        command.args(more).assert()
    };
    let misses = |name: &str, more: &[&str]| {
        let mut command = sim();
        command.current_dir(&dir).arg(name).args(MODEL).args(more);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once(": 5000 requests, ").unwrap().1.to_owned()
    };
    generate("g.csv", &[]).success();
    generate("g.oracleGeneral", &[]).success();
    generate("named", &["--format=csv"]).success();
    let text = fs::read_to_string(dir.path().join("g.csv")).unwrap();
    assert!(text.starts_with("time,object,size\n0,"));
    assert_eq!(text.lines().count(), 5001);
    assert_eq!(misses("g.csv", &[]), misses("g.oracleGeneral", &[]));
    assert_eq!(text, fs::read_to_string(dir.path().join("named")).unwrap());
    assert_eq!(misses("g.csv", &[]), misses("named", &["--format=csv"]));
    for (name, says) in [
        ("g", "--format"),
        ("-", "--format"),
        ("g.lackey", "lackey"),
        ("g.csv.zst", "compress"),
        ("g.oracleGeneral.gz", "compress"),
    ] {
        generate(name, &[]).code(1).stderr(contains(says));
        assert!(!dir.path().join(name).exists());
    }
    generate("g.csv", &["--skew=-1"])
        .code(1)
        .stderr(contains("--skew: -1"));
    generate("g.csv", &["--skew=inf"]).code(1);
    for none in ["--objects=0", "--requests=0"] {
        sim()
            .current_dir(&dir)
            .args(["generate", "n.csv", none])
            .assert()
            .code(2);
    }
}
