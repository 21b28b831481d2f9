//! Predicts what the running kernel does with a page.
//!
//! pinfold decides by the state of the page. The rules here add which policy newer kernels follow for
//! which page, and which pages each way of reclaiming skips before that decision.

use crate::decide::Facts;
use crate::model::{Frame, Seen};
use crate::page::kpf;
use crate::whatif::{Played, Scene, play};
use pinfold::pin::{Biased, Pins};
use pinfold::reclaim::Fate;
use pinfold::{Context, Operation, PinPolicy, PinVerdict, SkipOpportunistic, VmFlags};
use serde::Serialize;

/// The way in which the kernel reclaims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// `MADV_PAGEOUT`, once.
    PageOut,
    /// Pressure on a memory cgroup, until there is no progress.
    Cgroup,
}

/// What has become of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// It is mapped as before, in the same frame.
    Stays,
    /// Its content is in swap.
    Swapped,
    /// It is no longer in memory: its content was dropped, or is in its file.
    Gone,
    /// It is unmapped, but still in memory.
    Unmapped,
    /// Anything else. Never predicted.
    Other,
}

impl End {
    /// Whether the frame was reclaimed.
    pub(super) const fn is_reclaimed(self) -> bool {
        matches!(self, Self::Swapped | Self::Gone)
    }
}

/// The rule behind a prediction, with kernel function and version where it differs from 5.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rule {
    Linux58,
    LockedRange,
    Shared,
    Unlisted,
    PinnedAnon,
    PinnedLazyfree,
    PinnedCached,
}

impl Rule {
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Linux58 => "5.8",
            Self::LockedRange => "locked-range",
            Self::Shared => "shared",
            Self::Unlisted => "no-list",
            Self::PinnedAnon => "pinned-anon",
            Self::PinnedLazyfree => "pinned-lazy",
            Self::PinnedCached => "pinned-cached",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Linux58 => "as in shrink_page_list and try_to_unmap_one of Linux 5.8",
            Self::LockedRange => {
                "MADV_PAGEOUT refuses locked VMAs with EINVAL (since 5.4; can_madv_lru_vma)"
            }
            Self::Shared => {
                "MADV_PAGEOUT skips pages that are mapped more than once (since 5.4; now \
                 folio_maybe_mapped_shared)"
            }
            Self::Unlisted => "the zero page is on no LRU list, so reclaim never sees it",
            Self::PinnedAnon => {
                "newer than 5.8: shrink_folio_list keeps a pinned anonymous page before it adds it to \
                 swap (folio_maybe_dma_pinned; since 5.11, commit feb889fb40fa)"
            }
            Self::PinnedLazyfree => {
                "newer than 5.8: try_to_unmap_one puts the entry of a lazily freed page back if it \
                 has more references than its mappings explain (since 5.18, commit 6c8e2a256915)"
            }
            Self::PinnedCached => {
                "newer than 5.8: a pinned page of a file or of shared memory is unmapped and then \
                 kept (folio_maybe_dma_pinned after try_to_unmap; since 6.5, commit d824ec2a1546)"
            }
        }
    }
}

/// A prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prediction {
    pub(super) end: End,
    pub(super) rule: Rule,
}

/// Checks pins only after unmapping, as newer kernels do for pages in the page cache: from then on
/// nobody can add one.
#[derive(Debug, Clone, Copy)]
struct AskedLate;

impl PinPolicy for AskedLate {
    type Reading = Biased;

    fn verdict(&self, operation: Operation, _: Context, pins: Pins) -> PinVerdict {
        if operation == Operation::Free && pins.maybe_pinned() {
            PinVerdict::Refuse
        } else {
            PinVerdict::Proceed
        }
    }
}

/// Predicts the fate of one page; `held` if there is a further reference beside mappings, caches and
/// pins. `None` if no rule covers the page.
pub(super) fn predict(facts: &Facts, held: bool, way: Way) -> Option<Prediction> {
    let stays = |rule| {
        Some(Prediction {
            end: End::Stays,
            rule,
        })
    };
    let frame = match facts.seen {
        Seen::Zero => return stays(Rule::Unlisted),
        Seen::Frame(frame) => frame,
        Seen::Swapped | Seen::Hidden { .. } => return None,
    };
    if frame.flags & kpf::LRU == 0 {
        return None;
    }
    if way == Way::PageOut {
        if facts.vma.contains(VmFlags::LOCKED) {
            return stays(Rule::LockedRange);
        }
        let once = if frame.pmd { 1 } else { frame.pages };
        if frame.maps > once {
            return stays(Rule::Shared);
        }
    }
    let mut scene = facts.scene(frame);
    scene.holders.others = u32::from(held);
    let (mut played, rule) = try_out(&scene);
    // Pressure is repeated, so a page that became swap-backed is reclaimed as such.
    if way == Way::Cgroup && played.swap_backed && frame.flags & kpf::SWAPBACKED == 0 {
        scene.frame.flags |= kpf::SWAPBACKED;
        (played, _) = try_out(&scene);
    }
    Some(Prediction {
        end: end(frame, played),
        rule,
    })
}

fn try_out(scene: &Scene) -> (Played, Rule) {
    let pinned = scene.holders.short > 0 || scene.holders.longterm > 0;
    let anon = scene.frame.flags & kpf::ANON != 0;
    let rule = match (pinned, anon, scene.frame.flags & kpf::SWAPBACKED != 0) {
        (false, ..) => Rule::Linux58,
        (true, true, true) => Rule::PinnedAnon,
        (true, true, false) => Rule::PinnedLazyfree,
        (true, false, _) => Rule::PinnedCached,
    };
    let played = if anon {
        play(scene, SkipOpportunistic::<Biased>::new())
    } else {
        play(scene, AskedLate)
    };
    (played, rule)
}

fn end(frame: Frame, played: Played) -> End {
    match played.fate {
        _ if played.mapped => End::Stays,
        Fate::Freed if played.swap_entry => End::Swapped,
        Fate::Freed => End::Gone,
        // It was not mapped before.
        _ if frame.maps == 0 => End::Stays,
        _ => End::Unmapped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dirtiness, Evidence, Kind};

    fn facts(flags: u64, maps: u32, pinned: bool) -> Facts {
        Facts {
            seen: Seen::Frame(Frame {
                flags: flags | kpf::LRU,
                maps,
                pages: 1,
                pmd: false,
            }),
            vma: VmFlags::empty(),
            dirty: Dirtiness::Clean,
            no_lazyfree: true,
            pinned: pinned.then_some((Kind::Longterm, Evidence::Accounted)),
            swap: true,
        }
    }

    fn ends(facts: &Facts) -> [End; 2] {
        [Way::PageOut, Way::Cgroup].map(|way| predict(facts, false, way).expect("a rule says").end)
    }

    const ANON: u64 = kpf::ANON | kpf::SWAPBACKED;

    /// Fails if a pinned page is predicted to be reclaimed, or is kept at another step than in Linux.
    #[test]
    fn pinned_pages_are_never_reclaimed() {
        assert_eq!(ends(&facts(ANON, 1, true)), [End::Stays; 2]);
        assert_eq!(ends(&facts(kpf::ANON, 1, true)), [End::Stays; 2]);
        assert_eq!(
            ends(&facts(kpf::SWAPBACKED | kpf::DIRTY, 1, true)),
            [End::Unmapped; 2]
        );
    }

    /// Fails if a page without holders is predicted to be kept, or to go elsewhere than it does.
    #[test]
    fn pages_without_holders_are_reclaimed() {
        assert_eq!(ends(&facts(ANON, 1, false)), [End::Swapped; 2]);
        assert_eq!(ends(&facts(kpf::ANON, 1, false)), [End::Gone; 2]);
        assert_eq!(
            ends(&facts(kpf::SWAPBACKED | kpf::DIRTY, 1, false)),
            [End::Gone; 2]
        );
        assert_eq!(ends(&facts(0, 1, false)), [End::Gone; 2]);
        assert_eq!(ends(&facts(kpf::DIRTY, 1, false)), [End::Unmapped; 2]);
    }

    /// Fails if the two ways of reclaiming are confused.
    #[test]
    fn page_out_skips_what_pressure_takes() {
        assert_eq!(ends(&facts(ANON, 2, false)), [End::Stays, End::Swapped]);
        let written = Facts {
            dirty: Dirtiness::Dirty,
            ..facts(kpf::ANON, 1, false)
        };
        assert_eq!(ends(&written), [End::Stays, End::Swapped]);
    }

    /// Fails if a prediction is made for a page whose state is hidden.
    #[test]
    fn nothing_is_guessed() {
        let hidden = Facts {
            seen: Seen::Hidden { file: false },
            ..facts(0, 1, false)
        };
        assert_eq!(predict(&hidden, false, Way::PageOut), None);
    }
}
