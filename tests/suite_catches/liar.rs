//! A page that is right in all things but one.

use core::cell::Cell;
use pinfold::conformance::{BuildPage, PageState, TestPage};
use pinfold::pin::{PinCount, PinKind};
use pinfold::{PageFlags, PageLike, PageSnapshot};

/// What a page can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Flags,
    RefCount,
    MapCount,
    ExactPins,
    ExactLongterm,
    LongtermPins,
    BasePages,
    BaseShift,
    Size,
    ExplainedRefs,
    SnapshotFlags,
    SnapshotRefs,
    SnapshotMaps,
}

/// The one thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// This answer is off by so much (flags: `PRIVATE` is the other way), always or the one time,
    /// counted from 0.
    Off(Answer, i32, Option<u32>),
    /// The dirty bit is never set.
    NeverDirty,
    /// Setting another flag clears the dirty bit.
    Overwrites,
    /// A removed mapping is still counted.
    KeepsMapping,
    /// The reference of a removed mapping is not dropped.
    KeepsReference,
    /// A pin that appears is held, but not counted.
    PinNotCounted,
    /// A pin that appears is counted, but takes no reference.
    PinWithoutReference,
    /// With the 101st short pin, none is counted.
    CountsTo100,
    /// This count is kept in so many bits, and wraps.
    Wraps(Answer, u32),
    /// A negative reference count reads as 0.
    ClampsAtZero,
    /// Once a mapping was removed, it seems pinned.
    SeemsPinned,
    /// The build of this number, counted from 0, fails.
    NotBuilt(u32),
}

std::thread_local! {
    // `build` is told of nothing but the state.
    static LIE: Cell<Option<Lie>> = const { Cell::new(None) };
    static BUILDS: Cell<u32> = const { Cell::new(0) };
}

/// What `run` returns if all pages it builds tell this lie.
pub(crate) fn with_lie<T>(lie: Lie, run: impl FnOnce() -> T) -> T {
    LIE.set(Some(lie));
    BUILDS.set(0);
    let result = run();
    LIE.set(None);
    result
}

/// `P`, but for the lie.
#[derive(Debug)]
pub(crate) struct Liar<P> {
    page: P,
    lie: Option<Lie>,
    asked: Cell<u32>,
    told: Cell<bool>,
    hidden: Cell<PageFlags>,
    refs: Cell<i32>,
    maps: Cell<i32>,
    pins: Cell<i32>,
}

impl<P> Liar<P> {
    /// Whether the lie was told.
    pub(crate) fn told(&self) -> bool {
        self.told.get()
    }

    fn is(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }

    fn add_if(&self, lie: Lie, off: &Cell<i32>, by: i32) {
        if self.is(lie) {
            off.set(off.get() + by);
        }
    }

    /// By how much this answer is off, this time.
    fn off(&self, answer: Answer) -> i32 {
        let Some(Lie::Off(wrong, by, at)) = self.lie else {
            return 0;
        };
        if wrong != answer {
            return 0;
        }
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        if at.is_some_and(|at| at != asked) {
            return 0;
        }
        self.told.set(true);
        by
    }

    /// The count, cut to the bits that this page keeps of it.
    fn cut(&self, answer: Answer, n: u32) -> u32 {
        match self.lie {
            Some(Lie::Wraps(cut, bits)) if cut == answer => n & !(u32::MAX << bits),
            _ => n,
        }
    }

    fn cut_refs(&self, refs: i32) -> i32 {
        if self.is(Lie::ClampsAtZero) {
            return refs.max(0);
        }
        self.cut(Answer::RefCount, refs as u32) as i32
    }

    fn flags_off(&self, answer: Answer, flags: PageFlags) -> PageFlags {
        if self.off(answer) == 0 {
            flags
        } else {
            flags.symmetric_difference(PageFlags::PRIVATE)
        }
    }
}

fn plus(n: u32, by: i32) -> u32 {
    n.checked_add_signed(by).expect("a lie within the range")
}

impl<P: PageLike> PageLike for Liar<P> {
    fn flags(&self) -> PageFlags {
        let flags = self.page.flags().difference(self.hidden.get());
        self.flags_off(Answer::Flags, flags)
    }
    fn ref_count(&self) -> i32 {
        let refs = self.page.ref_count() + self.refs.get() + self.off(Answer::RefCount);
        self.cut_refs(refs)
    }
    fn map_count(&self) -> u32 {
        let by = self.maps.get() + self.off(Answer::MapCount);
        self.cut(Answer::MapCount, plus(self.page.map_count(), by))
    }
    fn exact_pins(&self) -> Option<PinCount> {
        let (total, longterm) = (self.off(Answer::ExactPins), self.off(Answer::ExactLongterm));
        match self.page.exact_pins() {
            Some(pins) => Some(PinCount {
                total: self.cut(Answer::ExactPins, plus(pins.total, self.pins.get() + total)),
                longterm: pins
                    .longterm
                    .map(|n| self.cut(Answer::LongtermPins, plus(n, longterm))),
            }),
            None if total != 0 => Some(PinCount {
                total: plus(0, total),
                longterm: None,
            }),
            None => None,
        }
    }
    fn longterm_pins(&self) -> Option<u32> {
        let by = self.off(Answer::LongtermPins);
        let known = self.page.longterm_pins();
        known.map(|n| self.cut(Answer::LongtermPins, plus(n, by)))
    }
    fn base_pages(&self) -> u32 {
        plus(self.page.base_pages(), self.off(Answer::BasePages))
    }
    fn base_shift(&self) -> u32 {
        plus(self.page.base_shift(), self.off(Answer::BaseShift))
    }
    fn size(&self) -> u64 {
        let by = self.off(Answer::Size);
        self.page.size().checked_add_signed(by.into()).unwrap()
    }
    fn explained_refs(&self, flags: PageFlags, maps: u32) -> u32 {
        let explained = self.page.explained_refs(flags, maps);
        plus(explained, self.off(Answer::ExplainedRefs))
    }
    fn snapshot(&self) -> PageSnapshot {
        let seen = self.page.snapshot();
        let flags = seen.flags.difference(self.hidden.get());
        let maps = self.off(Answer::SnapshotMaps);
        PageSnapshot {
            flags: self.flags_off(Answer::SnapshotFlags, flags),
            refs: self.cut_refs(seen.refs + self.refs.get() + self.off(Answer::SnapshotRefs)),
            maps: match seen.maps {
                Some(known) => {
                    Some(self.cut(Answer::MapCount, plus(known, self.maps.get() + maps)))
                }
                None => (maps != 0).then(|| plus(0, maps)),
            },
        }
    }
}

impl<P: BuildPage> TestPage for Liar<P> {
    fn add_flags(&self, flags: PageFlags) {
        self.page.add_flags(flags);
        let dirties = flags.contains(PageFlags::DIRTY);
        if self.is(Lie::NeverDirty) && dirties || self.is(Lie::Overwrites) && !dirties {
            self.hidden.set(PageFlags::DIRTY);
        }
    }
    fn remove_mapping(&self) {
        self.page.remove_mapping();
        self.add_if(Lie::KeepsMapping, &self.maps, 1);
        self.add_if(Lie::KeepsReference, &self.refs, 1);
        self.add_if(Lie::SeemsPinned, &self.pins, 1);
    }
    fn add_pin(&self, kind: PinKind) {
        self.page.add_pin(kind);
        self.add_if(Lie::PinNotCounted, &self.pins, -1);
        let reference = -(self.page.refs_per_pin() as i32);
        self.add_if(Lie::PinWithoutReference, &self.refs, reference);
    }
}

impl<P: BuildPage> BuildPage for Liar<P> {
    fn build(state: &PageState) -> Option<Self> {
        let lie = LIE.get();
        let build = BUILDS.get();
        BUILDS.set(build + 1);
        if lie == Some(Lie::NotBuilt(build)) {
            return None;
        }
        let mut state = *state;
        if lie == Some(Lie::CountsTo100) && state.short == 101 {
            state.short = 0;
        }
        Some(Self {
            page: P::build(&state)?,
            lie,
            asked: Cell::new(0),
            told: Cell::new(false),
            hidden: Cell::new(PageFlags::empty()),
            refs: Cell::new(0),
            maps: Cell::new(0),
            pins: Cell::new(0),
        })
    }

    fn refs_per_pin(&self) -> u32 {
        self.page.refs_per_pin()
    }
}
