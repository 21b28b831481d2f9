//! Cases, and a small generator that makes rare states common.

use super::{Answers, PageState};
use crate::debug::debug_fields;
use crate::flags::{PageFlags, PteFlags, UnmapFlags, VmFlags};
use crate::pin::{PIN_BIAS, PinKind};

/// How many entries a case has at most.
pub const MAX_ENTRIES: usize = 8;
/// How many VMAs a case has.
pub const MAX_VMAS: usize = 3;

/// Mappings and pins come to the edges of widths up to these, references to those of all 32 bits.
/// Each mapping has a reference, and each biased pin 2^10.
const MAP_BITS: u32 = 30;
const PIN_BITS: u32 = 20;
/// From here on a reference count has overflowed.
const SIGN: u32 = 1 << 31;

/// One page, what is asked about it, and how its world behaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Case {
    /// The page.
    pub page: PageState,
    /// What is asked.
    pub flags: UnmapFlags,
    /// The VMAs; a walk of one VMA uses the first.
    pub vmas: [VmFlags; MAX_VMAS],
    /// The page's entries, over all VMAs. A page of one base page has one in each VMA at most; what
    /// is too many is left out.
    pub entries: [PteFlags; MAX_ENTRIES],
    /// How many of them there are.
    pub len: usize,
    /// How the embedder answers, and where a pin appears.
    pub answers: Answers,
    /// Through which entry a CPU writes just before it is cleared.
    pub write_at: Option<usize>,
    /// The call of a fallible method that fails, counted from 0.
    pub fail: Option<u32>,
}

debug_fields!(Case {
    page,
    flags,
    vmas,
    entries,
    len,
    answers,
    write_at,
    fail,
});

impl Case {
    /// The case of this seed: the same one on every machine.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let flags = unmap_flags(&mut rng);
        let page_flags = page_flags(&mut rng);
        let base_pages = if page_flags.is_compound() { 512 } else { 1 };
        let most = if page_flags.is_compound() {
            MAX_ENTRIES
        } else {
            MAX_VMAS
        };
        let len = rng.up_to(most);
        let entries =
            core::array::from_fn(|_| entry(&mut rng, page_flags.contains(PageFlags::THP)));
        let page = counts(
            &mut rng,
            PageState {
                flags: page_flags,
                maps: u32::try_from(len).unwrap_or(0),
                unexplained: 0,
                short: 0,
                longterm: 0,
                base_pages,
            },
        );
        Self {
            page,
            flags,
            vmas: core::array::from_fn(|_| vma_flags(&mut rng)),
            entries,
            len,
            answers: Answers {
                unshares: rng.one_in(4),
                arch_refuses: rng.one_in(6),
                slot_refuses: rng.one_in(6),
                defers: rng.one_in(2),
                pin_at: rng.one_in(3).then(|| {
                    let kind = if rng.one_in(2) {
                        PinKind::Short
                    } else {
                        PinKind::Longterm
                    };
                    (rng.up_to(most.saturating_sub(1)), kind)
                }),
            },
            write_at: rng.one_in(4).then(|| rng.up_to(most.saturating_sub(1))),
            fail: fail(&mut rng),
        }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[PteFlags] {
        self.entries
            .get(..self.len.min(MAX_ENTRIES))
            .unwrap_or_default()
    }

    /// The same case without faults.
    #[must_use]
    pub const fn without_faults(self) -> Self {
        Self { fail: None, ..self }
    }

    /// The same case without pins, and none that appears.
    #[must_use]
    pub const fn without_pins(self) -> Self {
        Self {
            page: PageState {
                short: 0,
                longterm: 0,
                ..self.page
            },
            answers: Answers {
                pin_at: None,
                ..self.answers
            },
            ..self
        }
    }

    /// The same case with one more pin of this kind.
    #[must_use]
    pub const fn with_pin(mut self, kind: PinKind) -> Self {
        let pins = match kind {
            PinKind::Short => &mut self.page.short,
            PinKind::Longterm => &mut self.page.longterm,
        };
        *pins = pins.saturating_add(1);
        self
    }
}

/// The page with more mappings, references and pins: often none, else near the numbers at which
/// something changes, or at the edge of a width.
fn counts(rng: &mut Rng, page: PageState) -> PageState {
    let few = page.maps;
    let mut page = PageState {
        maps: few.saturating_add(rng.rare(
            3,
            &[1, 511, 512, 513, 1023, 1024, 3000, 10_000],
            MAP_BITS,
        )),
        unexplained: rng.rare(
            3,
            &[
                1, 2, 510, 511, 512, 513, 1021, 1022, 1023, 1024, 1025, 100_000,
            ],
            u32::BITS,
        ),
        short: rng.rare(3, &[1, 1, 2, 3, 100], PIN_BITS),
        longterm: rng.rare(4, &[1, 1, 2, 100], PIN_BITS),
        ..page
    };
    if rng.one_in(16) {
        page.unexplained = rng
            .pick(&[
                SIGN.wrapping_sub(1).wrapping_sub(PIN_BIAS),
                SIGN.wrapping_add(page.maps),
                u32::MAX.wrapping_sub(PIN_BIAS),
                u32::MAX.wrapping_sub(100_000),
            ])
            .and_then(|refs| refs.checked_sub(page.refs_without_unexplained()?))
            .unwrap_or(page.unexplained);
    }
    // What does not fit into a reference count with biased pins is made to.
    for too_many in [
        |page: &mut PageState, _| page.unexplained = 0,
        |page: &mut PageState, few| page.maps = few,
        |page: &mut PageState, _| page.longterm = 0,
    ] {
        if page.refs(PIN_BIAS).is_some() {
            break;
        }
        too_many(&mut page, few);
    }
    page
}

/// One of the first 20 calls of fallible methods: a walk over 8 entries finds the third VMA with the
/// 19th.
fn fail(rng: &mut Rng) -> Option<u32> {
    rng.one_in(2).then(|| rng.below(20))
}

fn unmap_flags(rng: &mut Rng) -> UnmapFlags {
    const RECLAIM: UnmapFlags = UnmapFlags::BATCH_FLUSH;
    const FORCED: UnmapFlags = UnmapFlags::IGNORE_MLOCK.union(UnmapFlags::IGNORE_ACCESS);
    const TYPICAL: [UnmapFlags; 9] = [
        RECLAIM,
        RECLAIM.union(UnmapFlags::SPLIT_HUGE_PMD),
        FORCED.union(UnmapFlags::MIGRATION),
        FORCED
            .union(UnmapFlags::MIGRATION)
            .union(UnmapFlags::OPPORTUNISTIC)
            .union(UnmapFlags::BATCH_FLUSH),
        UnmapFlags::MUNLOCK,
        FORCED
            .union(UnmapFlags::RMAP_LOCKED)
            .union(UnmapFlags::SPLIT_HUGE_PMD)
            .union(UnmapFlags::SPLIT_FREEZE),
        FORCED,
        FORCED.union(UnmapFlags::IGNORE_HWPOISON),
        UnmapFlags::IGNORE_ACCESS.union(UnmapFlags::BATCH_FLUSH),
    ];
    let mut flags = if rng.one_in(4) {
        UnmapFlags::from_bits_truncate(rng.bits() & rng.bits())
    } else {
        rng.pick(&TYPICAL).unwrap_or(RECLAIM)
    };
    if rng.one_in(2) {
        flags |= UnmapFlags::RMAP_LOCKED;
    }
    if rng.one_in(3) {
        flags |= UnmapFlags::IGNORE_ACCESS;
    }
    flags
}

fn page_flags(rng: &mut Rng) -> PageFlags {
    const ANON: PageFlags = PageFlags::ANON;
    const SWAP: PageFlags = ANON
        .union(PageFlags::SWAP_BACKED)
        .union(PageFlags::SWAP_CACHE);
    const FILE: PageFlags = PageFlags::PAGE_CACHE;
    const DEVICE: PageFlags = PageFlags::ZONE_DEVICE;
    const KINDS: [PageFlags; 15] = [
        SWAP,
        SWAP,
        SWAP.union(PageFlags::THP),
        ANON,
        ANON.union(PageFlags::THP),
        FILE,
        FILE.union(PageFlags::PRIVATE),
        FILE.union(PageFlags::SWAP_BACKED),
        FILE.union(PageFlags::HUGETLB),
        ANON.union(PageFlags::HUGETLB),
        ANON.union(DEVICE).union(PageFlags::DEVICE_PRIVATE),
        DEVICE,
        SWAP.union(PageFlags::KSM),
        // Its two states disagree.
        ANON.union(PageFlags::SWAP_BACKED),
        ANON.union(PageFlags::SWAP_CACHE),
    ];
    let mut flags = if rng.one_in(8) {
        PageFlags::from_bits_truncate(rng.bits() & rng.bits())
    } else {
        rng.pick(&KINDS).unwrap_or(SWAP)
    };
    for (chance, flag) in [
        (2, PageFlags::DIRTY),
        (8, PageFlags::HWPOISON),
        (8, PageFlags::MLOCKED),
        (8, PageFlags::WRITEBACK),
        (2, PageFlags::LOCKED),
    ] {
        if rng.one_in(chance) {
            flags |= flag;
        }
    }
    flags
}

fn vma_flags(rng: &mut Rng) -> VmFlags {
    let mut flags = VmFlags::empty();
    for (chance, flag) in [
        (5, VmFlags::LOCKED),
        (4, VmFlags::UFFD),
        (3, VmFlags::EXEC),
        (8, VmFlags::TEMPORARY_STACK),
    ] {
        flags.set(flag, rng.one_in(chance));
    }
    flags
}

fn entry(rng: &mut Rng, huge: bool) -> PteFlags {
    let mut flags = PteFlags::empty();
    for (chance, flag) in [
        (5, PteFlags::YOUNG),
        (2, PteFlags::DIRTY),
        (2, PteFlags::WRITABLE),
        (3, PteFlags::SOFT_DIRTY),
        (3, PteFlags::UFFD_WP),
        (8, PteFlags::UNUSED),
        (if huge { 3 } else { 64 }, PteFlags::PMD),
    ] {
        flags.set(flag, rng.one_in(chance));
    }
    flags
}

/// A small generator of pseudo-random numbers: deterministic, and good enough to vary cases.
///
/// `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// A generator that begins at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[must_use]
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    #[must_use]
    pub fn below(&mut self, n: u32) -> u32 {
        let bits = u64::from(self.bits());
        u32::try_from(bits.checked_rem(u64::from(n)).unwrap_or(0)).unwrap_or(0)
    }

    /// Whether a chance of 1 in `n` has come.
    #[must_use]
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn bits(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).unwrap_or(0)
    }

    fn up_to(&mut self, most: usize) -> usize {
        let most = u32::try_from(most).unwrap_or(0);
        usize::try_from(self.below(most.saturating_add(1))).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let last = from.len().checked_sub(1)?;
        let at = self.up_to(last);
        from.get(at).copied()
    }

    /// In 1 of `n` cases one of `values`, or a number at the edge of some width up to `bits`;
    /// else 0.
    fn rare(&mut self, n: u32, values: &[u32], bits: u32) -> u32 {
        if !self.one_in(n) {
            0
        } else if self.one_in(3) {
            self.edge(bits)
        } else {
            self.pick(values).unwrap_or(0)
        }
    }

    /// A power of two up to 2^`bits`, one less or one more.
    fn edge(&mut self, bits: u32) -> u32 {
        let power = 1u32.checked_shl(self.below(bits.saturating_add(1)));
        let less = power.map_or(u32::MAX, |power| power.saturating_sub(1));
        less.saturating_add(self.below(3))
    }
}
