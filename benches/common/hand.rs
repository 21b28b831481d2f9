//! The same walk by hand: what one would write for one representation and the lean embedder, under
//! the default policy. Concrete types, no traits, no generics; a macro only repeats the text for
//! the three representations, each of which has its own way of looking at a page.
//!
//! It makes the checks that the crate makes and returns what the crate returns.

use crate::common::embed::{self, Walk, bump};
use crate::common::measured::apart;
use crate::common::pages::{KernelPage, Packed, PlainCells};
use core::sync::atomic::{Ordering, fence};
use pinfold::pin::{PIN_BIAS, Pins};
use pinfold::unmap::Stop;
use pinfold::unmap::decide::Inconsistency;
use pinfold::{FlushMode, PageFlags, PinVerdict, PlainVma, PteFlags, UnmapFlags, Verdict, VmFlags};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandWalked {
    pub(crate) verdict: Verdict,
    pub(crate) deferred: u32,
    pub(crate) deferred_dirty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandFailure {
    pub(crate) error: HandError,
    pub(crate) deferred: u32,
    pub(crate) deferred_dirty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandError {
    BadVma { start: u64, end: u64 },
    OutsideVma { address: u64 },
    Misaligned { address: u64 },
    NoReference,
    Inconsistent { what: Inconsistency, address: u64 },
}

const SHIFT: u32 = 12;
const MIGRATES: UnmapFlags = UnmapFlags::MIGRATION.union(UnmapFlags::SPLIT_FREEZE);

/// Pins out of a reference count from 1024 on, beside what explains references.
#[inline(always)]
fn estimate(refs: i32, explained: u32) -> Pins {
    let estimate = match (refs as u32).checked_sub(explained) {
        Some(unexplained) if refs >= 0 => (unexplained + PIN_BIAS / 2) / PIN_BIAS,
        _ => refs as u32 / PIN_BIAS,
    };
    if estimate == 0 {
        return Pins::None;
    }
    Pins::Maybe {
        estimate,
        longterm: None,
    }
}

#[inline(always)]
fn explained(flags: PageFlags, maps: u32) -> u32 {
    let cached = flags.intersects(PageFlags::PAGE_CACHE.union(PageFlags::SWAP_CACHE));
    let private = flags.contains(PageFlags::PRIVATE);
    maps.saturating_add(u32::from(cached) + u32::from(private) + 1)
}

/// What a pin forbids.
#[inline(always)]
fn forbidden(flags: UnmapFlags, page: PageFlags) -> PinVerdict {
    let opportunistic = flags.contains(UnmapFlags::OPPORTUNISTIC);
    // MUNLOCK comes alone: what it is not combined with was refused.
    if flags.contains(UnmapFlags::MUNLOCK) || page.contains(PageFlags::HWPOISON) {
        PinVerdict::Proceed
    } else if flags.contains(UnmapFlags::MIGRATION) {
        if opportunistic {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Refuse
        }
    } else if flags.contains(UnmapFlags::SPLIT_FREEZE) {
        PinVerdict::Refuse
    } else if flags.contains(UnmapFlags::IGNORE_MLOCK) && !opportunistic {
        PinVerdict::Proceed
    } else {
        PinVerdict::SkipPage
    }
}

/// One look at a page with plain fields, or with a counter each.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    flags: PageFlags,
    refs: i32,
}

impl PlainCells {
    #[inline(always)]
    fn look(&self) -> Look {
        Look {
            flags: self.flags.get(),
            refs: self.refs.get(),
        }
    }
    #[inline(always)]
    fn pins(&self, look: Look) -> Pins {
        if (look.refs as u32) < PIN_BIAS {
            return Pins::None;
        }
        // Nothing moves on one thread.
        estimate(look.refs, explained(look.flags, self.maps.get()))
    }
}

impl KernelPage {
    #[inline(always)]
    fn look(&self) -> Look {
        Look {
            flags: PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire) as u32),
            refs: self.refcount.load(Ordering::Acquire),
        }
    }
    #[inline]
    fn maps(&self) -> u32 {
        self.mapcount.load(Ordering::Acquire).wrapping_add(1) as u32
    }
    #[inline(always)]
    fn pins(&self, look: Look) -> Pins {
        if (look.refs as u32) < PIN_BIAS {
            return Pins::None;
        }
        let before = explained(look.flags, self.maps());
        let refs = self.refcount.load(Ordering::Acquire);
        let flags = PageFlags::from_bits_retain(self.flags.load(Ordering::Acquire) as u32);
        estimate(refs, before.min(explained(flags, self.maps())))
    }
}

/// One look at a packed word is the whole page.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    flags: PageFlags,
    refs: i32,
    word: u64,
}

impl Packed {
    #[inline(always)]
    fn look(&self) -> Word {
        let word = self.word();
        Word {
            flags: Self::flags_of(word),
            refs: Self::refs_of(word),
            word,
        }
    }
    #[inline(always)]
    fn pins(&self, look: Word) -> Pins {
        if (look.refs as u32) < PIN_BIAS {
            return Pins::None;
        }
        estimate(look.refs, Self::explained_by(look.word))
    }
}

macro_rules! by_hand {
    ($gate:ident, $walk:ident, $page:ty) => {
        /// The gate alone: how many of these pages are skipped.
        #[inline(never)]
        pub(crate) fn $gate<const COPY: usize>(pages: &[$page], flags: UnmapFlags) -> usize {
            apart::<COPY>();
            pages
                .iter()
                .filter(|page| {
                    let look = page.look();
                    page.pins(look) != Pins::None
                        && forbidden(flags, look.flags) != PinVerdict::Proceed
                })
                .count()
        }

        #[inline(never)]
        pub(crate) fn $walk<const COPY: usize>(
            page: &$page,
            vma: &PlainVma,
            address: u64,
            flags: UnmapFlags,
            walk: &mut Walk<'_, $page, COPY>,
        ) -> Result<HandWalked, HandFailure> {
            let (mut deferred, mut deferred_dirty) = (0, false);
            macro_rules! end {
                ($verdict:expr) => {
                    return Ok(HandWalked {
                        verdict: $verdict,
                        deferred,
                        deferred_dirty,
                    })
                };
            }
            macro_rules! fail {
                ($error:expr) => {
                    return Err(HandFailure {
                        error: $error,
                        deferred,
                        deferred_dirty,
                    })
                };
            }

            let mut look = page.look();
            if look.refs == 0 {
                fail!(HandError::NoReference);
            }
            let (start, end) = (vma.range.start, vma.range.end);
            if end < start {
                fail!(HandError::BadVma { start, end });
            }
            if address < start || address >= end {
                fail!(HandError::OutsideVma { address });
            }
            if address & ((1 << SHIFT) - 1) != 0 {
                fail!(HandError::Misaligned { address });
            }

            let locked = vma.flags.contains(VmFlags::LOCKED);
            let munlock = flags.contains(UnmapFlags::MUNLOCK);
            let migration = flags.contains(UnmapFlags::MIGRATION);
            if munlock && !locked {
                end!(Verdict::NotLocked);
            }
            let device = look.flags.contains(PageFlags::ZONE_DEVICE);
            if migration && device && !look.flags.contains(PageFlags::DEVICE_PRIVATE) {
                end!(Verdict::NotMigratable);
            }
            let pins = page.pins(look);
            if pins != Pins::None {
                match forbidden(flags, look.flags) {
                    PinVerdict::SkipPage => end!(Verdict::SkipPage(pins)),
                    PinVerdict::Refuse => end!(Verdict::Refused(pins)),
                    _ => {}
                }
            }
            // Splitting, widening and the begin and end of an invalidation would be called here and
            // at the end: the lean embedder has neither huge mappings nor secondary MMUs.
            let range_end = end.min(address.saturating_add(1 << SHIFT));
            let hugetlb = look.flags.contains(PageFlags::HUGETLB);

            while let Some((at, bits)) = walk.advance() {
                if at < address || at >= range_end {
                    let what = Inconsistency::EntryOutsideRange;
                    fail!(HandError::Inconsistent { what, address: at });
                }
                let pmd = bits.contains(PteFlags::PMD);
                let whole = look.flags.contains(PageFlags::THP)
                    && !hugetlb
                    && !flags.contains(UnmapFlags::SPLIT_HUGE_PMD);
                let takes_pmd = pmd && migration && whole;
                if !takes_pmd {
                    let asks_mlock = !flags.contains(UnmapFlags::IGNORE_MLOCK);
                    if asks_mlock && !(pmd && migration) {
                        if locked {
                            apart::<COPY>();
                            if !look.flags.is_compound() {
                                page.add_flags(PageFlags::MLOCKED);
                            }
                            end!(Verdict::Stopped(Stop::Mlocked));
                        }
                        if munlock {
                            continue;
                        }
                    }
                    if pmd {
                        let what = Inconsistency::UnexpectedPmd;
                        fail!(HandError::Inconsistent { what, address: at });
                    }
                    if hugetlb && !flags.contains(UnmapFlags::RMAP_LOCKED) {
                        let what = Inconsistency::HugetlbNotRmapLocked;
                        fail!(HandError::Inconsistent { what, address: at });
                    }
                }
                let takes_device = !takes_pmd && migration && device;
                let flush = if takes_pmd {
                    FlushMode::Now
                } else if takes_device {
                    FlushMode::NotNeeded
                } else {
                    if !flags.contains(UnmapFlags::IGNORE_ACCESS) && walk.take_young() {
                        end!(Verdict::Stopped(Stop::Young));
                    }
                    let backed = look.flags.contains(PageFlags::SWAP_BACKED);
                    let cached = look.flags.contains(PageFlags::SWAP_CACHE);
                    if look.flags.contains(PageFlags::ANON)
                        && backed != cached
                        && !poisons(flags, look.flags)
                        && !unused(vma.flags, bits)
                        && !flags.intersects(MIGRATES)
                    {
                        end!(Verdict::Stopped(Stop::InconsistentAnon));
                    }
                    if flags.contains(UnmapFlags::BATCH_FLUSH) {
                        FlushMode::MayDefer
                    } else {
                        FlushMode::Now
                    }
                };

                let (bits, put_off) = walk.take(flush);
                let dirty = bits.contains(PteFlags::DIRTY);
                if put_off {
                    deferred += 1;
                    deferred_dirty |= dirty;
                }
                fence(Ordering::SeqCst);
                look = page.look();
                let pins = page.pins(look);
                if pins != Pins::None && forbidden(flags, look.flags) != PinVerdict::Proceed {
                    walk.put(embed::PRESENT, bits);
                    end!(Verdict::Stopped(Stop::PinAppeared(pins)));
                }
                if dirty && !takes_device {
                    page.add_flags(PageFlags::DIRTY);
                }
                walk.raise_hiwater();

                let anon = look.flags.contains(PageFlags::ANON);
                let backed = look.flags.contains(PageFlags::SWAP_BACKED);
                let resident = if anon {
                    &walk.mm.anon
                } else if backed {
                    &walk.mm.shmem
                } else {
                    &walk.mm.file
                };
                if takes_pmd {
                    walk.put(embed::PMD_MIGRATION, bits & PteFlags::MIGRATION_CARRIES);
                } else if takes_device {
                    walk.put(embed::MIGRATION, bits & PteFlags::SWAP_CARRIES);
                } else if poisons(flags, look.flags) {
                    walk.put(embed::POISON, PteFlags::empty());
                    bump(if hugetlb { &walk.mm.hugetlb } else { resident }, -1);
                } else if unused(vma.flags, bits) {
                    bump(resident, -1);
                } else if flags.intersects(MIGRATES) {
                    walk.put(embed::MIGRATION, bits & PteFlags::MIGRATION_CARRIES);
                } else if !anon {
                    bump(resident, -1);
                } else if backed != look.flags.contains(PageFlags::SWAP_CACHE) {
                    walk.put(embed::PRESENT, bits);
                    end!(Verdict::Stopped(Stop::InconsistentAnon));
                } else if !backed {
                    if dirty || look.flags.contains(PageFlags::DIRTY) {
                        walk.put(embed::PRESENT, bits);
                        page.add_flags(PageFlags::SWAP_BACKED);
                        end!(Verdict::Stopped(Stop::LazyfreeRedirtied));
                    }
                    bump(resident, -1);
                } else {
                    if !walk.take_slot() {
                        walk.put(embed::PRESENT, bits);
                        end!(Verdict::Stopped(Stop::SwapSlotRefused));
                    }
                    walk.put(embed::SWAP, bits & PteFlags::SWAP_CARRIES);
                    bump(resident, -1);
                    bump(&walk.mm.swap_ents, 1);
                }
                page.remove_mapping();
            }
            end!(Verdict::Done)
        }
    };
}

#[inline(always)]
fn poisons(flags: UnmapFlags, page: PageFlags) -> bool {
    page.contains(PageFlags::HWPOISON) && !flags.contains(UnmapFlags::IGNORE_HWPOISON)
}

#[inline(always)]
fn unused(vma: VmFlags, bits: PteFlags) -> bool {
    bits.contains(PteFlags::UNUSED) && !vma.contains(VmFlags::UFFD)
}

by_hand!(measured_gate_hand_plain, measured_hand_plain, PlainCells);
by_hand!(measured_gate_hand_packed, measured_hand_packed, Packed);
by_hand!(measured_gate_hand_kernel, measured_hand_kernel, KernelPage);
