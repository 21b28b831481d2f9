//! Who pins: the workloads over a trace, as files say it.

use crate::error::Error;
use crate::toml_file;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The workloads that the program carries.
pub const SHIPPED: [(&str, &str); 5] = [
    ("gpu", include_str!("../workloads/gpu.toml")),
    ("rdma", include_str!("../workloads/rdma.toml")),
    ("io_uring", include_str!("../workloads/io_uring.toml")),
    ("passthrough", include_str!("../workloads/passthrough.toml")),
    ("directio", include_str!("../workloads/directio.toml")),
];

/// One workload. Times are in turns: a turn is as many requests as the machine has frames, so that a
/// workload is as busy on a large machine as on a small one. `gpu.toml` says what each entry is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// The name of its file.
    #[serde(skip_deserializing)]
    pub name: String,
    pub about: String,
    pub kind: Kind,
    pub source: Source,
    pub part: [f64; 2],
    pub pinned: f64,
    pub object_pages: [u32; 2],
    pub hold: f64,
    pub gap: f64,
    pub moves: bool,
    pub notifier: bool,
    pub device_writes: bool,
    pub revocable: f64,
    pub limit: f64,
}

/// Pins for good anywhere in the program's memory, by a device that nobody can stop. How much of it,
/// `pinned`, has to be said.
impl Default for Workload {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            kind: Kind::Long,
            source: Source::Footprint,
            part: [0.0, 1.0],
            pinned: f64::NAN,
            object_pages: [1, 64],
            hold: 0.0,
            gap: 1.0,
            moves: false,
            notifier: false,
            device_writes: true,
            revocable: 0.0,
            limit: 1.0,
        }
    }
}

/// How long the pins are meant to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Short,
    Long,
}

/// Whose memory is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Footprint,
    Own,
}

/// No object is larger, in pages: 4 GiB.
const MAX_OBJECT: u32 = 1 << 20;

const WHAT: &str = "a workload";

/// Reads the workload `name`, one that the program carries or a file, with its entries changed as
/// `set` says (`ENTRY` or `NAME.ENTRY`, and the value).
pub fn load(name: &str, set: &[(String, toml::Value)]) -> Result<Workload, Error> {
    let (short, text) = match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        Some((shipped, text)) => ((*shipped).to_owned(), (*text).to_owned()),
        None => {
            if !name.ends_with(".toml") && !Path::new(name).exists() {
                let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
                return Err(Error::config(
                    name,
                    "no such workload",
                    format!(
                        "none, {}, or a TOML file, one for each --workload",
                        names.join(", ")
                    ),
                ));
            }
            let text = toml_file::read(Path::new(name), WHAT)?;
            let stem = Path::new(name).file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), text)
        }
    };
    // Twice: only the first knows where in the text an entry is that does not fit.
    let mut workload: Workload = toml_file::parse(name, &text, WHAT)?;
    let mut table: toml::Table = toml_file::parse(name, &text, WHAT)?;
    for (key, value) in set {
        let entry = match key.split_once('.') {
            Some((workload, entry)) if workload == short => entry,
            Some(_) => continue,
            None => key,
        };
        table.insert(entry.to_owned(), value.clone());
        workload = table
            .clone()
            .try_into()
            .map_err(|error| toml_file::located(format!("--set {key}"), &error, WHAT))?;
    }
    if !table.contains_key("pinned") {
        return Err(Error::config(
            format!("{name}, pinned"),
            "missing",
            "which part of the frames is pinned, such as pinned = 0.2",
        ));
    }
    workload.name = short;
    if workload.about.is_empty() {
        workload.about = format!("as {name} says");
    }
    workload.check(name)?;
    Ok(workload)
}

impl Workload {
    fn check(&self, name: &str) -> Result<(), Error> {
        let bad = |entry: &str, found: String, expected: &str| {
            Err(Error::config(format!("{name}, {entry}"), found, expected))
        };
        let [from, to] = self.part;
        if !(0.0..=1.0).contains(&from) || !(0.0..=1.0).contains(&to) || from >= to {
            return bad(
                "part",
                format!("{from} to {to}"),
                "two parts of 1, the first smaller",
            );
        }
        if self.pinned >= 1.0 {
            return bad(
                "pinned",
                format!("{} of the frames, more pins than frames", self.pinned),
                "less than 1",
            );
        }
        if self.pinned.is_nan() || self.pinned <= 0.0 {
            return bad(
                "pinned",
                self.pinned.to_string(),
                "a part of the frames above 0",
            );
        }
        let [small, large] = self.object_pages;
        if small == 0 || small > large || large > MAX_OBJECT {
            return bad(
                "object_pages",
                format!("{small} to {large} pages"),
                "1 to 1048576 pages, the smallest first",
            );
        }
        for (entry, part) in [("revocable", self.revocable), ("limit", self.limit)] {
            if !(0.0..=1.0).contains(&part) {
                return bad(entry, part.to_string(), "a part from 0 to 1");
            }
        }
        for (entry, turns) in [("hold", self.hold), ("gap", self.gap)] {
            if !(0.0..=1e9).contains(&turns) {
                return bad(entry, turns.to_string(), "turns, from 0 to 1000000000");
            }
        }
        Ok(())
    }
}
