//! The table in the terminal.

use super::Report;
use crate::summary::{MEASURES, Spread, Unit};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write;

/// The table, with what it says in words below it.
pub fn table(report: &Report<'_>, all: bool) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec![Cell::new("")];
    head.extend(report.rows.iter().map(|row| {
        Cell::new(row.which.short().replace(", ", ",\n")).set_alignment(CellAlignment::Right)
    }));
    table.set_header(head);
    let mut group = "";
    for (index, measure) in MEASURES.iter().enumerate() {
        let nothing = report.rows.iter().all(|row| row.values[index].max == 0.0);
        if !all && (!measure.short || nothing) {
            continue;
        }
        if measure.group != group {
            if !group.is_empty() {
                table.add_row(vec![Cell::new("")]);
            }
            group = measure.group;
            table.add_row(vec![Cell::new(group).add_attribute(Attribute::Bold)]);
        }
        let mut line = vec![Cell::new(format!("  {}", measure.label))];
        line.extend(report.rows.iter().map(|row| {
            Cell::new(shown(row.values[index], measure.unit)).set_alignment(CellAlignment::Right)
        }));
        table.add_row(line);
    }
    let mut text = heading(report);
    let _ = writeln!(text, "\n{}\n", plain(&table.to_string()));
    for finding in &report.findings {
        let _ = writeln!(text, "- {finding}");
    }
    let _ = writeln!(
        text,
        "\nStalls and times are modelled, in model units (a cost table, not a measurement).{}",
        if report.seeds.len() > 1 {
            format!(
                " Means over {} seeds; ± is half of the spread. A difference is told where every seed shows it.",
                report.seeds.len()
            )
        } else {
            String::new()
        }
    );
    text
}

fn heading(report: &Report<'_>) -> String {
    let mut text = format!(
        "{}: {} requests over {} pages, replayed on {} frames and {} pages of swap\n",
        report.trace,
        count(report.requests as f64),
        count(report.footprint as f64),
        count(f64::from(report.plan.frames)),
        count(f64::from(report.plan.swap)),
    );
    for workload in &report.plan.workloads {
        let _ = writeln!(
            text,
            "{}: {}, up to {:.0} % of the frames",
            workload.name,
            workload.about,
            100.0 * workload.pinned
        );
    }
    if report.plan.workloads.is_empty() {
        text.push_str("nobody pins\n");
    }
    text
}

/// Without the blanks at the ends of lines.
fn plain(table: &str) -> String {
    let lines: Vec<_> = table.lines().map(str::trim_end).collect();
    lines.join("\n")
}

pub fn shown(spread: Spread, unit: Unit) -> String {
    let half = (spread.max - spread.min) / 2.0;
    let (value, half, sign) = match unit {
        Unit::Percent => (format!("{:.1}", spread.mean), format!("{half:.1}"), " %"),
        Unit::Count | Unit::ModelUnits => (count(spread.mean), count(half), ""),
    };
    if spread.min == spread.max {
        format!("{value}{sign}")
    } else {
        format!("{value} ±{half}{sign}")
    }
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
