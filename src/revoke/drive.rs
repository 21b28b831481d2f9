//! One step of the ladder, carried out.

use super::ladder::{Action, Event, Ladder};
use super::pressure::{Answer, Level, PinOwner, Pressure};
use crate::shrinker::{Ended, Shrinker, shrink_pages};

/// Feeds `event` to the ladder and does what it says, until it has to be waited.
///
/// [`Ask`](Action::Ask): the owner is told [`Level::Medium`]; one that says no, or cannot be told,
/// has refused. [`Shrink`](Action::Shrink): the owner is told [`Level::Critical`], the shrinker is
/// asked for the pages, once, and what it gives counts as back; one that is empty has refused, any
/// other has until the deadline for pages that take longer. At the end the owner is told that all is
/// clear, if it was told anything.
///
/// Calls the owner and the shrinker a bounded number of times
/// ([`MAX_BATCHES`](crate::shrinker::MAX_BATCHES)).
///
/// # Contract
///
/// The pages that the shrinker reports are counted here. The caller feeds
/// [`PagesBack`](Event::PagesBack) for those that come in any other way, and not for these again.
pub fn drive<O, S>(
    ladder: &mut Ladder,
    pressure: &mut Pressure,
    owner: &mut O,
    shrinker: &mut S,
    mut event: Event,
    now: u64,
) -> Driven<O::Error>
where
    O: PinOwner + ?Sized,
    S: Shrinker + ?Sized,
{
    let mut undelivered = None;
    loop {
        let action = ladder.step(event, now);
        event = match action {
            Action::Ask { until, .. } => match pressure.tell(owner, Some(Level::Medium)) {
                Ok(None | Some(Answer::WillTry)) => {
                    return Driven {
                        action: Action::WaitUntil(until),
                        undelivered,
                    };
                }
                Ok(Some(Answer::No)) => Event::Refused,
                Err(error) => {
                    undelivered = Some(error);
                    Event::Refused
                }
            },
            Action::Shrink { pages, .. } => {
                if let Err(error) = pressure.tell(owner, Some(Level::Critical)) {
                    undelivered = Some(error);
                }
                let shrunk = shrink_pages(shrinker, pages);
                if shrunk.ended == Ended::Empty {
                    Event::Refused
                } else {
                    Event::PagesBack(shrunk.pages)
                }
            }
            Action::Done | Action::GiveUp(_) => {
                if let Err(error) = pressure.tell(owner, None) {
                    undelivered = Some(error);
                }
                return Driven {
                    action,
                    undelivered,
                };
            }
            Action::WaitUntil(_) | Action::Nothing => {
                return Driven {
                    action,
                    undelivered,
                };
            }
        };
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
