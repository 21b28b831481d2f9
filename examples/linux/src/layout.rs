//! Tables that fit the width of the output.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// The spaces around a cell.
const PADDING: usize = 2;

/// A table whose columns from `numbers` on are numbers.
pub(crate) fn new_table(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Whether the table is no wider than `width` without breaking a cell.
pub(crate) fn fits(table: &Table, width: usize) -> bool {
    let columns = table.column_max_content_widths();
    let cells: usize = columns.iter().map(|cell| usize::from(*cell)).sum();
    cells + PADDING * columns.len() <= width
}

/// The lines of the table. If it is too wide, the widest columns are broken into several lines.
pub(crate) fn lines(mut table: Table, width: usize) -> String {
    if !fits(&table, width) {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    table.trim_fmt()
}
