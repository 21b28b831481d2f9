//! Where the pins of an object are charged.

use crate::pin::{Charge, LedgerError, OwnerId, PinKind, PinLedger};

/// The books that an object's pins are charged to: once for the whole object.
///
/// [`Account`] is the owner of a [`PinLedger`] that the caller has at hand. An embedder whose ledger
/// lies behind a lock implements this with the lock taken in each call, so that it is not held while
/// pages migrate. `()` keeps no books.
pub trait Books {
    /// What an object's pins are released by.
    type Charge;

    /// Charges `pages` base pages.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; nothing has changed.
    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Self::Charge, LedgerError>;

    /// Takes back a charge of these books.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] if it is not of these books; nothing has changed.
    fn release(&mut self, charge: Self::Charge) -> Result<(), LedgerError>;
}

impl<B: Books + ?Sized> Books for &mut B {
    type Charge = B::Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Self::Charge, LedgerError> {
        (**self).charge(kind, pages)
    }
    fn release(&mut self, charge: Self::Charge) -> Result<(), LedgerError> {
        (**self).release(charge)
    }
}

/// No books: nothing is counted, nobody has a limit.
impl Books for () {
    type Charge = ();

    fn charge(&mut self, _: PinKind, _: u64) -> Result<(), LedgerError> {
        Ok(())
    }
    fn release(&mut self, (): ()) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// An owner's account in a ledger, at one time.
#[derive(Debug)]
pub struct Account<'a, const OWNERS: usize, const CHARGES: usize> {
    /// The ledger.
    pub ledger: &'a mut PinLedger<OWNERS, CHARGES>,
    /// Whose pins they are.
    pub owner: OwnerId,
    /// The tick from which they count.
    pub now: u64,
}

impl<const OWNERS: usize, const CHARGES: usize> Books for Account<'_, OWNERS, CHARGES> {
    type Charge = Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Charge, LedgerError> {
        self.ledger.charge(self.owner, kind, pages, self.now)
    }

    fn release(&mut self, charge: Charge) -> Result<(), LedgerError> {
        let released = self.ledger.release(charge);
        released.map(drop).map_err(|refused| refused.error)
    }
}
