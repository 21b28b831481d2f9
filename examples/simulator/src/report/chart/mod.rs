//! Charts, as SVG whose colours are classes, so that one drawing serves light and dark. They are
//! drawn for the width of a phone, and a page puts several beside each other.

mod compare;
mod runs;

pub use compare::overview;

use super::Report;
use super::table::count;
use crate::error::Error;
use crate::policy::Policy;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What the classes look like; the page has it once, a chart by itself carries it. An image does not
/// see the theme of the page around it, so a chart by itself has a panel of its own behind it.
pub const STYLE: &str = "
:root{--panel:#ffffff;--ink:#24292f;--faint:#d0d7de;--s0:#c8553d;--s1:#a86f00;--s2:#2783bf;--s3:#1f5fa8;--s4:#17896b;--s5:#a1559e}
@media (prefers-color-scheme:dark){:root{--panel:#0f1418;--ink:#d7dde3;--faint:#3a4149;--s0:#ef8069;--s1:#f0b440;--s2:#7cc4f2;--s3:#5b9bea;--s4:#43c39d;--s5:#d58fd2}}
.panel{fill:var(--panel)}.ink{fill:var(--ink)}.ink-l{stroke:var(--ink)}.faint{fill:var(--faint)}.faint-l{stroke:var(--faint)}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}.l4{stroke:var(--s4)}.l5{stroke:var(--s5)}
";

/// The width of a chart, in pixels.
const WIDTH: u32 = 440;

/// Colours that are replaced by classes once a chart is drawn: ink, grid, then the series.
const INK: RGBColor = RGBColor(1, 1, 1);
const FAINT: RGBColor = RGBColor(2, 2, 2);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Charts that belong together, and what they show.
#[derive(Debug)]
pub struct Figure {
    pub title: &'static str,
    pub about: String,
    pub charts: Vec<String>,
}

/// The charts of the page.
pub fn figures(report: &Report<'_>) -> Result<Vec<Figure>, Error> {
    Ok(vec![
        compare::figure(report)?,
        runs::stalls(report)?,
        runs::frames(report)?,
        runs::efficiency(report)?,
    ])
}

/// The colour of a policy, the same in every chart.
pub fn colour(policy: Policy) -> usize {
    let found = Policy::ALL.iter().position(|&other| other == policy);
    found.unwrap_or(0)
}

fn series(policy: Policy) -> RGBColor {
    RGBColor(3, 0, colour(policy) as u8)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Machine(format!("a chart could not be drawn: {error}"))
}

fn text(size: i32, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(h, v))
}

fn write(area: &Area<'_>, words: &str, style: &TextStyle<'_>, at: (i32, i32)) -> Result<(), Error> {
    area.draw_text(words, style, at).map_err(failed)
}

/// A number on an axis.
fn tick(value: f64) -> String {
    let text = count(value);
    let end = text.len() - usize::from(!text.ends_with(|last: char| last.is_ascii_digit()));
    let (number, unit) = text.split_at(end);
    match number.split_once('.') {
        Some((whole, part)) if part.bytes().all(|digit| digit == b'0') => format!("{whole}{unit}"),
        _ => text,
    }
}

/// The axes and the grid that all charts have; `$size` of the labels' text.
macro_rules! mesh {
    ($chart:ident, $size:literal) => {
        $chart
            .configure_mesh()
            .axis_style(FAINT)
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .label_style(text($size, HPos::Left, VPos::Top))
            .axis_desc_style(text($size, HPos::Left, VPos::Top))
    };
}
use mesh;

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
    let named = [(INK, "ink", "ink-l"), (FAINT, "faint", "faint-l")]
        .map(|(colour, fill, line)| (colour, fill.to_owned(), line.to_owned()));
    let policies = Policy::ALL.map(|policy| {
        let index = colour(policy);
        (series(policy), format!("s{index}"), format!("l{index}"))
    });
    for (RGBColor(r, g, b), fill, line) in named.into_iter().chain(policies) {
        let hex = format!("#{r:02X}{g:02X}{b:02X}");
        svg = svg
            .replace(&format!("fill=\"{hex}\""), &format!("class=\"{fill}\""))
            .replace(&format!("stroke=\"{hex}\""), &format!("class=\"{line}\""));
    }
    let role =
        format!("<svg role=\"img\" aria-label=\"{label}\" font-family=\"system-ui, sans-serif\" ");
    Ok(svg
        .replacen("<svg ", &role, 1)
        .replace("font-family=\"sans-serif\"", ""))
}

/// Which colour is which policy: three beside each other.
fn legend(area: &Area<'_>, report: &Report<'_>) -> Result<(), Error> {
    for (index, row) in report.rows.iter().enumerate() {
        let at = (64 + 125 * (index as i32 % 3), 6 + 22 * (index as i32 / 3));
        let mark = Rectangle::new(
            [(at.0, at.1 + 2), (at.0 + 14, at.1 + 14)],
            series(row.policy).filled(),
        );
        area.draw(&mark).map_err(failed)?;
        let style = text(16, HPos::Left, VPos::Top);
        write(area, row.policy.name(), &style, (at.0 + 20, at.1))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::STYLE;

    /// The contrast of two colours as WCAG 2 defines it, from 1 to 21.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |hex: &str| {
            let part = |at: usize| {
                let part = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if part <= 0.04045 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn everything_can_be_told_from_the_panel_in_both_schemes() {
        for scheme in STYLE.lines().filter(|line| line.contains(":root{")) {
            let colour = |name: &str| {
                let at = scheme.find(&format!("--{name}:#")).unwrap() + name.len() + 3;
                &scheme[at..at + 7]
            };
            let panel = colour("panel");
            assert!(contrast(colour("ink"), panel) >= 7.0);
            for name in ["s0", "s1", "s2", "s3", "s4", "s5"] {
                assert!(contrast(colour(name), panel) >= 3.0, "{name} in {scheme}");
            }
        }
    }
}
