//! Prediction against observation, page by page, and the table of it.

use super::rules::{End, Rule, Way};
use crate::table::new_table;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

/// The pages of one state, reclaimed in one way.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) state: String,
    pub(super) way: Way,
    /// Whether the pages are pinned now.
    pub(super) pinned: bool,
    pub(super) pages: u64,
    /// What the crate's default policy says, for how many pages.
    pub(super) policy: BTreeMap<crate::decide::Class, u64>,
    pub(super) predicted: BTreeMap<End, u64>,
    pub(super) observed: BTreeMap<End, u64>,
    /// Pages of which the prediction was right.
    pub(super) agreed: u64,
    /// Pinned pages that were predicted to be reclaimed, by the rule or by the crate's policy.
    pub(super) pinned_but_reclaimable: u64,
    pub(super) rules: BTreeSet<Rule>,
    /// The first page that went otherwise, before and after.
    pub(super) wrong: Option<String>,
}

impl Row {
    pub(super) fn is_right(&self) -> bool {
        self.pages > 0 && self.agreed == self.pages && self.pinned_but_reclaimable == 0
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) kernel: String,
    pub(super) swap: String,
    pub(super) cgroup: Option<String>,
    pub(super) rows: Vec<Row>,
    /// States that could not be made or pressed, one line each.
    pub(super) not_made: Vec<String>,
}

impl Outcome {
    pub(super) fn is_right(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_right)
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel: {}; swap: {}", self.kernel, self.swap)?;
        if let Some(cgroup) = &self.cgroup {
            writeln!(f, "pressure: {cgroup}")?;
        }
        let header = [
            "state",
            "reclaimed by",
            "predicted",
            "observed",
            "rule",
            "pages",
            "agreed",
            "",
        ];
        let mut table = new_table(&header, 5);
        for row in &self.rows {
            let rules: Vec<_> = row.rules.iter().map(|rule| rule.key()).collect();
            table.add_row([
                row.state.clone(),
                match row.way {
                    Way::PageOut => "MADV_PAGEOUT",
                    Way::Cgroup => "cgroup",
                }
                .to_owned(),
                ends(&row.predicted, row.pages),
                ends(&row.observed, row.pages),
                rules.join(", "),
                row.pages.to_string(),
                row.agreed.to_string(),
                if row.is_right() { "ok" } else { "WRONG" }.to_owned(),
            ]);
        }
        writeln!(f, "\n{table}\n")?;
        let rules: BTreeSet<_> = self.rows.iter().flat_map(|row| &row.rules).collect();
        for rule in rules {
            writeln!(f, "rule {}: {}", rule.key(), rule.text())?;
        }
        for row in &self.rows {
            if let Some(wrong) = &row.wrong {
                writeln!(f, "WRONG: {}: {wrong}", row.state)?;
            }
        }
        for line in &self.not_made {
            writeln!(f, "not compared: {line}")?;
        }
        let (mut pages, mut agreed, mut pinned) = (0, 0, 0);
        for row in &self.rows {
            pages += row.pages;
            agreed += row.agreed;
            pinned += row.pinned_but_reclaimable;
        }
        writeln!(
            f,
            "\n{agreed} of {pages} pages in {} rows went as predicted; pinned pages predicted \
             reclaimable: {pinned}",
            self.rows.len(),
        )
    }
}

fn ends(ends: &BTreeMap<End, u64>, pages: u64) -> String {
    let words: Vec<_> = ends
        .iter()
        .map(|(end, count)| {
            let word = match end {
                End::Stays => "stays",
                End::Swapped => "in swap",
                End::Gone => "gone",
                End::Unmapped => "unmapped, kept",
                End::Other => "other",
            };
            if *count == pages {
                word.to_owned()
            } else {
                format!("{count} {word}")
            }
        })
        .collect();
    words.join(", ")
}
