//! The owners of pins, in the order in which to ask them.

use super::OwnerUse;
use core::fmt;

/// The first `N` owners to ask for their pins, and how many others there are.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{LedgerError, Owners, PinKind, PinLedger};
///
/// let mut ledger = PinLedger::<4, 16>::new();
/// let (disk, gpu) = (ledger.add_owner(1, 100)?, ledger.add_owner(7, 100)?);
/// let io = ledger.charge(disk, PinKind::Short, 90, 500)?;
/// let frame = ledger.charge(gpu, PinKind::Longterm, 60, 1_000)?;
///
/// let owners = Owners::<1>::collect(ledger.usages());
/// assert_eq!(owners.first().map(|owner| (owner.id, owner.oldest)), Some((7, Some(1_000))));
/// assert_eq!((owners.pages(), owners.left_out(), owners.left_out_pages()), (150, 1, 90));
/// # let _ = (io, frame);
/// # Ok::<(), LedgerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owners<const N: usize = 8> {
    list: [Option<OwnerUse>; N],
    left_out: usize,
    left_out_pages: u64,
}

impl<const N: usize> Owners<N> {
    /// The owners who have pages pinned, of all the ledger's
    /// ([`PinLedger::usages`](super::PinLedger::usages)), in [`OwnerUse::ask_order`].
    ///
    /// O(owners x `N`).
    #[must_use]
    pub fn collect(usages: impl IntoIterator<Item = OwnerUse>) -> Self {
        let mut owners = Self::default();
        for usage in usages.into_iter().filter(|usage| usage.live() > 0) {
            owners.insert(usage);
        }
        owners
    }

    /// The owner to ask first.
    #[must_use]
    pub fn first(&self) -> Option<&OwnerUse> {
        self.iter().next()
    }

    /// The owners, the first to ask first.
    pub fn iter(&self) -> impl Iterator<Item = &OwnerUse> {
        self.list.iter().flatten()
    }

    /// How many owners of pinned pages there was no place for.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// How many pages those have pinned.
    #[must_use]
    pub const fn left_out_pages(&self) -> u64 {
        self.left_out_pages
    }

    /// How many pages all of them have pinned; saturates.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.iter().fold(self.left_out_pages, |sum, owner| {
            sum.saturating_add(owner.live())
        })
    }

    fn insert(&mut self, mut usage: OwnerUse) {
        for place in &mut self.list {
            match place {
                Some(other) if other.ask_order(&usage).is_le() => {}
                Some(other) => core::mem::swap(other, &mut usage),
                None => {
                    *place = Some(usage);
                    return;
                }
            }
        }
        self.left_out = self.left_out.saturating_add(1);
        self.left_out_pages = self.left_out_pages.saturating_add(usage.live());
    }
}

impl<const N: usize> Default for Owners<N> {
    /// No owners.
    fn default() -> Self {
        Self {
            list: [None; N],
            left_out: 0,
            left_out_pages: 0,
        }
    }
}

impl<const N: usize> fmt::Display for Owners<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.first() else {
            return match self.left_out {
                0 => f.write_str("nobody"),
                n => write!(f, "{n} owners: {} pages", self.left_out_pages),
            };
        };
        first.fmt(f)?;
        for owner in self.iter().skip(1) {
            write!(f, "; {owner}")?;
        }
        match self.left_out {
            0 => Ok(()),
            n => write!(f, "; {n} more: {} pages", self.left_out_pages),
        }
    }
}
