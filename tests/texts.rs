//! What values print: `Debug` that is not derived reads as if it were, and every error says what
//! happened with the numbers that it carries.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use core::error::Error;
use core::fmt::{Debug, Display};
use pinfold::conformance::PageState;
use pinfold::invariants::Broken;
use pinfold::pin::race::FastPinError;
use pinfold::pin::{
    LedgerError, LedgerFault, PinAllError, PinCount, PinError, PinGuard, PinKind, PinLedger,
    PinStateError, PinWord, Pins, ReleaseError, UnexpectedRefs,
};
use pinfold::placement::{PlaceError, PlaceStop, Zone};
use pinfold::reclaim::{ListError, Stats};
use pinfold::shrinker::PriorityError;
use pinfold::unmap::{Stop, UnmapError};
use pinfold::{FlushDebt, Outcome, PageFlags, Verdict};

const PINS: Pins = Pins::Exactly(PinCount {
    total: 3,
    longterm: Some(2),
});

/// Each value with what it prints.
fn prints<T: Display + Debug>(rows: impl IntoIterator<Item = (T, &'static str)>) {
    for (value, text) in rows {
        assert_eq!(value.to_string(), text, "{value:?}");
    }
}

#[test]
fn pins_and_their_errors() {
    let estimate = 4;
    let maybe = |longterm| Pins::Maybe { estimate, longterm };
    prints([
        (Pins::None, "not pinned"),
        (PINS, "pinned 3 (2 long-term)"),
        (maybe(None), "maybe pinned, about 4"),
        (maybe(Some(1)), "maybe pinned, about 4 (1 long-term)"),
    ]);
    prints([
        (PinError::Overflow, "there is no room for one more pin"),
        (PinError::Underflow, "no such pin is held"),
        (PinError::Blocked, "pins are blocked on this page"),
        (PinError::Free, "the page is free or frozen"),
    ]);
    let three = PinCount {
        total: 3,
        longterm: None,
    };
    prints([
        (PinStateError::Pinned(three), "3 pins are held"),
        (PinStateError::NotPinned, "the page is not pinned"),
        (PinStateError::Blocked, "pins are blocked on this page"),
        (
            PinStateError::NotParked,
            "pins are not blocked on this page",
        ),
        (PinStateError::Parked, "the page is parked"),
        (PinStateError::NotParked, "the page is not parked"),
    ]);
    prints([(UnexpectedRefs(7), "the page has 7 references")]);
    prints([
        (
            FastPinError::Changed,
            "the entry changed while its page was pinned",
        ),
        (
            FastPinError::Refused(PinError::Free),
            "the page was not pinned: the page is free or frozen",
        ),
        (
            FastPinError::Lost(PinError::Underflow),
            "the pin was released by somebody else: no such pin is held",
        ),
    ]);
}

#[test]
fn errors_of_groups_name_the_page_and_their_source() {
    let (index, error) = (5, PinError::Blocked);
    let failed = |lost| PinAllError { index, error, lost };
    prints([
        (
            failed(0),
            "page 5 was not pinned: pins are blocked on this page",
        ),
        (
            failed(2),
            "page 5 was not pinned: pins are blocked on this page; 2 pins were already lost",
        ),
    ]);
    let count = 4;
    let release = ReleaseError {
        index,
        error,
        count,
    };
    prints([(
        release,
        "4 pins were not released, the first on page 5: pins are blocked on this page",
    )]);
    assert_eq!(
        failed(0).source().unwrap().to_string(),
        error.to_string(),
        "the page's own error"
    );
    assert_eq!(release.source().unwrap().to_string(), error.to_string());
}

#[test]
fn errors_of_the_ledger() {
    prints([
        (LedgerError::Full, "the ledger is full"),
        (
            LedgerError::DuplicateOwner,
            "the owner has an account already",
        ),
        (LedgerError::UnknownOwner, "no such owner"),
        (LedgerError::ChargesOpen, "the owner has open charges"),
        (LedgerError::UnknownCharge, "no such charge"),
        (LedgerError::NoPages, "an object of no pages is not charged"),
        (LedgerError::Limit, "the owner's limit is reached"),
        (LedgerError::TooMany, "the charge has fewer pages left"),
        (LedgerError::CounterEnd, "the owner's counter is at its end"),
    ]);
    prints([
        (
            LedgerFault::Live { id: 9 },
            "owner 9: live pages are not those of its charges",
        ),
        (
            LedgerFault::Totals { id: 9 },
            "owner 9: acquired less released is not live",
        ),
        (LedgerFault::Orphans, "charges of a closed account"),
        (
            LedgerFault::Slots,
            "open and free charges are not all charges",
        ),
    ]);
    let mut ledger = PinLedger::<1, 1>::new();
    let owner = ledger.add_owner(1, 10).unwrap();
    let charge = ledger.charge(owner, PinKind::Short, 1, 0).unwrap();
    let (_, error) = PinLedger::<1, 1>::new().release(charge).unwrap_err();
    assert_eq!(error.to_string(), "no such charge");
}

#[test]
fn errors_of_placement_and_shrinkers() {
    prints::<PlaceStop<Fault>>([
        (
            PlaceStop::Refused(PinError::Free),
            "the page is free or frozen",
        ),
        (
            PlaceStop::NotAllowed(Zone::FsDax),
            "a long-term pin is not allowed in filesystem DAX",
        ),
        (
            PlaceStop::NotAllowed(Zone::Movable),
            "a long-term pin is not allowed in a movable zone",
        ),
        (
            PlaceStop::NotMigrated(Zone::Device, Fault),
            "it was not migrated out of device memory: the fault",
        ),
    ]);
    let error = PlaceError::<Fault> {
        index: 4,
        stop: PlaceStop::Refused(PinError::Blocked),
        lost: 2,
    };
    assert_eq!(
        error.to_string(),
        "page 4 was not pinned: pins are blocked on this page; 2 pins were already lost"
    );
    prints([(PriorityError(13), "priority 13 is not from 0 to 12")]);
}

#[test]
fn verdicts_and_outcomes() {
    prints([
        (Verdict::Done, "done"),
        (Verdict::Unshared, "shared page table removed"),
        (Verdict::NotLocked, "next VMA: not locked"),
        (
            Verdict::NotMigratable,
            "next VMA: device memory, not migratable",
        ),
        (Verdict::NextVma(PINS), "next VMA: pinned 3 (2 long-term)"),
        (
            Verdict::SkipPage(PINS),
            "page skipped: pinned 3 (2 long-term)",
        ),
        (Verdict::Refused(PINS), "refused: pinned 3 (2 long-term)"),
        (Verdict::Stopped(Stop::Young), "stopped: used recently"),
    ]);
    prints([
        (Stop::Mlocked, "mlocked"),
        (Stop::Young, "used recently"),
        (
            Stop::PinAppeared(PINS),
            "a pin appeared, pinned 3 (2 long-term)",
        ),
        (Stop::SwapSlotRefused, "swap slot refused"),
        (Stop::ArchRefused, "refused by the architecture"),
        (
            Stop::SharingUnknown,
            "not known whether the page table is shared",
        ),
        (Stop::LazyfreeRedirtied, "freed lazily, then written to"),
        (
            Stop::InconsistentAnon,
            "swap-backed and swap cache disagree",
        ),
        (
            Stop::SharingUnknown,
            "not known whether the page table is shared",
        ),
    ]);
    prints([
        (Outcome::Unmapped, "unmapped"),
        (
            Outcome::NotFound,
            "still mapped: not found in the reverse map",
        ),
        (
            Outcome::TemporaryStack,
            "still mapped: in a temporary stack",
        ),
        (
            Outcome::StillMapped(Verdict::Stopped(Stop::Mlocked)),
            "still mapped: stopped: mlocked",
        ),
        (Outcome::Contended, "the reverse map is locked"),
        (Outcome::Skipped(PINS), "skipped: pinned 3 (2 long-term)"),
        (Outcome::Refused(PINS), "refused: pinned 3 (2 long-term)"),
    ]);
    prints([(FlushDebt::none(), "a TLB flush is owed for 0 entries")]);
}

/// The embedder's own error.
#[derive(Debug, Clone, Copy)]
struct Fault;

impl Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the fault")
    }
}

impl Error for Fault {}

#[test]
fn an_error_of_the_page_tables_says_where_and_leads_to_its_source() {
    let failed = UnmapError::PageTables {
        address: 0x1000,
        source: Fault,
    };
    let text = "page tables at 0x1000: the fault";
    assert_eq!(failed.to_string(), text);
    assert_eq!(failed.source().unwrap().to_string(), "the fault");
    assert!(UnmapError::<Fault>::NoReference.source().is_none());
}

#[test]
fn lists_and_counters_of_reclaim() {
    prints([
        (ListError::NoSuchPage(7), "there is no link for page 7"),
        (
            ListError::Listed(7),
            "page 7 is already on a list or parked",
        ),
        (
            ListError::NotListed(7),
            "page 7 is neither on a list nor parked",
        ),
    ]);
    let mut some = Stats::default();
    (some.scanned, some.freed, some.parked) = (5, 3, 2);
    prints([
        (Stats::default(), "nothing scanned"),
        (some, "scanned 5, freed 3, parked 2"),
    ]);
}

#[test]
fn a_guard_prints_without_asking_it_of_its_pages() {
    let pages = [PinWord::new(), PinWord::new()];
    let guard = PinGuard::pin(&pages, PinKind::Short).unwrap();
    let text = "PinGuard { pinned: 2, kind: Short, dirty: false }";
    assert_eq!(format!("{guard:?}"), text);
}

#[test]
fn structs_read_as_derived() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct PageState {
        flags: PageFlags,
        maps: u32,
        unexplained: u32,
        short: u32,
        longterm: u32,
        base_pages: u32,
    }
    let derived = PageState {
        flags: PageFlags::ANON,
        maps: 1,
        unexplained: 2,
        short: 3,
        longterm: 4,
        base_pages: 5,
    };
    let ours = self::PageState {
        flags: PageFlags::ANON,
        maps: 1,
        unexplained: 2,
        short: 3,
        longterm: 4,
        base_pages: 5,
    };
    assert_eq!(format!("{ours:?}"), format!("{derived:?}"));
    assert_eq!(format!("{ours:#?}"), format!("{derived:#?}"));
}

#[test]
fn variants_read_as_derived() {
    let broken = Broken::PageDisagrees {
        what: "flags",
        expected: 1,
        found: -2,
    };
    let text = r#"PageDisagrees { what: "flags", expected: 1, found: -2 }"#;
    assert_eq!(format!("{broken:?}"), text);
    let text = "PageDisagrees {\n    what: \"flags\",\n    expected: 1,\n    found: -2,\n}";
    assert_eq!(format!("{broken:#?}"), text);
    assert_eq!(format!("{:?}", Broken::NotRebuilt), "NotRebuilt");
}
