//! What is inside the runs: how long single stalls take, and what happens over time.

use super::{
    Area, FAINT, Figure, INK, WIDTH, draw, failed, legend, mesh, series, text, tick, write,
};
use crate::error::Error;
use crate::machine::Sample;
use crate::replay::Run;
use crate::report::Report;
use crate::summary::pooled;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// The width and the height of a small chart.
const SMALL: (u32, u32) = (320, 220);

/// Quantiles of the stalls, for each policy, of all seeds together.
pub fn stalls(report: &Report<'_>) -> Result<Figure, Error> {
    let mut lines = Vec::new();
    let (mut least, mut most) = (f64::INFINITY, 10.0f64);
    for row in &report.rows {
        let Some(all) = pooled(&row.runs).filter(|all| !all.is_empty()) else {
            continue;
        };
        let points: Vec<(f64, f64)> = (0..=400)
            .map(|step| {
                let part = f64::from(step) / 4.0;
                (part, (all.value_at_quantile(part / 100.0) as f64).max(1.0))
            })
            .collect();
        least = least.min(points[0].1);
        most = most.max(points[400].1);
        lines.push((row, points));
    }
    let chart = draw((WIDTH, 340), "distribution of stalls", |area| {
        if lines.is_empty() {
            let style = text(16, HPos::Left, VPos::Top);
            return write(area, "no caller ever stalled", &style, (84, 60));
        }
        legend(area, report)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(56)
            .margin_right(22)
            .x_label_area_size(46)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..100.0, (least / 1.3..most * 1.3).log_scale())
            .map_err(failed)?;
        mesh!(chart, 16)
            .x_labels(6)
            .y_labels(6)
            .x_desc("of 100 stalls, so many were at most that long")
            .x_label_formatter(&|part| format!("{part:.0}"))
            .y_label_formatter(&|&units| tick(units))
            .draw()
            .map_err(failed)?;
        for (row, points) in lines {
            let style = series(row.policy).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))
                .map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(Figure {
        title: "How long one stall takes",
        about:
            "In model units, the stalls of all seeds together. The scale is logarithmic, and the \
                right end is the longest stall of all. Lower is better."
                .into(),
        charts: vec![chart],
    })
}

/// The runs of the first seed, one for each policy.
fn first_seed<'a>(report: &'a Report<'_>) -> impl Iterator<Item = &'a Run> {
    report.runs.iter().filter(|run| run.seed == report.seeds[0])
}

/// What a chart over time says beside its own.
fn over_time(report: &Report<'_>, about: &str) -> String {
    let stops = if first_seed(report).all(|run| run.outcome.finished()) {
        ""
    } else {
        " Where a line stops, the run ended out of memory."
    };
    format!("Seed {}. {about}{stops}", report.seeds[0])
}

/// Small charts, one for each policy: pinned, parked and free frames over the run.
pub fn frames(report: &Report<'_>) -> Result<Figure, Error> {
    let pinned = first_seed(report)
        .flat_map(|run| run.outcome.series.samples.iter())
        .map(|sample| sample.pinned);
    let most = pinned.max().unwrap_or(1);
    let most = 1.08 * most.max(u64::from(report.plan.frames) / 10) as f64;
    let charts = first_seed(report).map(|run| {
        let label = format!("frames over time under {}", run.policy.name());
        draw(SMALL, &label, |area| {
            frames_of(area, run, report.requests, most)
        })
    });
    Ok(Figure {
        title: "What the frames are used for, over time",
        about: over_time(
            report,
            &format!(
                "Of {} frames: the pinned ones; those of them that are parked, so that no scan meets \
                 them; and the free ones, cut off at the top.",
                report.plan.frames
            ),
        ),
        charts: charts.collect::<Result<_, _>>()?,
    })
}

fn frames_of(area: &Area<'_>, run: &Run, requests: u64, most: f64) -> Result<(), Error> {
    let colour = series(run.policy);
    let filled = colour.mix(0.35).filled();
    write(
        area,
        run.policy.name(),
        &text(16, HPos::Left, VPos::Top),
        (10, 8),
    )?;
    let small = text(14, HPos::Left, VPos::Top);
    let mark = Rectangle::new([(94, 10), (108, 22)], filled);
    area.draw(&mark).map_err(failed)?;
    write(area, "pinned", &small, (113, 8))?;
    for (left, words, style) in [
        (172, "parked", colour.stroke_width(3)),
        (252, "free", INK.stroke_width(1)),
    ] {
        let mark = PathElement::new([(left, 16), (left + 16, 16)], style);
        area.draw(&mark).map_err(failed)?;
        write(area, words, &small, (left + 21, 8))?;
    }
    let mut chart = ChartBuilder::on(area)
        .margin_top(34)
        .margin_right(22)
        .x_label_area_size(44)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..requests.max(1) as f64, 0.0..most)
        .map_err(failed)?;
    mesh!(chart, 13)
        .x_labels(4)
        .y_labels(4)
        .x_desc("requests")
        .y_desc("frames")
        .x_label_formatter(&|&at| tick(at))
        .y_label_formatter(&|&pages| tick(pages))
        .draw()
        .map_err(failed)?;
    let samples = &run.outcome.series.samples;
    let line = |of: fn(&Sample) -> u64| {
        samples
            .iter()
            .map(move |sample| (sample.at as f64, (of(sample) as f64).min(most)))
    };
    let pinned = AreaSeries::new(line(|sample| sample.pinned), 0.0, filled);
    chart.draw_series(pinned).map_err(failed)?;
    let parked = LineSeries::new(line(|sample| sample.parked), colour.stroke_width(3));
    chart.draw_series(parked).map_err(failed)?;
    let free = LineSeries::new(line(|sample| sample.free), INK.stroke_width(1));
    chart.draw_series(free).map_err(failed)?;
    Ok(())
}

/// Reclaimed per scanned page over the run.
pub fn efficiency(report: &Report<'_>) -> Result<Figure, Error> {
    let end = report.requests.max(1) as f64;
    let lines: Vec<_> = first_seed(report)
        .map(|run| (run.policy, worth(&run.outcome.series.samples)))
        .collect();
    let all = lines.iter().flat_map(|(_, points)| points);
    let most = all.map(|&(_, part)| part).fold(10.0, f64::max) * 1.08;
    let chart = draw((WIDTH, 340), "scan efficiency over time", |area| {
        legend(area, report)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(56)
            .margin_right(26)
            .x_label_area_size(46)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..most)
            .map_err(failed)?;
        mesh!(chart, 16)
            .x_labels(6)
            .y_labels(6)
            .x_desc("requests of the trace")
            .x_label_formatter(&|&at| tick(at))
            .y_label_formatter(&|part| format!("{part:.0} %"))
            .draw()
            .map_err(failed)?;
        for (policy, points) in lines {
            let style = series(policy).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))
                .map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(Figure {
        title: "What scans are worth, over time",
        about: over_time(
            report,
            "Pages reclaimed of 100 scanned, averaged over a tenth of the run. Where a line is low, \
             reclaim works for nothing.",
        ),
        charts: vec![chart],
    })
}

/// Requests so far, and pages reclaimed of 100 scanned in the tenth of the run before.
fn worth(samples: &[Sample]) -> Vec<(f64, f64)> {
    let window = (samples.len() / 10).max(2);
    let windows = samples.iter().enumerate().skip(1).map(|(index, last)| {
        let first = &samples[index.saturating_sub(window)];
        let scanned = last.scanned - first.scanned;
        let reclaimed = last.reclaimed - first.reclaimed;
        (last.at as f64, scanned, reclaimed)
    });
    windows
        .filter(|&(_, scanned, _)| scanned > 0)
        .map(|(at, scanned, reclaimed)| (at, 100.0 * reclaimed as f64 / scanned as f64))
        .collect()
}
