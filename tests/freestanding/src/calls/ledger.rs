//! Who pins: the ledger, also one that has no room.

use super::text::{debug, error, print};
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::pin::{
    Account, Accounting, Charge, Charged, LedgerError, LedgerFault, OwnerId, OwnerUse, PinKind,
    PinLedger,
};

pub fn call() {
    ledger::<4, 16>();
    ledger::<1, 1>();
    ledger::<3, 0>();
    ledger::<0, 3>();
    ledger::<0, 0>();
    keep(OwnerUse::live(&opaque()));
    keep(OwnerUse::oldest_age(&opaque(), opaque()));
    keep(OwnerUse::over_limit(&opaque()));
    keep(OwnerUse::ask_order(&opaque(), &opaque()));
    print::<OwnerUse>(&opaque());
    accounting(());
    accounting(AnyAccount);
    accounting(&mut AnyAccount);
    account::<2, 3>();
    account::<2, 0>();
    error::<LedgerError>(&opaque());
    error::<LedgerFault>(&opaque());
}

fn ledger<const OWNERS: usize, const CHARGES: usize>() {
    keep(PinLedger::<OWNERS, CHARGES>::new());
    keep(PinLedger::<OWNERS, CHARGES>::default());
    let mut ledger = PinLedger::<OWNERS, CHARGES>::with_tag(opaque());
    keep(owner(hidden(&mut ledger)));
    keep(PinLedger::check(hidden(&ledger)));
    PinLedger::usages(hidden(&ledger)).for_each(keep);
    debug::<PinLedger<OWNERS, CHARGES>>(hidden(&ledger));
}

fn owner<const OWNERS: usize, const CHARGES: usize>(
    mut ledger: &mut PinLedger<OWNERS, CHARGES>,
) -> Result<(), LedgerError> {
    let owner = hidden(PinLedger::add_owner(ledger, opaque(), opaque())?);
    debug::<OwnerId>(&owner);
    // Whatever is in the books by now.
    ledger = hidden(ledger);
    keep(PinLedger::set_limit(ledger, owner, opaque()));
    let charge = PinLedger::charge(hidden(ledger), owner, opaque(), opaque(), opaque())?;
    let charge = hidden(charge);
    debug::<Charge>(&charge);
    keep(PinLedger::usage(hidden(ledger), owner));
    keep(PinLedger::release_pages(hidden(ledger), &charge, opaque()));
    match PinLedger::release(hidden(ledger), charge) {
        Ok(pages) => keep(pages),
        Err(refused) => keep(refused),
    }
    keep(PinLedger::remove_owner(hidden(ledger), owner));
    Ok(())
}

/// An account that answers anything.
#[derive(Debug)]
struct AnyAccount;

impl Accounting for AnyAccount {
    type Charge = u64;

    super::embedder::answers_anything! {
        &mut charge(kind: PinKind, pages: u64) -> Result<u64, LedgerError>;
        &mut release(charge: u64) -> Result<(), LedgerError>;
    }
}

fn accounting<A: Accounting<Charge: Debug>>(mut account: A) {
    if let Ok(charge) = Accounting::charge(&mut account, opaque(), opaque()) {
        keep(Accounting::release(&mut account, charge));
    }
    if let Ok(mut charged) = Charged::new(&mut account, opaque(), opaque()) {
        keep(Charged::release(&mut charged));
        debug::<Charged<&mut A>>(&charged);
    }
    if let Ok(charged) = Charged::new(account, opaque(), opaque()) {
        keep(Charged::into_charge(charged));
    }
}

fn account<const OWNERS: usize, const CHARGES: usize>() {
    let mut ledger = PinLedger::<OWNERS, CHARGES>::new();
    let ledger = hidden(&mut ledger);
    let Ok(owner) = ledger.add_owner(opaque(), opaque()) else {
        return;
    };
    let account = Account {
        ledger: hidden(ledger),
        owner,
        now: opaque(),
    };
    debug::<Account<'_, OWNERS, CHARGES>>(&account);
    accounting(account);
}
