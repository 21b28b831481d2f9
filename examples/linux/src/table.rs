//! Shows a report as text, no wider than the output.

use crate::decide::{Class, Hidden, Policy, Sure};
use crate::layout::{fits, lines, new_table};
use crate::model::{Evidence, Kind};
use crate::output::{plain, wrapped};
use crate::report::{AreaLine, Report, Tally};
use comfy_table::{CellAlignment, Table};
use std::fmt::{self, Display, Formatter};

/// A report, with the table of VMAs for one policy.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) report: &'a Report,
    pub(crate) policy: Policy,
    /// The width of the output in characters.
    pub(crate) width: usize,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let kib = |size: Option<u64>| size.map_or("unknown".to_owned(), |kib| format!("{kib} KiB"));
        let head = format!(
            "{} (process {}) on {}",
            report.process.command, report.process.pid, report.kernel
        );
        self.line(f, &head)?;
        let sizes = format!(
            "{} pages in memory, {} in swap; VmLck {}, VmPin {}",
            report.resident,
            report.swapped,
            kib(report.process.locked_kib),
            kib(report.process.pinned_kib),
        );
        self.line(f, &sizes)?;
        if !report.areas.is_empty() {
            self.areas(f)?;
        }
        if report.resident > 0 {
            self.totals(f)?;
        }
        self.depends(f)?;
        self.pins(f)?;
        for line in &report.unseen {
            self.line(f, &format!("not seen: {line}"))?;
        }
        Ok(())
    }
}

impl Shown<'_> {
    fn line(&self, f: &mut Formatter<'_>, text: &str) -> fmt::Result {
        f.write_str(&wrapped(text, self.width))
    }

    fn areas(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let wide = self.wide_areas();
        let table = if fits(&wide, self.width) {
            wide
        } else {
            self.narrow_areas()
        };
        writeln!(f)?;
        let title = format!(
            "Decisions of {} by VMA, in pages:",
            policy_name(self.policy)
        );
        self.line(f, &title)?;
        writeln!(f, "{}", lines(table, self.width))?;
        match self.report.areas_left_out {
            0 => Ok(()),
            more => self.line(f, &format!("({more} more VMAs are counted below)")),
        }
    }

    /// A column for each decision.
    fn wide_areas(&self) -> Table {
        let used = used(&[&self.report.totals[&self.policy]]);
        let mut header = vec!["addresses", "perms", "what", "pages", "huge"];
        header.extend(used.iter().map(|class| class_name(*class)));
        let mut table = new_table(&header, 3);
        for area in &self.report.areas {
            let mut row = vec![
                format!("{:x}-{:x}", area.start, area.end),
                plain(&area.perms),
                short(&area.name),
                area.resident.to_string(),
                number(area.huge),
            ];
            let tally = &area.policies[&self.policy];
            row.extend(used.iter().map(|class| number(tally.of(*class))));
            table.add_row(row);
        }
        table
    }

    /// The decisions in words: most VMAs have one or two.
    fn narrow_areas(&self) -> Table {
        let huge = self.report.areas.iter().any(|area| area.huge > 0);
        let mut header = vec!["start", "perms", "what", "pages"];
        header.extend(huge.then_some("huge"));
        header.push("decisions");
        let mut table = new_table(&header, 3);
        if let Some(decisions) = table.column_iter_mut().last() {
            decisions.set_cell_alignment(CellAlignment::Left);
        }
        for area in &self.report.areas {
            let mut row = vec![
                format!("{:x}", area.start),
                plain(&area.perms),
                short(&area.name),
                area.resident.to_string(),
            ];
            row.extend(huge.then(|| number(area.huge)));
            row.push(self.decisions(area));
            table.add_row(row);
        }
        table
    }

    fn decisions(&self, area: &AreaLine) -> String {
        let tally = &area.policies[&self.policy];
        let words: Vec<_> = tally
            .classes
            .iter()
            .map(|(class, pages)| match *pages {
                all if all == area.resident => format!("all {}", class_name(*class)),
                pages => format!("{pages} {}", class_name(*class)),
            })
            .collect();
        words.join(", ")
    }

    fn totals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let totals: Vec<_> = self.report.totals.values().collect();
        let mut header = vec!["decision"];
        header.extend(self.report.totals.keys().map(|policy| policy_name(*policy)));
        let mut table = new_table(&header, 1);
        for class in used(&totals) {
            let mut row = vec![class_name(class).to_owned()];
            row.extend(totals.iter().map(|tally| number(tally.of(class))));
            table.add_row(row);
        }
        writeln!(f, "\nIn total:\n{}", lines(table, self.width))?;

        header[0] = "certainty";
        let mut table = new_table(&header, 1);
        for (sure, name) in [
            (Sure::Certain, "certain"),
            (Sure::Reported, "reported"),
            (Sure::Depends, "depends"),
            (Sure::Unknown, "unknown"),
        ] {
            let count = |tally: &&Tally| tally.sure.get(&sure).copied().unwrap_or(0);
            let mut row = vec![name.to_owned()];
            row.extend(totals.iter().map(|tally| number(count(tally))));
            table.add_row(row);
        }
        writeln!(f, "\n{}", lines(table, self.width))
    }

    /// What the decisions depend on that Linux does not export.
    fn depends(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (hidden, pages) in &self.report.totals[&self.policy].depends_on {
            let what = match hidden {
                Hidden::ShortPin => "a short pin, which Linux does not export",
                Hidden::LongtermPin => {
                    "a long-term pin that is not an io_uring buffer, which Linux does not export"
                }
                Hidden::Reference => "a further reference, which Linux does not export",
                Hidden::PteDirty => {
                    "a dirty bit in a page-table entry, which Linux does not export"
                }
            };
            let line = format!("{pages} of these decisions would change with {what}");
            self.line(f, &line)?;
        }
        Ok(())
    }

    fn pins(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for pin in &self.report.pins {
            let kind = match pin.kind {
                Kind::Longterm => "long-term",
                Kind::Short => "for a short time",
            };
            let evidence = match pin.evidence {
                Evidence::Accounted => "VmPin includes it",
                Evidence::Listed => "VmPin does not include all listed buffers",
                Evidence::Elsewhere => "in another address space",
                Evidence::InFlight => "if its I/O has begun",
                Evidence::Own => "made by this program",
            };
            let (start, end) = (pin.start, pin.start.saturating_add(pin.len));
            let (by, resident) = (&pin.by, pin.resident);
            let line =
                format!("pinned {kind}: {start:x}-{end:x}, {resident} pages, by {by} ({evidence})");
            self.line(f, &line)?;
        }
        Ok(())
    }
}

/// The classes that any of these have pages in.
fn used(tallies: &[&Tally]) -> Vec<Class> {
    let is_used = |class: &Class| tallies.iter().any(|tally| tally.of(*class) > 0);
    Class::ALL.into_iter().filter(is_used).collect()
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Reclaimable => "reclaimable",
        Class::Pinned => "pinned",
        Class::Held => "unmapped and held",
        Class::Mlocked => "mlocked",
        Class::Unevictable => "unevictable",
        Class::Dirty => "dirty",
        Class::Busy => "busy",
        Class::NoSwap => "no swap",
        Class::Huge => "cannot split",
        Class::Unlisted => "on no list",
        Class::Other => "other",
        Class::Unknown => "unknown",
    }
}

fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::IgnorePins => "IgnorePins",
        Policy::SkipPinned => "SkipPinned",
        Policy::SkipOpportunistic => "SkipOpportunistic",
        Policy::SkipLongterm => "SkipLongterm",
    }
}

fn number(pages: u64) -> String {
    match pages {
        0 => "-".to_owned(),
        pages => pages.to_string(),
    }
}

/// The name without the directory.
fn short(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((_, file)) if !file.is_empty() => plain(file),
        _ => plain(name),
    }
}
