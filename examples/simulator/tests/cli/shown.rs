//! What is shown: lines that fit the terminal, statistics that fit the samples, JSON, and charts.

use crate::{SHORT, sim};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const NAMES: [&str; 6] = ["ignore", "patch", "rotate", "lazy", "eager", "longterm"];

fn text(columns: Option<usize>, args: &[&str]) -> String {
    let mut command = sim();
    match columns {
        Some(columns) => command.env("COLUMNS", columns.to_string()),
        None => command.env_remove("COLUMNS"),
    };
    let output = command.args(args).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(None, args)).unwrap()
}

#[test]
fn no_line_is_longer_than_the_terminal_is_wide() {
    let long = [SHORT, &["--all"]].concat();
    for args in [SHORT, &long, &["scenario"]] {
        for columns in [None, Some(40), Some(60), Some(80), Some(132), Some(200)] {
            let width = columns.unwrap_or(80);
            for line in text(columns, args).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn every_policy_has_a_column_of_its_own_name() {
    for columns in [40, 80, 200] {
        let table = text(Some(columns), SHORT);
        // The heads: lines that begin with blanks and hold nothing but names.
        let heads: Vec<&str> = table
            .lines()
            .filter(|line| line.starts_with("     "))
            .flat_map(str::split_whitespace)
            .filter(|word| NAMES.contains(word))
            .collect();
        assert_eq!(heads, NAMES, "{columns}");
    }
    // Where there is room, one table has them all, with the ranges; at 80 still all of them.
    let heads = |columns| {
        let table = text(Some(columns), SHORT);
        table
            .lines()
            .filter(|line| line.ends_with("longterm"))
            .count()
    };
    assert_eq!((heads(80), heads(200)), (1, 1));
    assert!(text(Some(200), SHORT).contains('–') && !text(Some(80), SHORT).contains('–'));
    assert!(text(Some(80), &[SHORT, &["--all"]].concat()).contains('–'));
}

#[test]
fn a_percentile_needs_its_samples_and_no_time_is_negative() {
    // So that some policies have too few stalls for a p99 together, some only for each seed, and
    // none for the median.
    let args: &[&str] = &["--limit", "60000", "--seeds", "2"];
    let report = json(&[args, &["--json"]].concat());
    let seeds = report["seeds"].as_array().unwrap().len();
    let mut missing = 0;
    for policy in report["policies"].as_array().unwrap() {
        let measures = &policy["measures"];
        let of = |key: &str| measures[key]["by_seed"].as_array().unwrap();
        let counts: Vec<f64> = of("stalls").iter().map(|n| n.as_f64().unwrap()).collect();
        for (key, needed) in [
            ("stall_p50", 2.0),
            ("stall_p90", 10.0),
            ("stall_p99", 100.0),
        ] {
            let known = of(key).iter().map(|value| !value.is_null());
            assert!(
                known.eq(counts.iter().map(|&count| count >= needed)),
                "{key}"
            );
            let pooled = counts.iter().sum::<f64>() >= needed;
            assert_eq!(!measures[key]["value"].is_null(), pooled, "{key}");
            missing += usize::from(!pooled);
        }
        for (key, measure) in measures.as_object().unwrap() {
            assert_eq!(measure["by_seed"].as_array().unwrap().len(), seeds, "{key}");
            let number = |of: &str| measure[of].as_f64();
            if let (Some(low), Some(high)) = (number("lowest"), number("highest")) {
                let value = number("value");
                // Pooled values need not lie between those of the seeds.
                assert!(low <= high && low >= 0.0);
                if !key.starts_with("stall_") {
                    assert!(
                        value.is_some_and(|value| low <= value && value <= high),
                        "{key}"
                    );
                }
            }
        }
    }
    assert!(
        missing > 0,
        "every percentile had enough samples: a longer run than meant"
    );
    let table = text(Some(200), args);
    assert!(!table.contains('±'));
    let p99 = table
        .lines()
        .find(|line| line.starts_with("  p99"))
        .unwrap();
    assert!(p99.split_whitespace().any(|cell| cell == "-"), "{p99}");
}

#[test]
fn json_says_what_it_is_and_numbers_are_numbers() {
    let args: [&[&str]; 3] = [
        &["--limit", "9000", "--seeds", "1", "--json"],
        &["--model", "lru", "--frames", "500", "--json"],
        &["scenario", "--json"],
    ];
    for (args, format) in args.into_iter().zip(["report", "model", "scenarios"]) {
        let report = json(args);
        assert_eq!(report["format"], format);
        assert!(report["format_version"].is_u64());
        assert_eq!(report["program_version"], env!("CARGO_PKG_VERSION"));
        let line = report["command_line"].as_array().unwrap();
        let words: Vec<&str> = line.iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words, [&["pinfold-sim"], args].concat());
    }
    for scenario in json(&["scenario", "--json"])["scenarios"]
        .as_array()
        .unwrap()
    {
        for row in scenario["numbers"].as_array().unwrap() {
            let values = row[1].as_array().unwrap();
            assert!(
                values
                    .iter()
                    .all(|value| value.is_u64() || value.is_boolean()),
                "{row}"
            );
        }
    }
}

/// Attributes of this name in a drawing.
fn attributes<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let after = svg.split(start.as_str()).skip(1);
    after.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_chart_has_a_panel_a_legend_and_letters_that_a_phone_can_show() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("chart.svg");
    let page = dir.path().join("report.html");
    let files = [
        "--svg",
        path.to_str().unwrap(),
        "--report",
        page.to_str().unwrap(),
    ];
    text(None, &[SHORT, &files].concat());
    let svg = fs::read_to_string(&path).unwrap();
    // The first thing that is drawn covers all of the image.
    let first = svg.split('<').find(|element| {
        !element.trim().is_empty()
            && !["?xml", "svg", "style", "/style"]
                .iter()
                .any(|name| element.starts_with(name))
    });
    let panel = first.unwrap();
    assert!(
        panel.starts_with("rect") && panel.contains("class=\"panel\""),
        "{panel}"
    );
    assert!(
        panel.contains("width=\"100%\"") && panel.contains("height=\"100%\""),
        "{panel}"
    );
    for name in NAMES {
        assert!(svg.matches(&format!("\n{name}\n")).count() >= 3, "{name}");
    }
    assert!(svg.contains("lowest to highest") && svg.contains("logarithmic"));
    // A phone 375 pixels wide leaves 343 for the picture.
    let html = fs::read_to_string(&page).unwrap();
    let drawings = html
        .split("<svg ")
        .skip(1)
        .map(|rest| &rest[..rest.find("</svg>").unwrap()]);
    let mut seen = 0;
    for drawing in drawings.chain([svg.as_str()]) {
        let frame = attributes(drawing, "viewBox")[0];
        let width: f64 = frame.split(' ').nth(2).unwrap().parse().unwrap();
        for size in attributes(drawing, "font-size") {
            let size: f64 = size.parse().unwrap();
            assert!(size * 343.0 / width >= 10.0, "{size} of {width}");
        }
        seen += 1;
    }
    assert_eq!(seen, 2 + 1 + 6 + 1 + 1);
}
