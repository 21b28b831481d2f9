//! Which pages of an area are pinned: looked up by ranges, so that neither large nor many pinned
//! ranges take long.

use crate::model::{Area, Observed, PinnedRange, Seen};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// The pinned ranges of a process.
#[derive(Debug)]
pub(crate) struct Pinned<'a> {
    pins: &'a [PinnedRange],
    page_size: u64,
    /// By the unit in which pages are pinned, in bytes: a base page, or what a PMD maps.
    segments: HashMap<u64, Vec<Segment>>,
}

/// Addresses, and the first of the pins that cover them.
#[derive(Debug)]
struct Segment {
    addresses: Range<u64>,
    pin: usize,
}

impl<'a> Pinned<'a> {
    /// The pinned ranges of this process.
    pub(crate) fn of(observed: &'a Observed) -> Self {
        Self {
            pins: &observed.pins,
            page_size: observed.page_size,
            segments: HashMap::new(),
        }
    }

    /// The pages of an area: state, pin if there is one, and how many pages.
    ///
    /// A large page that a PMD maps is pinned as a whole, so a pin on one of its base pages counts
    /// for all of them.
    pub(crate) fn states(&mut self, area: &Area) -> Vec<(Seen, Option<&'a PinnedRange>, u64)> {
        let (pins, size) = (self.pins, self.page_size);
        let mut states = Vec::new();
        for run in &area.runs {
            let unit = match run.seen {
                Seen::Frame(frame) if frame.pmd => u64::from(frame.pages) * size,
                _ => size,
            };
            let segments = self
                .segments
                .entry(unit)
                .or_insert_with(|| segments(pins, unit));
            let (mut at, end) = (
                area.start + run.at * size,
                area.start + (run.at + run.pages) * size,
            );
            let first = segments.partition_point(|segment| segment.addresses.end <= at);
            for segment in &segments[first..] {
                let from = segment.addresses.start.max(at);
                let to = segment.addresses.end.min(end);
                if from >= to {
                    break;
                }
                if at < from {
                    states.push((run.seen, None, (from - at) / size));
                }
                states.push((run.seen, Some(&pins[segment.pin]), (to - from) / size));
                at = to;
            }
            if at < end {
                states.push((run.seen, None, (end - at) / size));
            }
        }
        states
    }
}

/// The addresses that are pinned, in order and disjoint.
fn segments(pins: &[PinnedRange], unit: u64) -> Vec<Segment> {
    let mut edges: BTreeMap<u64, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (pin, range) in pins.iter().map(|pin| pin.whole_units(unit)).enumerate() {
        if !range.is_empty() {
            edges.entry(range.start).or_default().0.push(pin);
            edges.entry(range.end).or_default().1.push(pin);
        }
    }
    let mut segments: Vec<Segment> = Vec::new();
    let (mut open, mut from) = (BTreeSet::new(), 0);
    for (to, (begin, end)) in edges {
        if let Some(pin) = open.first().copied() {
            match segments.last_mut() {
                Some(last) if last.pin == pin && last.addresses.end == from => {
                    last.addresses.end = to;
                }
                _ => segments.push(Segment {
                    addresses: from..to,
                    pin,
                }),
            }
        }
        open.extend(begin);
        for pin in end {
            open.remove(&pin);
        }
        from = to;
    }
    segments
}

/// The pages in memory of a process, to be counted by address.
#[derive(Debug)]
pub(crate) struct Resident {
    page_size: u64,
    /// The addresses of each run, and how many pages there are before it.
    runs: Vec<(Range<u64>, u64)>,
}

impl Resident {
    /// The pages in memory of this process.
    pub(crate) fn of(observed: &Observed) -> Self {
        let size = observed.page_size;
        let (mut runs, mut before) = (Vec::new(), 0);
        for area in &observed.areas {
            for run in area.runs.iter().filter(|run| run.seen != Seen::Swapped) {
                let start = area.start + run.at * size;
                runs.push((start..start + run.pages * size, before));
                before += run.pages;
            }
        }
        Self {
            page_size: size,
            runs,
        }
    }

    /// How many of them a pin covers.
    pub(crate) fn covered(&self, pin: &PinnedRange) -> u64 {
        let range = pin.whole_units(self.page_size);
        self.before(range.end) - self.before(range.start)
    }

    /// How many pages there are below an address.
    fn before(&self, address: u64) -> u64 {
        let first = self.runs.partition_point(|(run, _)| run.end <= address);
        match self.runs.get(first) {
            Some((run, before)) => before + address.saturating_sub(run.start) / self.page_size,
            None => self.runs.last().map_or(0, |(run, before)| {
                before + (run.end - run.start) / self.page_size
            }),
        }
    }
}
