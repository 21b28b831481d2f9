//! Charts, as SVG whose colours are classes, so that one drawing serves light and dark.

use super::Report;
use super::table::count;
use crate::error::Error;
use crate::policy::Policy;
use crate::summary::{Row, value};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours that are replaced by classes once a chart is drawn: ink, grid, then the series.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(2, 2, 2);

/// What the classes look like; the page has it once, a chart by itself carries it.
pub const STYLE: &str = "
:root{--ink:#24292f;--faint:#d0d7de;--s0:#c8553d;--s1:#d99100;--s2:#3a9bdc;--s3:#1f5fa8;--s4:#17896b;--s5:#a1559e}
@media (prefers-color-scheme:dark){:root{--ink:#d7dde3;--faint:#3a4149;--s0:#ef8069;--s1:#f0b440;--s2:#7cc4f2;--s3:#5b9bea;--s4:#43c39d;--s5:#d58fd2}}
.ink{fill:var(--ink)}.ink-l{stroke:var(--ink)}.faint{fill:var(--faint)}.faint-l{stroke:var(--faint)}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}.l4{stroke:var(--s4)}.l5{stroke:var(--s5)}
";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The colour of a policy, the same in every chart.
pub fn colour(policy: Policy) -> usize {
    Policy::ALL
        .iter()
        .position(|&other| other == policy)
        .unwrap_or(0)
}

fn series(index: usize) -> RGBColor {
    RGBColor(3, 0, index as u8)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Machine(format!("a chart could not be drawn: {error}"))
}

/// The axes and the grid that all charts have; `$size` of the labels' text.
macro_rules! mesh {
    ($chart:ident, $size:literal) => {
        $chart
            .configure_mesh()
            .axis_style(FAINT)
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .label_style(text($size, &INK, HPos::Left, VPos::Top))
    };
}

/// Draws, and puts classes in place of the colours.
fn draw(
    size: (u32, u32),
    label: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    for (colour, class) in [(INK, "ink".to_owned()), (FAINT, "faint".to_owned())]
        .into_iter()
        .chain((0..6).map(|index| (series(index), format!("{index}"))))
    {
        let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        let (fill, line) = if class.len() == 1 {
            (format!("s{class}"), format!("l{class}"))
        } else {
            (class.clone(), format!("{class}-l"))
        };
        svg = svg
            .replace(&format!("fill=\"{hex}\""), &format!("class=\"{fill}\""))
            .replace(&format!("stroke=\"{hex}\""), &format!("class=\"{line}\""));
    }
    let (width, height) = size;
    let old = format!("<svg width=\"{width}\" height=\"{height}\" ");
    let new =
        format!("<svg role=\"img\" aria-label=\"{label}\" font-family=\"system-ui, sans-serif\" ");
    Ok(svg
        .replace(&old, &new)
        .replace("font-family=\"sans-serif\"", ""))
}

fn text(size: i32, colour: &RGBColor, h: HPos, v: VPos) -> TextStyle<'_> {
    TextStyle::from(("sans-serif", size).into_font())
        .color(colour)
        .pos(Pos::new(h, v))
}

/// Horizontal bars, one for each policy.
fn bars(area: &Area<'_>, rows: &[Row], title: &str, key: &str, names: bool) -> Result<(), Error> {
    let put =
        |words: &str, style: &TextStyle<'_>, at| area.draw_text(words, style, at).map_err(failed);
    let (width, _) = area.dim_in_pixel();
    let left = if names { 190 } else { 16 };
    let room = f64::from(width as i32 - left - 78);
    put(title, &text(15, &INK, HPos::Left, VPos::Top), (left, 6))?;
    let most = rows
        .iter()
        .map(|row| value(row, key).max)
        .fold(1e-9, f64::max);
    for (line, row) in rows.iter().enumerate() {
        let spread = value(row, key);
        let top = 36 + 32 * line as i32;
        let long = |value: f64| left + (room * value / most) as i32;
        if names {
            put(
                row.policy,
                &text(14, &INK, HPos::Right, VPos::Center),
                (left - 10, top + 11),
            )?;
        }
        let end = long(spread.mean).max(left + 1);
        let bar = Rectangle::new(
            [(left, top), (end, top + 22)],
            series(colour(row.which)).filled(),
        );
        area.draw(&bar).map_err(failed)?;
        let (low, high) = (long(spread.min), long(spread.max));
        if high > low + 2 {
            let whisker =
                PathElement::new([(low, top + 11), (high, top + 11)], INK.stroke_width(1));
            area.draw(&whisker).map_err(failed)?;
        }
        let shown = if key == "efficiency" || key == "direct_share" {
            format!("{:.1} %", spread.mean)
        } else {
            count(spread.mean)
        };
        let at = (end.max(high) + 6, top + 11);
        put(&shown, &text(14, &INK, HPos::Left, VPos::Center), at)?;
    }
    Ok(())
}

/// Policies beside each other: how long callers stall, and what scans are worth.
fn beside(report: &Report<'_>) -> Result<String, Error> {
    let height = 44 + 32 * report.rows.len() as u32;
    draw((920, height), "policies beside each other", |area| {
        let (left, right) = area.split_horizontally(570);
        let rows = &report.rows;
        bars(
            &left,
            rows,
            "all direct-reclaim stalls together (modelled units)",
            "stalled",
            true,
        )?;
        bars(
            &right,
            rows,
            "pages reclaimed per page scanned",
            "efficiency",
            false,
        )
    })
}

/// The chart of a report by itself, for a README.
pub fn overview(report: &Report<'_>) -> Result<String, Error> {
    let svg = beside(report)?;
    let style = format!("<style>{STYLE}</style>\n");
    Ok(match svg.find('>') {
        Some(end) => format!("{}\n{style}{}", &svg[..=end], &svg[end + 1..]),
        None => svg,
    })
}

/// The charts of the page, with what each shows.
pub fn charts(report: &Report<'_>) -> Result<Vec<(&'static str, String, String)>, Error> {
    Ok(vec![
        (
            "Policies beside each other",
            "Left: how long callers that needed a page waited for it, all waits together; shorter is \
             better. Right: how many of the pages that were looked at were freed; longer is better. \
             Thin lines show the spread over the seeds."
                .into(),
            beside(report)?,
        ),
        (
            "How long one stall takes",
            "Each line is a policy: so many per cent of its stalls were at most that long. The scale \
             is logarithmic, and the right end is the worst stall of all. Lower is better."
                .into(),
            stalls(report)?,
        ),
        (
            "What the frames are used for, over time",
            format!(
                "Seed {}. Filled: pinned frames, of {} in all. The line below its upper edge: those \
                 of them that are parked, so that no scan meets them. The thin line: free frames, cut off \
                 at the top.",
                report.seeds[0], report.plan.frames
            ),
            frames(report)?,
        ),
        (
            "What scans are worth, over time",
            format!(
                "Seed {}. Pages reclaimed for each 100 scanned, averaged over a tenth of the run. \
                 Where a line is low, reclaim works for nothing.",
                report.seeds[0]
            ),
            efficiency(report)?,
        ),
    ])
}

fn legend(area: &Area<'_>, rows: &[Row]) -> Result<(), Error> {
    for (index, row) in rows.iter().enumerate() {
        let at = (60 + 285 * (index as i32 % 3), 4 + 20 * (index as i32 / 3));
        let mark = Rectangle::new(
            [(at.0, at.1 + 3), (at.0 + 14, at.1 + 13)],
            series(colour(row.which)).filled(),
        );
        area.draw(&mark).map_err(failed)?;
        let style = text(14, &INK, HPos::Left, VPos::Top);
        area.draw_text(row.policy, &style, (at.0 + 20, at.1))
            .map_err(failed)?;
    }
    Ok(())
}

/// Quantiles of the stalls, for each policy, of all seeds together.
fn stalls(report: &Report<'_>) -> Result<String, Error> {
    let mut lines = Vec::new();
    let (mut least, mut most) = (f64::INFINITY, 10.0f64);
    for row in &report.rows {
        let mine = report.runs.iter().filter(|run| run.policy == row.which);
        let mut all = hdrhistogram::Histogram::<u64>::new(3).map_err(failed)?;
        for run in mine {
            all.add(&run.outcome.stalls).map_err(failed)?;
        }
        if all.is_empty() {
            continue;
        }
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
    draw((920, 380), "distribution of stalls", |area| {
        if lines.is_empty() {
            let style = text(16, &INK, HPos::Center, VPos::Center);
            return area
                .draw_text("no caller ever stalled", &style, (460, 180))
                .map_err(failed);
        }
        legend(area, &report.rows)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(50)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(74)
            .build_cartesian_2d(0.0..100.0, (least / 1.3..most * 1.3).log_scale())
            .map_err(failed)?;
        mesh!(chart, 13)
            .axis_desc_style(text(13, &INK, HPos::Left, VPos::Top))
            .x_desc("per cent of stalls")
            .y_desc("model units (modelled)")
            .x_label_formatter(&|part| format!("{part:.0} %"))
            .y_label_formatter(&|&units| count(units))
            .draw()
            .map_err(failed)?;
        for (row, points) in lines {
            let style = series(colour(row.which)).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))
                .map_err(failed)?;
        }
        Ok(())
    })
}

/// Small charts, one for each policy: pinned, parked and free frames over the run.
fn frames(report: &Report<'_>) -> Result<String, Error> {
    let runs: Vec<_> = report
        .runs
        .iter()
        .filter(|run| run.seed == report.seeds[0])
        .collect();
    let rows = runs.len().div_ceil(3);
    let most = runs
        .iter()
        .flat_map(|run| run.outcome.series.samples.iter())
        .map(|sample| sample.pinned)
        .max()
        .unwrap_or(1)
        .max(u64::from(report.plan.frames) / 10) as f64;
    let end = report.requests.max(1) as f64;
    draw((920, 200 * rows as u32), "frames over time", |area| {
        let cells = area.split_evenly((rows, 3));
        for (cell, run) in cells.iter().zip(runs) {
            let index = colour(run.policy);
            let title = text(14, &INK, HPos::Left, VPos::Top);
            cell.draw_text(run.policy.name(), &title, (52, 6))
                .map_err(failed)?;
            let mut chart = ChartBuilder::on(cell)
                .margin_top(30)
                .margin_right(18)
                .x_label_area_size(28)
                .y_label_area_size(52)
                .build_cartesian_2d(0.0..end, 0.0..most * 1.08)
                .map_err(failed)?;
            mesh!(chart, 12)
                .x_labels(3)
                .y_labels(4)
                .x_label_formatter(&|at| count(*at))
                .y_label_formatter(&|pages| count(*pages))
                .draw()
                .map_err(failed)?;
            let samples = &run.outcome.series.samples;
            let line = |of: fn(&crate::machine::Sample) -> u64| {
                samples
                    .iter()
                    .map(move |sample| (sample.at as f64, of(sample) as f64))
            };
            let area_style = series(index).mix(0.35).filled();
            let pinned = AreaSeries::new(line(|sample| sample.pinned), 0.0, area_style);
            chart.draw_series(pinned).map_err(failed)?;
            let parked =
                LineSeries::new(line(|sample| sample.parked), series(index).stroke_width(2));
            chart.draw_series(parked).map_err(failed)?;
            let free = line(|sample| sample.free).map(|(at, free)| (at, free.min(most * 1.08)));
            let free = LineSeries::new(free, INK.stroke_width(1));
            chart.draw_series(free).map_err(failed)?;
        }
        Ok(())
    })
}

/// Reclaimed per scanned page over the run.
fn efficiency(report: &Report<'_>) -> Result<String, Error> {
    let end = report.requests.max(1) as f64;
    draw((920, 340), "scan efficiency over time", |area| {
        legend(area, &report.rows)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(50)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0.0..100.0)
            .map_err(failed)?;
        mesh!(chart, 13)
            .axis_desc_style(text(13, &INK, HPos::Left, VPos::Top))
            .x_desc("requests of the trace")
            .x_label_formatter(&|at| count(*at))
            .y_label_formatter(&|part| format!("{part:.0} %"))
            .draw()
            .map_err(failed)?;
        for run in report.runs.iter().filter(|run| run.seed == report.seeds[0]) {
            let samples = &run.outcome.series.samples;
            let window = (samples.len() / 10).max(2);
            let points = samples
                .iter()
                .enumerate()
                .skip(1)
                .filter_map(|(index, last)| {
                    let first = &samples[index.saturating_sub(window)];
                    let scanned = last.scanned - first.scanned;
                    let reclaimed = last.reclaimed - first.reclaimed;
                    (scanned > 0)
                        .then(|| (last.at as f64, 100.0 * reclaimed as f64 / scanned as f64))
                });
            let style = series(colour(run.policy)).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))
                .map_err(failed)?;
        }
        Ok(())
    })
}
