//! Who pins, how much, since when, in the order in which to ask.

use crate::pin::OwnerUse;
use core::cmp::{Ordering, Reverse};
use core::fmt;

/// The first `N` owners to ask for their pins, and how many are left out: for verdicts.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{LedgerError, PinKind, PinLedger};
/// use pinfold::revoke::Owners;
///
/// let mut ledger = PinLedger::<4, 16>::new();
/// let (disk, gpu) = (ledger.add_owner(1, 100)?, ledger.add_owner(7, 100)?);
/// let io = ledger.charge(disk, PinKind::Short, 90, 500)?;
/// let frame = ledger.charge(gpu, PinKind::Longterm, 60, 1_000)?;
///
/// let owners = Owners::<1>::collect(ledger.usages());
/// assert_eq!(owners.first().map(|owner| (owner.id, owner.since)), Some((7, Some(1_000))));
/// assert_eq!((owners.pages(), owners.left_out(), owners.left_out_pages()), (150, 1, 90));
/// # let _ = (io, frame);
/// # Ok::<(), LedgerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owners<const N: usize> {
    list: [Option<OwnerShare>; N],
    left_out: usize,
    left_out_pages: u64,
}

impl<const N: usize> Owners<N> {
    /// The owners who have pages pinned, of all the ledger's
    /// ([`PinLedger::usages`](crate::pin::PinLedger::usages)), in [`ask_order`].
    ///
    /// O(owners x `N`).
    #[must_use]
    pub fn collect(usages: impl IntoIterator<Item = OwnerUse>) -> Self {
        let mut owners = Self::default();
        let shares = usages.into_iter().map(OwnerShare::from);
        for share in shares.filter(|share| share.pages > 0) {
            owners.insert(share);
        }
        owners
    }

    /// Whom to ask first.
    #[must_use]
    pub fn first(&self) -> Option<&OwnerShare> {
        self.iter().next()
    }

    /// The owners, the first to ask first.
    pub fn iter(&self) -> impl Iterator<Item = &OwnerShare> {
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
            sum.saturating_add(owner.pages)
        })
    }

    fn insert(&mut self, mut share: OwnerShare) {
        for place in &mut self.list {
            match place {
                Some(other) if ask_order(other, &share).is_le() => {}
                Some(other) => core::mem::swap(other, &mut share),
                None => {
                    *place = Some(share);
                    return;
                }
            }
        }
        self.left_out = self.left_out.saturating_add(1);
        self.left_out_pages = self.left_out_pages.saturating_add(share.pages);
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

/// What one owner has pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerShare {
    /// The embedder's name for the owner.
    pub id: u64,
    /// Pages pinned.
    pub pages: u64,
    /// How many of them long-term.
    pub longterm: u64,
    /// By how many pages it is over its limit.
    pub over_limit: u64,
    /// The tick of its oldest pins.
    pub since: Option<u64>,
}

impl From<OwnerUse> for OwnerShare {
    fn from(usage: OwnerUse) -> Self {
        Self {
            id: usage.id,
            pages: usage.live(),
            longterm: usage.live_longterm,
            over_limit: usage.live().saturating_sub(usage.limit),
            since: usage.oldest,
        }
    }
}

impl fmt::Display for OwnerShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, pages, .. } = self;
        write!(f, "owner {id}: {pages} pages")?;
        match self.since {
            Some(since) => write!(f, " since {since}"),
            None => Ok(()),
        }
    }
}

/// Which of two owners to ask first (less is earlier).
///
/// 1. Who is further over its limit: it has what it may not have.
/// 2. Who has long-term pins: short ones come back by themselves.
/// 3. Whose oldest pins are older; one without a time is last.
/// 4. Who has more long-term pages, then more pages.
/// 5. The smaller id, so that the order is total.
#[must_use]
pub fn ask_order(a: &OwnerShare, b: &OwnerShare) -> Ordering {
    let key = |owner: &OwnerShare| {
        (
            Reverse(owner.over_limit),
            owner.longterm == 0,
            owner.since.is_none(),
            owner.since,
            Reverse(owner.longterm),
            Reverse(owner.pages),
            owner.id,
        )
    };
    key(a).cmp(&key(b))
}
