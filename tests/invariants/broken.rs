//! What is told of an invariant that broke.

use core::error::Error;
use pinfold::invariants::Broken;
use pinfold::pin::{PinCount, Pins};
use pinfold::{Operation, PteFlags};

const TRUTH: PinCount = PinCount {
    total: 41,
    longterm: Some(42),
};
const READ: Pins = Pins::Maybe {
    estimate: 43,
    longterm: Some(44),
};
const MORE: Pins = Pins::Maybe {
    estimate: 45,
    longterm: None,
};

/// All of them, and what each must name.
#[rustfmt::skip]
const ALL: [(Broken, &[&str]); 32] = [
    (Broken::EntriesMismatch { before: 11, after: 12 }, &["11", "12"]),
    (Broken::PinnedUnmapped { pins: 11, taken: 12, address: 0xabc }, &["11", "12", "0xabc"]),
    (Broken::PinAppearedUnmapped { address: 0xabc }, &["0xabc"]),
    (Broken::SkipTouched { what: "entries" }, &["entries"]),
    (Broken::SkipBecameUnmap { taken: 11 }, &["11"]),
    (Broken::Unlike { what: "entries" }, &["entries"]),
    (Broken::MlockedTaken { address: 0xabc }, &["0xabc"]),
    (Broken::MapsLost { fell: -11, taken: 12 }, &["-11", "12"]),
    (Broken::RefsLost { fell: -11, taken: 12 }, &["-11", "12"]),
    (Broken::RmapsLost { removed: -11, taken: 12 }, &["-11", "12"]),
    (Broken::EntryChanged { address: 0xabc }, &["0xabc"]),
    (
        Broken::BitsNotCarried {
            address: 0xabc,
            had: PteFlags::SOFT_DIRTY,
            has: PteFlags::UFFD_WP,
        },
        &["0xabc", "0x8", "0x10"],
    ),
    (Broken::DirtyLost { address: Some(0xabc) }, &["0xabc"]),
    (Broken::DirtyLost { address: None }, &["page"]),
    (Broken::SlotsLost { held: -11, installed: 12 }, &["-11", "12"]),
    (Broken::ResidentLost { change: -11, taken: 12 }, &["-11", "12"]),
    (Broken::SwapEntsLost { change: -11, installed: 12 }, &["-11", "12"]),
    (Broken::DeferredUnasked { deferred: 11 }, &["11"]),
    (Broken::DebtForgotten { deferred: -11, debt: 12 }, &["-11", "12"]),
    (Broken::FlushMissing { gone: 11, flushes: -12 }, &["11", "-12"]),
    (Broken::DirtyDebtForgotten { address: 0xabc }, &["0xabc"]),
    (Broken::NotifierUnpaired { begins: 11, ends: 12 }, &["11", "12"]),
    (Broken::UnsharedNotInvalidated { unshares: 11, invalidates: 12 }, &["11", "12"]),
    (Broken::PinMissed { truth: TRUTH, read: READ }, &["41", "42", "43", "44"]),
    (Broken::PinMiscounted { truth: TRUTH, read: READ }, &["41", "42", "43", "44"]),
    (Broken::PinInvented { unexplained: -11, read: READ }, &["-11", "43", "44"]),
    (Broken::PolicyStopsUnpinned { operation: Operation::Demote }, &["demote"]),
    (
        Broken::PolicyGivesBack { operation: Operation::Demote, fewer: READ, more: MORE },
        &["demote", "43", "44", "45"],
    ),
    (Broken::PolicyNextVma { operation: Operation::Demote }, &["demote"]),
    (Broken::PolicyUnread { operation: Operation::Demote }, &["demote"]),
    (Broken::PageDisagrees { what: "flags", expected: 11, found: -12 }, &["flags", "11", "-12"]),
    (Broken::NotRebuilt, &["again"]),
];

#[test]
fn each_text_names_what_disagrees() {
    for (broken, parts) in &ALL {
        let text = broken.to_string();
        for part in *parts {
            assert!(text.contains(part), "{broken:?}: {text}, without {part}");
        }
        assert!(broken.source().is_none());
    }
}

#[test]
fn no_two_texts_are_alike() {
    let texts: std::collections::BTreeSet<String> =
        ALL.iter().map(|(broken, _)| broken.to_string()).collect();
    assert_eq!(texts.len(), ALL.len());
}
