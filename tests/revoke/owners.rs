//! Owners in the order in which they are asked.

use core::cmp::Ordering;
use pinfold::pin::{OwnerUse, Owners, PinKind, PinLedger};
use proptest::prelude::*;

fn usage() -> impl Strategy<Value = OwnerUse> {
    let small = 0u64..6;
    (
        0u64..50,
        small.clone(),
        small.clone(),
        small.clone(),
        proptest::option::of(small),
    )
        .prop_map(|(id, limit, live_short, live_longterm, oldest)| OwnerUse {
            id,
            limit,
            live_short,
            live_longterm,
            acquired: 100,
            released: 0,
            oldest,
        })
}

/// The rule as it is written down, clause by clause.
fn earlier(a: &OwnerUse, b: &OwnerUse) -> Ordering {
    let over = |o: &OwnerUse| o.live().saturating_sub(o.limit);
    let age = |o: &OwnerUse| o.oldest.map_or(u64::MAX, |since| since);
    if over(a) != over(b) {
        return over(b).cmp(&over(a));
    }
    if (a.live_longterm > 0) != (b.live_longterm > 0) {
        return if a.live_longterm > 0 {
            Ordering::Less
        } else {
            Ordering::Greater
        };
    }
    if age(a) != age(b) {
        return age(a).cmp(&age(b));
    }
    if a.live_longterm != b.live_longterm {
        return b.live_longterm.cmp(&a.live_longterm);
    }
    if a.live() != b.live() {
        return b.live().cmp(&a.live());
    }
    a.id.cmp(&b.id)
}

proptest! {
    #[test]
    fn owners_are_the_first_of_the_sorted(
        usages in proptest::collection::vec(usage(), 0..12),
    ) {
        let mut sorted: Vec<_> = usages.iter().copied().filter(|u| u.live() > 0).collect();
        sorted.sort_by(earlier);
        let ids = |n: usize| sorted.iter().take(n).map(|u| (u.id, u.live(), u.oldest));
        let check = |found: Vec<(u64, u64, Option<u64>)>, n: usize, left: (usize, u64)| {
            assert_eq!(found, ids(n).collect::<Vec<_>>());
            let rest = sorted.iter().skip(n);
            assert_eq!(left, (rest.clone().count(), rest.map(OwnerUse::live).sum()));
        };
        macro_rules! with {
            ($($n:literal)*) => {$(
                let owners = Owners::<$n>::collect(usages.iter().copied());
                let found = owners.iter().map(|o| (o.id, o.live(), o.oldest)).collect();
                check(found, $n, (owners.left_out(), owners.left_out_pages()));
                let all = sorted.iter().map(OwnerUse::live).sum::<u64>();
                assert_eq!(owners.pages(), all);
                assert_eq!(owners.first(), owners.iter().next());
            )*};
        }
        with!(0 1 3 16);
        for (a, b) in sorted.iter().zip(sorted.iter().skip(1)) {
            prop_assert!(a.ask_order(b).is_le() && b.ask_order(a).is_ge());
        }
    }
}

#[test]
fn owners_from_a_ledger() {
    let mut ledger = PinLedger::<4, 16>::new();
    let ids = [1, 2, 3].map(|id| ledger.add_owner(id, 100).unwrap());
    let _short = ledger.charge(ids[0], PinKind::Short, 80, 1).unwrap();
    let _old = ledger.charge(ids[1], PinKind::Longterm, 5, 10).unwrap();
    let _new = ledger.charge(ids[2], PinKind::Longterm, 90, 20).unwrap();
    let order = |ledger: &PinLedger<4, 16>| {
        let owners = Owners::<4>::collect(ledger.usages());
        owners.iter().map(|owner| owner.id).collect::<Vec<_>>()
    };
    assert_eq!(order(&ledger), [2, 3, 1]);
    ledger.set_limit(ids[0], 79).unwrap();
    assert_eq!(order(&ledger), [1, 2, 3], "over its limit");

    assert_eq!(
        Owners::<2>::collect(ledger.usages()).to_string(),
        "owner 1: 80 pages since 1; owner 2: 5 pages since 10; 1 more: 90 pages"
    );
    assert_eq!(
        Owners::<0>::collect(ledger.usages()).to_string(),
        "3 owners: 175 pages"
    );
    assert_eq!(Owners::<2>::default().to_string(), "nobody");
}
