//! The answer for one page, and what pins forbid.

use crate::machine::Frame;
use pinfold::pin::{PinKind, Pins, Refined};
use pinfold::placement::{LongtermRule, Placement, Zone, check_pins};
use pinfold::{
    Context, IgnorePins, Operation, PinPolicy, PinVerdict, SkipLongterm, SkipOpportunistic,
    SkipPinned,
};

#[test]
fn where_a_page_may_be_pinned() {
    use Placement::{MigrateFirst, Pin, Refuse};
    let rows = [
        (Zone::Normal, Pin, Pin),
        (Zone::Movable, MigrateFirst, Pin),
        (Zone::Cma, MigrateFirst, MigrateFirst),
        (Zone::Device, MigrateFirst, Pin),
        (Zone::FsDax, Refuse, Refuse),
    ];
    for (zone, unmovable, cma_only) in rows {
        let rules = [
            (LongtermRule::Unmovable, unmovable),
            (LongtermRule::CmaOnly, cma_only),
        ];
        for (rule, wanted) in rules {
            assert_eq!(zone.placement(PinKind::Longterm, rule), wanted, "{zone}");
            assert_eq!(zone.placement(PinKind::Short, rule), Pin, "{zone}");
        }
    }
    assert_eq!(LongtermRule::default(), LongtermRule::Unmovable);
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
            if let Err(error) = check_pins(frame, operation, &policy, Context::default()) {
                assert_eq!(error.operation, operation);
                assert_eq!(error.pins, Pins::exactly(frame.word.snapshot().pins));
                found.push((operation, error.verdict));
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
    let error = check_pins(&frame, Migrate, &skip, Context::default()).unwrap_err();
    assert_eq!(error.to_string(), "migrate refused: pinned 2 (1 long-term)");
}
