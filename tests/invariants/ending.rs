//! What is made of a walk's result.

use crate::story::{SWAP, TAKEN};
use pinfold::conformance::{Fallible, Faults, Injected};
use pinfold::invariants::{Ending, WalkEnd};
use pinfold::pin::Pins;
use pinfold::unmap::{Stop, UnmapError};
use pinfold::{
    Attempt, Cleared, Entry, FlushDebt, FlushMode, IgnorePins, NewEntry, Outcome, PageTables,
    PlainPage, PlainVma, PteFlags, UnmapFlags, UnmapRequest, Verdict, VmFlags, try_to_unmap_one,
};
use std::vec::IntoIter;

const PINS: Pins = Pins::Maybe {
    estimate: 1,
    longterm: None,
};

#[test]
fn a_skip_is_a_verdict_that_touches_nothing() {
    let stopped = Verdict::Stopped(Stop::PinAppeared(PINS));
    // How the walk ended, whether it skipped, whether for the pins.
    let rows = [
        (WalkEnd::InVma(Verdict::Done), false, false),
        (WalkEnd::InVma(Verdict::Unshared), false, false),
        (WalkEnd::InVma(Verdict::NotLocked), true, false),
        (WalkEnd::InVma(Verdict::NotMigratable), true, false),
        (WalkEnd::InVma(Verdict::NextVma(PINS)), true, true),
        (WalkEnd::InVma(Verdict::SkipPage(PINS)), true, true),
        (WalkEnd::InVma(Verdict::Refused(PINS)), true, true),
        (WalkEnd::InVma(stopped), false, false),
        (WalkEnd::InAll(Outcome::Unmapped), false, false),
        (WalkEnd::InAll(Outcome::NotFound), false, false),
        (WalkEnd::InAll(Outcome::Contended), false, false),
        (WalkEnd::InAll(Outcome::Skipped(PINS)), true, true),
        (WalkEnd::InAll(Outcome::Refused(PINS)), true, true),
        (WalkEnd::Failed, false, false),
    ];
    for (how, skip, pin_skip) in rows {
        assert_eq!(
            (how.is_skip(), how.is_pin_skip()),
            (skip, pin_skip),
            "{how:?}"
        );
    }
}

/// Two entries whose flushes are deferred; a call fails.
struct Deferring<'a> {
    entries: IntoIter<Entry>,
    faults: &'a Faults,
}

impl PageTables for Deferring<'_> {
    type Error = Injected;

    fn next_entry(&mut self) -> Result<Option<Entry>, Injected> {
        self.faults.call(Fallible::NextEntry)?;
        Ok(self.entries.next())
    }
    fn test_and_clear_young(&mut self, _: &Entry) -> bool {
        false
    }
    fn clear(&mut self, entry: &Entry, flush: FlushMode) -> Result<Cleared, Injected> {
        self.faults.call(Fallible::Clear)?;
        Ok(Cleared {
            flags: entry.flags,
            deferred: flush == FlushMode::MayDefer,
        })
    }
    fn install(&mut self, _: &Entry, _: NewEntry) {}
    fn set_page_dirty(&mut self) {}
    fn remove_rmap(&mut self, _: &Entry) {}
    fn swap_duplicate(&mut self, _: &Entry) -> Attempt {
        Attempt::Done
    }
}

type Walked = Result<Verdict, UnmapError<Injected>>;

/// A walk that takes two entries with these bits and defers their flushes, unless a call fails.
fn deferred(bits: PteFlags, fail: Option<u32>) -> (Walked, FlushDebt) {
    let page = PlainPage {
        flags: SWAP,
        refs: 5,
        maps: 2,
        pins: None,
        base_pages: 2,
    };
    let vma = PlainVma {
        flags: VmFlags::empty(),
        range: TAKEN..TAKEN + 0x2000,
    };
    let entry = |address| Entry {
        address,
        flags: bits,
    };
    let request = UnmapRequest::new(UnmapFlags::BATCH_FLUSH).unwrap();
    let request = request.with_policy(IgnorePins);
    let mut walk = Deferring {
        entries: [TAKEN, TAKEN + 0x1000].map(entry).to_vec().into_iter(),
        faults: &Faults::at(fail),
    };
    let mut debt = FlushDebt::none();
    let walked = try_to_unmap_one(&page, &vma, TAKEN, &request, &mut walk, &mut debt);
    (walked, debt)
}

#[test]
fn an_ending_says_what_the_walk_said() {
    for (bits, deferred_dirty) in [(PteFlags::empty(), false), (PteFlags::DIRTY, true)] {
        let expected = |how| Ending {
            how,
            deferred: 2,
            deferred_dirty,
        };
        let (walked, debt) = deferred(bits, None);
        let done = expected(WalkEnd::InVma(Verdict::Done));
        assert_eq!(Ending::of_walk(&walked, &debt), done);
        let outcome = Outcome::NotFound;
        let all = Ending::of_all::<()>(&Ok(outcome), &debt);
        assert_eq!(all, expected(WalkEnd::InAll(outcome)));
    }
    let verdict = Verdict::SkipPage(PINS);
    let skipped = Ending::of_walk::<()>(&Ok(verdict), &FlushDebt::none());
    assert_eq!(skipped, Ending::new(WalkEnd::InVma(verdict)));
}

#[test]
fn a_failure_says_what_it_leaves() {
    for bits in [PteFlags::empty(), PteFlags::DIRTY] {
        // Found, cleared, found, cleared, and no further one.
        for (call, owed) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)] {
            let (walked, debt) = deferred(bits, Some(call));
            let expected = Ending {
                how: WalkEnd::Failed,
                deferred: owed,
                deferred_dirty: owed > 0 && !bits.is_empty(),
            };
            assert_eq!(Ending::of_walk(&walked, &debt), expected, "call {call}");
            let all = walked.map(|verdict| unreachable!("{verdict}"));
            assert_eq!(Ending::of_all(&all, &debt), expected);
        }
        let (walked, _) = deferred(bits, Some(5));
        assert!(walked.is_ok(), "there is no sixth call");
    }
}
