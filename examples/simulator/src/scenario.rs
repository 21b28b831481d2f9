//! `scenario`: four failures that page reclaim has already had because of pinned pages, each told in
//! three lines and played under the old policies and the new.

use crate::costs;
use crate::error::Error;
use crate::machine::{Failures, Frame, Machine, Plan};
use crate::policy::Policy;
use crate::report::{Line, columns, wrapped};
use crate::trace::Kind;
use pinfold::pin::PinKind;
use serde::Serialize;

/// One scenario, told and played.
#[derive(Debug, Serialize)]
pub struct Told {
    pub name: &'static str,
    pub title: &'static str,
    /// What happened, why, and what is done about it.
    pub lines: [&'static str; 3],
    pub policies: Vec<&'static str>,
    /// A measure, and its value under each policy.
    pub numbers: Vec<(&'static str, Vec<Number>)>,
    /// What the numbers show.
    pub shows: String,
}

/// What a scenario came to under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Number {
    Count(u64),
    /// Whether it happened.
    Happened(bool),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Happened(true) => f.write_str("yes"),
            Self::Happened(false) => f.write_str("no"),
        }
    }
}

type Play = fn(&mut Machine<'_>) -> Result<Vec<u64>, Error>;

struct Scenario {
    name: &'static str,
    title: &'static str,
    lines: [&'static str; 3],
    frames: u32,
    policies: &'static [Policy],
    measures: &'static [&'static str],
    play: Play,
    shows: fn(&[Vec<u64>]) -> String,
}

const OLD_AND_NEW: &[Policy] = &[
    Policy::Ignore,
    Policy::Patch,
    Policy::Lazy,
    Policy::Longterm,
];

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a",
        title: "A GPU driver pins all inactive anonymous memory",
        lines: [
            "A driver holds 400 inactive anonymous pages pinned; 100 others and 20 file pages could be had, and a caller needs 60.",
            "The old scan begins with that list, unmaps what it cannot free, and never gets to the rest: the OOM killer comes although memory could be had.",
            "Asking about pins first, and leaving pinned pages out of the lists' lengths, lets the scan go on to the pages that can be had.",
        ],
        frames: 528,
        policies: OLD_AND_NEW,
        measures: &[
            "pages reclaimed, of 60",
            "passes",
            "gave up: out of memory",
            "pages that could still be had",
            "pages scanned",
            "devices stopped",
            "pinned pages given swap for nothing",
            "cost of the stall (modelled)",
        ],
        play: gpu,
        shows: |n| {
            format!(
                "Old: {} of 60 pages and {} devices stopped. New: {} of 60, none stopped.",
                n[0][0], n[0][5], n[2][0]
            )
        },
    },
    Scenario {
        name: "b",
        title: "Every short pin takes its page off the list",
        lines: [
            "Direct I/O pins and unpins the same 32 pages 50 times, and a scan comes by once.",
            "Isolating a page at every pin keeps scans clean, but each pin and unpin then pays for list operations, under the list's lock.",
            "Parking only what a scan has met costs the pin path nothing; long-term parking leaves short pins alone altogether.",
        ],
        frames: 64,
        policies: &[
            Policy::Eager,
            Policy::Rotate,
            Policy::Lazy,
            Policy::Longterm,
        ],
        measures: &[
            "list operations, 1600 pins and unpins",
            "list operations, a scan while pinned",
            "list operations, the unpins after it",
        ],
        play: short_pins,
        shows: |n| {
            format!(
                "Eager pays {:.1} list operations for each pin and unpin; the others pay {}.",
                n[0][0] as f64 / 1600.0,
                n[2][0]
            )
        },
    },
    Scenario {
        name: "c",
        title: "A background reclaimer that never stops",
        lines: [
            "All of a node is pinned but one page, which its program reads again after each pass.",
            "In Linux a single page reclaimed resets the count of failures, so the background reclaimer runs for ever, for a page a pass.",
            "Only a pass that meets its target counts as a success, so that a verdict comes after 16 passes and names who pins.",
        ],
        frames: 72,
        policies: OLD_AND_NEW,
        measures: &[
            "passes until it stopped (200: never)",
            "gave up with a verdict",
            "pages reclaimed",
            "pages scanned",
            "devices stopped",
            "cost (modelled)",
        ],
        play: background,
        shows: |n| {
            format!(
                "Old: still running after {} passes, {} pages scanned. New: stopped after {}, {} scanned.",
                n[0][0], n[0][3], n[2][0], n[2][3]
            )
        },
    },
    Scenario {
        name: "d",
        title: "Robbing Peter to pay Paul",
        lines: [
            "An object of 32 pages is pinned page by page; its first half is in memory, and its second half needs reclaim.",
            "The old scan finds the first half at the old end of the list and attacks what the same caller has just pinned.",
            "The hint at the front skips pinned pages before anything is spent on them, and takes 40 others that nobody needs.",
        ],
        frames: 64,
        policies: OLD_AND_NEW,
        measures: &[
            "pages of the object pinned at the end",
            "of these, attacked: unmapped",
            "of these, swap allocated",
            "devices stopped",
        ],
        play: object,
        shows: |n| {
            format!(
                "Old: {} pinned pages of the object were unmapped and {} times a device was stopped. New: {} and {}.",
                n[0][1], n[0][3], n[2][1], n[2][3]
            )
        },
    },
];

/// Plays the scenarios of this name; all, if it is "all".
pub fn play(which: &str) -> Result<Vec<Told>, Error> {
    let chosen = SCENARIOS
        .iter()
        .filter(|scenario| which == "all" || scenario.name == which);
    chosen.map(Scenario::tell).collect()
}

impl Scenario {
    fn tell(&self) -> Result<Told, Error> {
        let plan = Plan {
            frames: self.frames,
            swap: 4 * self.frames,
            costs: costs::load(None, &[])?,
            workloads: Vec::new(),
            seed: 1,
            write_share: 0.0,
            file_share: 0.0,
            dirty_expire: u64::MAX,
            failures: Failures::Linux,
        };
        let mut values = Vec::new();
        for policy in self.policies {
            let frames: Vec<Frame> = (0..self.frames).map(Frame::new).collect();
            let mut machine = policy.machine(&frames, &plan)?;
            values.push((self.play)(&mut machine)?);
            machine.check().map_err(Error::Machine)?;
        }
        let numbers = self.measures.iter().enumerate().map(|(index, measure)| {
            let row = values.iter().map(|of| {
                if measure.starts_with("gave up") {
                    Number::Happened(of[index] == 1)
                } else {
                    Number::Count(of[index])
                }
            });
            (*measure, row.collect())
        });
        Ok(Told {
            name: self.name,
            title: self.title,
            lines: self.lines,
            policies: self.policies.iter().map(|policy| policy.name()).collect(),
            numbers: numbers.collect(),
            shows: (self.shows)(&values),
        })
    }
}

/// As text, in lines no longer than `width`.
pub fn text(told: &[Told], width: usize) -> String {
    let mut text = String::new();
    for scenario in told {
        text += &wrapped(&format!("({}) ", scenario.name), scenario.title, width);
        for line in scenario.lines {
            text += &wrapped("    ", line, width);
        }
        let lines: Vec<Line> = scenario
            .numbers
            .iter()
            .map(|(measure, values)| {
                Line::Values(
                    (*measure).to_owned(),
                    values.iter().map(Number::to_string).collect(),
                )
            })
            .collect();
        text += &columns(&scenario.policies, &lines, width).text;
        text += &wrapped("  -> ", &scenario.shows, width);
        text.push('\n');
    }
    let last = "Costs are modelled, in model units. The policies are those of --policy.";
    text + &wrapped("", last, width)
}

fn gpu(machine: &mut Machine<'_>) -> Result<Vec<u64>, Error> {
    machine.set_high_mark(20);
    for page in 0..500 {
        machine.use_page(page, Kind::Anon, true)?;
    }
    for page in 500..520 {
        machine.use_page(page, Kind::File, false)?;
    }
    for page in 0..400 {
        machine.pin_object(page, PinKind::Longterm);
    }
    machine.make_old(true);
    let done = machine.reclaim(60, 1000, false, None)?;
    Ok(vec![
        done.reclaimed,
        done.passes,
        u64::from(done.futile),
        machine.could_be_had(false) + machine.could_be_had(true),
        done.scanned,
        machine.revocations(),
        machine.pinned_in_swap(),
        done.spent,
    ])
}

fn short_pins(machine: &mut Machine<'_>) -> Result<Vec<u64>, Error> {
    for page in 0..32 {
        machine.use_page(page, Kind::Anon, true)?;
    }
    machine.make_old(false);
    let since = |machine: &Machine<'_>, before: u64| machine.list_operations() - before;
    let before = machine.list_operations();
    for _ in 0..50 {
        for page in 0..32 {
            machine.pin_object(page, PinKind::Short);
        }
        for page in 0..32 {
            machine.unpin_object(page, PinKind::Short);
        }
    }
    let pin_path = since(machine, before);
    for page in 0..32 {
        machine.pin_object(page, PinKind::Short);
    }
    let before = machine.list_operations();
    machine.reclaim(1, 1, false, None)?;
    let scan = since(machine, before);
    let before = machine.list_operations();
    for page in 0..32 {
        machine.unpin_object(page, PinKind::Short);
    }
    Ok(vec![pin_path, scan, since(machine, before)])
}

fn background(machine: &mut Machine<'_>) -> Result<Vec<u64>, Error> {
    for page in 0..64 {
        machine.use_page(page, Kind::Anon, true)?;
    }
    for page in 0..64 {
        machine.pin_object(page, PinKind::Longterm);
    }
    machine.make_old(false);
    let done = machine.reclaim(32, 200, true, Some(64))?;
    Ok(vec![
        done.passes,
        u64::from(done.futile),
        done.reclaimed,
        done.scanned,
        machine.revocations(),
        done.spent,
    ])
}

fn object(machine: &mut Machine<'_>) -> Result<Vec<u64>, Error> {
    for page in (0..16).chain(32..72) {
        machine.use_page(page, Kind::Anon, true)?;
    }
    machine.make_old(false);
    for page in 0..32 {
        machine.use_page(page, Kind::Anon, true)?;
        machine.pin_object(page, PinKind::Longterm);
        if page == 15 {
            machine.make_old(false);
        }
    }
    Ok(vec![
        machine.pinned(),
        machine.pinned_unmapped(),
        machine.pinned_in_swap(),
        machine.revocations(),
    ])
}
