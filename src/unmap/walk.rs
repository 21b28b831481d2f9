//! The walk over the entries of one page in one VMA.

use super::UnmapRequest;
use super::decide::{self, Inconsistency, Look, Replacement, TakeKind};
use super::embed::{Attempt, CounterDelta, Entry, NewEntry, PageTables, SharedTable};
use super::tlb::{FlushDebt, FlushMode};
use super::verdict::{Stop, UnmapError, Verdict};
use crate::flags::{PageFlags, PteFlags, UnmapFlags, VmFlags};
use crate::page::PageLike;
use crate::pin::race;
use crate::policy::PinPolicy;
use core::ops::Range;

/// The part of a VMA that a walk covers.
pub(super) struct Area {
    pub(super) vma: VmFlags,
    pub(super) range: Range<u64>,
}

/// Walks the entries of a page in the state `state`, after the gate and the policy have let it in.
///
/// Always inlined into its callers: a frame of its own, and the reloading of what the
/// caller holds in registers, costs a tenth of a walk over one entry.
#[inline(always)]
pub(super) fn walk_entries<P, L, W>(
    page: &P,
    state: PageFlags,
    area: Area,
    flags: UnmapFlags,
    request: &UnmapRequest<L>,
    walk: &mut W,
    debt: &mut FlushDebt,
) -> Result<Verdict, UnmapError<W::Error>>
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    Driver {
        page,
        vma: area.vma,
        address: area.range.start,
        flags,
        request,
        walk,
        state,
        range: area.range,
        debt,
    }
    .run()
}

/// `Ok(None)`: go on to the next entry. `Ok(Some)`: the walk is over.
type Step<E> = Result<Option<Verdict>, UnmapError<E>>;

/// The state of a walk. No function that is not inlined takes a reference to it, so that its fields
/// stay in registers.
struct Driver<'a, P: ?Sized, L, W: ?Sized> {
    page: &'a P,
    vma: VmFlags,
    address: u64,
    flags: UnmapFlags,
    request: &'a UnmapRequest<L>,
    walk: &'a mut W,
    /// The state of the page: read at the gate, and again after each entry that is cleared.
    state: PageFlags,
    range: Range<u64>,
    debt: &'a mut FlushDebt,
}

impl<P, L, W> Driver<'_, P, L, W>
where
    P: PageLike + ?Sized,
    L: PinPolicy,
    W: PageTables + ?Sized,
{
    #[inline(always)]
    fn run(mut self) -> Result<Verdict, UnmapError<W::Error>> {
        if self.flags.contains(UnmapFlags::SPLIT_HUGE_PMD) {
            let freeze = self.flags.contains(UnmapFlags::SPLIT_FREEZE);
            let split = self.walk.split_huge_pmd(freeze);
            split.map_err(failed_at(self.address))?;
        }
        if self.state.contains(PageFlags::HUGETLB) {
            self.range = self.walk.widen_for_sharing(self.range.clone());
        }
        self.walk
            .invalidate_begin(self.range.clone())
            .map_err(failed_at(self.address))?;
        let verdict = self.entries();
        self.walk.invalidate_end(self.range);
        verdict
    }

    #[inline(always)]
    fn entries(&mut self) -> Result<Verdict, UnmapError<W::Error>> {
        loop {
            let next = self.walk.next_entry().map_err(failed_at(self.address))?;
            let Some(entry) = next else {
                return Ok(Verdict::Done);
            };
            if let Some(verdict) = self.entry(entry)? {
                return Ok(verdict);
            }
        }
    }

    #[inline(always)]
    fn entry(&mut self, entry: Entry) -> Step<W::Error> {
        if !self.range.contains(&entry.address) {
            return Err(inconsistent(Inconsistency::EntryOutsideRange, entry));
        }
        match decide::look(self.flags, self.vma, self.state, entry.flags) {
            Look::NextEntry => Ok(None),
            Look::Wrong(what) => Err(inconsistent(what, entry)),
            Look::Mlocked { mlock_page } => {
                if mlock_page {
                    self.walk.mlock_page();
                }
                Ok(Some(Verdict::Stopped(Stop::Mlocked)))
            }
            Look::Take {
                kind,
                unshare,
                test_young,
                flush,
            } => {
                if unshare {
                    if let Some(verdict) = self.unshare(entry) {
                        return Ok(Some(verdict));
                    }
                }
                if test_young && self.walk.test_and_clear_young(&entry) {
                    return Ok(Some(Verdict::Stopped(Stop::Young)));
                }
                self.take(entry, kind, flush)
            }
        }
    }

    /// The verdict on an entry whose page table is shared, or may be.
    #[inline]
    fn unshare(&mut self, entry: Entry) -> Option<Verdict> {
        match self.walk.unshare_pmd(&entry, &self.range) {
            SharedTable::No => None,
            SharedTable::Unshared => {
                self.walk.invalidate(self.range.clone());
                Some(Verdict::Unshared)
            }
            SharedTable::Unknown => Some(Verdict::Stopped(Stop::SharingUnknown)),
        }
    }

    /// Up to the clearing of the entry, which is in place until then.
    #[inline(always)]
    fn take(&mut self, entry: Entry, kind: TakeKind, flush: FlushMode) -> Step<W::Error> {
        // D1: asked before the entry is lost, and again below, where it may have changed.
        if self.state.is_inconsistent_anon()
            && self.replacement(kind, entry.flags) == Replacement::InconsistentAnon
        {
            return Ok(Some(Verdict::Stopped(Stop::InconsistentAnon)));
        }
        let cleared = self
            .walk
            .clear(&entry, flush)
            .map_err(failed_at(entry.address))?;
        if cleared.deferred {
            self.debt.add(cleared.flags.contains(PteFlags::DIRTY));
        }
        Ok(self.cleared(entry, kind, cleared.flags))
    }

    /// From the clearing of the entry on: it is replaced, or put back.
    #[inline(always)]
    fn cleared(&mut self, entry: Entry, kind: TakeKind, bits: PteFlags) -> Option<Verdict> {
        // Before the page is written to below: the load would wait for the store.
        if self.request.policy().mode().asks_again() {
            // D4. Pairs with the fence in `pin_fast`.
            race::fence_unmapper();
            let seen = self.page.snapshot();
            let (verdict, pins) = self.request.ask_for(self.flags, self.page, seen);
            self.state = seen.flags;
            if !verdict.proceeds() {
                return put_back(self.walk, entry, bits, Stop::PinAppeared(pins));
            }
        } else {
            self.state = self.page.flags();
        }
        // The entry of a device-private page is not a mapping of the CPU's and has no dirty bit.
        if bits.contains(PteFlags::DIRTY) && kind != TakeKind::DevicePrivate {
            self.walk.set_page_dirty();
        }
        self.walk.update_hiwater();
        let replacement = self.replacement(kind, bits);
        match replacement {
            Replacement::InconsistentAnon => {
                return put_back(self.walk, entry, bits, Stop::InconsistentAnon);
            }
            Replacement::KeepLazyfree => {
                let stopped = put_back(self.walk, entry, bits, Stop::LazyfreeRedirtied);
                self.walk.set_swap_backed();
                return stopped;
            }
            _ => {}
        }
        let slot = replacement.needs_slot();
        if slot && self.walk.swap_duplicate(&entry) == Attempt::Refused {
            return put_back(self.walk, entry, bits, Stop::SwapSlotRefused);
        }
        if replacement.asks_arch() && self.walk.arch_unmap(&entry, bits) == Attempt::Refused {
            // D2.
            let stopped = put_back(self.walk, entry, bits, Stop::ArchRefused);
            if slot {
                self.walk.swap_free(&entry);
            }
            return stopped;
        }
        if let Some(new) = replacement.entry() {
            self.walk.install(&entry, new);
        }
        let delta = replacement.counters(self.state);
        if delta != CounterDelta::NONE {
            self.walk.count(delta);
        }
        if replacement.invalidates() {
            self.walk.invalidate(self.span(entry));
        }
        self.walk.remove_rmap(&entry);
        None
    }

    #[inline(always)]
    fn replacement(&self, kind: TakeKind, bits: PteFlags) -> Replacement {
        let mut page = self.state;
        page.set(
            PageFlags::DIRTY,
            page.contains(PageFlags::DIRTY) || bits.contains(PteFlags::DIRTY),
        );
        decide::replace(kind, self.flags, self.vma, page, bits)
    }

    /// The addresses in bytes that an entry of the page maps.
    #[inline(always)]
    fn span(&self, entry: Entry) -> Range<u64> {
        let size = if self.state.contains(PageFlags::HUGETLB) {
            self.page.size()
        } else {
            1u64.checked_shl(self.page.base_shift()).unwrap_or(u64::MAX)
        };
        entry.address..entry.address.saturating_add(size)
    }
}

/// Puts a cleared entry back, and stops the walk for `why`.
#[cold]
fn put_back<W: PageTables + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    why: Stop,
) -> Option<Verdict> {
    walk.install(&entry, NewEntry::Restored(bits));
    Some(Verdict::Stopped(why))
}

fn failed_at<E>(address: u64) -> impl FnOnce(E) -> UnmapError<E> {
    move |source| UnmapError::PageTables { address, source }
}

#[cold]
fn inconsistent<E>(what: Inconsistency, entry: Entry) -> UnmapError<E> {
    UnmapError::Inconsistent {
        what,
        address: entry.address,
    }
}
