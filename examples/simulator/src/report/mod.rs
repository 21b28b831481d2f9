//! Reports: a table, JSON, charts, and one page of HTML. Files appear whole or not at all.

mod chart;
mod html;
mod json;
mod table;
mod width;

pub use chart::overview;
pub use html::page;
pub use json::{document, json};
pub use table::{Line, columns, table};
pub use width::{width, wrapped};

use crate::error::Error;
use crate::machine::Plan;
use crate::replay::Run;
use crate::summary::Row;
use std::io::Write;
use std::path::Path;

/// What is reported.
#[derive(Debug)]
pub struct Report<'a> {
    pub trace: String,
    pub requests: u64,
    pub footprint: u64,
    pub plan: &'a Plan,
    pub seeds: &'a [u64],
    pub runs: &'a [Run],
    pub rows: Vec<Row<'a>>,
    pub findings: Vec<String>,
}

/// Writes a file beside its place and moves it there, so that no part of it is left if that fails.
pub fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let name = path.file_name().ok_or_else(|| {
        Error::config(
            path.display().to_string(),
            "no file name",
            "a file to write",
        )
    })?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|source| {
        // Whether there is anything to remove does not matter.
        let _ = std::fs::remove_file(&beside);
        Error::Io {
            path: path.to_owned(),
            source,
        }
    })
}
