//! What may be done to a page that may be pinned.

use crate::page::PageLike;
use crate::pin::Pins;
use crate::policy::{self, Context, Operation, PinPolicy, PinVerdict};
use core::fmt;

/// Whether the page's pins allow `operation`: for whoever is about to migrate, demote, split or free
/// it outside of this crate's drivers.
///
/// It asks the policy and touches nothing. The answer is a hint: pins come until they are blocked or
/// the reference count is frozen, which each of these operations does before it is final.
///
/// # Errors
///
/// [`Refusal`], with the pins that stand against it.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PinCount, Pins};
/// use pinfold::placement::may;
/// use pinfold::{Context, Operation, PageFlags, PlainPage, SkipLongterm, SkipOpportunistic};
///
/// let pins = PinCount { total: 1, longterm: Some(0) };
/// let page = PlainPage {
///     flags: PageFlags::ANON,
///     refs: 2,
///     maps: 1,
///     pins: Some(pins),
///     base_pages: 1,
/// };
/// let context = Context::default();
/// let skip = SkipOpportunistic::<pinfold::pin::Refined>::new();
/// let refusal = may(&page, Operation::Migrate, &skip, context).unwrap_err();
/// assert_eq!(refusal.pins, Pins::Exactly(pins));
///
/// let longterm = SkipLongterm::<pinfold::pin::Refined>::new();
/// assert!(may(&page, Operation::Migrate, &longterm, context).is_ok(), "it is waited out");
/// assert!(may(&page, Operation::Free, &longterm, context).is_err());
/// ```
#[inline]
pub fn may<P, L>(
    page: &P,
    operation: Operation,
    policy: &L,
    context: Context,
) -> Result<(), Refusal>
where
    P: PageLike + ?Sized,
    L: PinPolicy + ?Sized,
{
    if !L::MODE.reads_pins() {
        return Ok(());
    }
    let (verdict, pins) = policy::ask(policy, page, page.snapshot(), context, |_| operation);
    if verdict.proceeds() {
        Ok(())
    } else {
        Err(Refusal {
            operation,
            pins,
            verdict,
        })
    }
}

/// An operation that a page's pins forbid. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// What was asked.
    pub operation: Operation,
    /// The pins in its way.
    pub pins: Pins,
    /// Whether another page will do, or it has failed.
    pub verdict: PinVerdict,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.operation, self.pins)
    }
}

impl core::error::Error for Refusal {}
