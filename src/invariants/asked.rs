//! What was asked of a walk, and which pins count against it.
//!
//! Whether a request may take a pinned page is written down here from the flags and the page alone,
//! and not by [`Operation::of`], by which the walk itself decides.

use super::Snapshot;
use crate::debug::debug_fields;
use crate::flags::{PageFlags, UnmapFlags};
use crate::pin::{PinCount, Pins};
use crate::policy::{Context, Operation, PinPolicy};

/// Which true pins a policy counts against an operation.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// None: the operation is not hindered.
    Nothing,
    /// The long-term ones.
    Longterm,
    /// All.
    Any,
}

impl Counted {
    /// Asks a policy: which single exact pin is enough for it.
    #[must_use]
    pub fn by<L: PinPolicy>(policy: &L, operation: Operation, context: Context) -> Self {
        let stops = |longterm| {
            let pins = Pins::Exactly(PinCount {
                total: 1,
                longterm: Some(longterm),
            });
            !policy.verdict(operation, context, pins).proceeds()
        };
        if !policy.mode().reads_pins() {
            Self::Nothing
        } else if stops(0) {
            Self::Any
        } else if stops(1) {
            Self::Longterm
        } else {
            Self::Nothing
        }
    }

    /// How many of these pins count.
    #[must_use]
    pub const fn of(self, snapshot: &Snapshot<'_>) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Longterm => snapshot.longterm,
            Self::Any => snapshot.pins,
        }
    }
}

/// What was asked of a walk, and what its policy makes of pins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WalkRequest {
    /// The flags.
    pub flags: UnmapFlags,
    reclaim: Counted,
    demote: Counted,
    migrate: Counted,
    split: Counted,
    /// Whether the policy asks again after an entry is cleared.
    pub second_look: bool,
}

debug_fields!(WalkRequest {
    flags,
    reclaim,
    demote,
    migrate,
    split,
    second_look,
});

impl WalkRequest {
    /// What `policy` makes of a request with these flags in this context.
    #[must_use]
    pub fn new<L: PinPolicy>(flags: UnmapFlags, policy: &L, context: Context) -> Self {
        let by = |operation| Counted::by(policy, operation, context);
        Self {
            flags,
            reclaim: by(Operation::Reclaim),
            demote: by(Operation::Demote),
            migrate: by(Operation::Migrate),
            split: by(Operation::Split),
            second_look: policy.mode().asks_again(),
        }
    }

    /// The pins that count against what was asked of such a page.
    ///
    /// None, if the page is poisoned or the request is forced: `IGNORE_MLOCK`, and neither
    /// `OPPORTUNISTIC` nor a migration, a freezing split or `MUNLOCK`. Else those that the policy
    /// counts against the migration or demotion, the freezing split, or else the reclaim. `MUNLOCK`
    /// is no exception: it takes nothing, so that a pinned page keeps every entry under it too.
    #[must_use]
    pub const fn counted(&self, page: PageFlags) -> Counted {
        let flags = self.flags;
        let opportunistic = flags.contains(UnmapFlags::OPPORTUNISTIC);
        let munlock = flags.contains(UnmapFlags::MUNLOCK);
        if page.contains(PageFlags::HWPOISON) {
            return Counted::Nothing;
        }
        match (
            flags.contains(UnmapFlags::MIGRATION),
            flags.contains(UnmapFlags::SPLIT_FREEZE),
            flags.contains(UnmapFlags::IGNORE_MLOCK),
        ) {
            (true, _, _) if opportunistic => self.demote,
            (true, _, _) => self.migrate,
            (false, true, _) => self.split,
            (false, false, true) if !opportunistic && !munlock => Counted::Nothing,
            (false, false, _) => self.reclaim,
        }
    }
}
