//! The report as one page of HTML that needs nothing else.

use super::{Report, chart, table};
use crate::error::Error;
use crate::summary::{MEASURES, Of, Row};
use std::fmt::Write;

const PAGE_STYLE: &str = "
:root{color-scheme:light dark;--soft:#f6f8fa;--quiet:#57606a}
@media (prefers-color-scheme:dark){:root{--soft:#171d23;--quiet:#98a4af}}
*{box-sizing:border-box}
body{margin:0;background:var(--panel);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:38px 0 4px}
p{margin:6px 0 10px}.quiet{color:var(--quiet)}
.box{background:var(--soft);border-radius:8px;padding:12px 18px;margin:14px 0}
ul{margin:6px 0;padding-left:20px}
svg{display:block;width:100%;height:auto}
.charts{display:grid;gap:12px 24px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));max-width:1080px}
.one{max-width:640px}.many{grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr))}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;white-space:nowrap}
td,th{padding:3px 9px 3px 0;text-align:right;border-bottom:1px solid var(--faint)}
td:first-child,th:first-child{text-align:left}
tr.group td{font-weight:600;padding-top:14px;border-bottom:0}
th{font-weight:600;vertical-align:bottom}
.dot{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:7px}
.range{display:block;font-size:11px;color:var(--quiet)}
.text td{text-align:left;white-space:normal;vertical-align:top}
.text td:first-child{white-space:nowrap}
.numbers td:first-child{position:sticky;left:0;background:var(--panel);white-space:normal}
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The page.
pub fn page(report: &Report<'_>) -> Result<String, Error> {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{trace} under {n} reclaim policies</title>\
         <style>{style}{page}</style></head><body><main>\n\
         <h1>Who stalls when pinned pages are reclaimed</h1>\n\
         <p class=\"quiet\">The memory trace <b>{trace}</b>, replayed by pinfold-sim under {n} \
         policies for pages that a device has pinned.</p>\n",
        trace = escape(&report.trace),
        n = report.rows.len(),
        style = chart::STYLE,
        page = PAGE_STYLE,
    );
    html.push_str("<div class=\"box\"><b>What came out</b><ul>\n");
    for finding in &report.findings {
        let _ = writeln!(html, "<li>{}</li>", escape(finding));
    }
    html.push_str("</ul></div>\n");
    setting(&mut html, report);
    for figure in chart::figures(report)? {
        let class = match figure.charts.len() {
            1 => "charts one",
            2 => "charts",
            _ => "charts many",
        };
        let _ = write!(
            html,
            "<h2>{}</h2>\n<p class=\"quiet\">{}</p>\n<div class=\"{class}\">\n{}\n</div>\n",
            figure.title,
            escape(&figure.about),
            figure.charts.join("\n")
        );
    }
    policies(&mut html, report);
    numbers(&mut html, report);
    out_of_memory(&mut html, report);
    verdicts(&mut html, report);
    costs(&mut html, report)?;
    html.push_str("</main></body></html>\n");
    Ok(html)
}

/// What was run.
fn setting(html: &mut String, report: &Report<'_>) {
    let _ = write!(
        html,
        "<div class=\"box\"><b>What was run</b><ul>\n\
         <li>{} requests over {} pages, on a modelled machine of {} frames of memory and {} pages of \
         swap.</li>\n",
        table::count(report.requests as f64),
        table::count(report.footprint as f64),
        table::count(f64::from(report.plan.frames)),
        table::count(f64::from(report.plan.swap)),
    );
    for workload in &report.plan.workloads {
        let _ = writeln!(
            html,
            "<li>Over it, <b>{}</b>: {}, up to {:.0} % of the frames.</li>",
            escape(&workload.name),
            escape(&workload.about),
            100.0 * workload.pinned
        );
    }
    if report.plan.workloads.is_empty() {
        html.push_str("<li>Nobody pins anything.</li>\n");
    }
    let _ = write!(
        html,
        "<li>Repeated over {} seed{}.</li>\n\
         <li><b>Times are modelled</b>: sums of model units from the cost table at the end. They \
         compare policies; nothing was measured on a real machine.</li></ul></div>\n",
        report.seeds.len(),
        if report.seeds.len() == 1 { "" } else { "s" }
    );
}

fn dot(row: &Row<'_>) -> String {
    format!(
        "<span class=\"dot\" style=\"background:var(--s{})\"></span>",
        chart::colour(row.policy)
    )
}

fn policies(html: &mut String, report: &Report<'_>) {
    html.push_str("<h2>The policies</h2>\n<div class=\"wide\"><table class=\"text\">\n");
    for row in &report.rows {
        let _ = writeln!(
            html,
            "<tr><td>{}{}</td><td>{}: {}</td></tr>",
            dot(row),
            row.policy.name(),
            row.policy.library(),
            row.policy.about()
        );
    }
    html.push_str("</table></div>\n");
}

fn numbers(html: &mut String, report: &Report<'_>) {
    html.push_str("<h2>All numbers</h2>\n<p class=\"quiet\">");
    if report.seeds.len() > 1 {
        html.push_str(
            "Medians over the seeds, with the lowest and the highest; percentiles and the longest are \
             of the stalls of all seeds together. A difference is told at the top where every seed \
             shows it, with the median of the seeds' ratios. ",
        );
    }
    html.push_str("-: no run reached the end, or too few stalls (a p99 needs 100 of them).");
    html.push_str("</p>\n<div class=\"wide\"><table class=\"numbers\">\n<tr><th></th>");
    for row in &report.rows {
        let _ = write!(html, "<th>{}{}</th>", dot(row), row.policy.name());
    }
    html.push_str("</tr>\n");
    let mut group = "";
    for (index, measure) in MEASURES.iter().enumerate() {
        if measure.group != group {
            group = measure.group;
            let columns = report.rows.len() + 1;
            let _ = writeln!(
                html,
                "<tr class=\"group\"><td colspan=\"{columns}\">{group}</td></tr>"
            );
        }
        let _ = write!(html, "<tr><td>{}</td>", measure.label);
        for row in &report.rows {
            let value = &row.values[index];
            let shown = table::shown(value.value, measure.unit);
            let range = match measure.of {
                Of::Run(_) => table::range(value, measure.unit),
                Of::Percentile(_) | Of::Longest => None,
            };
            let range = range.map(|range| format!("<span class=\"range\">{range}</span>"));
            let _ = write!(html, "<td>{shown}{}</td>", range.unwrap_or_default());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

/// Runs that ended before the trace did.
fn out_of_memory(html: &mut String, report: &Report<'_>) {
    let mut lines = String::new();
    for row in &report.rows {
        for (seed, ended) in row.out_of_memory() {
            let _ = writeln!(
                lines,
                "<tr><td>{}{}</td><td>{seed}</td><td>{}</td><td>{}</td></tr>",
                dot(row),
                row.policy.name(),
                ended.request,
                escape(&ended.to_string())
            );
        }
    }
    if lines.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>Out of memory</h2>\n<p class=\"quiet\">These runs ended because no frame could be had. \
         Their numbers are not in the tables and charts of the others.</p>\n\
         <div class=\"wide\"><table class=\"text\">\n\
         <tr><td>policy</td><td>seed</td><td>request</td><td>why</td></tr>\n{lines}</table></div>\n"
    );
}

/// When reclaim gave up, and who held the pages.
fn verdicts(html: &mut String, report: &Report<'_>) {
    html.push_str("<h2>When reclaim gave up</h2>\n");
    let runs: Vec<_> = report
        .runs
        .iter()
        .filter(|run| !run.outcome.verdicts.is_empty())
        .collect();
    if runs.is_empty() {
        html.push_str("<p>It never did, under any policy.</p>\n");
        return;
    }
    html.push_str("<div class=\"wide\"><table class=\"text\">\n");
    html.push_str(
        "<tr><td>policy</td><td>seed</td><td>request</td><td>who gave up</td><td>pinned</td>\
         <td>by whom</td></tr>\n",
    );
    for run in runs {
        for verdict in run.outcome.verdicts.iter().take(4) {
            let owners: Vec<_> = verdict
                .owners
                .iter()
                .map(|(name, pages, age)| {
                    format!(
                        "{}: {pages} pages, the oldest for {age} requests",
                        escape(name)
                    )
                })
                .collect();
            let who = match (verdict.background, &verdict.killed) {
                (true, _) => "the background reclaimer".to_owned(),
                (false, Some(killed)) => format!("a caller, and {} was killed", escape(killed)),
                (false, None) => "a caller".to_owned(),
            };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{who}</td><td>{}</td><td>{}</td></tr>",
                run.policy.name(),
                run.seed,
                verdict.at,
                verdict.pinned,
                owners.join("; ")
            );
        }
    }
    html.push_str("</table></div>\n");
}

fn costs(html: &mut String, report: &Report<'_>) -> Result<(), Error> {
    let costs = serde_json::to_value(report.plan.costs)
        .map_err(|error| Error::Machine(error.to_string()))?;
    html.push_str("<h2>The cost table</h2>\n<p class=\"quiet\">In model units; another one is given with --costs.</p>\n<p>");
    for (entry, cost) in costs.as_object().into_iter().flatten() {
        let _ = write!(html, "{} {cost} &ensp; ", entry.replace('_', " "));
    }
    html.push_str("</p>\n");
    Ok(())
}
