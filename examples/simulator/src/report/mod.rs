//! Reports: a table, JSON, charts, and one page of HTML.

mod chart;
mod html;
mod json;
mod table;

pub use chart::overview;
pub use html::page;
pub use json::json;
pub use table::table;

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
    pub rows: Vec<Row>,
    pub findings: Vec<String>,
}
