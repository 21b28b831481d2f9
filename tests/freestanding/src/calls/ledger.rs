//! Who pins: the ledger, also one that has no room.

use super::text::{debug, error};
use crate::{hidden, keep, opaque};
use pinfold::pin::{Charge, LedgerError, LedgerFault, OwnerId, OwnerUse, PinLedger, RefusedCharge};

pub fn call() {
    ledger::<4, 16>();
    ledger::<1, 1>();
    ledger::<3, 0>();
    ledger::<0, 3>();
    ledger::<0, 0>();
    keep(OwnerUse::live(&opaque()));
    keep(OwnerUse::oldest_age(&opaque(), opaque()));
    debug::<OwnerUse>(&opaque());
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
        Err(refused) => error::<RefusedCharge>(&refused),
    }
    keep(PinLedger::remove_owner(hidden(ledger), owner));
    Ok(())
}
