//! Policies beside each other: how long callers stall, and what scans are worth.

use super::{Area, FAINT, Figure, STYLE, WIDTH, draw, failed, mesh, series, text, tick, write};
use crate::error::Error;
use crate::report::Report;
use crate::report::table::shown;
use crate::summary::Unit;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// The height of a policy's line, and of what is above and below the lines.
const LINE: u32 = 28;
const AROUND: u32 = 66;

/// A measure that is drawn.
struct Drawn {
    key: &'static str,
    title: &'static str,
    unit: Unit,
}

const STALLED: Drawn = Drawn {
    key: "stalled",
    title: "All stalls of a run, in model units (logarithmic)",
    unit: Unit::ModelUnits,
};

const EFFICIENCY: Drawn = Drawn {
    key: "efficiency",
    title: "Pages reclaimed of 100 scanned",
    unit: Unit::Percent,
};

/// Both measures.
pub fn figure(report: &Report<'_>) -> Result<Figure, Error> {
    let height = LINE * report.rows.len() as u32 + AROUND;
    let charts = [STALLED, EFFICIENCY].map(|drawn| {
        draw((WIDTH, height), drawn.title, |area| {
            measure(area, report, &drawn)
        })
    });
    let [stalled, efficiency] = charts;
    Ok(Figure {
        title: "Policies beside each other",
        about: format!(
            "How long callers that needed a page waited for it, all waits together; less is better. \
             And how many of the pages that were looked at were freed; more is better. {}",
            marks(report)
        ),
        charts: vec![stalled?, efficiency?],
    })
}

/// What the dots and lines are.
fn marks(report: &Report<'_>) -> String {
    match report.seeds.len() {
        1 => "Dot: the value of one seed.".into(),
        seeds => format!("Dot: median of {seeds} seeds. Line: lowest to highest."),
    }
}

/// Both measures and what everything in them is, on a panel of its own: for a README.
pub fn overview(report: &Report<'_>) -> Result<String, Error> {
    let rows = report.rows.len() as u32;
    let chart = LINE * rows + AROUND;
    let names = 22 * rows + 34;
    let size = (WIDTH, 2 * chart + names);
    let svg = draw(size, "stalls and scans under each policy", |area| {
        let (stalled, rest) = area.split_vertically(chart);
        let (efficiency, below) = rest.split_vertically(chart);
        measure(&stalled, report, &STALLED)?;
        measure(&efficiency, report, &EFFICIENCY)?;
        let style = text(16, HPos::Left, VPos::Top);
        write(&below, &marks(report), &style, (12, 2))?;
        for (index, row) in report.rows.iter().enumerate() {
            let top = 28 + 22 * index as i32;
            let dot = Circle::new((18, top + 8), 5, series(row.policy).filled());
            below.draw(&dot).map_err(failed)?;
            write(&below, row.policy.name(), &style, (30, top))?;
            write(&below, row.policy.about(), &style, (104, top))?;
        }
        Ok(())
    })?;
    let panel = "<rect class=\"panel\" width=\"100%\" height=\"100%\" rx=\"8\"/>";
    Ok(match svg.find('>') {
        Some(end) => {
            let (head, rest) = svg.split_at(end + 1);
            format!("{head}\n<style>{STYLE}</style>\n{panel}{rest}")
        }
        None => svg,
    })
}

/// One measure: a dot and a line for each policy.
fn measure(area: &Area<'_>, report: &Report<'_>, drawn: &Drawn) -> Result<(), Error> {
    write(
        area,
        drawn.title,
        &text(17, HPos::Left, VPos::Top),
        (12, 10),
    )?;
    let values = || report.rows.iter().map(|row| row.value(drawn.key));
    let most = values()
        .filter_map(|value| value.highest)
        .fold(0.0, f64::max);
    if most == 0.0 {
        let nothing = text(16, HPos::Left, VPos::Top);
        return write(area, "0 under every policy", &nothing, (84, 50));
    }
    if drawn.unit == Unit::Percent {
        return dots(area, report, drawn, 0.0..most * 1.08, 0.0);
    }
    let least = values()
        .flat_map(|value| value.by_seed.iter().copied().flatten())
        .filter(|&value| value > 0.0)
        .fold(most, f64::min);
    // Whole decades, so that there are labels for them; a 0 is drawn at the left end.
    let (from, to) = (
        10f64.powf(least.log10().floor()),
        10f64.powf(most.log10().ceil()).max(10.0),
    );
    dots(area, report, drawn, (from..to).log_scale(), from)
}

fn dots<X: AsRangedCoord<Value = f64>>(
    area: &Area<'_>,
    report: &Report<'_>,
    drawn: &Drawn,
    range: X,
    least: f64,
) -> Result<(), Error>
where
    X::CoordDescType: ValueFormatter<f64>,
{
    let lines = report.rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_top(34)
        .margin_right(74)
        .x_label_area_size(30)
        .y_label_area_size(88)
        .build_cartesian_2d(range, lines..0.0)
        .map_err(failed)?;
    mesh!(chart, 16)
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(6)
        .x_label_formatter(&|&value| tick(value))
        .draw()
        .map_err(failed)?;
    let (width, _) = area.dim_in_pixel();
    for (index, row) in report.rows.iter().enumerate() {
        let value = row.value(drawn.key);
        let y = index as f64 + 0.5;
        let (_, middle) = chart.backend_coord(&(least.max(1.0), y));
        let middle = middle - area.get_base_pixel().1;
        let right = text(16, HPos::Right, VPos::Center);
        write(area, row.policy.name(), &right, (78, middle))?;
        let words = shown(value.value, drawn.unit);
        write(area, &words, &right, (width as i32 - 14, middle))?;
        let (Some(low), Some(high)) = (value.lowest, value.highest) else {
            continue;
        };
        let style = series(row.policy);
        let range = PathElement::new(
            [(low.max(least), y), (high.max(least), y)],
            style.stroke_width(2),
        );
        chart.draw_series([range]).map_err(failed)?;
        let at = value.value.unwrap_or(low).max(least);
        let dot = Circle::new((at, y), 6, style.filled());
        chart.draw_series([dot]).map_err(failed)?;
    }
    Ok(())
}
