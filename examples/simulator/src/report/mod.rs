//! Reports: a table, JSON, charts, and one page of HTML.

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

use crate::machine::Plan;
use crate::replay::Run;
use crate::summary::Row;

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
