//! Which pins count against what was asked.

use crate::story::SWAP;
use pinfold::invariants::{Counted, Snapshot, WalkRequest};
use pinfold::pin::{Pins, Refined};
use pinfold::{
    Context, IgnorePins, Operation, PageFlags, PinMode, PinPolicy, PinVerdict, Requester,
    SkipLongterm, SkipOpportunistic, SkipPinned, UnmapFlags,
};

/// Stops one operation if the page is pinned, for the background reclaimer alone.
struct Only<const READS: bool>(Operation);

impl<const READS: bool> PinPolicy for Only<READS> {
    type Reading = Refined;

    fn mode(&self) -> PinMode {
        if READS {
            PinMode::PerPage
        } else {
            PinMode::Ignore
        }
    }

    fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
        let asked = operation == self.0 && context.requester == Requester::Background;
        if asked && pins.maybe_pinned() {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Proceed
        }
    }
}

const BACKGROUND: Context = Context::new(Requester::Background);

#[test]
fn a_policy_counts_the_least_pin_that_stops_it() {
    use Counted::{Any, Longterm, Nothing};
    use Operation::{Demote, Free, Migrate, Reclaim, Split, Unmap};
    let default = Context::default();
    for operation in [Reclaim, Demote, Migrate, Split, Unmap, Free] {
        let by = |policy: &SkipOpportunistic| Counted::by(policy, operation, default);
        let any = if operation == Unmap { Nothing } else { Any };
        assert_eq!(by(&SkipOpportunistic::new()), any, "{operation}");
        let by = |policy: &SkipLongterm| Counted::by(policy, operation, default);
        let longterm = match operation {
            Unmap => Nothing,
            Free => Any,
            _ => Longterm,
        };
        assert_eq!(by(&SkipLongterm::new()), longterm, "{operation}");
        assert_eq!(Counted::by(&IgnorePins, operation, default), Nothing);
        assert_eq!(Counted::by(&SkipPinned, operation, default), Any);
    }
    let only = Only::<true>(Reclaim);
    assert_eq!(Counted::by(&only, Reclaim, BACKGROUND), Any);
    assert_eq!(
        Counted::by(&only, Reclaim, default),
        Nothing,
        "not asked by this one"
    );
    assert_eq!(Counted::by(&only, Demote, BACKGROUND), Nothing);
    let blind = Only::<false>(Reclaim);
    assert_eq!(
        Counted::by(&blind, Reclaim, BACKGROUND),
        Nothing,
        "it is never asked"
    );
}

#[test]
fn what_counts_is_taken_from_the_true_pins() {
    let snapshot = Snapshot {
        pins: 5,
        longterm: 2,
        ..Snapshot::EMPTY
    };
    let counts = [Counted::Nothing, Counted::Longterm, Counted::Any];
    assert_eq!(counts.map(|counted| counted.of(&snapshot)), [0, 2, 5]);
}

#[test]
fn only_what_a_pin_may_hinder_is_counted() {
    use Operation::{Demote, Free, Migrate, Munlock, Poison, Reclaim, Split, Unmap};
    const MUNLOCK: UnmapFlags = UnmapFlags::MUNLOCK;
    let poisoned = SWAP | PageFlags::HWPOISON;
    let rows = [
        (Reclaim, UnmapFlags::empty(), SWAP, true),
        (
            Demote,
            UnmapFlags::MIGRATION | UnmapFlags::OPPORTUNISTIC,
            SWAP,
            true,
        ),
        (Migrate, UnmapFlags::MIGRATION, SWAP, true),
        (Split, UnmapFlags::SPLIT_FREEZE, SWAP, true),
        (Unmap, UnmapFlags::IGNORE_MLOCK, SWAP, false),
        // It takes nothing, and is no excuse.
        (Reclaim, MUNLOCK, SWAP, true),
        (Reclaim, MUNLOCK | UnmapFlags::IGNORE_MLOCK, SWAP, true),
        (Migrate, MUNLOCK | UnmapFlags::MIGRATION, SWAP, true),
        (Split, MUNLOCK | UnmapFlags::SPLIT_FREEZE, SWAP, true),
        (Poison, UnmapFlags::empty(), poisoned, false),
    ];
    for stopped in [
        Reclaim, Demote, Migrate, Split, Unmap, Munlock, Poison, Free,
    ] {
        for (operation, flags, page, hindered) in rows {
            let asked = WalkRequest::new(flags, &Only::<true>(stopped), BACKGROUND);
            let counts = hindered && stopped == operation;
            let expected = if counts {
                Counted::Any
            } else {
                Counted::Nothing
            };
            assert_eq!(
                asked.counted(page),
                expected,
                "{stopped} stopped, {operation}"
            );
            assert_eq!(asked.flags, flags);
        }
    }
}

#[test]
fn only_who_reads_pins_looks_twice() {
    fn looks_twice<L: PinPolicy>(policy: &L) -> bool {
        WalkRequest::new(UnmapFlags::empty(), policy, Context::default()).second_look
    }
    assert!(looks_twice(&<SkipOpportunistic>::new()));
    assert!(looks_twice(&Only::<true>(Operation::Reclaim)));
    assert!(
        !looks_twice(&Only::<false>(Operation::Reclaim)),
        "though it says that it does"
    );
    assert!(!looks_twice(&SkipPinned), "though it reads pins");
    assert!(!looks_twice(&IgnorePins));
}
