//! Options that do not go together, and numbers that say nothing.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty, is_match};

fn sim() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-sim"))
}

#[test]
fn a_plain_model_takes_no_options_of_the_machine() {
    for option in [
        "--report=/no/such/place/x.html",
        "--svg=/no/such/place/x.svg",
        "--policy=lazy",
        "--workload=gpu",
        "--set=costs.scan=3",
        "--costs=/no/such/file.toml",
        "--seeds=10",
        "--seed=1",
        "--swap=100",
        "--write-share=0.3",
        "--file-share=0.4",
        "--all",
    ] {
        let (name, _) = option.split_once('=').unwrap_or((option, ""));
        for args in [["--model=lru", option], [option, "--model=lru"]] {
            sim()
                .args(args)
                .assert()
                .code(2)
                .stdout(is_empty())
                .stderr(contains("cannot be used with").and(contains(name)));
        }
    }
    let used = ["--model=lru", "--frames=100", "--limit=3000", "--by-size"];
    sim().args(used).args(["--json"]).assert().success();
}

#[test]
fn no_rate_of_what_took_no_time() {
    let short = ["--model=lru", "--frames=100", "--timing", "--limit=1"];
    sim()
        .args(short)
        .assert()
        .success()
        .stderr(contains("too short for a rate"))
        .stderr(contains("requests/s").not());
    let long = ["--model=lru", "--frames=100", "--timing"];
    let rate =
        r"[0-9.]+ s, [0-9.]+ million requests/s; [0-9.]+ s of processor time, [0-9.]+ million";
    sim()
        .args(long)
        .assert()
        .success()
        .stderr(is_match(rate).unwrap());
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for args in [&["--limit=0"][..], &["import", "cc1", "--limit=0"]] {
        sim()
            .args(args)
            .assert()
            .code(2)
            .stderr(contains("--limit"));
    }
}
