//! Everything that the program prints goes through here.
//!
//! `println!` panics when its output is closed or full. These functions report both instead, and
//! the lints of this package forbid the macros.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};

/// The width of output that does not go to a terminal, and of a terminal that does not say.
const WIDTH: usize = 80;
/// The tables need this much; a narrower terminal breaks the lines itself.
const NARROWEST: usize = 60;

/// Why output was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The reader of a pipe has closed it, as `head` does when it has seen enough. No failure.
    #[error("the output was closed")]
    Closed,
    /// Any other reason, such as a device that is full.
    #[error("cannot write to {to}")]
    Failed { to: String, source: io::Error },
}

impl OutputError {
    /// Why writing to `to` failed.
    pub(crate) fn new(to: impl Display, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed {
                to: to.to_string(),
                source,
            },
        }
    }
}

/// Prints to standard output, at once.
///
/// # Errors
///
/// What kept it from being written completely.
pub(crate) fn print(text: impl Display) -> Result<(), OutputError> {
    print_bytes(text.to_string().as_bytes())
}

/// Prints bytes to standard output, at once.
///
/// # Errors
///
/// What kept them from being written completely.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| OutputError::new("standard output", error))
}

/// Prints a message to standard error, wrapped. A message that cannot be printed is lost: there is
/// nowhere to report it, and the exit status says the same.
pub(crate) fn note(message: Arguments<'_>) {
    note_lines(&plain(&message.to_string()));
}

/// The same for a text of several lines.
pub(crate) fn note_lines(text: &str) {
    let width = width_of(&io::stderr());
    let text: String = text.lines().map(|line| wrapped(line, width)).collect();
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The width of standard output in characters.
pub(crate) fn width() -> usize {
    width_of(&io::stdout())
}

fn width_of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> usize {
    match terminal_size::terminal_size_of(stream) {
        Some((terminal_size::Width(width), _)) if width > 0 && stream.is_terminal() => {
            usize::from(width).max(NARROWEST)
        }
        _ => WIDTH,
    }
}

/// Whether standard output is a terminal, whose screen can be cleared.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A paragraph of lines no wider than `width`, the second and later ones indented.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let options = textwrap::Options::new(width)
        .subsequent_indent("  ")
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut lines = textwrap::fill(&plain(text), options);
    lines.push('\n');
    lines
}

/// The text without control characters: names of processes and files, and what a snapshot says, must
/// not move the cursor or end a line.
pub(crate) fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a line is wider than asked for, even for a word without spaces, or a word is lost.
    #[test]
    fn paragraphs_are_wrapped() {
        let text = format!("{} {}", "word ".repeat(20).trim(), "x".repeat(100));
        let lines = wrapped(&text, 30);
        assert!(lines.lines().all(|line| line.chars().count() <= 30));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
        assert_eq!(letters(&lines), letters(&text));
    }

    /// Fails if a control sequence or a second line gets through.
    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(plain("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
        assert_eq!(plain("/ä/文"), "/ä/文");
    }
}
