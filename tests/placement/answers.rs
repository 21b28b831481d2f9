//! The answer for one page, and what pins forbid.

use crate::machine::Frame;
use pinfold::pin::{LedgerError, PinError, PinKind, Pins, Refined};
use pinfold::placement::{Facts, Placement, Rule, WhyMigrate, WhyNot, Zone, decide, may};
use pinfold::{
    Context, IgnorePins, Operation, PinPolicy, PinVerdict, SkipLongterm, SkipOpportunistic,
    SkipPinned,
};

#[test]
fn where_a_page_may_be_pinned() {
    use Placement::{MigrateFirst, Pin, Refuse};
    use WhyMigrate::{Cma, Device, Movable};
    let zones = [
        Zone::Normal,
        Zone::Movable,
        Zone::Cma,
        Zone::Device,
        Zone::FsDax,
    ];
    let dax = Refuse(WhyNot::FsDax);
    let now = [
        Pin,
        MigrateFirst(Movable),
        MigrateFirst(Cma),
        MigrateFirst(Device),
        dax,
    ];
    let then = [Pin, Pin, MigrateFirst(Cma), Pin, dax];
    for (index, zone) in zones.into_iter().enumerate() {
        let facts = Facts {
            kind: PinKind::Longterm,
            zone,
            rule: Rule::default(),
            refusal: None,
            pages: 4,
            room: Some(4),
        };
        assert_eq!(decide(facts), now[index]);
        let cma_only = Facts {
            rule: Rule::CmaOnly,
            ..facts
        };
        assert_eq!(decide(cma_only), then[index]);
        let short = Facts {
            kind: PinKind::Short,
            ..facts
        };
        assert_eq!(decide(short), Pin, "a short pin may be anywhere");
        for facts in [facts, short] {
            let full = decide(Facts {
                room: Some(3),
                ..facts
            });
            let limit = Refuse(WhyNot::Limit);
            assert!(full == limit || (full == dax && facts.kind == PinKind::Longterm));
            assert_eq!(
                full == dax,
                zone == Zone::FsDax && facts.kind == PinKind::Longterm
            );
            for (error, why) in [
                (PinError::Blocked, WhyNot::Blocked),
                (PinError::Overflow, WhyNot::Overflow),
                (PinError::Free, WhyNot::Free),
                (PinError::Underflow, WhyNot::Page(PinError::Underflow)),
            ] {
                let refusal = Some(error);
                assert_eq!(decide(Facts { refusal, ..facts }), Refuse(why));
                assert_eq!(WhyNot::from(error), why);
            }
        }
    }
    assert_eq!(WhyNot::from(LedgerError::Limit), WhyNot::Limit);
    let full = LedgerError::Full;
    assert_eq!(WhyNot::from(full), WhyNot::Ledger(full));
}

#[test]
fn what_pins_forbid() {
    use Operation::{Demote, Free, Migrate, Munlock, Poison, Reclaim, Split, Unmap};
    const ALL: [Operation; 8] = [
        Reclaim, Unmap, Migrate, Demote, Split, Munlock, Poison, Free,
    ];
    fn forbidden<L: PinPolicy>(frame: &Frame, policy: L) -> Vec<(Operation, PinVerdict)> {
        let mut found = Vec::new();
        for operation in ALL {
            if let Err(refusal) = may(frame, operation, &policy, Context::default()) {
                assert_eq!(refusal.operation, operation);
                assert_eq!(refusal.pins, Pins::exactly(frame.word.snapshot().pins));
                found.push((operation, refusal.verdict));
            }
        }
        found
    }
    let skip = SkipOpportunistic::<Refined>::new();
    let longterm = SkipLongterm::<Refined>::new();
    let pinned = vec![
        (Reclaim, PinVerdict::SkipPage),
        (Migrate, PinVerdict::Refuse),
        (Demote, PinVerdict::SkipPage),
        (Split, PinVerdict::Refuse),
        (Free, PinVerdict::Refuse),
    ];
    let frame = Frame::new(Zone::Normal);
    assert_eq!(forbidden(&frame, skip), []);
    assert_eq!(forbidden(&frame, longterm), []);
    assert_eq!(forbidden(&frame, SkipPinned), []);
    frame.word.pin(PinKind::Short).unwrap();
    assert_eq!(forbidden(&frame, skip), pinned);
    assert_eq!(forbidden(&frame, longterm), [(Free, PinVerdict::Refuse)]);
    assert_eq!(forbidden(&frame, SkipPinned).len(), ALL.len());
    frame.word.pin(PinKind::Longterm).unwrap();
    assert_eq!(forbidden(&frame, longterm), pinned);
    assert_eq!(forbidden(&frame, IgnorePins), []);
    let refusal = may(&frame, Migrate, &skip, Context::default()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "migrate refused: pinned 2 (1 long-term)"
    );
}
