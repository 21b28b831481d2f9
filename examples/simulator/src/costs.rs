//! What things cost on the modelled machine, in model units.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// The table that the program carries.
pub const DEFAULT: &str = include_str!("../costs.toml");

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

impl Costs {
    /// Parses a table; all entries have to be there.
    pub fn parse(name: &str, table: toml::Table) -> Result<Self, Error> {
        for (entry, value) in &table {
            let fits = value
                .as_integer()
                .is_some_and(|cost| (0..=MAX as i64).contains(&cost));
            if !fits {
                return Err(Error::config(
                    format!("{name}, {entry}"),
                    value.to_string(),
                    "a whole number of model units up to 4294967296",
                ));
            }
        }
        table.try_into().map_err(|error: toml::de::Error| {
            Error::config(name, error.message(), "the entries of costs.toml")
        })
    }
}
