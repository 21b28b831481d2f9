//! A report as text for a terminal.

use crate::decide::{Class, Hidden, Policy, Sure};
use crate::model::{Evidence, Kind};
use crate::report::{Report, Tally};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::{self, Display, Formatter};

/// A report, shown for one policy.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) report: &'a Report,
    pub(crate) policy: Policy,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report {
            process,
            kernel,
            resident,
            swapped,
            ..
        } = self.report;
        let kib = |size: Option<u64>| size.map_or("unknown".to_owned(), |kib| format!("{kib} KiB"));
        writeln!(
            f,
            "{} (pid {}) on {kernel}: {resident} pages in memory, {swapped} in swap; VmLck {}, VmPin {}",
            process.command,
            process.pid,
            kib(process.locked_kib),
            kib(process.pinned_kib),
        )?;
        self.areas(f)?;
        self.totals(f)?;
        self.pins(f)?;
        for line in &self.report.unseen {
            writeln!(f, "not seen: {line}")?;
        }
        Ok(())
    }
}

impl Shown<'_> {
    fn areas(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let used: Vec<_> = Class::ALL
            .into_iter()
            .filter(|class| self.report.totals[&self.policy].of(*class) > 0)
            .collect();
        let mut header = vec!["addresses", "perms", "what", "pages", "huge"];
        header.extend(used.iter().map(|class| class_name(*class)));
        let mut table = new_table(&header, 3);
        for area in &self.report.areas {
            let mut row = vec![
                format!("{:x}-{:x}", area.start, area.end),
                area.perms.clone(),
                short(&area.name).to_owned(),
                area.resident.to_string(),
                number(area.huge),
            ];
            let tally = &area.policies[&self.policy];
            row.extend(used.iter().map(|class| number(tally.of(*class))));
            table.add_row(row);
        }
        writeln!(f, "\nunder {}, by VMA:\n{table}", policy_name(self.policy))?;
        match self.report.areas_left_out {
            0 => Ok(()),
            more => writeln!(f, "and {more} more VMAs with pages, counted below"),
        }
    }

    fn totals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let used: Vec<_> = Class::ALL
            .into_iter()
            .filter(|class| {
                self.report
                    .totals
                    .values()
                    .any(|tally| tally.of(*class) > 0)
            })
            .collect();
        let mut header = vec!["policy"];
        header.extend(used.iter().map(|class| class_name(*class)));
        header.extend(["certain", "reported", "unless", "unknown"]);
        let mut table = new_table(&header, 1);
        for (policy, tally) in &self.report.totals {
            let mut row = vec![policy_name(*policy).to_owned()];
            row.extend(used.iter().map(|class| number(tally.of(*class))));
            let sure = [Sure::Certain, Sure::Reported, Sure::Unless, Sure::Unknown];
            row.extend(
                sure.iter()
                    .map(|sure| number(tally.sure.get(sure).copied().unwrap_or(0))),
            );
            table.add_row(row);
        }
        writeln!(f, "\nin total, and how sure:\n{table}")?;
        unless(&self.report.totals[&self.policy], f)
    }

    fn pins(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for pin in &self.report.pins {
            let kind = match pin.kind {
                Kind::Longterm => "long-term",
                Kind::Short => "for a short time",
            };
            let evidence = match pin.evidence {
                Evidence::Accounted => "VmPin covers it",
                Evidence::Listed => "VmPin does not cover all that is listed",
                Evidence::Elsewhere => "in another address space",
                Evidence::InFlight => "if its I/O has begun",
                Evidence::Own => "our own",
            };
            let (start, end) = (pin.start, pin.start.saturating_add(pin.len));
            let (by, resident) = (&pin.by, pin.resident);
            writeln!(
                f,
                "pinned {kind}: {start:x}-{end:x}, {resident} pages, by {by} ({evidence})"
            )?;
        }
        Ok(())
    }
}

/// What the decisions hang on, as far as it is hidden.
fn unless(tally: &Tally, f: &mut Formatter<'_>) -> fmt::Result {
    for (hidden, pages) in &tally.unless {
        let what = match hidden {
            Hidden::ShortPin => "a short pin (Linux exports no pin counts)",
            Hidden::LongtermPin => "a long-term pin that is no io_uring buffer (nor exported)",
            Hidden::Reference => "another reference (Linux exports no reference counts)",
            Hidden::PteDirty => "a write that only the page table knows of",
        };
        writeln!(
            f,
            "unless: {pages} pages would be decided otherwise by {what}"
        )?;
    }
    Ok(())
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Reclaimable => "reclaimable",
        Class::Pinned => "pinned",
        Class::Held => "unmapped, held",
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

/// A table whose columns from `numbers` on are numbers.
pub(crate) fn new_table(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(pages: u64) -> String {
    match pages {
        0 => "-".to_owned(),
        pages => pages.to_string(),
    }
}

/// The end of a name that is long.
fn short(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((_, file)) if !file.is_empty() => file,
        _ => name,
    }
}
