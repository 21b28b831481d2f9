//! What the tests of the program share.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// The lines of a terminal of ordinary size, and of output that does not go to a terminal.
pub const WIDTH: usize = 80;

/// The program under test.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pinfold-linux"))
}

/// A real process with an `io_uring` buffer registered, recorded by `record`.
pub fn snapshot() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/pinned.json"
    ))
}

/// The writing end of a pipe that nobody reads.
pub fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}

/// A device on which every write fails with `ENOSPC`.
pub fn full() -> File {
    let file = File::options().write(true).open("/dev/full");
    file.expect("/dev/full opens")
}

/// Demands that no line of `text` is wider than [`WIDTH`].
pub fn assert_narrow(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what}: no output");
    for line in text.lines() {
        let width = line.chars().count();
        assert!(
            width <= WIDTH,
            "{what}: {width} characters: {line:?}\n{text}"
        );
    }
}
