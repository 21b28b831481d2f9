//! Decides about a page under a policy, and says how certain the decision is.
//!
//! Linux exports no pin counts, no reference counts and no dirty bits of page-table entries. So each
//! decision is made several times: once without any of them, and once with each of them. If the
//! results agree, the decision is certain. If not, it is reported with what it depends on.

use crate::model::{Area, Dirtiness, Evidence, Frame, Kind, Observed, PinnedRange, Seen};
use crate::page::{Holders, kpf, vm_flags};
use crate::whatif::{Played, Scene, play};
use pinfold::reclaim::{ActivateReason, Fate, KeepReason};
use pinfold::{IgnorePins, SkipLongterm, SkipOpportunistic, SkipPinned, VmFlags};
use serde::Serialize;
use std::collections::HashMap;

/// The policies of pinfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// Linux 5.8 as released: reclaim does not look at pins
    IgnorePins,
    /// The patch posted in 2020: Linux's heuristic of maybe pinned pages, once per VMA
    SkipPinned,
    /// The default of pinfold: reclaim skips pinned pages before it unmaps them
    SkipOpportunistic,
    /// Reclaim skips pages with long-term pins only
    SkipLongterm,
}

impl Policy {
    pub(crate) const ALL: [Self; 4] = [
        Self::IgnorePins,
        Self::SkipPinned,
        Self::SkipOpportunistic,
        Self::SkipLongterm,
    ];

    fn play(self, scene: &Scene) -> Played {
        match self {
            Self::IgnorePins => play(scene, IgnorePins),
            Self::SkipPinned => play(scene, SkipPinned),
            Self::SkipOpportunistic => {
                play(scene, SkipOpportunistic::<pinfold::pin::Refined>::new())
            }
            Self::SkipLongterm => play(scene, SkipLongterm::<pinfold::pin::Refined>::new()),
        }
    }
}

/// What reclaim does with a page, or why it keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// Reclaim takes it.
    Reclaimable,
    /// It is pinned, and stays mapped.
    Pinned,
    /// It is unmapped, and kept only then because of a pin or another reference.
    Held,
    /// A locked VMA maps it.
    Mlocked,
    /// It is unevictable for another reason.
    Unevictable,
    /// A dirty page of a file, which the flusher writes.
    Dirty,
    /// It is under writeback, or its lock is taken.
    Busy,
    /// Anonymous or shared memory, and there is no free swap.
    NoSwap,
    /// A large page that cannot be split.
    Huge,
    /// On no LRU list: it belongs to the kernel or a driver, or was allocated a moment ago.
    Unlisted,
    /// Any other reason.
    Other,
    /// The state that it depends on is hidden from this program.
    Unknown,
}

impl Class {
    pub(crate) const ALL: [Self; 12] = [
        Self::Reclaimable,
        Self::Pinned,
        Self::Held,
        Self::Mlocked,
        Self::Unevictable,
        Self::Dirty,
        Self::Busy,
        Self::NoSwap,
        Self::Huge,
        Self::Unlisted,
        Self::Other,
        Self::Unknown,
    ];
}

/// How certain a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sure {
    /// It follows from what Linux exports.
    Certain,
    /// It follows from a list of pinned addresses, which does not name frames.
    Reported,
    /// It depends on something that Linux does not export: see [`Decision::depends_on`].
    Depends,
    /// It cannot be decided.
    Unknown,
}

/// Something that Linux does not export, and that a decision can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hidden {
    /// A short pin, such as direct I/O.
    ShortPin,
    /// A long-term pin that is not an `io_uring` buffer, such as RDMA.
    LongtermPin,
    /// A reference that is not a pin.
    Reference,
    /// A dirty bit in a page-table entry.
    PteDirty,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    pub(crate) class: Class,
    pub(crate) sure: Sure,
    depends_on: u8,
}

impl Decision {
    const fn plain(class: Class, sure: Sure) -> Self {
        Self {
            class,
            sure,
            depends_on: 0,
        }
    }

    /// The hidden things that would change it.
    pub(crate) fn depends_on(self) -> impl Iterator<Item = Hidden> {
        HIDDEN
            .into_iter()
            .filter(move |hidden| self.depends_on & bit(*hidden) != 0)
    }
}

const HIDDEN: [Hidden; 4] = [
    Hidden::ShortPin,
    Hidden::LongtermPin,
    Hidden::Reference,
    Hidden::PteDirty,
];

const fn bit(hidden: Hidden) -> u8 {
    1 << hidden as u8
}

/// The state of one page that a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(crate) seen: Seen,
    pub(crate) vma: VmFlags,
    pub(crate) dirty: Dirtiness,
    pub(crate) no_lazyfree: bool,
    pub(crate) pinned: Option<(Kind, Evidence)>,
    pub(crate) swap: bool,
}

impl Facts {
    /// The state of a page in an observed area.
    pub(crate) fn of(
        observed: &Observed,
        area: &Area,
        seen: Seen,
        pin: Option<&PinnedRange>,
    ) -> Self {
        Self {
            seen,
            vma: vm_flags(area),
            dirty: area.dirty,
            no_lazyfree: area.no_lazyfree,
            pinned: pin.map(|pin| (pin.kind, pin.evidence)),
            swap: observed.swap_free_kib > 0,
        }
    }

    /// The simulated machine with this frame and its known pins.
    pub(crate) fn scene(&self, frame: Frame) -> Scene {
        let pins = |wanted| u32::from(self.pinned.is_some_and(|(kind, _)| kind == wanted));
        Scene {
            frame,
            vma: self.vma,
            holders: Holders {
                short: pins(Kind::Short),
                longterm: pins(Kind::Longterm),
                others: 0,
                // Linux counts the pins of large pages exactly, so their many references are not
                // mistaken for pins.
                exact: frame.pages > 1,
            },
            pte_dirty: self.dirty == Dirtiness::Dirty,
            swap: self.swap,
        }
    }
}

/// Decides, and caches decisions: the pages of a process are in few states.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    known: HashMap<(Facts, Policy), Decision>,
}

impl Decider {
    /// Decides about a page in this state under a policy; `None` if it is not in memory.
    pub(crate) fn decide(&mut self, facts: &Facts, policy: Policy) -> Option<Decision> {
        if facts.seen == Seen::Swapped {
            return None;
        }
        Some(
            *self
                .known
                .entry((*facts, policy))
                .or_insert_with(|| decide(facts, policy)),
        )
    }
}

fn decide(facts: &Facts, policy: Policy) -> Decision {
    match facts.seen {
        // Reclaim never sees either.
        Seen::Swapped | Seen::Zero => Decision::plain(Class::Unlisted, Sure::Certain),
        Seen::Hidden { file } => hidden_frame(facts, file, policy),
        Seen::Frame(frame) if frame.flags & kpf::LRU == 0 => {
            Decision::plain(Class::Unlisted, Sure::Certain)
        }
        Seen::Frame(frame) => frame_seen(facts, frame, policy),
    }
}

fn frame_seen(facts: &Facts, frame: Frame, policy: Policy) -> Decision {
    let scene = facts.scene(frame);
    let class = |scene: &Scene| classify(scene, policy.play(scene));
    let base = class(&scene);
    let mut depends_on = 0;
    for hidden in HIDDEN {
        let mut other = scene;
        match hidden {
            Hidden::ShortPin => other.holders.short += 1,
            Hidden::LongtermPin => other.holders.longterm += 1,
            Hidden::Reference => other.holders.others += 1,
            Hidden::PteDirty if facts.dirty == Dirtiness::Unknown => other.pte_dirty = true,
            Hidden::PteDirty => continue,
        }
        if taken(class(&other)) != taken(base) {
            depends_on |= bit(hidden);
        }
    }
    // The frame at a listed address may have been replaced since it was pinned.
    let reported = matches!(facts.pinned, Some((_, evidence)) if evidence != Evidence::Own) && {
        let mut other = scene;
        (other.holders.short, other.holders.longterm) = (0, 0);
        taken(class(&other)) != taken(base)
    };
    let sure = match (depends_on, reported) {
        (_, true) => Sure::Reported,
        (0, false) => Sure::Certain,
        (_, false) => Sure::Depends,
    };
    Decision {
        class: base,
        sure,
        depends_on,
    }
}

/// Certainty is about this; if a page is kept for several reasons, the first is reported.
fn taken(class: Class) -> bool {
    class == Class::Reclaimable
}

/// Decides where the frame is hidden, without guessing its flags.
fn hidden_frame(facts: &Facts, file: bool, policy: Policy) -> Decision {
    if facts.vma.contains(VmFlags::LOCKED) {
        return Decision::plain(Class::Mlocked, Sure::Certain);
    }
    if let Some((kind, _)) = facts.pinned {
        let asks = match policy {
            Policy::IgnorePins => false,
            Policy::SkipPinned | Policy::SkipOpportunistic => true,
            Policy::SkipLongterm => kind == Kind::Longterm,
        };
        // These skip pinned pages before anything that is hidden matters; SkipPinned asks later.
        if asks && policy != Policy::SkipPinned {
            return Decision::plain(Class::Pinned, Sure::Reported);
        }
    }
    if !file && !facts.swap && facts.no_lazyfree {
        return Decision::plain(Class::NoSwap, Sure::Certain);
    }
    Decision::plain(Class::Unknown, Sure::Unknown)
}

fn classify(scene: &Scene, played: Played) -> Class {
    let locked = scene.vma.contains(VmFlags::LOCKED) || scene.frame.flags & kpf::MLOCKED != 0;
    match played.fate {
        Fate::Freed | Fate::Raced => Class::Reclaimable,
        Fate::Parked(_) | Fate::Kept(KeepReason::Pinned(_))
            if played.mapped || scene.frame.maps == 0 =>
        {
            Class::Pinned
        }
        Fate::Parked(_) | Fate::Kept(KeepReason::Pinned(_) | KeepReason::Held) => Class::Held,
        Fate::Activated(ActivateReason::Unevictable) | Fate::Kept(KeepReason::Mlocked)
            if locked =>
        {
            Class::Mlocked
        }
        Fate::Activated(ActivateReason::Unevictable) => Class::Unevictable,
        Fate::Activated(ActivateReason::StillMapped) if locked => Class::Mlocked,
        // SkipPinned leaves the page mapped and gives no reason.
        Fate::Activated(ActivateReason::StillMapped)
            if scene.holders.short > 0 || scene.holders.longterm > 0 =>
        {
            Class::Pinned
        }
        Fate::Activated(ActivateReason::Dirty) | Fate::Kept(KeepReason::Dirty) => Class::Dirty,
        Fate::Activated(ActivateReason::Writeback)
        | Fate::Kept(KeepReason::Writeback | KeepReason::LockBusy | KeepReason::LockLost) => {
            Class::Busy
        }
        Fate::Activated(ActivateReason::NoSwap | ActivateReason::NotWritten) => Class::NoSwap,
        Fate::Activated(ActivateReason::CannotSplit) | Fate::Kept(KeepReason::SplitFailed) => {
            Class::Huge
        }
        Fate::Kept(_) | Fate::Activated(_) => Class::Other,
    }
}
