//! How wide the text may be.

use std::io::IsTerminal;
use terminal_size::{Width, terminal_size_of};
use textwrap::Options;

/// Columns where nothing says how many there are.
const DEFAULT: usize = 80;

/// Fewer columns than these are taken for these.
const LEAST: usize = 40;

/// The columns of the output: what COLUMNS says, else those of the terminal, else 80.
pub fn width() -> usize {
    let said = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|&columns| columns > 0);
    let terminal = || {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| terminal_size_of(&out)).flatten();
        size.map(|(Width(columns), _)| usize::from(columns))
            .filter(|&columns| columns > 0)
    };
    said.or_else(terminal).unwrap_or(DEFAULT).max(LEAST)
}

/// A paragraph in lines that fit. The first begins with `first`, the others with as many blanks.
pub fn wrapped(first: &str, text: &str, width: usize) -> String {
    let blanks = " ".repeat(textwrap::core::display_width(first));
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&blanks);
    textwrap::fill(text, options) + "\n"
}
