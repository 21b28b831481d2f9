//! The plain models miss what libCacheSim's miss: its counts for a trace of `pinfold-sim generate`,
//! written down. `against_libcachesim.py` beside this file measures them again.

use assert_cmd::Command;
use predicates::str::contains;
use tempfile::TempDir;

/// Model, frames, and the misses of libCacheSim 0.3.5 (object sizes ignored).
const THEIRS: [(&str, u32, u32); 9] = [
    ("lru", 500, 140_019),
    ("lru", 3000, 76_444),
    ("lru", 10_000, 33_201),
    ("fifo", 500, 153_669),
    ("fifo", 3000, 88_090),
    ("fifo", 10_000, 39_470),
    ("clock", 500, 136_283),
    ("clock", 3000, 74_033),
    ("clock", 10_000, 32_428),
];

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-sim"))
}

#[test]
fn misses_are_those_of_libcachesim() {
    let dir = TempDir::new().unwrap();
    let trace = dir.path().join("zipf.oracleGeneral");
    let generate = ["--requests", "300000", "--objects", "20000"];
    sim()
        .arg("generate")
        .arg(&trace)
        .args(generate)
        .assert()
        .success();
    for (model, frames, misses) in THEIRS {
        sim()
            .arg(&trace)
            .args(["--model", model, "--frames", &frames.to_string()])
            .assert()
            .success()
            .stdout(contains(format!("300000 requests, {misses} misses")));
    }
}
