//! One row of `shrink_page_list.csv` against the crate's driver on a page whose environment
//! answers as the row says.

use crate::rows::Row;
use core::cell::Cell;
use core::convert::Infallible;
use pinfold::pin::Released;
use pinfold::reclaim::{
    Fate, PageOps, PageOut, Parking, Referenced, Removal, ScanControl, ScanFlags, Stats,
    shrink_page,
};
use pinfold::{
    Attempt, FlushDebt, IgnorePins, Outcome, PageFlags, PageLike, PinPolicy, UnmapError,
    UnmapFlags, UnmapRequest, VmFlags,
};

const LOCK_BUSY: u32 = 0x1;
const MAPPED: u32 = 0x4;
const THP_PAGES: u32 = 512;

/// The row's page bits in this crate's flags.
const PAGE_BITS: [(u32, PageFlags); 13] = [
    (0x2, PageFlags::UNEVICTABLE),
    (0x8, PageFlags::DIRTY),
    (0x10, PageFlags::WRITEBACK),
    (0x20, PageFlags::RECLAIM),
    (0x40, PageFlags::REFERENCED),
    (0x80, PageFlags::SWAP_BACKED),
    (0x100, PageFlags::SWAP_CACHE),
    (0x200, PageFlags::ANON),
    (0x400, PageFlags::THP),
    (0x800, PageFlags::PRIVATE),
    (0x1000, PageFlags::PAGE_CACHE),
    (0x2000, PageFlags::MLOCKED),
    (0x4000, PageFlags::ACTIVE),
];

/// The row's environment.
mod env {
    pub(super) const CONGESTED: u32 = 0x1;
    pub(super) const NO_SWAP_FIRST: u32 = 0x2;
    pub(super) const CANNOT_SPLIT: u32 = 0x4;
    pub(super) const SPLIT_FAILS: u32 = 0x8;
    pub(super) const UNMAP_FAILS: u32 = 0x10;
    pub(super) const BUFFERS_STAY: u32 = 0x20;
    pub(super) const ONLY_REF: u32 = 0x40;
    pub(super) const LAST_REF: u32 = 0x80;
    pub(super) const FREEZE_FAILS: u32 = 0x100;
    pub(super) const SWAP_FULL: u32 = 0x200;
    pub(super) const STILL_WRITEBACK: u32 = 0x400;
    pub(super) const DIRTY_AGAIN: u32 = 0x800;
    pub(super) const LOCK_LOST: u32 = 0x1000;
    pub(super) const LAZYFREE_DIRTIED: u32 = 0x2000;
    pub(super) const NO_SWAP_SECOND: u32 = 0x4000;
    pub(super) const PMD_MAPPED: u32 = 0x8000;
}

struct OraclePage {
    flags: Cell<PageFlags>,
    mapped: Cell<bool>,
    refs: i32,
}

impl OraclePage {
    fn set(&self, flags: PageFlags, on: bool) {
        let mut all = self.flags.get();
        all.set(flags, on);
        self.flags.set(all);
    }
}

impl PageLike for OraclePage {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }
    fn ref_count(&self) -> i32 {
        self.refs
    }
    fn map_count(&self) -> u32 {
        u32::from(self.mapped.get())
    }
    fn base_pages(&self) -> u32 {
        if self.flags().contains(PageFlags::THP) {
            THP_PAGES
        } else {
            1
        }
    }
}

/// The embedder: answers as the row says, and counts what it is asked.
#[derive(Default)]
struct Environment {
    env: u32,
    lock_busy: bool,
    found: Referenced,
    pageout: u32,
    unmap_calls: u64,
    unmap_flags: UnmapFlags,
    waits: u64,
    free_swap: u64,
    add_swap: u64,
    splits: u64,
    pageouts: u64,
    written: bool,
    locks: i32,
}

impl Environment {
    fn has(&self, bit: u32) -> bool {
        self.env & bit != 0
    }

    fn refused_if(&self, bit: u32) -> Attempt {
        if self.has(bit) {
            Attempt::Refused
        } else {
            Attempt::Done
        }
    }
}

impl PageOps for Environment {
    type Page = OraclePage;
    type Error = Infallible;

    fn update(&mut self, page: &OraclePage, set: PageFlags, clear: PageFlags) {
        page.set(set, true);
        page.set(clear, false);
    }

    fn referenced(&mut self, _: &OraclePage) -> Referenced {
        self.found
    }

    fn unmap<L: PinPolicy>(
        &mut self,
        page: &OraclePage,
        request: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        self.unmap_calls += 1;
        self.unmap_flags = request.flags();
        if self.has(env::UNMAP_FAILS) {
            let lazyfree = !page.flags().contains(PageFlags::SWAP_BACKED);
            if self.has(env::LAZYFREE_DIRTIED) && lazyfree && page.flags().contains(PageFlags::ANON)
            {
                page.set(PageFlags::SWAP_BACKED, true);
            }
            return Ok(Outcome::NotFound);
        }
        page.mapped.set(false);
        Ok(Outcome::Unmapped)
    }

    fn remove(&mut self, _: &OraclePage, _: Removal) -> Attempt {
        self.refused_if(env::FREEZE_FAILS)
    }

    fn try_lock(&mut self, _: &OraclePage) -> Attempt {
        if self.lock_busy || (self.written && self.has(env::LOCK_LOST)) {
            return Attempt::Refused;
        }
        self.locks += 1;
        Attempt::Done
    }

    fn unlock(&mut self, _: &OraclePage) {
        self.locks -= 1;
    }

    fn is_congested(&mut self, _: &OraclePage) -> bool {
        self.has(env::CONGESTED)
    }

    fn wait_for_writeback(&mut self, page: &OraclePage) {
        self.waits += 1;
        page.set(PageFlags::WRITEBACK, false);
    }

    fn add_to_swap(&mut self, page: &OraclePage) -> Attempt {
        self.add_swap += 1;
        let fails = match self.add_swap {
            1 => env::NO_SWAP_FIRST,
            _ => env::NO_SWAP_SECOND,
        };
        let answer = self.refused_if(fails);
        if answer == Attempt::Done {
            page.set(PageFlags::SWAP_CACHE | PageFlags::DIRTY, true);
        }
        answer
    }

    fn free_swap(&mut self, _: &OraclePage) {
        self.free_swap += 1;
    }

    fn is_swap_full(&mut self, _: &OraclePage) -> bool {
        self.has(env::SWAP_FULL)
    }

    fn can_split(&mut self, _: &OraclePage) -> bool {
        !self.has(env::CANNOT_SPLIT)
    }

    fn is_pmd_mapped(&mut self, _: &OraclePage) -> bool {
        self.has(env::PMD_MAPPED)
    }

    fn split(&mut self, page: &OraclePage) -> Attempt {
        self.splits += 1;
        let answer = self.refused_if(env::SPLIT_FAILS);
        if answer == Attempt::Done {
            page.set(PageFlags::THP, false);
        }
        answer
    }

    fn write_out(&mut self, page: &OraclePage) -> PageOut {
        self.pageouts += 1;
        match self.pageout {
            0 => PageOut::Keep,
            1 => PageOut::Activate,
            2 => {
                page.set(PageFlags::DIRTY, self.has(env::DIRTY_AGAIN));
                page.set(PageFlags::WRITEBACK, self.has(env::STILL_WRITEBACK));
                self.written = true;
                self.locks -= 1;
                PageOut::Success
            }
            3 => {
                page.set(PageFlags::DIRTY, false);
                PageOut::Clean
            }
            other => panic!("write-out cannot return {other}"),
        }
    }

    fn release_buffers(&mut self, _: &OraclePage) -> Attempt {
        self.refused_if(env::BUFFERS_STAY)
    }

    fn put_last(&mut self, _: &OraclePage) -> Option<Released> {
        Some(if self.has(env::LAST_REF) {
            Released::Free
        } else {
            Released::Done
        })
    }

    fn flush_tlb(&mut self) {}
}

pub(crate) fn compare(row: &Row) {
    row.expect_columns(6, 23);
    assert_eq!(row.outputs[0], "ok", "verdict of {}", row.place);
    let bits = row.hex(&row.inputs[0]);
    assert_eq!(bits & !0x3fff, 0, "page bits of {}", row.place);
    let control = row.hex(&row.inputs[1]);
    assert_eq!(control & !0x1ff, 0, "control bits of {}", row.place);
    let env = row.hex(&row.inputs[4]);
    assert_eq!(env & !0xffff, 0, "environment bits of {}", row.place);
    let page = OraclePage {
        flags: Cell::new(
            PAGE_BITS
                .iter()
                .filter(|(bit, _)| bits & bit != 0)
                .map(|&(_, flag)| flag)
                .collect(),
        ),
        mapped: Cell::new(bits & MAPPED != 0),
        refs: if env & env::ONLY_REF != 0 { 1 } else { 2 },
    };
    let mut environment = Environment {
        env,
        lock_busy: bits & LOCK_BUSY != 0,
        found: Referenced {
            entries: row.dec(&row.inputs[2]),
            vma: vm_flags(row),
        },
        pageout: row.dec(&row.inputs[5]),
        ..Environment::default()
    };
    let control = ScanControl::new(ScanFlags::from_bits(control).expect("checked"))
        .with_policy(IgnorePins)
        .with_parking(Parking::Rotate);
    let mut stats = Stats::default();
    let fate = shrink_page(&page, &control, &mut environment, &mut stats);
    assert_eq!(environment.locks, 0, "the page lock, in {}", row.place);
    assert!(stats.is_conserved(), "{stats:?} in {}", row.place);
    let ours = ours(fate, &page, &environment, &stats, bits & LOCK_BUSY);
    assert_eq!(ours, row.outputs[1..], "ours and Linux's, in {}", row.place);
}

fn vm_flags(row: &Row) -> VmFlags {
    let bits = row.hex(&row.inputs[3]);
    assert_eq!(bits & !0x2004, 0, "VMA bits of {}", row.place);
    let mut flags = VmFlags::empty();
    flags.set(VmFlags::EXEC, bits & 0x4 != 0);
    flags.set(VmFlags::LOCKED, bits & 0x2000 != 0);
    flags
}

/// Our outputs in the columns of the file.
fn ours(
    fate: Fate,
    page: &OraclePage,
    asked: &Environment,
    stats: &Stats,
    lock_busy: u32,
) -> Vec<String> {
    let fate = match fate {
        Fate::Freed => "freed",
        Fate::Raced => "raced",
        Fate::Kept(_) => "kept",
        Fate::Activated(_) => "activated",
        Fate::Parked(_) => "parked",
    };
    let mut bits = lock_busy;
    for (bit, flag) in PAGE_BITS {
        if page.flags().contains(flag) {
            bits |= bit;
        }
    }
    if page.mapped.get() {
        bits |= MAPPED;
    }
    let mut columns = vec![fate.to_owned(), format!("{bits:x}")];
    let counts = [
        stats.scanned,
        stats.dirty,
        stats.unqueued_dirty,
        stats.congested,
        stats.writeback,
        stats.immediate,
        stats.activate_anon,
        stats.activate_file,
        stats.ref_keep,
        stats.unmap_fail,
        stats.lazyfree_fail,
        stats.pageout,
        stats.reclaimed(),
        asked.unmap_calls,
    ];
    columns.extend(counts.map(|n| n.to_string()));
    columns.push(format!("{:x}", asked.unmap_flags.bits()));
    let counts = [
        asked.waits,
        asked.free_swap,
        asked.add_swap,
        asked.splits,
        asked.pageouts,
    ];
    columns.extend(counts.map(|n| n.to_string()));
    columns
}
