//! The embedder's lists, with the suite in front of them.

use super::choices::Choices;
use super::world::{self, Truth};
use super::{
    Act, ListsBroken, ListsFailure, ListsTally, MAX_PAGES, SeenPage, TestLists, Whereabouts,
};
use crate::invariants;
use crate::page::PageLike;
use crate::pin::{Biased, PinKind, PinReading, Refined};
use crate::reclaim::Place;
use crate::unmap::Attempt;

/// The embedder's lists: every callback goes through here.
pub(super) struct Checked<'a, 'c, B> {
    pub(super) lists: &'a mut B,
    pub(super) state: State<'c>,
}

/// What the suite knows and does, apart from the lists.
pub(super) struct State<'c> {
    pub(super) choices: Choices<'c>,
    pub(super) pages: [Truth; MAX_PAGES],
    pub(super) len: usize,
    /// Nothing fails, refuses or comes between.
    pub(super) quiet: bool,
    /// The policy of the pass stops at this page's pins.
    pub(super) protects: bool,
    /// The latest content, and when a page came to a list.
    pub(super) clock: u64,
    /// Pages taken in this pass, and how many there may be.
    pub(super) taken: u32,
    /// How many pages may still be written in this batch.
    pub(super) write_room: u32,
    /// Writes that wait for the end of the batch.
    pub(super) unsubmitted: u32,
    pub(super) tally: ListsTally,
    pub(super) round: u32,
    pub(super) failure: Option<ListsFailure>,
}

impl State<'_> {
    /// Notes the first rule that is broken.
    pub(super) fn note(
        &mut self,
        during: &'static str,
        page: usize,
        held: Result<(), ListsBroken>,
    ) {
        let Err(broken) = held else { return };
        let failure = ListsFailure {
            round: self.round,
            during,
            callbacks: self.tally.callbacks,
            page,
            broken,
        };
        self.failure.get_or_insert(failure);
    }

    pub(super) fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    /// Whether a fallible method is made to fail now.
    pub(super) fn fails(&mut self) -> bool {
        let fails = !self.quiet && self.choices.one_in(10);
        self.tally.failures = self.tally.failures.saturating_add(fails.into());
        fails
    }

    /// Whether the reverse map is found to be locked by somebody else.
    pub(super) fn contends(&mut self) -> bool {
        let contends = !self.quiet && self.choices.one_in(8);
        self.tally.contended = self.tally.contended.saturating_add(contends.into());
        contends
    }

    /// Whether a callback that may refuse is made to.
    pub(super) fn refuses(&mut self) -> bool {
        let refuses = !self.quiet && self.choices.one_in(12);
        self.tally.refusals = self.tally.refusals.saturating_add(refuses.into());
        refuses
    }

    pub(super) fn page(&mut self, id: usize) -> Option<&mut Truth> {
        let len = self.len;
        self.pages.get_mut(..len)?.get_mut(id)
    }

    pub(super) fn known(&self) -> &[Truth] {
        self.pages.get(..self.len).unwrap_or_default()
    }
}

impl<B: TestLists> Checked<'_, '_, B> {
    /// Makes one callback about a page the scan holds, and checks its effect.
    ///
    /// `check` compares the page before and after it, and brings the truth up to date.
    pub(super) fn callback<T>(
        &mut self,
        name: &'static str,
        page: &B::Page,
        call: impl FnOnce(&mut B, &B::Page) -> T,
        check: impl FnOnce(&T, &SeenPage, &SeenPage, &mut Truth) -> Result<(), ListsBroken>,
    ) -> T {
        let id = self.enter(name, page);
        let before = self.lists.see(id);
        let answer = call(self.lists, page);
        let after = self.lists.see(id);
        let held = match self.state.page(id) {
            Some(truth) => check(&answer, &before, &after, truth),
            None => untouched(&before, &after),
        };
        self.state.note(name, id, held);
        self.check(name, id);
        answer
    }

    /// A callback about a page begins: whatever happens meanwhile, happens now.
    pub(super) fn enter(&mut self, name: &'static str, page: &B::Page) -> usize {
        let id = self.lists.id(page);
        self.state.tally.callbacks = self.state.tally.callbacks.saturating_add(1);
        match self.state.page(id).map(|truth| *truth) {
            Some(truth) if truth.whereabouts == Whereabouts::Isolated => {
                if !truth.out {
                    let held = readings(&truth, page);
                    self.state.note(name, id, held);
                }
            }
            Some(truth) => {
                let found = truth.whereabouts;
                let expected = Whereabouts::Isolated;
                self.state
                    .note(name, id, Err(ListsBroken::Misplaced { expected, found }));
            }
            None => {
                let what = "the number of the page";
                self.state
                    .note(name, id, Err(ListsBroken::NotDone { what }));
            }
        }
        if !self.state.quiet && self.state.choices.one_in(4) {
            let at = if self.state.choices.one_in(4) {
                self.state.choices.index(self.state.len)
            } else {
                id
            };
            self.act(at);
        }
        id
    }

    /// No page is locked by the scan, and no write waits to be started.
    pub(super) fn check_between(&mut self, name: &'static str) {
        let locked = self.state.known().iter().position(|truth| truth.ours);
        if let Some(id) = locked {
            let why = "a page of the batch is still locked";
            self.state
                .note(name, id, Err(ListsBroken::Forbidden { why }));
        }
        if self.state.unsubmitted > 0 {
            let why = "a write of the batch is not submitted";
            self.state
                .note(name, 0, Err(ListsBroken::Forbidden { why }));
        }
    }

    /// Checks one page.
    pub(super) fn check(&mut self, name: &'static str, id: usize) {
        let lists = &*self.lists;
        let held = match self.state.page(id) {
            Some(truth) => world::check(lists, id, truth),
            None => Ok(()),
        };
        self.state.note(name, id, held);
    }

    /// Checks all pages, and the lists.
    pub(super) fn check_all(&mut self, name: &'static str) {
        for id in 0..self.state.len {
            self.check(name, id);
        }
        let held = world::check_lists(self.lists, self.state.known());
        self.state.note(name, 0, held);
    }

    /// Somebody does something to a page.
    pub(super) fn act(&mut self, id: usize) {
        let Some(&truth) = self.state.known().get(id) else {
            return;
        };
        let (present, _) = world::entries(self.lists, id);
        let kind = self.kind();
        let content = self.state.tick();
        let act = match self.state.choices.below(9) {
            // Through an entry that maps the page, and no other way.
            0 if present > 0 && truth.pins().total < 4 => Act::Pin(kind),
            1 if truth.short > 0 => Act::Unpin(PinKind::Short),
            2 if truth.longterm > 0 => Act::Unpin(PinKind::Longterm),
            3 if truth.is_pinned() => Act::DmaWrite(content),
            4 => Act::Store(self.state.choices.index(3), content),
            5 if truth.holds < 3 && !truth.out && !truth.is_gone() => Act::Hold,
            6 if truth.holds > 0 => Act::Release,
            7 if truth.others => Act::Unlock,
            7 if !truth.ours && !truth.out && !truth.is_gone() => Act::Lock,
            8 => Act::EndWriteback,
            _ => return,
        };
        self.perform(id, act);
    }

    pub(super) fn kind(&mut self) -> PinKind {
        if self.state.choices.below(2) == 0 {
            PinKind::Short
        } else {
            PinKind::Longterm
        }
    }

    /// Does this to a page; whether it could be done.
    pub(super) fn perform(&mut self, id: usize, act: Act) -> bool {
        let name = name(act);
        let before = self.lists.see(id);
        if self.lists.act(id, act) == Attempt::Refused {
            let after = self.lists.see(id);
            self.state.note(name, id, untouched(&before, &after));
            return false;
        }
        let whereabouts = self.lists.see(id).whereabouts;
        if let Act::Pin(_) = act {
            self.state.tally.pins = self.state.tally.pins.saturating_add(1);
        }
        if let Some(truth) = self.state.page(id) {
            follow(truth, act, whereabouts);
        }
        self.check(name, id);
        true
    }
}

/// Brings the truth up to date: the page is `there` now, if it may be.
fn follow(truth: &mut Truth, act: Act, there: Whereabouts) {
    use Whereabouts::{Free, Isolated, Listed};
    match act {
        Act::Pin(kind) => {
            let pins = truth.pins_of(kind);
            *pins = pins.saturating_add(1);
        }
        Act::Unpin(kind) => {
            let pins = truth.pins_of(kind);
            *pins = pins.saturating_sub(1);
        }
        // What was freed lazily is dropped unless a program writes to it.
        Act::DmaWrite(content) => truth.content = content,
        Act::Store(_, content) => {
            truth.content = content;
            truth.droppable = false;
        }
        Act::Hold => truth.holds = truth.holds.saturating_add(1),
        Act::Release => truth.holds = truth.holds.saturating_sub(1),
        Act::Lock => truth.others = true,
        Act::Unlock => truth.others = false,
        Act::EndWriteback => {}
    }
    let moved = match (act, truth.whereabouts, there) {
        // Parked as soon as it is pinned.
        (Act::Pin(_), Listed(Place::List(_)), Listed(Place::Parked)) => true,
        (Act::Unpin(_), Listed(Place::Parked), Listed(Place::List(_))) => !truth.is_pinned(),
        // The last reference goes: the page is free, whatever list it was on.
        (Act::Unpin(_) | Act::Release, from, Free) => {
            from != Isolated && truth.holds == 0 && !truth.is_pinned()
        }
        _ => false,
    };
    if moved {
        truth.whereabouts = there;
        truth.since = None;
    }
}

/// No reading misses a pin of the page.
fn readings<P: PageLike>(truth: &Truth, page: &P) -> Result<(), ListsBroken> {
    invariants::reading(truth.pins(), Biased::read(page))?;
    invariants::reading(truth.pins(), Refined::read(page))?;
    Ok(())
}

pub(super) fn untouched(before: &SeenPage, after: &SeenPage) -> Result<(), ListsBroken> {
    world::difference(before, after).map_or(Ok(()), |what| Err(ListsBroken::Touched { what }))
}

const fn name(act: Act) -> &'static str {
    match act {
        Act::Pin(_) => "a pin",
        Act::Unpin(_) => "an unpin",
        Act::DmaWrite(_) => "a write by DMA",
        Act::Store(..) => "a write by a program",
        Act::Hold => "a reference taken",
        Act::Release => "a reference dropped",
        Act::Lock => "a lock by somebody else",
        Act::Unlock => "an unlock by somebody else",
        Act::EndWriteback => "the end of a writeback",
    }
}
