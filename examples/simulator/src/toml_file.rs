//! Files in TOML: workloads and cost tables.

use crate::error::Error;
use serde::de::DeserializeOwned;
use std::io;
use std::path::Path;

/// Reads a file that should hold `what`, such as "a workload".
pub fn read(path: &Path, what: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::config(
            path.display().to_string(),
            "no such file",
            format!("{what} in TOML"),
        ),
        _ => Error::io(path)(error),
    })
}

/// Parses the text of the file `name`. An error has the line, and the entry if TOML does not name it.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str, what: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.as_bytes().iter().take(start);
        let line = before.filter(|&&byte| byte == b'\n').count();
        let mut place = format!("{name}, line {}", line + 1);
        let entry = text.lines().nth(line).and_then(|line| line.split_once('='));
        if let Some((entry, _)) = entry
            && !error.message().contains(&format!("`{}`", entry.trim()))
        {
            place += &format!(", {}", entry.trim());
        }
        located(place, &error, &format!("{what} in TOML"))
    })
}

/// What TOML says of an entry, in the words of the other errors.
pub fn located(place: String, error: &toml::de::Error, expected: &str) -> Error {
    let message = error.message().trim();
    let (found, expected) = message
        .split_once(", expected ")
        .unwrap_or((message, expected));
    // The only names of types that there are here.
    let expected = expected
        .replace("f64", "a number")
        .replace("u32", "a whole number");
    Error::config(place, found, expected)
}
