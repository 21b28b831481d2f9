//! Operations, and what policies say of them.

use crate::table::{Table, every_state};
use pinfold::pin::{Biased, PinCount, Pins, Refined};
use pinfold::{
    Context, IgnorePins, Operation, PinMode, PinPolicy, PinVerdict, Requester, SkipLongterm,
    SkipOpportunistic, SkipPinned, invariants,
};

#[test]
fn operation() {
    let table = Table::new(
        "munlock !migration !split !ignore_mlock !freeze -> munlock
         poisoned                                        -> poison
         migration opportunistic                         -> demote
         migration                                       -> migrate
         freeze                                          -> split
         opportunistic                                   -> reclaim
         ignore_mlock !munlock                           -> unmap
                                                         -> reclaim",
    );
    let states = every_state(table.names(), |state| {
        let operation = Operation::of(state.request(), state.page());
        let said = operation.to_string();
        assert_eq!(said, table.first(state), "{}", state.describe());
        let opportunistic = ["reclaim", "demote"].contains(&said.as_str());
        assert_eq!(operation.is_opportunistic(), opportunistic);
    });
    println!("operation: {states} states");
}

const OPERATIONS: [Operation; 8] = [
    Operation::Reclaim,
    Operation::Unmap,
    Operation::Migrate,
    Operation::Demote,
    Operation::Split,
    Operation::Munlock,
    Operation::Poison,
    Operation::Free,
];

/// Pins that a policy may be shown, with what they are: `-` none, `s` short ones only, `l`
/// long-term ones, `?` not known which.
fn pins() -> Vec<(char, Pins)> {
    let mut all = vec![('-', Pins::None)];
    for count in [1, 2, 1023, u32::MAX] {
        for (what, longterm) in [
            ('s', Some(0)),
            ('l', Some(1)),
            ('l', Some(count)),
            ('?', None),
        ] {
            all.push((
                what,
                Pins::Maybe {
                    estimate: count,
                    longterm,
                },
            ));
            all.push((
                what,
                Pins::Exactly(PinCount {
                    total: count,
                    longterm,
                }),
            ));
        }
    }
    all
}

/// Holds a policy to its column: by operation, the verdict on short, on long-term, and on unknown
/// pins. `.` proceeds, `n` next VMA, `s` skips the page, `r` refuses.
fn hold<L: PinPolicy>(policy: &L, column: [(&str, &str); 8]) {
    for operation in OPERATIONS {
        let name = operation.to_string();
        let (_, verdicts) = column.iter().find(|(op, _)| *op == name).unwrap();
        for requester in [
            Requester::Direct,
            Requester::Background,
            Requester::Proactive,
            Requester::Cgroup,
            Requester::Compaction,
        ] {
            for priority in [0, 1, 12, u8::MAX] {
                for (what, pins) in pins() {
                    let context = Context {
                        requester,
                        priority,
                    };
                    let expected = match "sl?".find(what) {
                        Some(at) => verdicts.chars().nth(at).unwrap(),
                        None => '.',
                    };
                    let said = match policy.verdict(operation, context, pins) {
                        PinVerdict::Proceed => '.',
                        PinVerdict::NextVma => 'n',
                        PinVerdict::SkipPage => 's',
                        PinVerdict::Refuse => 'r',
                    };
                    assert_eq!(said, expected, "{operation}, {context:?}, {pins:?}");
                }
            }
        }
    }
    invariants::policy(policy).unwrap();
    invariants::policy(&policy).unwrap();
}

#[test]
fn policies() {
    let ops = [
        "reclaim", "demote", "migrate", "split", "unmap", "munlock", "poison", "free",
    ];
    let alike = |verdicts| ops.map(|op| (op, verdicts));
    hold(&IgnorePins, alike("..."));
    hold(&SkipPinned, alike("nnn"));
    let default = [
        ("reclaim", "sss"),
        ("demote", "sss"),
        ("migrate", "rrr"),
        ("split", "rrr"),
        ("unmap", "..."),
        ("munlock", "..."),
        ("poison", "..."),
        ("free", "rrr"),
    ];
    hold(&SkipOpportunistic::<Refined>::new(), default);
    hold(&SkipOpportunistic::<Biased>::new(), default);
    let longterm = [
        ("reclaim", ".ss"),
        ("demote", ".ss"),
        ("migrate", ".rr"),
        ("split", ".rr"),
        ("unmap", "..."),
        ("munlock", "..."),
        ("poison", "..."),
        ("free", "rrr"),
    ];
    hold(&SkipLongterm::<Refined>::new(), longterm);
    hold(&SkipLongterm::<Biased>::new(), longterm);
}

#[test]
fn the_refined_estimate_rounds_at_half_a_bias() {
    // References, of which so many are explained; the estimate.
    let rows = [
        (1023, 0, 1),
        (1535, 1024, 0),
        (1536, 1024, 1),
        (2559, 1024, 1),
        (2560, 1024, 2),
        (10_001, 10_001, 0),
        // Counts that cannot be are read as Linux reads them.
        (2048, 2049, 2),
        (-1, 10, u32::MAX / 1024),
    ];
    for (refs, explained, estimate) in rows {
        let said = Refined::estimate::<1024>(refs, explained);
        assert_eq!(said, estimate, "{refs} references, {explained} explained");
    }
}

#[test]
fn when_policies_are_asked() {
    fn mode<L: PinPolicy>(policy: L) -> PinMode {
        policy.mode()
    }
    assert_eq!(mode(IgnorePins), PinMode::Ignore);
    assert_eq!(mode(SkipPinned), PinMode::PerVma);
    assert_eq!(
        mode(&SkipPinned),
        PinMode::PerVma,
        "a reference asks the same"
    );
    assert_eq!(mode(<SkipOpportunistic>::new()), PinMode::PerPage);
    assert_eq!(mode(<SkipLongterm>::new()), PinMode::PerPage);
}

mod broken_policies {
    //! The checker of policies finds each way of breaking their contract.

    use pinfold::invariants::{Broken, policy};
    use pinfold::pin::{Pins, Refined};
    use pinfold::{Context, Operation, PinMode, PinPolicy, PinVerdict, Requester};

    struct By<F, const READS: bool = true>(F);

    impl<F, const READS: bool> PinPolicy for By<F, READS>
    where
        F: Fn(Operation, Context, Pins) -> PinVerdict,
    {
        type Reading = Refined;

        fn mode(&self) -> PinMode {
            if READS {
                PinMode::PerPage
            } else {
                PinMode::Ignore
            }
        }

        fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
            self.0(operation, context, pins)
        }
    }

    fn check<F: Fn(Operation, Context, Pins) -> PinVerdict>(f: F) -> Option<Broken> {
        policy(&By::<F>(f)).err()
    }

    fn skip_if(skips: bool) -> PinVerdict {
        if skips {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Proceed
        }
    }

    #[test]
    fn are_found() {
        let stops_unpinned = check(|_, context, pins| {
            let last = context.priority == 0 && context.requester == Requester::Compaction;
            skip_if(pins.maybe_pinned() || last)
        });
        assert!(matches!(
            stops_unpinned,
            Some(Broken::PolicyStopsUnpinned { .. })
        ));

        let many_are_fine = check(|_, _, pins| {
            skip_if(matches!(pins, Pins::Maybe { estimate, .. } if estimate < 1000))
        });
        assert!(matches!(
            many_are_fine,
            Some(Broken::PolicyGivesBack { .. })
        ));

        let longterm_is_fine = check(|_, _, pins| {
            skip_if(matches!(pins, Pins::Exactly(count) if count.longterm == Some(0)))
        });
        assert!(matches!(
            longterm_is_fine,
            Some(Broken::PolicyGivesBack { .. })
        ));

        let next_vma = check(|operation, _, pins| {
            if operation == Operation::Free && pins.maybe_pinned() {
                PinVerdict::NextVma
            } else {
                PinVerdict::Proceed
            }
        });
        let operation = Operation::Free;
        assert_eq!(next_vma, Some(Broken::PolicyNextVma { operation }));

        let blind = |_, _, pins: Pins| skip_if(pins.maybe_pinned());
        let unread = policy(&By::<_, false>(blind)).err();
        assert!(matches!(unread, Some(Broken::PolicyUnread { .. })));
    }
}
