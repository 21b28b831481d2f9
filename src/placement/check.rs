//! Whether the pins of a page allow an operation.

use crate::page::PageLike;
use crate::pin::Pins;
use crate::policy::{self, Context, Operation, PinPolicy, PinVerdict};
use core::fmt;

/// Whether the page's pins allow `operation`: for callers that are about to migrate, demote, split
/// or free it without this crate's drivers.
///
/// It asks the policy and changes nothing. The answer is a hint: more pins may come until pins are
/// blocked or the reference count is frozen, which each of these operations does before it is final.
///
/// # Errors
///
/// [`PinnedError`], with the pins that were found.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PinCount, Pins};
/// use pinfold::placement::check_pins;
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
/// let error = check_pins(&page, Operation::Migrate, &skip, context).unwrap_err();
/// assert_eq!(error.pins, Pins::Exactly(pins));
///
/// let longterm = SkipLongterm::<pinfold::pin::Refined>::new();
/// // A migration waits for a short pin.
/// assert!(check_pins(&page, Operation::Migrate, &longterm, context).is_ok());
/// assert!(check_pins(&page, Operation::Free, &longterm, context).is_err());
/// ```
#[inline]
pub fn check_pins<P, L>(
    page: &P,
    operation: Operation,
    policy: &L,
    context: Context,
) -> Result<(), PinnedError>
where
    P: PageLike + ?Sized,
    L: PinPolicy + ?Sized,
{
    if !policy.mode().reads_pins() {
        return Ok(());
    }
    let (verdict, pins) = policy::ask(policy, page, page.snapshot(), context, operation);
    if verdict.proceeds() {
        Ok(())
    } else {
        Err(PinnedError {
            operation,
            pins,
            verdict,
        })
    }
}

/// An operation that the pins of a page forbid. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PinnedError {
    /// The operation.
    pub operation: Operation,
    /// The pins.
    pub pins: Pins,
    /// What the policy says: skip the page, or fail.
    pub verdict: PinVerdict,
}

impl fmt::Display for PinnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.operation, self.pins)
    }
}

impl core::error::Error for PinnedError {}
