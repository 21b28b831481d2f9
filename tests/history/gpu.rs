//! (a) A GPU driver pins all inactive anonymous pages; the scan never leaves that list.
//!
//! "mm, drm/i915: mark pinned shmemfs pages as unevictable" (Linux 4.20) tells it: only the inactive
//! anonymous list is scanned, because it is long enough that the active one is not aged and file
//! pages are few, nothing on it can be had, and the OOM killer is invoked.

use crate::model::sequence::EVERYTHING;
use crate::model::{Frame, Machine, Place};
use pinfold::PinPolicy;
use pinfold::pin::{PinKind, Refined};
use pinfold::reclaim::{Futility, Lists, Lru, LruScan, Parking, Progress, ScanControl, ScanFlags};
use pinfold::{IgnorePins, SkipOpportunistic, SkipPinned};

const PINNED: usize = 400;
const ACTIVE: usize = 100;
const FILE: usize = 20;
const TARGET: u64 = 60;

#[derive(Debug)]
struct Seen {
    /// The verdict came after so many passes; the OOM path is taken.
    out_of_memory: Option<u32>,
    reclaimed: u64,
    scanned: u64,
    unmap_calls: u64,
    swap_allocated: u64,
    /// What could have been had when it ended.
    anon_left: usize,
    file_left: usize,
}

/// Direct reclaim for [`TARGET`] pages, again and again until it has them or it is futile.
fn scenario<L: PinPolicy>(control: &ScanControl<L>, exact: bool) -> Seen {
    let frames = Frame::all(PINNED + ACTIVE + FILE, exact);
    let mut machine = Machine::new(&frames, PINNED + ACTIVE, FILE, PINNED + ACTIVE);
    machine.config.high = FILE as u64;
    for page in 0..PINNED + ACTIVE {
        machine.write(0, page).unwrap();
    }
    for page in 0..FILE {
        machine.read(0, PINNED + ACTIVE + page).unwrap();
    }
    for page in 0..PINNED {
        // One object for each page of a buffer, so that the books are put to use, too.
        if page % 10 == 0 {
            machine.pin(0, page, 10, PinKind::Longterm, 0).unwrap();
        }
    }
    // What is not pinned was in use, and the driver's pages have not been used for long.
    for frame in &frames {
        if !frame.reads_pinned() {
            let mut flags = frame.flags.get();
            flags.insert(pinfold::PageFlags::ACTIVE);
            machine.isolate(frame);
            machine.place_on(Lru::of(flags), frame);
        }
        machine.make_old(frame);
    }
    let mut seen = Seen {
        out_of_memory: None,
        reclaimed: 0,
        scanned: 0,
        unmap_calls: 0,
        swap_allocated: 0,
        anon_left: 0,
        file_left: 0,
    };
    let mut futility = Futility::default();
    let mut wanted = TARGET;
    while wanted > 0 && seen.out_of_memory.is_none() {
        let mut scan = LruScan::new(wanted);
        let progress = scan.run(&mut machine, control);
        seen.scanned += scan.stats().scanned + scan.stats().refilled;
        seen.reclaimed += scan.reclaimed();
        wanted -= scan.reclaimed().min(wanted);
        assert!(scan.stats().is_conserved());
        if let Some(futile) = futility.note(&scan, progress, &machine) {
            println!("  {futile}");
            seen.out_of_memory = Some(futile.passes);
        }
    }
    machine.check();
    let left = |file: bool| {
        let pages = machine.places.iter().enumerate().filter(|&(frame, place)| {
            matches!(place, Place::List(list) if list.is_file() == file)
                && !frames[frame].reads_pinned()
        });
        pages.count()
    };
    seen.unmap_calls = machine.told.unmap_calls;
    seen.swap_allocated = machine.told.swap_allocated;
    seen.anon_left = left(false);
    seen.file_left = left(true);
    seen
}

#[test]
fn a_gpu_pins_all_inactive_anon() {
    let control = ScanControl::new(EVERYTHING);
    let unpatched = scenario(
        &control
            .with_policy(IgnorePins)
            .with_parking(Parking::Rotate),
        false,
    );
    println!("ignore pins:   {unpatched:?}");
    let patch = ScanControl::new(EVERYTHING | ScanFlags::NO_PIN_HINT);
    let patched = scenario(
        &patch.with_policy(SkipPinned).with_parking(Parking::Rotate),
        false,
    );
    println!("2020 patch:    {patched:?}");
    let ours = [
        (
            "rotate",
            scenario(&control.with_parking(Parking::Rotate), false),
        ),
        (
            "park lazily",
            scenario(&control.with_parking(Parking::Lazy), false),
        ),
        (
            "park longterm",
            scenario(&control.with_parking(Parking::Longterm), true),
        ),
    ];
    for (name, seen) in &ours {
        println!("ours, {name}: {seen:?}");
    }
    let limit = Some(Futility::MAX_RECLAIM_RETRIES);
    assert_eq!(unpatched.out_of_memory, limit, "{unpatched:?}");
    assert_eq!(
        unpatched.anon_left, ACTIVE,
        "they could have been had: {unpatched:?}"
    );
    assert!(unpatched.unmap_calls >= PINNED as u64 && unpatched.swap_allocated >= PINNED as u64);
    // The patch gets on, since what cannot be unmapped is activated; but it pays for each of them.
    assert!(patched.swap_allocated >= PINNED as u64, "{patched:?}");
    for (name, seen) in ours {
        assert_eq!(seen.out_of_memory, None, "{name}");
        assert_eq!(seen.reclaimed, TARGET, "{name}");
        assert!(
            seen.scanned <= 2 * (PINNED + ACTIVE + FILE) as u64,
            "{name}"
        );
    }
}

/// The background reclaimer goes down to priority 1 only, and down to there file pages are left
/// alone as long as they are few and anonymous ones are listed.
#[test]
fn few_file_pages_are_never_scanned() {
    let scenario = |pass: &dyn Fn(&mut Machine<'_>) -> u64| {
        let frames = Frame::all(PINNED + FILE, false);
        let mut machine = Machine::new(&frames, PINNED, FILE, PINNED);
        machine.config.high = FILE as u64;
        for page in 0..PINNED {
            machine.write(0, page).unwrap();
        }
        for page in (0..PINNED).step_by(10) {
            machine.pin(0, page, 10, PinKind::Longterm, 0).unwrap();
        }
        for page in 0..FILE {
            machine.read(0, PINNED + page).unwrap();
        }
        for frame in &frames {
            machine.make_old(frame);
        }
        let mut passes = 0;
        while passes < Futility::MAX_RECLAIM_RETRIES && pass(&mut machine) == 0 {
            passes += 1;
        }
        machine.check();
        let file = machine.pages(Lru::InactiveFile);
        (passes, file, LruScan::reclaimable_pages(&machine))
    };
    let control = ScanControl::new(EVERYTHING);
    let old = scenario(&|machine| {
        background(
            machine,
            &control
                .with_policy(IgnorePins)
                .with_parking(Parking::Rotate),
        )
    });
    let ours = scenario(&|machine| {
        let policy = SkipOpportunistic::<Refined>::new();
        background(
            machine,
            &control.with_policy(policy).with_parking(Parking::Lazy),
        )
    });
    println!("passes in vain, file pages left, pages on lists: old {old:?}, ours {ours:?}");
    let file = FILE as u64;
    assert_eq!(
        old,
        (Futility::MAX_RECLAIM_RETRIES, file, PINNED as u64 + file)
    );
    assert!(
        ours.0 < Futility::MAX_RECLAIM_RETRIES / 2 && ours.1 < file,
        "{ours:?}"
    );
}

/// One pass of a background reclaimer: down to priority 1.
fn background<L: PinPolicy>(machine: &mut Machine<'_>, control: &ScanControl<L>) -> u64 {
    let mut scan = LruScan::new(10);
    while scan.priority() > 0 {
        if scan.step(machine, control, 1) != Progress::More {
            break;
        }
    }
    scan.reclaimed()
}
