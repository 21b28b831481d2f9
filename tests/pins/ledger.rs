//! The ledger against a naive one, and at its ends.

use crate::LONG;
use crate::SHORT;
use pinfold::pin::{Charge, LedgerError, OwnerId, PinLedger};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum LedgerOp {
    Charge {
        owner: usize,
        long: bool,
        pages: u64,
    },
    Release {
        charge: usize,
    },
    Part {
        charge: usize,
        pages: u64,
    },
    Remove {
        owner: usize,
    },
}

fn ledger_op() -> impl Strategy<Value = LedgerOp> {
    prop_oneof![
        4 => (0usize..3, any::<bool>(), 0u64..8)
            .prop_map(|(owner, long, pages)| LedgerOp::Charge { owner, long, pages }),
        2 => (0usize..6).prop_map(|charge| LedgerOp::Release { charge }),
        2 => (0usize..6, 0u64..8).prop_map(|(charge, pages)| LedgerOp::Part { charge, pages }),
        1 => (0usize..3).prop_map(|owner| LedgerOp::Remove { owner }),
    ]
}

/// What an open charge is, to somebody who counts on his fingers.
struct Known {
    owner: usize,
    long: bool,
    pages: u64,
    since: u64,
    ticket: Charge,
}

const LIMIT: u64 = 12;

proptest! {
    #[test]
    fn ledger_against_model(ops in vec(ledger_op(), 1..80)) {
        let mut ledger = PinLedger::<3, 4>::new();
        let mut ids: Vec<OwnerId> = (0..3).map(|id| ledger.add_owner(id, LIMIT).unwrap()).collect();
        let mut open: Vec<Known> = Vec::new();
        let mut totals = BTreeMap::from([(0, (0, 0)), (1, (0, 0)), (2, (0, 0))]);
        for (now, op) in ops.into_iter().enumerate() {
            let now = now as u64;
            match op {
                LedgerOp::Charge { owner, long, pages } => {
                    let theirs = open.iter().filter(|known| known.owner == owner);
                    let live: u64 = theirs.map(|known| known.pages).sum();
                    let expected = if pages == 0 {
                        Err(LedgerError::NoPages)
                    } else if live + pages > LIMIT {
                        Err(LedgerError::Limit)
                    } else if open.len() == 4 {
                        Err(LedgerError::Full)
                    } else {
                        Ok(())
                    };
                    let got = ledger.charge(ids[owner], if long { LONG } else { SHORT }, pages, now);
                    prop_assert_eq!(got.as_ref().map(|_| ()).map_err(|&error| error), expected);
                    if let Ok(ticket) = got {
                        totals.get_mut(&owner).unwrap().0 += pages;
                        open.push(Known { owner, long, pages, since: now, ticket });
                    }
                }
                LedgerOp::Release { charge } if charge < open.len() => {
                    let known = open.swap_remove(charge);
                    prop_assert_eq!(ledger.release(known.ticket), Ok(known.pages));
                    totals.get_mut(&known.owner).unwrap().1 += known.pages;
                }
                LedgerOp::Part { charge, pages } if charge < open.len() => {
                    let known = &mut open[charge];
                    let expected = known.pages.checked_sub(pages).ok_or(LedgerError::TooMany);
                    prop_assert_eq!(ledger.release_pages(&known.ticket, pages), expected);
                    if let Ok(left) = expected {
                        known.pages = left;
                        totals.get_mut(&known.owner).unwrap().1 += pages;
                    }
                }
                LedgerOp::Remove { owner } => {
                    let has = open.iter().any(|known| known.owner == owner);
                    let got = ledger.remove_owner(ids[owner]);
                    if has {
                        prop_assert_eq!(got, Err(LedgerError::ChargesOpen));
                    } else {
                        prop_assert!(got.is_ok());
                        prop_assert_eq!(ledger.usage(ids[owner]), Err(LedgerError::UnknownOwner));
                        ids[owner] = ledger.add_owner(owner as u64, LIMIT).unwrap();
                        totals.insert(owner, (0, 0));
                    }
                }
                _ => {}
            }
            prop_assert_eq!(ledger.check(), Ok(()));
            for usage in ledger.usages() {
                let owner = usage.id as usize;
                let sum = |long| -> u64 {
                    open.iter().filter(|k| k.owner == owner && k.long == long).map(|k| k.pages).sum()
                };
                prop_assert_eq!((usage.live_short, usage.live_longterm), (sum(false), sum(true)));
                prop_assert_eq!((usage.acquired, usage.released), totals[&owner]);
                let pinned = open.iter().filter(|k| k.owner == owner && k.pages > 0);
                prop_assert_eq!(usage.oldest, pinned.map(|k| k.since).min());
            }
        }
    }
}

#[test]
fn the_ledger_refuses_what_is_not_its_own_and_gives_it_back() {
    let mut ours = PinLedger::<1, 2>::with_tag(1);
    let mut theirs = PinLedger::<1, 2>::with_tag(2);
    let (us, them) = (
        ours.add_owner(9, 10).unwrap(),
        theirs.add_owner(9, 10).unwrap(),
    );
    assert_eq!(
        ours.charge(them, SHORT, 1, 0).unwrap_err(),
        LedgerError::UnknownOwner
    );
    let foreign = theirs.charge(them, SHORT, 3, 0).unwrap();
    let own = ours.charge(us, SHORT, 3, 0).unwrap();
    let (foreign, error) = ours.release(foreign).unwrap_err();
    assert_eq!(error, LedgerError::UnknownCharge);
    assert_eq!(theirs.release(foreign), Ok(3));
    assert_eq!(ours.usage(us).unwrap().live(), 3);
    assert_eq!(ours.release(own), Ok(3));
}

#[test]
fn the_ledger_refuses_an_account_and_a_charge_of_before() {
    let mut ledger = PinLedger::<1, 1>::new();
    let old = ledger.add_owner(1, 10).unwrap();
    ledger.remove_owner(old).unwrap();
    let new = ledger.add_owner(1, 10).unwrap();
    assert_eq!(
        ledger.charge(old, SHORT, 1, 0).unwrap_err(),
        LedgerError::UnknownOwner
    );

    // The same tag and place, but another ledger and an earlier charge.
    let mut other = PinLedger::<1, 1>::new();
    let owner = other.add_owner(1, 10).unwrap();
    let stale = other.charge(owner, SHORT, 1, 0).unwrap();
    let first = ledger.charge(new, SHORT, 1, 0).unwrap();
    ledger.release(first).unwrap();
    let second = ledger.charge(new, SHORT, 2, 0).unwrap();
    assert_eq!(
        ledger.release_pages(&stale, 1),
        Err(LedgerError::UnknownCharge)
    );
    assert_eq!(ledger.release(second), Ok(2));
}

#[test]
fn the_ledger_at_its_ends() {
    let mut none = PinLedger::<0, 0>::new();
    assert_eq!(none.add_owner(1, 1), Err(LedgerError::Full));
    assert_eq!((none.check(), none.usages().count()), (Ok(()), 0));

    let mut ledger = PinLedger::<1, 0>::new();
    let owner = ledger.add_owner(1, u64::MAX).unwrap();
    assert_eq!(ledger.add_owner(1, 1), Err(LedgerError::DuplicateOwner));
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Full));
    assert_eq!(ledger.usage(owner).unwrap().acquired, 0);

    let mut ledger = PinLedger::<1, 2>::new();
    let owner = ledger.add_owner(1, u64::MAX).unwrap();
    let all = ledger.charge(owner, LONG, u64::MAX, 50).unwrap();
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Limit));
    assert_eq!(ledger.release(all), Ok(u64::MAX));
    assert_eq!(
        ledger.charge(owner, SHORT, 1, 0),
        Err(LedgerError::CounterEnd)
    );
    ledger.set_limit(owner, 0).unwrap();
    assert_eq!(ledger.charge(owner, SHORT, 1, 0), Err(LedgerError::Limit));
    assert_eq!(ledger.check(), Ok(()));
}
