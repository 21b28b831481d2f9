//! The comparison of prediction and observation, and its tables.

use super::rules::{End, Rule, Way};
use crate::layout::{lines, new_table};
use crate::output::wrapped;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The pages of one state, reclaimed in one way.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) state: String,
    pub(super) way: Way,
    /// Whether the pages are pinned now.
    pub(super) pinned: bool,
    pub(super) pages: u64,
    /// The decisions of pinfold's default policy, and for how many pages.
    pub(super) policy: BTreeMap<crate::decide::Class, u64>,
    pub(super) predicted: BTreeMap<End, u64>,
    pub(super) observed: BTreeMap<End, u64>,
    /// How many pages went as predicted.
    pub(super) agreed: u64,
    /// Pinned pages that were predicted to be reclaimed, by the kernel's rule or by pinfold's policy.
    pub(super) pinned_but_reclaimable: u64,
    pub(super) rules: BTreeSet<Rule>,
    /// The first page that went otherwise: its state before and after.
    pub(super) wrong: Option<String>,
}

impl Row {
    pub(super) fn is_right(&self) -> bool {
        self.pages > 0 && self.agreed == self.pages && self.pinned_but_reclaimable == 0
    }
}

/// The result of `verify`.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) kernel: String,
    pub(super) swap: String,
    pub(super) cgroup: Option<String>,
    pub(super) rows: Vec<Row>,
    /// States that could not be made or compared, and why, one line each.
    pub(super) not_made: Vec<String>,
}

impl Outcome {
    pub(super) fn is_right(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_right)
    }
}

impl Outcome {
    /// The outcome as text, no wider than `width` characters.
    pub(super) fn text(&self, width: usize) -> String {
        let mut text = wrapped(&format!("kernel: {}", self.kernel), width);
        text += &wrapped(&format!("swap: {}", self.swap), width);
        if let Some(cgroup) = &self.cgroup {
            text += &wrapped(&format!("memory pressure: {cgroup}"), width);
        }
        for (way, title) in [
            (Way::PageOut, "Reclaimed with MADV_PAGEOUT:"),
            (Way::Cgroup, "Reclaimed by pressure on a memory cgroup:"),
        ] {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.way == way).collect();
            if !rows.is_empty() {
                text += &format!("\n{title}\n{}\n", table(&rows, width));
            }
        }
        text.push('\n');
        for line in self.lines() {
            text += &wrapped(&line, width);
        }
        text
    }

    /// What is below the tables.
    fn lines(&self) -> Vec<String> {
        let rules: BTreeSet<_> = self.rows.iter().flat_map(|row| &row.rules).collect();
        let rules = rules
            .iter()
            .map(|rule| format!("rule {}: {}", rule.key(), rule.text()));
        let mut lines: Vec<_> = rules.collect();
        for row in self.rows.iter().filter(|row| !row.is_right()) {
            let wrong = row.wrong.as_deref();
            let wrong = wrong.unwrap_or("a pinned page was predicted to be reclaimed");
            lines.push(format!("WRONG: {}: {wrong}", row.state));
        }
        lines.extend(
            self.not_made
                .iter()
                .map(|line| format!("not compared: {line}")),
        );
        let (mut pages, mut agreed, mut pinned) = (0, 0, 0);
        for row in &self.rows {
            pages += row.pages;
            agreed += row.agreed;
            pinned += row.pinned_but_reclaimable;
        }
        lines.push(format!(
            "{agreed} of {pages} pages in {} rows went as predicted. Pages pinned with io_uring or \
             direct I/O and predicted to be reclaimed: {pinned}.",
            self.rows.len(),
        ));
        lines
    }
}

fn table(rows: &[&Row], width: usize) -> String {
    let header = ["state", "predicted", "observed", "rule", "agreed"];
    let mut table = new_table(&header, 4);
    for row in rows {
        let rules: Vec<_> = row.rules.iter().map(|rule| rule.key()).collect();
        table.add_row([
            row.state.clone(),
            ends(&row.predicted, row.pages),
            ends(&row.observed, row.pages),
            rules.join(", "),
            format!("{}/{}", row.agreed, row.pages),
        ]);
    }
    lines(table, width)
}

fn ends(ends: &BTreeMap<End, u64>, pages: u64) -> String {
    let words: Vec<_> = ends
        .iter()
        .map(|(end, count)| {
            let word = match end {
                End::Stays => "stays",
                End::Swapped => "in swap",
                End::Gone => "gone",
                End::Unmapped => "unmapped",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(agreed: u64, pinned_but_reclaimable: u64) -> Outcome {
        let row = |way| Row {
            state: "pinned by io_uring, then forked: parent's: unregistered".to_owned(),
            way,
            pinned: true,
            pages: 4096,
            policy: BTreeMap::new(),
            predicted: [(End::Unmapped, 4096)].into(),
            observed: [(End::Unmapped, agreed), (End::Other, 4096 - agreed)].into(),
            agreed,
            pinned_but_reclaimable,
            rules: [Rule::PinnedLazyfree].into(),
            wrong: (agreed < 4096).then(|| "page 7: before ".to_owned() + &"x".repeat(200)),
        };
        Outcome {
            kernel: "Linux 6.18.44".to_owned(),
            swap: "x ".repeat(100),
            cgroup: Some("x".repeat(100)),
            rows: vec![row(Way::PageOut), row(Way::Cgroup)],
            not_made: vec!["word ".repeat(50)],
        }
    }

    /// Fails if a line is wider than the terminal, or a name is broken where there is room.
    #[test]
    fn the_outcome_fits_the_terminal() {
        for outcome in [outcome(4096, 0), outcome(4095, 1)] {
            for width in [60, 80, 200] {
                let text = outcome.text(width);
                assert!(
                    text.lines().all(|line| line.chars().count() <= width),
                    "{text}"
                );
            }
            assert!(outcome.text(200).contains(&outcome.rows[0].state));
        }
    }

    /// Fails if a page that went otherwise, or a pinned page that was predicted to be reclaimed, is
    /// not reported.
    #[test]
    fn what_is_wrong_is_said() {
        assert!(!outcome(4096, 0).text(80).contains("WRONG"));
        assert!(outcome(4095, 0).text(80).contains("WRONG"));
        assert!(outcome(4096, 1).text(80).contains("WRONG"));
    }
}
