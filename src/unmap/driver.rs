//! The thin driver of `try_to_unmap_one`: asks the decisions, calls the embedder, undoes what fails.

use super::UnmapRequest;
use super::decide::{self, Gate, Look, Replacement, Split, Take, TakeKind};
use super::embed::{Bookkeeping, CounterDelta, Entry, Hook, NewEntry};
use super::tlb::FlushDebt;
use super::verdict::{Callback, Failure, Owed, Stop, UnmapError, Verdict, Walked};
use crate::flags::{PageFlags, PteFlags, VmFlags};
use crate::page::PageLike;
use crate::pin::{PinReading, race};
use crate::policy::{PinPolicy, PinVerdict};
use crate::vma::Vma;
use core::ops::Range;

/// Takes one page out of one VMA, as Linux 5.8's `try_to_unmap_one` (`mm/rmap.c`) does, with the
/// request's policy where the 2020 patch asks about pins.
///
/// `address`, in bytes, is where the page, or the part of it in this VMA, begins; `walk` is the
/// cursor over its entries there. Where it differs from Linux, on purpose:
///
/// - **D1** An anonymous page whose swap-backed and swap-cache states disagree is found before its
///   entry is cleared: the walk stops with the entry in place (Linux loses the entry).
/// - **D2** The swap slot's reference is given back when the architecture's hook refuses after it
///   was taken (Linux leaks it).
/// - **D3** What makes Linux halt is a typed error with nothing lost.
/// - **D4** After an entry is cleared the pins are asked again, and the entry is put back if one
///   has appeared; not under policies without a
///   [second look](PinPolicy::SECOND_LOOK).
///
/// # Errors
///
/// [`Failure`] for input that cannot be and for a callback that failed. Before the walk begins
/// nothing is touched; later, the entry at which it happened is put back, and what even that could
/// not undo is in [`Failure::owed`].
pub fn try_to_unmap_one<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
) -> Result<Walked, Failure<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    if page.ref_count() == 0 {
        return Err(untouched(UnmapError::NoReference));
    }
    unmap_in_vma(page, vma, address, request, walk, L::READS_PINS)
}

/// [`try_to_unmap_one`] for a page that has a reference; `ask_pins` if the policy is to be asked
/// here and has not been asked for the whole page.
#[inline]
pub(crate) fn unmap_in_vma<P, V, L, W>(
    page: &P,
    vma: &V,
    address: u64,
    request: &UnmapRequest<L>,
    walk: &mut W,
    ask_pins: bool,
) -> Result<Walked, Failure<W::Error>>
where
    P: PageLike + ?Sized,
    V: Vma + ?Sized,
    L: PinPolicy,
    W: Bookkeeping + ?Sized,
{
    let area = vma.range();
    let base = 1u64.checked_shl(page.base_shift()).unwrap_or(0);
    if area.end < area.start {
        return Err(untouched(UnmapError::BadVma {
            start: area.start,
            end: area.end,
        }));
    }
    if !area.contains(&address) {
        return Err(untouched(UnmapError::OutsideVma { address }));
    }
    if address & base.wrapping_sub(1) != 0 {
        return Err(untouched(UnmapError::Misaligned { address }));
    }
    let state = page.flags();
    match decide::gate(request.flags(), vma.flags(), state) {
        Gate::NotLocked => return Ok(early(Verdict::NotLocked)),
        Gate::NotMigratable => return Ok(early(Verdict::NotMigratable)),
        Gate::Walk(_) => {}
    }
    if ask_pins && L::READS_PINS {
        let pins = L::Reading::read(page);
        match request.verdict(pins, || state) {
            PinVerdict::Proceed => {}
            PinVerdict::NextVma => return Ok(early(Verdict::NextVma(pins))),
            PinVerdict::SkipPage => return Ok(early(Verdict::SkipPage(pins))),
            PinVerdict::Refuse => return Ok(early(Verdict::Refused(pins))),
        }
    }
    let area = Area {
        vma: vma.flags(),
        range: address..area.end.min(address.saturating_add(page.size())),
    };
    walk_entries(page, area, request, walk)
}

/// Where a walk goes.
struct Area {
    vma: VmFlags,
    range: Range<u64>,
}

/// The walk, once the gate has let it in.
///
/// A function of its own, so that the gate, where a scan ends on pinned pages, saves no registers
/// for it. It does not depend on the type of the VMA: an embedder enters it for `V` and, from an
/// rmap, for `&V`, and what is inlined into it must have one caller.
#[inline(never)]
fn walk_entries<P, L, W>(
    page: &P,
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
        state: page.flags(),
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

const fn early(verdict: Verdict) -> Walked {
    Walked {
        verdict,
        taken: 0,
        flush: FlushDebt::none(),
    }
}

#[cold]
pub(crate) fn untouched<E>(error: UnmapError<E>) -> Failure<E> {
    Failure {
        error,
        taken: 0,
        flush: FlushDebt::none(),
        owed: Owed::default(),
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

/// What went wrong, and what could not be undone.
struct Fault<E> {
    error: UnmapError<E>,
    owed: Owed,
}

impl<E> From<UnmapError<E>> for Fault<E> {
    #[cold]
    fn from(error: UnmapError<E>) -> Self {
        Self {
            error,
            owed: Owed::default(),
        }
    }
}

/// `Ok(None)`: go on to the next entry. `Ok(Some)`: the walk is over.
type Step<E> = Result<Option<Verdict>, Fault<E>>;

/// What has been done for an entry since it was cleared, and must be undone if it is put back.
#[derive(Clone, Copy, Default)]
struct Done {
    slot: bool,
    counted: CounterDelta,
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
            let unshared = self
                .walk
                .unshare_pmd(&entry, &self.range)
                .map_err(at(entry, Callback::UnsharePmd))?;
            if unshared {
                return self.unshared(entry);
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
        let mut done = Done::default();
        // D4
        if L::SECOND_LOOK {
            // The pinner's partner in the race.
            let pins = race::second_look(|| L::Reading::read(self.page));
            let verdict = self.request.verdict(pins, || self.page.flags());
            if !verdict.proceeds() {
                return put_back(self.walk, entry, bits, false, Stop::PinAppeared(pins));
            }
        }
        // Before the page is written to below, or the load would wait for that.
        self.state = self.page.flags();
        // The entry of a device-private page is not a mapping of the CPU's and has no dirty bit.
        if bits.contains(PteFlags::DIRTY) && kind != TakeKind::DevicePrivate {
            if let Err(source) = self.walk.set_page_dirty() {
                return undo(self.walk, entry, bits, done, Callback::SetPageDirty, source);
            }
        }
        if let Err(source) = self.walk.update_hiwater() {
            return undo(
                self.walk,
                entry,
                bits,
                done,
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
                unwind(self.walk, entry, bits, done)?;
                self.walk
                    .set_swap_backed()
                    .map_err(at(entry, Callback::SetSwapBacked))?;
                return Ok(Some(Verdict::Stopped(Stop::LazyfreeRedirtied)));
            }
            _ => {}
        }
        if replacement.needs_slot() {
            match self.walk.swap_duplicate(&entry) {
                Ok(Hook::Done) => done.slot = true,
                Ok(Hook::Refused) => {
                    return put_back(self.walk, entry, bits, false, Stop::SwapSlotRefused);
                }
                Err(source) => {
                    return undo(
                        self.walk,
                        entry,
                        bits,
                        done,
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
                    return put_back(self.walk, entry, bits, done.slot, Stop::ArchRefused);
                }
                Err(source) => {
                    return undo(self.walk, entry, bits, done, Callback::ArchUnmap, source);
                }
            }
        }
        self.commit(entry, bits, replacement, done)
    }

    /// Installs what replaces the entry, and lets the mapping go.
    #[inline]
    fn commit(
        &mut self,
        entry: Entry,
        bits: PteFlags,
        replacement: Replacement,
        mut done: Done,
    ) -> Step<W::Error> {
        if let Some(new) = replacement.entry() {
            if let Err(source) = self.walk.install(&entry, new) {
                return undo(self.walk, entry, bits, done, Callback::Install, source);
            }
        }
        let delta = replacement.counters(self.state);
        if delta != CounterDelta::NONE {
            if let Err(source) = self.walk.count(delta) {
                return undo(self.walk, entry, bits, done, Callback::Count, source);
            }
            done.counted = delta;
        }
        if replacement.invalidates() {
            if let Err(source) = self.walk.invalidate(self.span(entry)) {
                return undo(self.walk, entry, bits, done, Callback::Invalidate, source);
            }
        }
        if let Err(source) = self.walk.remove_rmap(&entry) {
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

/// Puts the entry back and stops the walk for `why`; `slot` if its swap slot was duplicated.
#[cold]
fn put_back<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    slot: bool,
    why: Stop,
) -> Step<W::Error> {
    let done = Done {
        slot,
        counted: CounterDelta::NONE,
    };
    unwind(walk, entry, bits, done).map(|()| Some(Verdict::Stopped(why)))
}

/// Puts the entry back and stops the walk because `callback` failed.
#[cold]
fn undo<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    done: Done,
    callback: Callback,
    source: W::Error,
) -> Step<W::Error> {
    // The first error is the one to tell, with all that even this could not undo.
    let owed = match unwind(walk, entry, bits, done) {
        Ok(()) => Owed::default(),
        Err(fault) => fault.owed,
    };
    let error = at(entry, callback)(source);
    Err(Fault { error, owed })
}

/// Undoes, last first, all that was done since the entry was cleared; goes on after a failure, and
/// tells the first.
fn unwind<W: Bookkeeping + ?Sized>(
    walk: &mut W,
    entry: Entry,
    bits: PteFlags,
    done: Done,
) -> Result<(), Fault<W::Error>> {
    let mut owed = Owed::default();
    let mut result = Ok(());
    if done.counted != CounterDelta::NONE {
        let delta = done.counted.undone();
        if let Err(source) = walk.count(delta) {
            owed.counters = delta;
            result = Err(at(entry, Callback::Count)(source));
        }
    }
    if let Err(source) = walk.install(&entry, NewEntry::Restored(bits)) {
        owed.entry = entry;
        owed.restore = Some(bits);
        result = result.and(Err(at(entry, Callback::Restore)(source)));
    }
    if done.slot {
        if let Err(source) = walk.swap_free(&entry) {
            owed.entry = entry;
            owed.slot = true;
            result = result.and(Err(at(entry, Callback::SwapFree)(source)));
        }
    }
    result.map_err(|error| Fault { error, owed })
}

fn at<E>(entry: Entry, callback: Callback) -> impl FnOnce(E) -> UnmapError<E> {
    let address = entry.address;
    move |source| UnmapError::Callback {
        callback,
        address,
        source,
    }
}

fn wrong<E>(what: decide::Inconsistency, entry: Entry) -> UnmapError<E> {
    UnmapError::Inconsistent {
        what,
        address: entry.address,
    }
}
