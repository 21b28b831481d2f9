//! The observed state of a process: what decisions are made from, and what a snapshot contains.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The state of one process at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observed {
    /// The release of the kernel.
    pub(crate) kernel: String,
    /// The size of a base page, in bytes.
    pub(crate) page_size: u64,
    /// Swap space that is free, in KiB.
    pub(crate) swap_free_kib: u64,
    pub(crate) process: Process,
    /// What could not be read, one line each.
    pub(crate) unseen: Vec<String>,
    /// Pinned ranges that Linux exports.
    pub(crate) pins: Vec<PinnedRange>,
    pub(crate) areas: Vec<Area>,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
    /// `VmLck`, in KiB.
    pub(crate) locked_kib: Option<u64>,
    /// `VmPin`, in KiB: long-term pins that their owner accounts to this address space.
    pub(crate) pinned_kib: Option<u64>,
}

/// Addresses whose pages are pinned, as far as Linux exports them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinnedRange {
    /// The first address in bytes.
    pub(crate) start: u64,
    /// How many bytes.
    pub(crate) len: u64,
    pub(crate) kind: Kind,
    /// What holds the pin.
    pub(crate) by: String,
    pub(crate) evidence: Evidence,
}

/// How long a pin is meant to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Short,
    Longterm,
}

/// What shows that a range is pinned. Linux exports addresses, not frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Evidence {
    /// A registered buffer, and `VmPin` is as large as all listed buffers.
    Accounted,
    /// A registered buffer, but `VmPin` is smaller than all listed buffers.
    Listed,
    /// A registered buffer of an inherited ring: `VmPin` is 0, so the pins are in another address
    /// space. It pins no page of this process.
    Elsewhere,
    /// A thread is inside a direct read or write of these bytes.
    InFlight,
    /// The program that asks holds the pin.
    Own,
}

/// One VMA and its pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Area {
    /// The first address in bytes.
    pub(crate) start: u64,
    /// The address in bytes after the last.
    pub(crate) end: u64,
    /// As in `maps`, such as `rw-p`.
    pub(crate) perms: String,
    /// The file, or the name in brackets.
    pub(crate) name: String,
    /// `VmFlags` of `smaps` that decisions use, two letters each.
    pub(crate) vm_flags: Vec<String>,
    pub(crate) dirty: Dirtiness,
    /// Whether `smaps` says that no page of it was freed lazily.
    pub(crate) no_lazyfree: bool,
    /// Pages in memory or in swap, in the order of their addresses.
    pub(crate) runs: Vec<Run>,
}

/// What `smaps` says about the dirty bits of a VMA's page-table entries. Linux does not export them
/// one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dirtiness {
    /// Every page is clean.
    Clean,
    /// Every page is dirty.
    Dirty,
    /// Some pages are dirty, or it is not known.
    Unknown,
}

/// Neighbouring pages in the same state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The first page, counted from the start of the VMA.
    pub(crate) at: u64,
    /// How many pages.
    pub(crate) pages: u64,
    pub(crate) seen: Seen,
}

/// The state of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Seen {
    /// It is in swap.
    Swapped,
    /// The zero page.
    Zero,
    /// It is in memory, but its frame is hidden from this program.
    Hidden {
        /// It belongs to a file, or is shared memory.
        file: bool,
    },
    /// Its frame.
    Frame(Frame),
}

/// What Linux exports of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    /// As in `/proc/kpageflags`; of the head page, where pages are compound.
    #[serde(with = "hex")]
    pub(crate) flags: u64,
    /// How often it is mapped, as in `/proc/kpagecount`: the sum over all base pages; a PMD counts as
    /// one.
    pub(crate) maps: u32,
    /// How many base pages it has.
    pub(crate) pages: u32,
    /// Whether a PMD maps it.
    pub(crate) pmd: bool,
}

impl Area {
    /// How many of its pages are in memory, and how many in swap.
    pub(crate) fn resident_and_swapped(&self) -> (u64, u64) {
        let pages = |swapped: bool| {
            self.runs
                .iter()
                .filter(|run| (run.seen == Seen::Swapped) == swapped)
                .map(|run| run.pages)
                .sum()
        };
        (pages(false), pages(true))
    }
}

impl PinnedRange {
    /// The addresses that it pins in this address space, in whole units of `unit` bytes; empty if it
    /// pins nothing here.
    pub(crate) fn whole_units(&self, unit: u64) -> Range<u64> {
        if self.evidence == Evidence::Elsewhere || self.len == 0 {
            return 0..0;
        }
        let end = self.start.saturating_add(self.len);
        let rounded = end.checked_next_multiple_of(unit).unwrap_or(u64::MAX);
        self.start / unit * unit..rounded
    }

    /// Whether it pins the page at `address`, in this address space.
    pub(crate) fn covers(&self, address: u64, page_size: u64) -> bool {
        self.whole_units(page_size).contains(&address)
    }
}

/// Flag words as hexadecimal text.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(word: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{word:#x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                D::Error::custom(format_args!("{text:?} is no flag word such as 0x1868"))
            })
    }
}
