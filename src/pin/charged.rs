//! Charging the pins of an object to an account, once for the whole object.

use super::{Charge, LedgerError, OwnerId, PinKind, PinLedger};
use core::fmt;

/// The account that pins are charged to.
///
/// [`Account`] is the account of an owner in a [`PinLedger`] that the caller has at hand. Where the
/// ledger is behind a lock, the embedder implements this for a handle that takes the lock in each
/// call, so that the lock is not held while pages migrate. `()` charges nothing and has no limit.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{Accounting, Charge, Charged, LedgerError, OwnerId, PinKind, PinLedger};
/// use std::sync::Mutex;
///
/// /// An owner in a ledger behind a lock.
/// struct Locked<'a> {
///     ledger: &'a Mutex<PinLedger<4, 16>>,
///     owner: OwnerId,
/// }
///
/// impl Accounting for Locked<'_> {
///     type Charge = Charge;
///
///     fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Charge, LedgerError> {
///         self.ledger.lock().unwrap().charge(self.owner, kind, pages, 0)
///     }
///     fn release(&mut self, charge: Charge) -> Result<(), LedgerError> {
///         let released = self.ledger.lock().unwrap().release(charge);
///         released.map(drop).map_err(|(_, error)| error)
///     }
/// }
///
/// let mut ledger = PinLedger::new();
/// let owner = ledger.add_owner(7, 100)?;
/// let ledger = Mutex::new(ledger);
/// let live = || ledger.lock().unwrap().usage(owner).map(|usage| usage.live());
///
/// let charged = Charged::new(Locked { ledger: &ledger, owner }, PinKind::Longterm, 60)?;
/// assert_eq!(live()?, 60);
/// drop(charged);
/// assert_eq!(live()?, 0);
/// # Ok::<(), LedgerError>(())
/// ```
pub trait Accounting {
    /// What names a charge when it is released.
    type Charge;

    /// Charges `pages` base pages.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; nothing has changed.
    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Self::Charge, LedgerError>;

    /// Releases a charge.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] if the charge is not one of this account; nothing has changed.
    fn release(&mut self, charge: Self::Charge) -> Result<(), LedgerError>;
}

#[deny(clippy::missing_trait_methods)]
impl<A: Accounting + ?Sized> Accounting for &mut A {
    type Charge = A::Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Self::Charge, LedgerError> {
        (**self).charge(kind, pages)
    }
    fn release(&mut self, charge: Self::Charge) -> Result<(), LedgerError> {
        (**self).release(charge)
    }
}

/// Charges nothing, without a limit.
impl Accounting for () {
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
    /// The owner of the pins.
    pub owner: OwnerId,
    /// The tick from which they count.
    pub now: u64,
}

impl<const OWNERS: usize, const CHARGES: usize> Accounting for Account<'_, OWNERS, CHARGES> {
    type Charge = Charge;

    fn charge(&mut self, kind: PinKind, pages: u64) -> Result<Charge, LedgerError> {
        self.ledger.charge(self.owner, kind, pages, self.now)
    }

    fn release(&mut self, charge: Charge) -> Result<(), LedgerError> {
        let released = self.ledger.release(charge);
        released.map(drop).map_err(|(_, error)| error)
    }
}

/// A charge that is released when it is dropped.
///
/// A driver charges first, then pins, and keeps the charge beside the [`PinGuard`](super::PinGuard)
/// of the pages. A struct drops its fields in the order in which they are declared: declare the
/// guard first, so that the pins go before their charge.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{
///     Account, BiasedRefs, Charged, PinError, PinGuard, PinKind, PinLedger,
/// };
///
/// let mut ledger = PinLedger::<4, 16>::new();
/// let owner = ledger.add_owner(7, 100)?;
/// let pages = [BiasedRefs::new(1), BiasedRefs::new(0)];
///
/// let account = Account { ledger: &mut ledger, owner, now: 1_000 };
/// let charge = Charged::new(account, PinKind::Longterm, 2)?;
/// let pinned = PinGuard::pin(&pages, PinKind::Longterm);
/// assert_eq!(pinned.unwrap_err().error, PinError::Free);
/// drop(charge);
/// assert_eq!(ledger.usage(owner)?.live(), 0);
/// # Ok::<(), pinfold::pin::LedgerError>(())
/// ```
#[must_use = "the charge is released when it is dropped"]
pub struct Charged<A: Accounting> {
    account: A,
    charge: Option<A::Charge>,
}

impl<A: Accounting> Charged<A> {
    /// Charges `pages` base pages to an account.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; nothing is charged.
    pub fn new(mut account: A, kind: PinKind, pages: u64) -> Result<Self, LedgerError> {
        let charge = Some(account.charge(kind, pages)?);
        Ok(Self { account, charge })
    }

    /// Releases the charge, if it is not released yet.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] if the account does not know the charge.
    pub fn release(&mut self) -> Result<(), LedgerError> {
        match self.charge.take() {
            Some(charge) => self.account.release(charge),
            None => Ok(()),
        }
    }

    /// Takes the charge out: from here on the caller releases it. `None` if it is released.
    pub fn into_charge(mut self) -> Option<A::Charge> {
        self.charge.take()
    }
}

impl<A: Accounting> Drop for Charged<A> {
    fn drop(&mut self) {
        // The error is for callers of `release`; a drop cannot return it.
        let _ = self.release();
    }
}

// Not derived: that an account can be printed is not asked of it.
impl<A: Accounting> fmt::Debug for Charged<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged")
            .field("released", &self.charge.is_none())
            .finish()
    }
}
