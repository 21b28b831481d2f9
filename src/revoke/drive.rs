//! The ladder driven through a device.

use super::ladder::{Action, Event, Ladder};
use super::pressure::{Answer, Level, PinOwner, Pressure};
use crate::shrinker::{Ended, Pass, Shrinker};

/// Feeds `event` to the ladder and does what it says, until there is something to wait for.
///
/// [`Ask`](Action::Ask): the owner is told [`Level::Medium`]; one that answers no, or cannot be
/// told, has refused. [`Shrink`](Action::Shrink): the owner is told [`Level::Critical`], and its
/// shrinker is asked for the pages, once. The pages that it gives are counted as back. A shrinker
/// that is empty has refused; any other has until the deadline for pages that take longer. At the
/// end the owner is told that all is clear, if it was told anything.
///
/// The device is its own owner and shrinker. Where these are two, give both as a pair:
/// `&mut (owner, shrinker)`, of values or of mutable references.
///
/// Calls the device a bounded number of times
/// ([`Pass::MAX_BATCHES`]).
///
/// If the device's code unwinds, the ladder stays on the rung where it was, so the next event takes
/// the same step again. The pages of this event, and those that the shrinker gave before, are
/// counted and are not fed again.
///
/// # Contract
///
/// The pages that the shrinker reports are counted here. The caller feeds
/// [`PagesBack`](Event::PagesBack) for those that come in any other way, and not for these again.
///
/// # Examples
///
/// ```
/// use core::convert::Infallible;
/// use core::num::NonZeroU64;
/// use pinfold::revoke::{
///     Action, Answer, Deadlines, Event, Ladder, Level, PinOwner, Pressure, drive,
/// };
/// use pinfold::shrinker::{Scan, Shrinker};
///
/// struct Gpu {
///     idle: u64,
///     throttled: bool,
/// }
///
/// impl PinOwner for Gpu {
///     type Error = Infallible;
///
///     fn pressure(&mut self, _: Level) -> Result<Answer, Infallible> {
///         self.throttled = true;
///         Ok(Answer::No)
///     }
///     fn all_clear(&mut self) -> Result<(), Infallible> {
///         self.throttled = false;
///         Ok(())
///     }
/// }
///
/// impl Shrinker for Gpu {
///     fn count(&mut self) -> Option<u64> {
///         Some(self.idle)
///     }
///     fn scan(&mut self, objects: NonZeroU64) -> Scan {
///         let freed = objects.get().min(self.idle);
///         self.idle -= freed;
///         Scan::Did { scanned: objects.get(), freed }
///     }
/// }
///
/// let mut gpu = Gpu { idle: 64, throttled: false };
/// let mut ladder = Ladder::new(32, Deadlines { ask: 10, wait: 50, shrink: 100 });
/// let mut pressure = Pressure::new();
/// let driven = drive(&mut ladder, &mut pressure, &mut gpu, Event::Tick, 1_000);
/// assert_eq!((driven.action, gpu.throttled), (Action::WaitUntil(1_050), true));
/// let driven = drive(&mut ladder, &mut pressure, &mut gpu, Event::Tick, 1_050);
/// assert_eq!((driven.action, gpu.throttled, gpu.idle), (Action::Done, false, 0));
/// ```
pub fn drive<D>(
    ladder: &mut Ladder,
    pressure: &mut Pressure,
    device: &mut D,
    mut event: Event,
    now: u64,
) -> Driven<D::Error>
where
    D: PinOwner + Shrinker + ?Sized,
{
    let mut undelivered = None;
    loop {
        let mut step = Step::begin(ladder);
        let action = step.ladder.step(event, now);
        let next = match action {
            Action::Ask { until, .. } => match pressure.tell(device, Some(Level::Medium)) {
                Ok(None | Some(Answer::WillTry)) => Err(Action::WaitUntil(until)),
                Ok(Some(Answer::No)) => Ok(Event::Refused),
                Err(error) => {
                    undelivered = Some(error);
                    Ok(Event::Refused)
                }
            },
            Action::Shrink { pages, .. } => {
                if let Err(error) = pressure.tell(device, Some(Level::Critical)) {
                    undelivered = Some(error);
                }
                Ok(step.shrink(device, pages))
            }
            Action::Done | Action::GiveUp(_) => {
                if let Err(error) = pressure.tell(device, None) {
                    undelivered = Some(error);
                }
                Err(action)
            }
            Action::WaitUntil(_) | Action::Nothing => Err(action),
        };
        step.end();
        event = match next {
            Ok(event) => event,
            Err(action) => {
                return Driven {
                    action,
                    undelivered,
                };
            }
        };
    }
}

/// A step of the ladder that is being carried out. One that is dropped before its end is taken back.
struct Step<'l> {
    ladder: &'l mut Ladder,
    before: Option<Ladder>,
    /// What the shrinker is being asked for.
    pass: Option<Pass>,
}

impl<'l> Step<'l> {
    fn begin(ladder: &'l mut Ladder) -> Self {
        let before = Some(*ladder);
        Self {
            ladder,
            before,
            pass: None,
        }
    }

    /// Asks the shrinker for pages, as [`Pass::shrink_pages`](crate::shrinker::Pass::shrink_pages) does.
    fn shrink<S: Shrinker + ?Sized>(&mut self, shrinker: &mut S, pages: u64) -> Event {
        let pass = self.pass.insert(Pass::begin_full(shrinker));
        let ended = pass.run(shrinker, Pass::MAX_BATCHES, Some(pages));
        let pages = pass.pages();
        self.pass = None;
        if ended == Ended::Empty {
            Event::Refused
        } else {
            Event::PagesBack(pages)
        }
    }

    fn end(mut self) {
        self.before = None;
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let pages = self.pass.as_ref().map_or(0, Pass::pages);
            self.ladder.take_back(before, pages);
        }
    }
}

/// What [`drive`] came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Driven<E> {
    /// What is left to do: wait, or act on the end. Never [`Ask`](Action::Ask) or
    /// [`Shrink`](Action::Shrink), which are done.
    pub action: Action,
    /// The last signal that did not reach the owner. After the end, [`Pressure::level`] says whether
    /// it was the all-clear, which is then still owed: [`Pressure::tell`].
    pub undelivered: Option<E>,
}
