//! Recounting the books.

use super::{PinLedger, State};
use crate::pin::PinKind;
use crate::pin::account::LedgerFault;

impl<const OWNERS: usize, const CHARGES: usize> PinLedger<OWNERS, CHARGES> {
    /// Recounts everything from the open charges.
    ///
    /// # Errors
    ///
    /// [`LedgerFault`]: what does not add up, which would be a bug of this crate.
    pub fn check(&self) -> Result<(), LedgerFault> {
        for (index, owner) in self.owners.iter().enumerate() {
            let sum = |kind| {
                let entries = self.charges_of(index).filter(|entry| entry.kind == kind);
                entries.fold(0u64, |sum, entry| sum.saturating_add(entry.pages))
            };
            let (short, longterm) = (sum(PinKind::Short), sum(PinKind::Longterm));
            if !owner.open {
                if self.charges_of(index).next().is_some() {
                    return Err(LedgerFault::Orphans);
                }
                continue;
            }
            if (owner.short, owner.longterm) != (short, longterm) {
                return Err(LedgerFault::Live { id: owner.id });
            }
            if owner.acquired.checked_sub(owner.released) != Some(owner.live()) {
                return Err(LedgerFault::Totals { id: owner.id });
            }
        }
        let open = self
            .charges
            .iter()
            .filter(|slot| matches!(slot.state, State::Open(_)))
            .count();
        if open.checked_add(self.free_slots()?) != Some(CHARGES) {
            return Err(LedgerFault::Slots);
        }
        Ok(())
    }

    /// Free slots: those never used, and those on the free list.
    fn free_slots(&self) -> Result<usize, LedgerFault> {
        let mut free = CHARGES.checked_sub(self.fresh).ok_or(LedgerFault::Slots)?;
        let mut next = self.free;
        while let Some(index) = next {
            let slot = self.charges.get(index).ok_or(LedgerFault::Slots)?;
            let State::Free { next: following } = slot.state else {
                return Err(LedgerFault::Slots);
            };
            free = free.saturating_add(1);
            if free > CHARGES {
                return Err(LedgerFault::Slots);
            }
            next = following;
        }
        Ok(free)
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::pin::ledger::Slot;

    type Ledger = PinLedger<2, 4>;
    type Corrupt = fn(&mut Ledger);

    /// Owner 7 with a charge of each kind, and a slot that was used and is free again.
    fn books() -> Ledger {
        let mut ledger = Ledger::new();
        let owner = ledger.add_owner(7, 100).unwrap();
        for (kind, pages) in [(PinKind::Short, 3), (PinKind::Longterm, 5)] {
            let _ = ledger.charge(owner, kind, pages, 0).unwrap();
        }
        let third = ledger.charge(owner, PinKind::Short, 1, 0).unwrap();
        assert_eq!(ledger.release(third), Ok(1));
        assert_eq!(ledger.check(), Ok(()));
        ledger
    }

    #[test]
    fn every_fault_is_found() {
        let faults: [(&str, Corrupt, LedgerFault); 9] = [
            (
                "fewer short pages",
                |books| books.owners[0].short = 2,
                LedgerFault::Live { id: 7 },
            ),
            (
                "more long-term pages",
                |books| books.owners[0].longterm = 6,
                LedgerFault::Live { id: 7 },
            ),
            (
                "the kinds exchanged",
                |books| {
                    let owner = &mut books.owners[0];
                    core::mem::swap(&mut owner.short, &mut owner.longterm);
                },
                LedgerFault::Live { id: 7 },
            ),
            (
                "a page acquired and not live",
                |books| books.owners[0].acquired = 10,
                LedgerFault::Totals { id: 7 },
            ),
            (
                "more released than acquired",
                |books| books.owners[0].released = 10,
                LedgerFault::Totals { id: 7 },
            ),
            (
                "an account closed over its charges",
                |books| books.owners[0].open = false,
                LedgerFault::Orphans,
            ),
            (
                "a free slot off its list",
                |books| books.free = None,
                LedgerFault::Slots,
            ),
            (
                "a list of free slots that ends outside",
                |books| books.free = Some(4),
                LedgerFault::Slots,
            ),
            (
                "a list of free slots that leads to an open one",
                |books| books.free = Some(0),
                LedgerFault::Slots,
            ),
        ];
        for (what, corrupt, fault) in faults {
            let mut books = books();
            corrupt(&mut books);
            assert_eq!(books.check(), Err(fault), "{what}");
        }
    }

    #[test]
    fn free_slots_in_a_circle_end_the_recount() {
        let mut books = books();
        books.charges[2] = Slot {
            generation: 1,
            state: State::Free { next: Some(2) },
        };
        assert_eq!(books.check(), Err(LedgerFault::Slots));
        books.fresh = 5;
        assert_eq!(books.check(), Err(LedgerFault::Slots), "more used than are");
    }
}
