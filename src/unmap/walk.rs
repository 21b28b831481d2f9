//! The walk over the entries of one page in one VMA, once the gate has let it in.

use super::UnmapRequest;
use super::decide::{self, Look, Replacement, Split, Take, TakeKind};
use super::embed::{Bookkeeping, CounterDelta, Entry, Hook, SharedTable};
use super::tlb::FlushDebt;
use super::undo::{Done, Fault, Step, at, put_back, undo, unwind, wrong};
use super::verdict::{Callback, Failure, Stop, UnmapError, Verdict, Walked};
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::page::PageLike;
use crate::pin::race;
use crate::policy::PinPolicy;
use core::ops::Range;

/// Where a walk goes.
pub(super) struct Area {
    pub(super) vma: VmFlags,
    pub(super) range: Range<u64>,
}

/// The walk, once the gate has let it in for a page in this state.
///
/// Inlined into both of its callers, whatever their size: to set up a frame of its own, and to load
/// again after it what the caller keeps in registers, costs a tenth of a walk over one entry.
#[inline(always)]
pub(super) fn walk_entries<P, L, W>(
    page: &P,
    state: PageFlags,
    area: Area,
    request: &UnmapRequest<L>,
    walk: &mut W,
) -> Result<Walked, Failure<W::Error>>
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    let mut driver = Driver {
        page,
        vma: area.vma,
        address: area.range.start,
        request,
        walk,
        state,
        range: area.range,
        taken: 0,
        flush: FlushDebt::none(),
    };
    let outcome = driver.run(Split::of(request.flags()));
    let Driver { taken, flush, .. } = driver;
    match outcome {
        Ok(verdict) => Ok(Walked {
            verdict,
            taken,
            flush,
        }),
        Err(Fault { error, owed }) => Err(Failure {
            error,
            taken,
            flush,
            owed,
        }),
    }
}

/// Nothing that is not inlined takes a reference to it, so that its fields live in registers.
struct Driver<'a, P: ?Sized, L, W: ?Sized> {
    page: &'a P,
    vma: VmFlags,
    address: u64,
    request: &'a UnmapRequest<L>,
    walk: &'a mut W,
    /// The state of the page: read at the gate, and again after each entry that is cleared.
    state: PageFlags,
    range: Range<u64>,
    taken: u32,
    flush: FlushDebt,
}

impl<P, L, W> Driver<'_, P, L, W>
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    #[inline]
    fn run(&mut self, split: Split) -> Result<Verdict, Fault<W::Error>> {
        let split = match split {
            Split::No => Ok(()),
            Split::Plain => self.walk.split_huge_pmd(false),
            Split::Freeze => self.walk.split_huge_pmd(true),
        };
        split.map_err(|source| self.failed(Callback::SplitHugePmd, source))?;
        if self.state.contains(PageFlags::HUGETLB) {
            self.range = self
                .walk
                .widen_for_sharing(self.range.clone())
                .map_err(|source| self.failed(Callback::WidenForSharing, source))?;
        }
        self.walk
            .invalidate_begin(self.range.clone())
            .map_err(|source| self.failed(Callback::InvalidateBegin, source))?;

        let outcome = self.entries();

        match self.walk.invalidate_end(self.range.clone()) {
            Ok(()) => outcome,
            Err(source) => {
                let mut fault = match outcome {
                    Ok(_) => self.failed(Callback::InvalidateEnd, source).into(),
                    Err(fault) => fault,
                };
                fault.owed.range = self.range.clone();
                fault.owed.invalidate_end = true;
                Err(fault)
            }
        }
    }

    #[inline]
    fn entries(&mut self) -> Result<Verdict, Fault<W::Error>> {
        loop {
            let next = self
                .walk
                .next_entry()
                .map_err(|source| self.failed(Callback::NextEntry, source))?;
            let Some(entry) = next else {
                return Ok(Verdict::Done);
            };
            if let Some(verdict) = self.entry(entry)? {
                return Ok(verdict);
            }
        }
    }

    #[inline]
    fn entry(&mut self, entry: Entry) -> Step<W::Error> {
        if !self.range.contains(&entry.address) {
            return Err(wrong(decide::Inconsistency::EntryOutsideRange, entry).into());
        }
        let flags = self.request.flags();
        match decide::look(flags, self.vma, self.state, entry.flags) {
            Look::NextEntry => Ok(None),
            Look::Wrong(what) => Err(wrong(what, entry).into()),
            Look::Mlocked { mlock_page } => {
                if mlock_page {
                    self.walk
                        .mlock_page()
                        .map_err(at(entry, Callback::MlockPage))?;
                }
                Ok(Some(Verdict::Stopped(Stop::Mlocked)))
            }
            Look::Take(take) => self.take(entry, take),
        }
    }

    /// Up to the clearing of the entry: whatever fails, it is in place.
    #[inline]
    fn take(&mut self, entry: Entry, take: Take) -> Step<W::Error> {
        if take.unshare {
            let shared = self
                .walk
                .unshare_pmd(&entry, &self.range)
                .map_err(at(entry, Callback::UnsharePmd))?;
            match shared {
                SharedTable::No => {}
                SharedTable::Unshared => return self.unshared(entry),
                SharedTable::Unknown => return Ok(Some(Verdict::Stopped(Stop::SharingUnknown))),
            }
        }
        if take.test_young {
            let young = self
                .walk
                .test_and_clear_young(&entry)
                .map_err(at(entry, Callback::TestAndClearYoung))?;
            if young {
                return Ok(Some(Verdict::Stopped(Stop::Young)));
            }
        }
        // D1: asked before the entry is lost, and again below, where it may have changed.
        if self.state.is_inconsistent_anon()
            && self.replacement(take.kind, entry.flags) == Replacement::InconsistentAnon
        {
            return Ok(Some(Verdict::Stopped(Stop::InconsistentAnon)));
        }
        let cleared = self
            .walk
            .clear(&entry, take.flush)
            .map_err(at(entry, Callback::Clear))?;
        if cleared.deferred {
            self.flush.add(cleared.flags.contains(PteFlags::DIRTY));
        }
        self.cleared(entry, take.kind, cleared.flags)
    }

    #[cold]
    fn unshared(&mut self, entry: Entry) -> Step<W::Error> {
        if let Err(source) = self.walk.invalidate(self.range.clone()) {
            let mut fault = Fault::from(at(entry, Callback::Invalidate)(source));
            fault.owed.range = self.range.clone();
            fault.owed.invalidate = true;
            return Err(fault);
        }
        Ok(Some(Verdict::Unshared))
    }

    /// From the clearing of the entry on: whatever fails, it is put back.
    #[inline]
    fn cleared(&mut self, entry: Entry, kind: TakeKind, bits: PteFlags) -> Step<W::Error> {
        // Before the page is written to below, or the load would wait for that.
        if L::MODE.asks_again() {
            // D4: the pinner's partner in the race.
            race::fence_unmapper();
            let seen = self.page.snapshot();
            let (verdict, pins) = self.request.ask_with(self.page, seen);
            self.state = seen.flags;
            if !verdict.proceeds() {
                return put_back(self.walk, entry, bits, false, Stop::PinAppeared(pins));
            }
        } else {
            self.state = self.page.flags();
        }
        // The entry of a device-private page is not a mapping of the CPU's and has no dirty bit.
        if bits.contains(PteFlags::DIRTY) && kind != TakeKind::DevicePrivate {
            if let Err(source) = self.walk.set_page_dirty() {
                return undo(
                    self.walk,
                    entry,
                    bits,
                    Done::NOTHING,
                    Callback::SetPageDirty,
                    source,
                );
            }
        }
        if let Err(source) = self.walk.update_hiwater() {
            return undo(
                self.walk,
                entry,
                bits,
                Done::NOTHING,
                Callback::UpdateHiwater,
                source,
            );
        }
        let replacement = self.replacement(kind, bits);
        match replacement {
            Replacement::InconsistentAnon => {
                return put_back(self.walk, entry, bits, false, Stop::InconsistentAnon);
            }
            Replacement::KeepLazyfree => {
                unwind(self.walk, entry, bits, Done::NOTHING)?;
                self.walk
                    .set_swap_backed()
                    .map_err(at(entry, Callback::SetSwapBacked))?;
                return Ok(Some(Verdict::Stopped(Stop::LazyfreeRedirtied)));
            }
            _ => {}
        }
        let slot = replacement.needs_slot();
        if slot {
            match self.walk.swap_duplicate(&entry) {
                Ok(Hook::Done) => {}
                Ok(Hook::Refused) => {
                    return put_back(self.walk, entry, bits, false, Stop::SwapSlotRefused);
                }
                Err(source) => {
                    return undo(
                        self.walk,
                        entry,
                        bits,
                        Done::NOTHING,
                        Callback::SwapDuplicate,
                        source,
                    );
                }
            }
        }
        if replacement.asks_arch() {
            match self.walk.arch_unmap(&entry, bits) {
                Ok(Hook::Done) => {}
                Ok(Hook::Refused) => {
                    return put_back(self.walk, entry, bits, slot, Stop::ArchRefused);
                }
                Err(source) => {
                    let done = Done::slot(slot);
                    return undo(self.walk, entry, bits, done, Callback::ArchUnmap, source);
                }
            }
        }
        self.commit(entry, bits, replacement, slot)
    }

    /// Installs what replaces the entry, and lets the mapping go.
    #[inline]
    fn commit(
        &mut self,
        entry: Entry,
        bits: PteFlags,
        replacement: Replacement,
        slot: bool,
    ) -> Step<W::Error> {
        if let Some(new) = replacement.entry() {
            if let Err(source) = self.walk.install(&entry, new) {
                let done = Done::slot(slot);
                return undo(self.walk, entry, bits, done, Callback::Install, source);
            }
        }
        let delta = replacement.counters(self.state);
        if delta != CounterDelta::NONE {
            if let Err(source) = self.walk.count(delta) {
                let done = Done::slot(slot);
                return undo(self.walk, entry, bits, done, Callback::Count, source);
            }
        }
        if replacement.invalidates() {
            if let Err(source) = self.walk.invalidate(self.span(entry)) {
                let done = Done {
                    slot,
                    counted: delta,
                };
                return undo(self.walk, entry, bits, done, Callback::Invalidate, source);
            }
        }
        if let Err(source) = self.walk.remove_rmap(&entry) {
            let done = Done {
                slot,
                counted: delta,
            };
            return undo(self.walk, entry, bits, done, Callback::RemoveRmap, source);
        }
        self.taken = self.taken.saturating_add(1);
        Ok(None)
    }

    #[inline]
    fn replacement(&self, kind: TakeKind, bits: PteFlags) -> Replacement {
        let mut page = self.state;
        page.set(
            PageFlags::DIRTY,
            page.contains(PageFlags::DIRTY) || bits.contains(PteFlags::DIRTY),
        );
        decide::replace_kind(kind, self.request.flags(), self.vma, page, bits)
    }

    /// The addresses in bytes that an entry of the page maps.
    #[inline]
    fn span(&self, entry: Entry) -> Range<u64> {
        let size = if self.state.contains(PageFlags::HUGETLB) {
            self.page.size()
        } else {
            1u64.checked_shl(self.page.base_shift()).unwrap_or(u64::MAX)
        };
        entry.address..entry.address.saturating_add(size)
    }

    #[cold]
    fn failed(&self, callback: Callback, source: W::Error) -> UnmapError<W::Error> {
        UnmapError::Callback {
            callback,
            address: self.address,
            source,
        }
    }
}
