//! What was seen of a process: the facts that decisions are made from, and that a snapshot keeps.

use serde::{Deserialize, Serialize};

/// What was seen of one process, at one time.
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
    /// What could not be seen, one line each.
    pub(crate) unseen: Vec<String>,
    /// Pins that the kernel tells of.
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

/// Addresses whose pages are pinned, as far as the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinnedRange {
    /// The first address in bytes.
    pub(crate) start: u64,
    /// How many bytes.
    pub(crate) len: u64,
    pub(crate) kind: Kind,
    /// Who pins.
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

/// What a pinned range rests on. The kernel names addresses, never the frames behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Evidence {
    /// A registered buffer, and `VmPin` covers it.
    Accounted,
    /// A registered buffer, but `VmPin` does not cover all that are listed.
    Listed,
    /// A registered buffer of an inherited ring: `VmPin` is 0, so the pins are in another address
    /// space. No page here is taken to be pinned by it.
    Elsewhere,
    /// A thread is inside a direct read or write of these bytes.
    InFlight,
    /// Whoever asks holds the pin itself, and knows.
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
    /// `VmFlags` of `smaps` that matter here, two letters each.
    pub(crate) vm_flags: Vec<String>,
    pub(crate) dirty: Dirtiness,
    /// Whether `smaps` says that no page of it was freed lazily.
    pub(crate) no_lazyfree: bool,
    /// Pages in memory or in swap, in the order of their addresses.
    pub(crate) runs: Vec<Run>,
}

/// What `smaps` says about the dirty bits of a VMA's page-table entries, which no file exports one
/// by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dirtiness {
    /// Every page is clean.
    Clean,
    /// Every page is dirty.
    Dirty,
    /// Some are, or nothing is known.
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

/// What was seen of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Seen {
    /// It is in swap.
    Swapped,
    /// The kernel's page of zeroes.
    Zero,
    /// It is in memory, and its frame is hidden from us.
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
    /// Mappings, as in `/proc/kpagecount`; of all base pages together, one for a PMD.
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
    /// Whether the page at `address` is pinned by it, in this address space.
    pub(crate) fn covers(&self, address: u64, page_size: u64) -> bool {
        self.evidence != Evidence::Elsewhere
            && address < self.start.saturating_add(self.len)
            && self.start < address.saturating_add(page_size)
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
