//! Snapshots are files from anywhere: whatever is in one, it is decided or refused in little time
//! and memory.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use assert_cmd::Command;
use common::snapshot;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

fn good() -> Value {
    serde_json::from_str(&fs::read_to_string(snapshot()).unwrap()).unwrap()
}

fn inspect(value: &Value) -> assert_cmd::assert::Assert {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.json");
    fs::write(&file, value.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_pinfold-linux"))
        .args(["inspect", "--json", "--snapshot"])
        .arg(&file)
        .timeout(Duration::from_secs(20))
        .assert()
}

fn report(value: &Value) -> Value {
    let output = inspect(value).success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

fn refuse(value: &Value, said: &[&str]) {
    let output = inspect(value).code(1);
    let error = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    for word in said {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

/// An area of `pages` pages, all in one state.
fn area(start: u64, pages: u64, seen: &Value) -> Value {
    json!({
        "start": start, "end": start + pages * 4096, "perms": "rw-p", "name": "", "vm_flags": [],
        "dirty": "clean", "no_lazyfree": true,
        "runs": [{"at": 0, "pages": pages, "seen": seen}],
    })
}

fn frame(maps: u64, pages: u64, pmd: bool) -> Value {
    json!({"frame": {"flags": "0x5828", "maps": maps, "pages": pages, "pmd": pmd}})
}

/// Fails if a decision takes one step for each mapping of a page.
#[test]
fn many_mappings_cost_no_more_than_few() {
    let mut value = good();
    let areas: Vec<_> = (0u64..50)
        .map(|i| {
            area(
                0x10_0000_0000 + (i << 24),
                1,
                &frame((1 << 30) - i, 1, false),
            )
        })
        .collect();
    value["observed"]["areas"] = json!(areas);
    value["observed"]["pins"] = json!([]);
    assert_eq!(report(&value)["resident"], 50);
}

/// Fails if a decision takes one step for each base page of a large page.
#[test]
fn large_pages_cost_no_more_than_small_ones() {
    let mut value = good();
    let areas: Vec<_> = (0u64..20)
        .map(|i| area(0x10_0000_0000 + (i << 24), 1, &frame(1 + i, 1 << 20, true)))
        .collect();
    value["observed"]["areas"] = json!(areas);
    value["observed"]["pins"] = json!([]);
    assert_eq!(report(&value)["resident"], 20);
}

/// Fails if a pinned range is gone through page by page; or if a page at either end is lost.
#[test]
fn a_large_pinned_range_costs_no_more_than_a_small_one() {
    let mut value = good();
    let pages = 1u64 << 40;
    let start = 0x1000_0000_0000;
    let pin = |start: u64, len: u64, kind: &str| json!({"start": start, "len": len, "kind": kind, "by": "x", "evidence": "accounted"});
    value["observed"]["areas"] = json!([area(start, pages, &frame(1, 1, false))]);
    // All but the first page and the last but one; and the last once more.
    value["observed"]["pins"] = json!([
        pin(start + 4096 + 100, (pages - 3) * 4096 - 100, "longterm"),
        pin(start + (pages - 1) * 4096 + 5, 10, "short"),
    ]);
    let report = report(&value);
    assert_eq!(report["resident"], pages);
    assert_eq!(report["pins"][0]["resident"], pages - 3);
    assert_eq!(report["pins"][1]["resident"], 1);
    let classes = |policy: &str| report["totals"][policy]["classes"].clone();
    assert_eq!(
        classes("skip-opportunistic"),
        json!({"pinned": pages - 2, "reclaimable": 2})
    );
    assert_eq!(
        classes("skip-longterm"),
        json!({"pinned": pages - 3, "held": 1, "reclaimable": 2})
    );
}

/// Fails if many small pins in many small areas take more than a step for each.
#[test]
fn many_pins_cost_a_step_each() {
    let mut value = good();
    let at = |i: u64| 0x1000_0000_0000 + (i << 14);
    let count = 1u64 << 15;
    let areas: Vec<_> = (0..count)
        .map(|i| area(at(i), 1, &frame(1, 1, false)))
        .collect();
    let pins: Vec<_> = (0..count)
        .map(|i| {
            json!({"start": at(i), "len": u64::MAX, "kind": "longterm", "by": "x",
                   "evidence": "accounted"})
        })
        .collect();
    value["observed"]["areas"] = json!(areas);
    value["observed"]["pins"] = json!(pins);
    assert_eq!(
        report(&value)["totals"]["skip-pinned"]["classes"],
        json!({"pinned": count})
    );
}

/// Fails if a file is taken that no process can give: areas that overlap, sizes that overflow.
#[test]
fn what_no_process_can_be_is_refused() {
    let mut value = good();
    value["observed"]["page_size"] = json!(1);
    refuse(&value, &["observed.page_size", "4096"]);
    let mut value = good();
    let one = area(1 << 30, 8, &frame(1, 1, false));
    value["observed"]["areas"] = json!([one, one]);
    refuse(&value, &["observed.areas[1].start", "overlaps"]);
    let mut value = good();
    value["observed"]["areas"][0]["start"] = json!(1);
    refuse(&value, &["observed.areas[0]", "page"]);
    for (maps, pages, said) in [
        (1, 0, "number of pages"),
        (1, 1 << 21, "number of pages"),
        (1, 3, "power of two"),
        ((1 << 30) + 1, 1, "mappings"),
    ] {
        let mut value = good();
        value["observed"]["areas"] = json!([area(1 << 30, 8, &frame(maps, pages, true))]);
        refuse(&value, &["observed.areas[0].runs[0]", said]);
    }
}

/// Fails if a name in a file can send control sequences to the terminal.
#[test]
fn names_are_only_text() {
    let mut value = good();
    let evil = "\u{1b}[2J\u{7}\nsecond line";
    value["observed"]["process"]["command"] = json!(evil);
    value["observed"]["unseen"] = json!([evil]);
    value["observed"]["areas"][0]["name"] = json!(evil);
    value["observed"]["areas"][0]["perms"] = json!(evil);
    value["observed"]["kernel"] = json!(evil);
    value["observed"]["pins"][0]["by"] = json!(evil);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.json");
    fs::write(&file, value.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pinfold-linux"))
        .args(["inspect", "--snapshot"])
        .arg(&file)
        .assert()
        .success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "{text:?}"
    );
    assert!(
        !text.lines().any(|line| line.starts_with("second")),
        "{text}"
    );
}

/// Fails if a file without end is read until memory is full. The pipe has an end, so that a
/// program that reads it all does end.
#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let zeroes = vec![0u8; 64 << 20];
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 60000; exec \"$0\" inspect --snapshot -"])
        .arg(env!("CARGO_BIN_EXE_pinfold-linux"))
        .write_stdin(zeroes)
        .timeout(Duration::from_secs(20))
        .assert()
        .code(1);
    let error = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(error.contains("line 1"), "{error}");
}
