//! Finds the addresses that have pages with the `PAGEMAP_SCAN` ioctl (Linux 6.7).

use crate::sys::{PageRegion, PmScanArg, pagemap_scan};
use std::fs::File;
use std::ops::Range;

/// Categories (`include/uapi/linux/fs.h`).
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const PFNZERO: u64 = 1 << 5;
const HUGE: u64 = 1 << 6;

/// Neighbouring pages that are in memory or in swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Populated {
    pub(super) range: Range<u64>,
    /// The kernel's page of zeroes.
    pub(super) zero: bool,
    /// Mapped by a PMD.
    pub(super) huge: bool,
}

/// Finds the populated pages of a range of addresses.
///
/// # Errors
///
/// The kernel has no such ioctl, or the process has ended.
pub(super) fn populated(pagemap: &File, range: Range<u64>) -> rustix::io::Result<Vec<Populated>> {
    let mut found = Vec::new();
    let mut regions = [PageRegion::default(); 256];
    let mut start = range.start;
    while start < range.end {
        let mut arg = PmScanArg {
            size: size_of::<PmScanArg>() as u64,
            start,
            end: range.end,
            category_anyof_mask: PRESENT | SWAPPED,
            return_mask: PRESENT | SWAPPED | PFNZERO | HUGE,
            ..PmScanArg::default()
        };
        let filled = pagemap_scan(pagemap, &mut arg, &mut regions)?;
        found.extend(regions[..filled].iter().map(|region| Populated {
            range: region.start..region.end,
            zero: region.categories & PFNZERO != 0,
            huge: region.categories & HUGE != 0,
        }));
        if arg.walk_end <= start {
            break;
        }
        start = arg.walk_end;
    }
    Ok(found)
}
