//! Who pins: how many pages, of which kind, since when.

mod recount;

use super::PinKind;
use super::account::{Charge, LedgerError, OwnerId, OwnerUse};
use crate::debug::debug_fields;

/// Counts pinned pages by owner, in fixed space.
///
/// An *owner* is what pins pages: a process, a device, a virtual machine. A *charge* is the pins of
/// one DMA object of an owner: charged once when the object is pinned and released once, whatever
/// tables map it. Pages are base pages, times are ticks in the embedder's unit. The embedder brings
/// the lock: every change takes `&mut self`.
///
/// For each owner, `acquired - released == live` at all times; [`check`](Self::check) recounts it.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{LedgerError, PinKind, PinLedger};
///
/// let mut ledger = PinLedger::<4, 16>::new();
/// let gpu = ledger.add_owner(7, 100)?;
/// let frame = ledger.charge(gpu, PinKind::Longterm, 60, 1_000)?;
/// assert_eq!(ledger.charge(gpu, PinKind::Short, 41, 1_001), Err(LedgerError::Limit));
///
/// let usage = ledger.usage(gpu)?;
/// assert_eq!((usage.live(), usage.oldest_age(1_500)), (60, Some(500)));
/// assert_eq!(ledger.release(frame).map_err(|(_, error)| error)?, 60);
/// # Ok::<(), LedgerError>(())
/// ```
#[derive(Debug)]
pub struct PinLedger<const OWNERS: usize, const CHARGES: usize> {
    tag: u64,
    owners: [Owner; OWNERS],
    charges: [Slot; CHARGES],
    /// Slots from here on have never been used.
    fresh: usize,
    /// The first of the slots that were used and are free again.
    free: Option<usize>,
}

impl<const OWNERS: usize, const CHARGES: usize> PinLedger<OWNERS, CHARGES> {
    /// An empty ledger.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_tag(0)
    }

    /// An empty ledger, whose owners and charges no ledger with another `tag` takes for its own.
    #[must_use]
    pub const fn with_tag(tag: u64) -> Self {
        Self {
            tag,
            owners: [const { Owner::EMPTY }; OWNERS],
            charges: [const { Slot::EMPTY }; CHARGES],
            fresh: 0,
            free: None,
        }
    }

    /// Opens an account: `id` is the embedder's name for the owner, who may have at most
    /// `limit_pages` pages pinned at a time.
    ///
    /// # Errors
    ///
    /// [`LedgerError::DuplicateOwner`], [`LedgerError::Full`]. Nothing has changed.
    pub fn add_owner(&mut self, id: u64, limit_pages: u64) -> Result<OwnerId, LedgerError> {
        if self.owners.iter().any(|owner| owner.open && owner.id == id) {
            return Err(LedgerError::DuplicateOwner);
        }
        let mut owners = self.owners.iter_mut().enumerate();
        let (index, owner) = owners
            .find(|(_, owner)| !owner.open)
            .ok_or(LedgerError::Full)?;
        *owner = Owner {
            open: true,
            generation: owner.generation.wrapping_add(1),
            id,
            limit: limit_pages,
            ..Owner::EMPTY
        };
        Ok(OwnerId {
            tag: self.tag,
            index,
            generation: owner.generation,
        })
    }

    /// Closes the account of an owner who has nothing pinned and no charge open; what it came to.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownOwner`], [`LedgerError::ChargesOpen`]. Nothing has changed.
    pub fn remove_owner(&mut self, owner: OwnerId) -> Result<OwnerUse, LedgerError> {
        let usage = self.usage(owner)?;
        if self.charges_of(owner.index).next().is_some() {
            return Err(LedgerError::ChargesOpen);
        }
        self.owner_mut(owner)?.open = false;
        Ok(usage)
    }

    /// Changes how many pages an owner may have pinned; what it has already may exceed it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownOwner`]. Nothing has changed.
    pub fn set_limit(&mut self, owner: OwnerId, limit_pages: u64) -> Result<(), LedgerError> {
        self.owner_mut(owner)?.limit = limit_pages;
        Ok(())
    }

    /// Charges the pins of one object to its owner: `pages` of them, pinned at the tick `now`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownOwner`], [`LedgerError::NoPages`] for an object of none,
    /// [`LedgerError::Limit`] if the owner would exceed its limit, [`LedgerError::CounterEnd`] if
    /// its total of all times would not fit, [`LedgerError::Full`] without a free charge. Nothing
    /// has changed.
    pub fn charge(
        &mut self,
        owner: OwnerId,
        kind: PinKind,
        pages: u64,
        now: u64,
    ) -> Result<Charge, LedgerError> {
        let account = *self.owner(owner)?;
        if pages == 0 {
            return Err(LedgerError::NoPages);
        }
        let live = account
            .live()
            .checked_add(pages)
            .ok_or(LedgerError::Limit)?;
        if live > account.limit {
            return Err(LedgerError::Limit);
        }
        let acquired = account
            .acquired
            .checked_add(pages)
            .ok_or(LedgerError::CounterEnd)?;

        let index = self.free.unwrap_or(self.fresh);
        let slot = self.charges.get_mut(index).ok_or(LedgerError::Full)?;
        match slot.state {
            State::Free { next } if self.free.is_some() => self.free = next,
            _ => self.fresh = self.fresh.saturating_add(1),
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Open(Entry {
            owner: owner.index,
            kind,
            pages,
            since: now,
        });
        let generation = slot.generation;

        let account = self.owner_mut(owner)?;
        account.acquired = acquired;
        let part = account.part_mut(kind);
        *part = part.saturating_add(pages);
        Ok(Charge {
            tag: self.tag,
            index,
            generation,
        })
    }

    /// Releases what is left of a charge and closes it; how many pages that was.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownCharge`], with the charge, if it is not one of this ledger. Nothing has
    /// changed.
    pub fn release(&mut self, charge: Charge) -> Result<u64, (Charge, LedgerError)> {
        match self.close(&charge) {
            Ok(pages) => Ok(pages),
            Err(error) => Err((charge, error)),
        }
    }

    /// Releases `pages` of a charge, which stays open; how many are left, perhaps none.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownCharge`], [`LedgerError::TooMany`] if it has fewer. Nothing has
    /// changed.
    pub fn release_pages(&mut self, charge: &Charge, pages: u64) -> Result<u64, LedgerError> {
        let entry = self.entry_mut(charge)?;
        let left = entry.pages.checked_sub(pages).ok_or(LedgerError::TooMany)?;
        entry.pages = left;
        let entry = *entry;
        self.discharge(entry, pages);
        Ok(left)
    }

    /// What an owner has pinned.
    ///
    /// Walks the charges for the oldest: O(`CHARGES`).
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownOwner`].
    pub fn usage(&self, owner: OwnerId) -> Result<OwnerUse, LedgerError> {
        let account = self.owner(owner)?;
        Ok(self.usage_of(owner.index, account))
    }

    /// What each owner has pinned.
    pub fn usages(&self) -> impl Iterator<Item = OwnerUse> + '_ {
        let owners = self
            .owners
            .iter()
            .enumerate()
            .filter(|(_, owner)| owner.open);
        owners.map(|(index, owner)| self.usage_of(index, owner))
    }

    fn owner(&self, id: OwnerId) -> Result<&Owner, LedgerError> {
        let owner = self.owners.get(id.index).ok_or(LedgerError::UnknownOwner)?;
        if id.tag == self.tag && owner.open && owner.generation == id.generation {
            Ok(owner)
        } else {
            Err(LedgerError::UnknownOwner)
        }
    }

    fn owner_mut(&mut self, id: OwnerId) -> Result<&mut Owner, LedgerError> {
        self.owner(id)?;
        self.owners
            .get_mut(id.index)
            .ok_or(LedgerError::UnknownOwner)
    }

    fn entry_mut(&mut self, charge: &Charge) -> Result<&mut Entry, LedgerError> {
        let slot = self
            .charges
            .get_mut(charge.index)
            .ok_or(LedgerError::UnknownCharge)?;
        match &mut slot.state {
            State::Open(entry)
                if charge.tag == self.tag && slot.generation == charge.generation =>
            {
                Ok(entry)
            }
            _ => Err(LedgerError::UnknownCharge),
        }
    }

    fn close(&mut self, charge: &Charge) -> Result<u64, LedgerError> {
        let entry = *self.entry_mut(charge)?;
        let slot = self
            .charges
            .get_mut(charge.index)
            .ok_or(LedgerError::UnknownCharge)?;
        slot.state = State::Free { next: self.free };
        self.free = Some(charge.index);
        self.discharge(entry, entry.pages);
        Ok(entry.pages)
    }

    /// Takes pages off an account. They were put on it, so none of this saturates.
    fn discharge(&mut self, entry: Entry, pages: u64) {
        if let Some(account) = self.owners.get_mut(entry.owner) {
            account.released = account.released.saturating_add(pages);
            let part = account.part_mut(entry.kind);
            *part = part.saturating_sub(pages);
        }
    }

    fn charges_of(&self, owner: usize) -> impl Iterator<Item = &Entry> {
        self.charges
            .iter()
            .filter_map(move |slot| match &slot.state {
                State::Open(entry) if entry.owner == owner => Some(entry),
                _ => None,
            })
    }

    fn usage_of(&self, index: usize, owner: &Owner) -> OwnerUse {
        let pinned = self.charges_of(index).filter(|entry| entry.pages > 0);
        OwnerUse {
            id: owner.id,
            limit: owner.limit,
            live_short: owner.short,
            live_longterm: owner.longterm,
            acquired: owner.acquired,
            released: owner.released,
            oldest: pinned.map(|entry| entry.since).min(),
        }
    }
}

impl<const OWNERS: usize, const CHARGES: usize> Default for PinLedger<OWNERS, CHARGES> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy)]
struct Owner {
    open: bool,
    generation: u64,
    id: u64,
    limit: u64,
    short: u64,
    longterm: u64,
    acquired: u64,
    released: u64,
}

debug_fields!(Owner {
    open,
    generation,
    id,
    limit,
    short,
    longterm,
    acquired,
    released,
});

impl Owner {
    const EMPTY: Self = Self {
        open: false,
        generation: 0,
        id: 0,
        limit: 0,
        short: 0,
        longterm: 0,
        acquired: 0,
        released: 0,
    };

    fn live(&self) -> u64 {
        self.short.saturating_add(self.longterm)
    }

    fn part_mut(&mut self, kind: PinKind) -> &mut u64 {
        match kind {
            PinKind::Short => &mut self.short,
            PinKind::Longterm => &mut self.longterm,
        }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u64,
    state: State,
}

impl Slot {
    const EMPTY: Self = Self {
        generation: 0,
        state: State::Free { next: None },
    };
}

#[derive(Debug)]
enum State {
    Free { next: Option<usize> },
    Open(Entry),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    owner: usize,
    kind: PinKind,
    pages: u64,
    since: u64,
}
