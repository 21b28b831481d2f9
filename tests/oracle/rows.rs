//! Reading a file of oracle vectors, strictly.

use core::fmt::Debug;
use std::path::PathBuf;

/// One row: its place, the columns before the bar and those behind it.
pub(crate) struct Row {
    pub(crate) place: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// The rows of the file that the environment variable names, or of the committed one.
///
/// A row that is not `inputs|outputs` and a file with no row fail the test.
pub(crate) fn read(variable: &str, committed: &str) -> Vec<Row> {
    let path = std::env::var_os(variable).map_or_else(
        || {
            [env!("CARGO_MANIFEST_DIR"), "tests", "data", committed]
                .iter()
                .collect()
        },
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let rows: Vec<Row> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let place = format!("{}:{}: {line}", path.display(), at + 1);
            let (inputs, outputs) = line
                .split_once('|')
                .unwrap_or_else(|| panic!("no `|` in {place}"));
            let columns = |part: &str| part.split(',').map(str::to_owned).collect();
            Row {
                inputs: columns(inputs),
                outputs: columns(outputs),
                place,
            }
        })
        .collect();
    assert!(!rows.is_empty(), "{} holds no row", path.display());
    rows
}

impl Row {
    pub(crate) fn expect_columns(&self, inputs: usize, outputs: usize) {
        let found = (self.inputs.len(), self.outputs.len());
        assert_eq!(found, (inputs, outputs), "columns of {}", self.place);
    }

    /// A hexadecimal column.
    pub(crate) fn hex(&self, column: &str) -> u32 {
        self.parsed(u32::from_str_radix(column, 16), column)
    }

    /// A decimal column.
    pub(crate) fn dec<T: core::str::FromStr<Err: Debug>>(&self, column: &str) -> T {
        self.parsed(column.parse(), column)
    }

    fn parsed<T, E: Debug>(&self, parsed: Result<T, E>, column: &str) -> T {
        parsed.unwrap_or_else(|error| panic!("`{column}`: {error:?} in {}", self.place))
    }
}
