//! What things cost on the modelled machine, in model units.

use crate::error::Error;
use crate::toml_file;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The table that the program carries.
const DEFAULT: &str = include_str!("../costs.toml");

/// Costs in model units; the table says what each is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    pub access: u64,
    pub minor_fault: u64,
    pub scan: u64,
    pub unmap: u64,
    pub tlb_flush: u64,
    pub notifier: u64,
    pub revoke: u64,
    pub device_stop: u64,
    pub swap_write: u64,
    pub swap_read: u64,
    pub file_write: u64,
    pub file_read: u64,
    pub list_op: u64,
    pub oom_kill: u64,
}

/// No cost may be larger: the sum of 2^32 of them still fits.
const MAX: u64 = 1 << 32;

/// The program's own table with the entries of `file` and the `costs.ENTRY` of `set` in place of its
/// own.
pub fn load(file: Option<&Path>, set: &[(String, toml::Value)]) -> Result<Costs, Error> {
    let what = "a cost table";
    let mut table: toml::Table = toml_file::parse("costs.toml", DEFAULT, what)?;
    if let Some(path) = file {
        let name = path.display().to_string();
        let own: toml::Table = toml_file::parse(&name, &toml_file::read(path, what)?, what)?;
        for (entry, value) in own {
            change(&mut table, format!("{name}, {entry}"), &entry, value)?;
        }
    }
    for (key, value) in set {
        if let Some(entry) = key.strip_prefix("costs.") {
            change(&mut table, format!("--set {key}"), entry, value.clone())?;
        }
    }
    table
        .try_into()
        .map_err(|error| toml_file::located("costs.toml".to_owned(), &error, what))
}

fn change(
    table: &mut toml::Table,
    place: String,
    entry: &str,
    value: toml::Value,
) -> Result<(), Error> {
    if !table.contains_key(entry) {
        let entries: Vec<_> = table.keys().map(String::as_str).collect();
        return Err(Error::config(place, "no such cost", entries.join(", ")));
    }
    let cost = value.as_integer();
    if !cost.is_some_and(|cost| (0..=MAX as i64).contains(&cost)) {
        return Err(Error::config(
            place,
            value.to_string(),
            format!("a whole number of model units up to {MAX}"),
        ));
    }
    table.insert(entry.to_owned(), value);
    Ok(())
}
