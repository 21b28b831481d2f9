//! Counts the decisions about the pages of a process: by VMA, by policy, and by pinned range.

use crate::decide::{Class, Decider, Facts, Hidden, Policy, Sure};
use crate::model::{Area, Evidence, Kind, Observed, PinnedRange, Process, Seen};
use crate::pinned::{Pinned, Resident};
use serde::Serialize;
use std::collections::BTreeMap;

/// The decisions about a process.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) kernel: String,
    pub(crate) page_size: u64,
    pub(crate) process: Process,
    pub(crate) resident: u64,
    pub(crate) swapped: u64,
    pub(crate) unseen: Vec<String>,
    pub(crate) pins: Vec<PinLine>,
    /// By policy.
    pub(crate) totals: BTreeMap<Policy, Tally>,
    pub(crate) areas: Vec<AreaLine>,
    /// How many VMAs with pages are not listed, because only the largest were asked for.
    pub(crate) areas_left_out: usize,
}

/// A pinned range.
#[derive(Debug, Serialize)]
pub(crate) struct PinLine {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) kind: Kind,
    pub(crate) by: String,
    pub(crate) evidence: Evidence,
    /// Pages in memory that it covers.
    pub(crate) resident: u64,
}

/// One VMA.
#[derive(Debug, Serialize)]
pub(crate) struct AreaLine {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) perms: String,
    pub(crate) name: String,
    pub(crate) resident: u64,
    pub(crate) swapped: u64,
    /// Pages that are part of a large page.
    pub(crate) huge: u64,
    pub(crate) policies: BTreeMap<Policy, Tally>,
}

/// Pages in memory, counted by decision. Each page is counted once in `classes` and once in `sure`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) classes: BTreeMap<Class, u64>,
    pub(crate) sure: BTreeMap<Sure, u64>,
    /// Pages whose decision this hidden thing would change.
    pub(crate) depends_on: BTreeMap<Hidden, u64>,
}

impl Tally {
    pub(crate) fn of(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Self) {
        sum(&mut self.classes, &other.classes);
        sum(&mut self.sure, &other.sure);
        sum(&mut self.depends_on, &other.depends_on);
    }
}

fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, pages) in from {
        *into.entry(*key).or_default() += pages;
    }
}

impl Report {
    /// Decides about every page under every policy. With `top`, only that many VMAs are listed: those
    /// with the most pages in memory.
    pub(crate) fn of(observed: &Observed, top: Option<usize>) -> Self {
        let (mut decider, mut pinned) = (Decider::default(), Pinned::of(observed));
        let mut areas: Vec<_> = observed
            .areas
            .iter()
            .filter(|area| !area.runs.is_empty())
            .map(|area| line(observed, area, &mut decider, &mut pinned))
            .collect();
        let mut totals: BTreeMap<Policy, Tally> = Policy::ALL
            .iter()
            .map(|policy| (*policy, Tally::default()))
            .collect();
        for (policy, tally) in areas.iter().flat_map(|area| &area.policies) {
            totals.entry(*policy).or_default().add(tally);
        }
        let (resident, swapped) = areas.iter().fold((0, 0), |(resident, swapped), area| {
            (resident + area.resident, swapped + area.swapped)
        });
        let all = areas.len();
        if let Some(top) = top {
            areas.sort_by_key(|area| std::cmp::Reverse(area.resident));
            areas.truncate(top);
        }
        Self {
            kernel: observed.kernel.clone(),
            page_size: observed.page_size,
            process: observed.process.clone(),
            resident,
            swapped,
            unseen: observed.unseen.clone(),
            pins: pins(observed),
            totals,
            areas_left_out: all - areas.len(),
            areas,
        }
    }
}

fn line(
    observed: &Observed,
    area: &Area,
    decider: &mut Decider,
    pinned: &mut Pinned<'_>,
) -> AreaLine {
    let mut policies: BTreeMap<Policy, Tally> = BTreeMap::new();
    let mut huge = 0;
    for (seen, pin, pages) in pinned.states(area) {
        let facts = Facts::of(observed, area, seen, pin);
        if matches!(facts.seen, Seen::Frame(frame) if frame.pages > 1) {
            huge += pages;
        }
        for policy in Policy::ALL {
            let tally = policies.entry(policy).or_default();
            let Some(decision) = decider.decide(&facts, policy) else {
                continue;
            };
            *tally.classes.entry(decision.class).or_default() += pages;
            *tally.sure.entry(decision.sure).or_default() += pages;
            for hidden in decision.depends_on() {
                *tally.depends_on.entry(hidden).or_default() += pages;
            }
        }
    }
    let (resident, swapped) = area.resident_and_swapped();
    AreaLine {
        start: area.start,
        end: area.end,
        perms: area.perms.clone(),
        name: area.name.clone(),
        resident,
        swapped,
        huge,
        policies,
    }
}

fn pins(observed: &Observed) -> Vec<PinLine> {
    let resident = Resident::of(observed);
    let line = |pin: &PinnedRange| PinLine {
        start: pin.start,
        len: pin.len,
        kind: pin.kind,
        by: pin.by.clone(),
        evidence: pin.evidence,
        resident: resident.covered(pin),
    };
    observed.pins.iter().map(line).collect()
}
