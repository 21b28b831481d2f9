//! What a policy decides about a page, why, and how sure that is.
//!
//! Linux exports no pin counts, no reference counts and no dirty bits of page-table entries. So each
//! question is asked several times: once as if nothing were hidden, and once for each hidden thing
//! that could be. Where the answers agree the decision is certain; where not, it is told with what
//! would change it.

use crate::model::{Area, Dirtiness, Evidence, Frame, Kind, Observed, PinnedRange, Seen};
use crate::page::{Holders, kpf, vm_flags};
use crate::whatif::{Played, Scene, play};
use pinfold::reclaim::{ActivateReason, Fate, KeepReason};
use pinfold::{IgnorePins, SkipLongterm, SkipOpportunistic, SkipPinned, VmFlags};
use serde::Serialize;
use std::collections::HashMap;

/// The policies that come with the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// Linux 5.8 unpatched: pins are not asked about.
    IgnorePins,
    /// The 2020 patch to the letter: Linux's own heuristic, asked once per VMA.
    SkipPinned,
    /// The crate's default: reclaim skips pinned pages at once.
    SkipOpportunistic,
    /// Only long-term pins count.
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

/// What becomes of a page, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// Reclaim takes it.
    Reclaimable,
    /// It is pinned, and left alone for it.
    Pinned,
    /// It goes out of the page tables, and only then its holder is noticed: work for nothing.
    Held,
    /// A locked VMA maps it.
    Mlocked,
    /// It may not be reclaimed for another reason.
    Unevictable,
    /// A file's, newer than the file: left to the flusher.
    Dirty,
    /// Being written to its backing store, or locked for another operation just now.
    Busy,
    /// Anonymous or shared memory, and swap has no room for it.
    NoSwap,
    /// Huge, and cannot be split.
    Huge,
    /// On no list of reclaim: it belongs to the kernel or a driver, or was made a moment ago.
    Unlisted,
    /// Any other reason.
    Other,
    /// What decides it is hidden from us.
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

/// How sure a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sure {
    /// It follows from what Linux exports, whatever is hidden.
    Certain,
    /// It rests on the kernel's list of pinned addresses, which does not name frames.
    Reported,
    /// Something that Linux does not export would change it: see [`Decision::unless`].
    Unless,
    /// It cannot be said.
    Unknown,
}

/// Something that Linux does not export, and that would change a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hidden {
    /// A short pin, such as direct I/O.
    ShortPin,
    /// A long-term pin that is not an `io_uring` buffer, such as RDMA.
    LongtermPin,
    /// A reference that is no pin.
    Reference,
    /// A write through the page table.
    PteDirty,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    pub(crate) class: Class,
    pub(crate) sure: Sure,
    unless: u8,
}

impl Decision {
    const fn plain(class: Class, sure: Sure) -> Self {
        Self {
            class,
            sure,
            unless: 0,
        }
    }

    /// What would change it, were it so.
    pub(crate) fn unless(self) -> impl Iterator<Item = Hidden> {
        HIDDEN
            .into_iter()
            .filter(move |hidden| self.unless & bit(*hidden) != 0)
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

/// The state of one page, as far as a decision depends on it.
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
    /// The state of one page of an area that was observed.
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

    /// The frame in the crate's hands, with the holders that are known.
    pub(crate) fn scene(&self, frame: Frame) -> Scene {
        let pins = |wanted| u32::from(self.pinned.is_some_and(|(kind, _)| kind == wanted));
        Scene {
            frame,
            vma: self.vma,
            holders: Holders {
                short: pins(Kind::Short),
                longterm: pins(Kind::Longterm),
                others: 0,
                // Linux keeps an exact count for large pages, so it never takes their many
                // references for pins; in each question asked, the count is the one assumed.
                exact: frame.pages > 1,
            },
            pte_dirty: self.dirty == Dirtiness::Dirty,
            swap: self.swap,
        }
    }
}

/// Decides, and remembers: the pages of a process are in few states.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    known: HashMap<(Facts, Policy), Decision>,
}

impl Decider {
    /// What the policy decides about a page in this state; `None` if it is not in memory.
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
        // Neither kind ever meets a reclaimer.
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
    let mut unless = 0;
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
            unless |= bit(hidden);
        }
    }
    // A pin that the kernel lists by address may be on a frame that was replaced there since.
    let reported = matches!(facts.pinned, Some((_, evidence)) if evidence != Evidence::Own) && {
        let mut other = scene;
        (other.holders.short, other.holders.longterm) = (0, 0);
        taken(class(&other)) != taken(base)
    };
    let sure = match (unless, reported) {
        (_, true) => Sure::Reported,
        (0, false) => Sure::Certain,
        (_, false) => Sure::Unless,
    };
    Decision {
        class: base,
        sure,
        unless,
    }
}

/// What a decision is sure of is this; where a page stays for several reasons, the first is told.
fn taken(class: Class) -> bool {
    class == Class::Reclaimable
}

/// What can be said where the frame is hidden, without guessing its flags.
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
        // At the front, before anything that is hidden here matters; SkipPinned asks later.
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
        // The 2020 patch leaves the page mapped, and says no more.
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
