//! Checks a state that comes from a file: what the types do not rule out, and what decisions rely on.

use crate::model::{Area, Observed, Run, Seen};

/// Page sizes of Linux, in bytes.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 4096..=1 << 20;

/// More base pages than any large page of Linux has.
const MAX_PAGES: u32 = 1 << 20;
/// More mappings than Linux counts in 32 bits together with the references that they hold.
const MAX_MAPS: u32 = 1 << 30;

/// Fields that contradict each other, or a value that no process can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {message}")]
pub(crate) struct Inconsistent {
    field: String,
    message: &'static str,
}

/// Checks the state of a process.
///
/// # Errors
///
/// The first field that is wrong. If there is none, addresses and sums of pages do not overflow, and
/// areas and runs are in order.
pub(crate) fn check(observed: &Observed) -> Result<(), Inconsistent> {
    let size = observed.page_size;
    if !size.is_power_of_two() || !PAGE_SIZES.contains(&size) {
        return bad(
            "observed.page_size".to_owned(),
            "not a power of two between 4096 and 1048576",
        );
    }
    let mut next = 0;
    for (i, area) in observed.areas.iter().enumerate() {
        let field = |name: &str| format!("observed.areas[{i}].{name}");
        if !area.start.is_multiple_of(size) {
            return bad(field("start"), "not at a page boundary");
        }
        if area.start < next {
            return bad(
                field("start"),
                "the VMA overlaps the one before, or is out of order",
            );
        }
        if area.end < area.start {
            return bad(field("end"), "before the start");
        }
        next = area.end;
        check_runs(area, size, &field("runs"))?;
    }
    Ok(())
}

fn check_runs(area: &Area, page_size: u64, field: &str) -> Result<(), Inconsistent> {
    let mut next = 0;
    for (j, run) in area.runs.iter().enumerate() {
        let field = || format!("{field}[{j}]");
        let Some(end) = run.at.checked_add(run.pages) else {
            return bad(field(), "too many pages");
        };
        if run.at < next || run.pages == 0 {
            return bad(field(), "out of order, or empty");
        }
        if end > (area.end - area.start) / page_size {
            return bad(field(), "outside its VMA");
        }
        next = end;
        check_frame(run, field)?;
    }
    Ok(())
}

fn check_frame(run: &Run, field: impl Fn() -> String) -> Result<(), Inconsistent> {
    let Seen::Frame(frame) = run.seen else {
        return Ok(());
    };
    if frame.pages == 0 || frame.pages > MAX_PAGES {
        return bad(field(), "its number of pages is not between 1 and 1048576");
    }
    if frame.pmd && !frame.pages.is_power_of_two() {
        return bad(
            field(),
            "mapped by a PMD, but its number of pages is not a power of two",
        );
    }
    if frame.maps > MAX_MAPS {
        return bad(field(), "more than 2^30 mappings");
    }
    Ok(())
}

fn bad<T>(field: String, message: &'static str) -> Result<T, Inconsistent> {
    Err(Inconsistent { field, message })
}
