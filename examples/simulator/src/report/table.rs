//! The table in the terminal.

use super::{Report, wrapped};
use crate::summary::{MEASURES, Of, Unit, Value};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write;

/// A line of a table: the title of a group, or a label and a value for each column.
#[derive(Debug)]
pub enum Line {
    Group(&'static str),
    Values(String, Vec<String>),
}

/// The table, with what it says in words below it, in lines no longer than `width`.
pub fn table(report: &Report<'_>, all: bool, width: usize) -> String {
    let mut text = heading(report, width);
    let heads: Vec<_> = report.rows.iter().map(|row| row.policy.name()).collect();
    let with_ranges = columns(&heads, &lines(report, all, true), width);
    // Without the ranges rather than in several blocks, unless everything is asked for.
    let ranges = report.seeds.len() > 1 && (all || with_ranges.blocks == 1);
    let table = if ranges {
        with_ranges
    } else {
        columns(&heads, &lines(report, all, false), width)
    };
    let _ = writeln!(text, "\n{}", table.text);
    for finding in &report.findings {
        text += &wrapped("- ", finding, width);
    }
    let mut notes = String::from(
        "Stalls and times are modelled, in model units (a cost table, not a measurement).",
    );
    if report.seeds.len() > 1 {
        let _ = write!(
            notes,
            " Values are medians over {} seeds{}; p50 to p99 and the longest are of the stalls of all \
             seeds together. A difference is told where every seed shows it, with the median of the \
             seeds' ratios.",
            report.seeds.len(),
            if ranges {
                ", with the lowest and the highest"
            } else {
                ""
            }
        );
        if !ranges {
            notes += " The ranges over the seeds are in a wider terminal, in --all and in --json.";
        }
    }
    if table.text.split_whitespace().any(|word| word == "-") {
        notes +=
            " -: no run reached the end, or too few stalls (a p99 needs 100, a p95 20, a p90 10).";
    }
    text + "\n" + &wrapped("", &notes, width)
}

/// The measures that are shown.
fn lines(report: &Report<'_>, all: bool, ranges: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let ended: Vec<usize> = report
        .rows
        .iter()
        .map(|row| row.out_of_memory().count())
        .collect();
    if ended.iter().any(|&ended| ended > 0) {
        let label = format!("ended out of memory, of {}", report.seeds.len());
        let values = ended.iter().map(usize::to_string);
        lines.push(Line::Values(label, values.collect()));
    }
    let mut group = "";
    for (index, measure) in MEASURES.iter().enumerate() {
        let nothing = report.rows.iter().all(|row| row.is_nothing(measure.key));
        if !all && (!measure.short || nothing) {
            continue;
        }
        if measure.group != group {
            group = measure.group;
            lines.push(Line::Group(group));
        }
        let ranges = ranges && matches!(measure.of, Of::Run(_));
        let values = report.rows.iter().map(|row| {
            let value = &row.values[index];
            let shown = shown(value.value, measure.unit);
            match range(value, measure.unit) {
                Some(range) if ranges => format!("{shown} ({range})"),
                _ => shown,
            }
        });
        lines.push(Line::Values(measure.label.to_owned(), values.collect()));
    }
    lines
}

/// A table, and in how many blocks below each other its columns are.
#[derive(Debug)]
pub struct Columns {
    pub text: String,
    blocks: usize,
}

/// Lays a table out in as few blocks as the width allows.
pub fn columns(heads: &[&str], lines: &[Line], width: usize) -> Columns {
    let longest = |text: &str| {
        let lines = text.lines().map(textwrap::core::display_width);
        lines.max().unwrap_or(0)
    };
    let mut blocks = 1;
    loop {
        let size = heads.len().div_ceil(blocks).max(1);
        let text: Vec<String> = (0..heads.len())
            .step_by(size)
            .map(|first| {
                let last = heads.len().min(first + size);
                // One column that does not fit has its labels wrapped.
                let limit = (size == 1).then_some(width);
                block(heads, lines, first..last, limit)
            })
            .collect();
        let text = text.join("\n");
        if size == 1 || longest(&text) <= width {
            return Columns { text, blocks };
        }
        blocks += 1;
    }
}

/// Some of the columns, with the labels.
fn block(
    heads: &[&str],
    lines: &[Line],
    columns: std::ops::Range<usize>,
    limit: Option<usize>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match limit {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width as u16),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut head = vec![Cell::new("")];
    head.extend(heads[columns.clone()].iter().map(|head| right(head)));
    table.set_header(head);
    for (index, line) in lines.iter().enumerate() {
        match line {
            Line::Group(title) => {
                if index > 0 {
                    table.add_row(vec![Cell::new("")]);
                }
                table.add_row(vec![Cell::new(title).add_attribute(Attribute::Bold)]);
            }
            Line::Values(label, values) => {
                let mut row = vec![Cell::new(format!("  {label}"))];
                row.extend(values[columns.clone()].iter().map(|value| right(value)));
                table.add_row(row);
            }
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((2 * u16::from(index > 0), 0));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn heading(report: &Report<'_>, width: usize) -> String {
    let mut text = wrapped(
        "",
        &format!(
            "{}: {} requests over {} pages, replayed on {} frames and {} pages of swap",
            report.trace,
            count(report.requests as f64),
            count(report.footprint as f64),
            count(f64::from(report.plan.frames)),
            count(f64::from(report.plan.swap)),
        ),
        width,
    );
    for workload in &report.plan.workloads {
        let what = format!(
            "{}: {}, up to {:.0} % of the frames",
            workload.name,
            workload.about,
            100.0 * workload.pinned
        );
        text += &wrapped("", &what, width);
    }
    if report.plan.workloads.is_empty() {
        text.push_str("nobody pins\n");
    }
    text.push('\n');
    for row in &report.rows {
        let what = format!("{}: {}", row.policy.library(), row.policy.about());
        text += &wrapped(&format!("{:9} ", row.policy.name()), &what, width);
    }
    text
}

/// A value, or - where there is none.
pub fn shown(value: Option<f64>, unit: Unit) -> String {
    match (value, unit) {
        (None, _) => "-".into(),
        (Some(value), Unit::Percent) => format!("{value:.1}"),
        (Some(value), Unit::Count | Unit::ModelUnits) => count(value),
    }
}

/// The lowest and the highest of the seeds, where they differ.
pub fn range(value: &Value, unit: Unit) -> Option<String> {
    let (lowest, highest) = (shown(value.lowest, unit), shown(value.highest, unit));
    (lowest != highest).then(|| format!("{lowest}–{highest}"))
}

/// A number for people: three digits and a unit from ten thousand on.
pub fn count(value: f64) -> String {
    let scaled = |value: f64, unit: &str| {
        let digits = if value < 10.0 {
            2
        } else {
            usize::from(value < 100.0)
        };
        format!("{value:.digits$}{unit}")
    };
    if value < 10_000.0 {
        format!("{}", value.round())
    } else if value < 999_500.0 {
        scaled(value / 1e3, "k")
    } else if value < 999_500_000.0 {
        scaled(value / 1e6, "M")
    } else {
        scaled(value / 1e9, "G")
    }
}
