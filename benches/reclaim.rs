//! The LRU level, as ratios within one run: `cargo bench --bench reclaim [-- parked|fate|pins]`.
//!
//! - `parked`: reclaiming 10,000 pages from a list that also holds P pages pinned for long, from
//!   the second scan on, beside the same with none.
//! - `fate`: the fate decision, beside a loop by hand with the same decisions.
//! - `pins`: pin and unpin while the pages are on a list, by what becomes of pinned pages.
//!
//! Each answer is checked before it is timed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
#![allow(clippy::cast_possible_wrap)]

mod common;

use common::lru::{List, Machine, Page, pin};
use common::ratio::{Scale, header, paired};
use common::reclaim_hand::{self, Counts};
use core::cell::RefCell;
use core::hint::black_box;
use core::time::Duration;
use pinfold::pin::{PinCount, PinKind, PinWord, Pins};
use pinfold::reclaim::{
    ActivateReason, Fate, KeepReason, LruScan, Parking, Progress, ScanControl, ScanFlags, Stats,
    shrink_page,
};
use pinfold::{IgnorePins, PageFlags, PinPolicy, SkipPinned};
use std::time::Instant;

/// Pages reclaimed in each scan.
const TARGET: usize = 10_000;

/// Measures and prints one table.
type Table = fn(Scale);

fn main() {
    let scale = Scale::from_args();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let tables: [(&str, Table); 3] = [("parked", parked), ("fate", fate), ("pins", pins)];
    for (name, table) in tables {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            table(scale);
        }
    }
}

fn flags() -> ScanFlags {
    ScanFlags::MAY_UNMAP | ScanFlags::IO | ScanFlags::FS | ScanFlags::SANE_THROTTLING
}

fn pages(count: usize) -> Vec<Page> {
    (0..count)
        .map(|_| Page::new(PageFlags::PAGE_CACHE))
        .collect()
}

/// A list with pages pinned for long at its old end, and `TARGET` others.
struct Parked<'a, L> {
    machine: Machine<'a>,
    control: ScanControl<L>,
    pinned: usize,
    target: usize,
}

impl<'a, L: PinPolicy> Parked<'a, L> {
    fn new(pages: &'a [Page], pinned: usize, control: ScanControl<L>) -> Self {
        let mut machine = Machine::new(pages);
        for page in pages {
            // Of an earlier machine: neither blocked nor parked any more.
            let _ = (page.word.unblock(), page.word.unpark());
        }
        for index in 0..pinned {
            machine.inactive.push(pages, index as u32);
        }
        let mut parked = Self {
            machine,
            control,
            pinned,
            target: pages.len() - pinned,
        };
        // The first scan, which meets them.
        let _ = parked.scan();
        parked
    }

    /// Puts the others on the list, at the young end, and times the scan that takes them.
    fn scan(&mut self) -> Duration {
        for index in self.pinned..self.machine.pages.len() {
            let page = &self.machine.pages[index];
            let _ = page.word.unblock();
            page.flags.set(PageFlags::PAGE_CACHE);
            self.machine.inactive.push(self.machine.pages, index as u32);
        }
        let mut scan = LruScan::new(self.target as u64);
        let start = Instant::now();
        let progress = black_box(scan.run(&mut self.machine, &self.control));
        let time = start.elapsed();
        assert_eq!(progress, Progress::Reached);
        assert_eq!(scan.reclaimed(), self.target as u64);
        let left = self.machine.inactive.pages + self.machine.parked;
        assert_eq!(left, self.pinned as u64, "no pinned page is gone");
        time
    }
}

/// Reclaiming 10,000 pages beside P pinned ones.
fn parked(scale: Scale) {
    header(
        "10,000 pages beside P pinned for long, beside P = 0",
        "ns per page reclaimed",
    );
    let target = scale.of(TARGET, 100);
    let most = scale.of(10_000_000, 1000);
    let array = pages(most + target);
    let none = pages(target);
    for page in &array[..most] {
        pin(page);
    }
    for pinned in [0, most / 1000, most / 10, most] {
        // The pinned pages come first, the others behind them.
        let array = &array[most - pinned..];
        let lazily = ScanControl::new(flags()).with_parking(Parking::Lazy);
        beside_none(
            scale.of(60, 1),
            array,
            &none,
            pinned,
            lazily,
            "parked lazily",
            "<= 1.05",
        );
    }
    for pinned in [most / 1000, most / 10, most] {
        let array = &array[most - pinned..];
        let rounds = scale.of(if pinned == most { 1 } else { 5 }, 1);
        let rotate = ScanControl::new(flags()).with_parking(Parking::Rotate);
        beside_none(rounds, array, &none, pinned, rotate, "rotate", "");
        let skip = rotate.with_policy(SkipPinned);
        beside_none(rounds, array, &none, pinned, skip, "SkipPinned", "");
        let ignore = rotate.with_policy(IgnorePins);
        beside_none(rounds, array, &none, pinned, ignore, "IgnorePins", "");
    }
}

fn beside_none<L: PinPolicy + Copy>(
    rounds: usize,
    array: &[Page],
    none: &[Page],
    pinned: usize,
    control: ScanControl<L>,
    name: &str,
    target: &str,
) {
    let mut ours = Parked::new(array, pinned, control);
    let mut theirs = Parked::new(none, 0, control);
    paired(rounds, none.len(), || ours.scan(), || theirs.scan())
        .print(&format!("{name}, P = {pinned}"), target);
}

/// Pages in all the states that a scan meets, in no order that a branch predictor could learn.
fn population(count: usize) -> Vec<Page> {
    let pages = pages(count);
    for (index, page) in pages.iter().enumerate() {
        match state(index) {
            0 => page.young.set(1),
            1 => page.young.set(2),
            5 | 6 => pin(page),
            7 => page.word.pin(PinKind::Short).unwrap(),
            _ => {}
        }
    }
    restore(&pages);
    pages
}

fn state(index: usize) -> u64 {
    ((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 24
}

/// As the pages were, for the next round.
fn restore(pages: &[Page]) {
    for (index, page) in pages.iter().enumerate() {
        let mut flags = PageFlags::PAGE_CACHE;
        match state(index) {
            2 => flags |= PageFlags::REFERENCED,
            3 => flags |= PageFlags::DIRTY,
            4 => flags |= PageFlags::WRITEBACK,
            8 => flags |= PageFlags::UNEVICTABLE,
            9 => flags = PageFlags::ANON | PageFlags::SWAP_BACKED,
            10 => flags |= PageFlags::PRIVATE,
            11 => flags |= PageFlags::THP,
            12 => flags = PageFlags::ANON,
            13..18 => page.maps.set(1),
            _ => {}
        }
        page.flags.set(flags);
        let _ = page.word.unblock();
    }
}

#[inline(never)]
fn fates(machine: &mut Machine<'_>, control: &ScanControl) -> (Stats, u64) {
    let mut stats = Stats::default();
    let mut fates = 0;
    for index in 0..machine.pages.len() {
        let page = machine.page(index as u32);
        fates += match shrink_page(&page, control, machine, &mut stats) {
            Fate::Freed => 1,
            Fate::Kept(_) => 2,
            Fate::Activated(_) => 4,
            Fate::Parked(_) => 8,
            Fate::Raced => 1 << 32,
        };
    }
    (stats, fates)
}

/// What the hand-written loop counts, from our statistics.
fn counts(stats: &Stats) -> Counts {
    let kept = [
        KeepReason::Pinned(Pins::None),
        KeepReason::Mapped,
        KeepReason::Referenced,
        KeepReason::Dirty,
        KeepReason::Held,
        KeepReason::NoMapping,
        KeepReason::SplitFailed,
    ];
    let activated = [
        ActivateReason::Unevictable,
        ActivateReason::Writeback,
        ActivateReason::Referenced,
        ActivateReason::NoSwap,
        ActivateReason::Dirty,
        ActivateReason::Buffers,
    ];
    Counts {
        scanned: stats.scanned,
        freed: stats.freed,
        kept: stats.kept,
        kept_for: kept.map(|reason| stats.kept_for(reason)),
        activated: stats.activated,
        activated_for: activated.map(|reason| stats.activated_for(reason)),
        activate_anon: stats.activate_anon,
        activate_file: stats.activate_file,
        dirty: stats.dirty,
        unqueued_dirty: stats.unqueued_dirty,
        congested: stats.congested,
        writeback: stats.writeback,
        immediate: stats.immediate,
        ref_keep: stats.ref_keep,
        parked: stats.parked,
    }
}

/// The fate decision beside a loop by hand.
fn fate(scale: Scale) {
    header("the fate of a page, beside the same by hand", "ns per page");
    let count = scale.of(4096, 64);
    let pages = population(count);
    let control = ScanControl::new(flags());
    let machine = RefCell::new(Machine::new(&pages));
    let (stats, ours) = fates(&mut machine.borrow_mut(), &control);
    restore(&pages);
    let (by_hand, theirs) = reclaim_hand::shrink_all(&machine.borrow(), flags());
    assert_eq!(
        (counts(&stats), ours),
        (by_hand, theirs),
        "both decide alike"
    );
    assert!(by_hand.freed > 0 && by_hand.parked > 0 && by_hand.kept_for[0] > 0);

    let time = |run: &dyn Fn()| {
        restore(&pages);
        let start = Instant::now();
        run();
        start.elapsed()
    };
    paired(
        scale.of(2000, 1),
        count,
        || {
            time(&|| {
                black_box(fates(&mut machine.borrow_mut(), black_box(&control)));
            })
        },
        || {
            time(&|| {
                black_box(reclaim_hand::shrink_all(
                    &machine.borrow(),
                    black_box(flags()),
                ));
            })
        },
    )
    .print("shrink_page, pages in all states", "<= 1.05");
}

/// One pin and one unpin of every page, short, while the pages are on a list; list operations.
#[inline(never)]
fn pin_all(pages: &[Page], list: &mut List, parking: Parking) -> u64 {
    let mut operations = 0;
    for (index, page) in pages.iter().enumerate() {
        page.word.pin(PinKind::Short).unwrap();
        if parking.parks_on_pin(PinKind::Short) {
            list.unlink(pages, index as u32);
            operations += 1;
        }
    }
    for (index, page) in pages.iter().enumerate() {
        let _ = black_box(page.word.unpin(PinKind::Short).unwrap());
        if parking.parks_on_pin(PinKind::Short) {
            list.push(pages, index as u32);
            operations += 1;
        }
    }
    operations
}

/// Pin and unpin of short pins, by parking.
fn pins(scale: Scale) {
    header(
        "pin + unpin of listed pages, beside pages that are on no list",
        "ns per pair",
    );
    let pages = pages(scale.of(4096, 64));
    let one = Pins::exactly(PinCount {
        total: 1,
        longterm: Some(0),
    });
    assert!(!Parking::default().parks_on_scan(one));
    pins_of(scale, &pages, Parking::Rotate, "rotate", 0);
    pins_of(scale, &pages, Parking::Lazy, "lazy", 0);
    pins_of(scale, &pages, Parking::Eager, "eager", 2);
}

fn pins_of(scale: Scale, pages: &[Page], parking: Parking, name: &str, per_pair: u64) {
    let mut list = List::EMPTY;
    for index in 0..pages.len() {
        list.push(pages, index as u32);
    }
    let operations = pin_all(pages, &mut list, parking);
    assert_eq!(operations, per_pair * pages.len() as u64);
    let words: Vec<PinWord> = pages.iter().map(|_| PinWord::new()).collect();
    paired(
        scale.of(2000, 1),
        pages.len(),
        || {
            let start = Instant::now();
            black_box(pin_all(pages, &mut list, parking));
            start.elapsed()
        },
        || {
            let start = Instant::now();
            for word in &words {
                word.pin(PinKind::Short).unwrap();
            }
            for word in &words {
                let _ = black_box(word.unpin(PinKind::Short).unwrap());
            }
            start.elapsed()
        },
    )
    .print(
        &format!("{name}: {per_pair} list operations a pair"),
        if per_pair == 0 {
            "no list operation"
        } else {
            ""
        },
    );
}
