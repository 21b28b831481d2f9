//! Pages in one state, held by their own process: predicts, reclaims, and reads back the result.

use super::compare::Row;
use super::holder::Holder;
use super::pressure::Cgroup;
use super::protocol::{Reply, Request, Who};
use super::rules::{End, Prediction, Way, predict};
use super::slow::SlowFs;
use super::states::State;
use crate::decide::{Class, Decider, Facts, Policy};
use crate::model::Seen;
use crate::page::kpf;
use crate::read::{self, Entry};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Pages in one state.
pub(super) struct Subject {
    state: State,
    holder: Holder,
    address: u64,
    pages: u64,
    child: Option<i32>,
    released: bool,
}

pub(super) enum Made {
    Subject(Subject),
    /// They cannot be made, and why.
    Not(String),
}

/// The prediction for the pages as one process maps them.
pub(super) struct Predicted {
    who: Who,
    /// Whether the pages are pinned.
    pinned: bool,
    pages: Vec<(Entry, Prediction, Class)>,
}

impl Subject {
    pub(super) fn make(
        state: State,
        pages: u32,
        dir: &Path,
        slow: Option<&SlowFs>,
        cgroup: Option<&Cgroup>,
    ) -> Result<Made> {
        let mut holder = Holder::start()?;
        if let Some(cgroup) = cgroup {
            cgroup.take(holder.pid())?;
        }
        let request = Request::Make {
            state,
            pages,
            dir: dir.to_owned(),
            slow: slow.map(|slow| slow.file().to_owned()),
        };
        let (address, pages, child) = match holder.ask(&request)? {
            Reply::Made {
                address,
                pages,
                child,
            } => (address, pages, child),
            Reply::Cannot(why) => return Ok(Made::Not(why)),
            other => bail!("unexpected reply to a request to make pages: {other:?}"),
        };
        if state == State::DirectIo
            && let Some(Err(error)) = slow.map(SlowFs::wait)
        {
            let why = format!("direct I/O cannot be held in flight: {error:#}");
            return Ok(Made::Not(why));
        }
        let subject = Self {
            state,
            holder,
            address,
            pages,
            child,
            released: false,
        };
        let entries = read::entries(subject.holder.pid(), address, pages)?;
        Ok(match entries.iter().position(|entry| !state.shows(entry)) {
            None => Made::Subject(subject),
            Some(at) => Made::Not(format!(
                "page {at} is not in that state: {:x?}",
                entries[at]
            )),
        })
    }

    /// Unpins the pages. Returns whether they were pinned, and can be compared again.
    pub(super) fn release(&mut self, slow: Option<&SlowFs>) -> Result<bool> {
        if !self.state.is_pinned() {
            return Ok(false);
        }
        if let Some(slow) = slow {
            slow.answer();
        }
        match self.holder.ask(&Request::Release)? {
            Reply::Done => {}
            other => bail!(
                "{}: unexpected reply to a request to unpin: {other:?}",
                self.state.name()
            ),
        }
        self.released = true;
        Ok(true)
    }

    pub(super) fn page_out(&mut self) -> Result<()> {
        for who in self.views() {
            match self.holder.ask(&Request::PageOut(who))? {
                Reply::Done => {}
                // Predicted for locked pages; for others the comparison shows it.
                Reply::Refused(_) => {}
                other => bail!("unexpected reply to a request to page out: {other:?}"),
            }
        }
        Ok(())
    }

    /// Predicts the fate of each page from what `inspect` sees now.
    pub(super) fn predict(&mut self, way: Way) -> Result<Vec<Predicted>> {
        let views = self.views();
        views
            .into_iter()
            .map(|who| self.predict_view(who, way))
            .collect()
    }

    fn predict_view(&self, who: Who, way: Way) -> Result<Predicted> {
        let pid = self.pid(who)?;
        let observed = read::observe(pid)?;
        let area = observed
            .areas
            .iter()
            .find(|area| (area.start..area.end).contains(&self.address))
            .context("the pages are in no VMA")?;
        // `inspect` has to see that a registered buffer is pinned.
        let pin = observed
            .pins
            .iter()
            .find(|pin| pin.covers(self.address, observed.page_size));
        let pinned = self.state.is_pinned() && !self.released && who == Who::Holder;
        if pinned != pin.is_some() {
            let (name, seen) = (self.state.name(), &observed.pins);
            bail!("{name}: pinned is {pinned}, but /proc shows these pins: {seen:?}");
        }
        let mut decider = Decider::default();
        let entries = read::entries(pid, self.address, self.pages)?;
        let mut pages = Vec::new();
        for entry in entries {
            let seen = match entry.seen {
                Some(seen) => seen,
                None => bail!("{}: a page is missing", self.state.name()),
            };
            let facts = Facts::of(&observed, area, seen, pin);
            let held = self.state == State::Spliced;
            let prediction = predict(&facts, held, way)
                .with_context(|| format!("{}: no rule for {facts:x?}", self.state.name()))?;
            let class = decider.decide(&facts, Policy::SkipOpportunistic);
            pages.push((
                entry,
                prediction,
                class.map_or(Class::Unknown, |said| said.class),
            ));
        }
        Ok(Predicted { who, pinned, pages })
    }

    /// Reads back what happened.
    pub(super) fn compare(&mut self, way: Way, predicted: Vec<Predicted>) -> Result<Vec<Row>> {
        predicted
            .into_iter()
            .map(|view| self.compare_view(way, view))
            .collect()
    }

    fn compare_view(&mut self, way: Way, view: Predicted) -> Result<Row> {
        let after = read::entries(self.pid(view.who)?, self.address, self.pages)?;
        let in_core = match self.holder.ask(&Request::InCore)? {
            Reply::InCore(pages) => pages,
            other => bail!("unexpected reply to a request for mincore: {other:?}"),
        };
        let mut row = Row {
            state: self.name(view.who),
            way,
            pinned: view.pinned,
            pages: view.pages.len() as u64,
            policy: BTreeMap::new(),
            predicted: BTreeMap::new(),
            observed: BTreeMap::new(),
            agreed: 0,
            pinned_but_reclaimable: 0,
            rules: BTreeSet::new(),
            wrong: None,
        };
        for (at, (before, prediction, class)) in view.pages.iter().enumerate() {
            let observed = self.end(*before, after[at], in_core[at])?;
            *row.policy.entry(*class).or_default() += 1;
            *row.predicted.entry(prediction.end).or_default() += 1;
            *row.observed.entry(observed).or_default() += 1;
            if observed == prediction.end {
                row.agreed += 1;
            } else {
                let after = after[at];
                row.wrong.get_or_insert_with(|| {
                    format!("page {at}: {before:x?} became {after:x?}, which is {observed:?}")
                });
            }
            let reclaimable = prediction.end.is_reclaimed() || *class == Class::Reclaimable;
            row.pinned_but_reclaimable += u64::from(view.pinned && reclaimable);
            row.rules.insert(prediction.rule);
        }
        Ok(row)
    }

    fn end(&self, before: Entry, after: Entry, in_core: bool) -> Result<End> {
        Ok(match after.seen {
            Some(Seen::Swapped) if self.is_held(before)? => End::Unmapped,
            Some(Seen::Swapped) => End::Swapped,
            Some(_) if after.pfn == before.pfn => End::Stays,
            Some(_) => End::Other,
            None if self.state.is_cached() && in_core => End::Unmapped,
            None => End::Gone,
        })
    }

    /// Whether the frame is still in the swap cache, unmapped. Only for pages with a further reference:
    /// others may be there until a slow swap device has written them.
    fn is_held(&self, before: Entry) -> Result<bool> {
        if self.state != State::Spliced {
            return Ok(false);
        }
        let frame = read::frame(before.pfn).context("the frame cannot be read")?;
        Ok(frame.maps == 0 && frame.flags & kpf::SWAPCACHE != 0)
    }

    fn views(&self) -> Vec<Who> {
        // Other children only keep swap slots in use, and the pages of this one went with the first row.
        match self.state {
            _ if self.released => vec![Who::Holder],
            State::ForkShared | State::ForkPinned => vec![Who::Holder, Who::Child],
            _ => vec![Who::Holder],
        }
    }

    fn pid(&self, who: Who) -> Result<i32> {
        match who {
            Who::Holder => Ok(self.holder.pid()),
            Who::Child => self.child.context("no child"),
        }
    }

    fn name(&self, who: Who) -> String {
        let after = match (self.released, self.state) {
            (false, _) => "",
            (true, State::DirectIo) => ": I/O ended",
            (true, _) => ": unregistered",
        };
        let whose = match (who, self.state) {
            (Who::Child, _) => ": child's",
            (Who::Holder, State::ForkShared | State::ForkPinned) => ": parent's",
            _ => "",
        };
        format!("{}{whose}{after}", self.state.name())
    }
}
