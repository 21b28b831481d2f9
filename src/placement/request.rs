//! How an object is to be pinned.

use super::error::PlaceStop;
use super::zone::{LongtermRule, Placed, Placement, Zone};
use crate::pin::PinKind;
use crate::policy::{Context, SkipOpportunistic};

/// How an object is to be pinned.
///
/// # Examples
///
/// ```
/// use pinfold::pin::{PinKind, Refined};
/// use pinfold::SkipLongterm;
/// use pinfold::placement::{LongtermRule, PlaceRequest};
///
/// let request = PlaceRequest::new(PinKind::Longterm);
/// assert_eq!((request.rule, request.attempts), (LongtermRule::Unmovable, 3));
/// let other = PlaceRequest {
///     kind: PinKind::Longterm,
///     rule: LongtermRule::CmaOnly,
///     attempts: 1,
///     policy: SkipLongterm::<Refined>::new(),
///     context: request.context,
/// };
/// # let _ = other;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlaceRequest<L = SkipOpportunistic> {
    /// How long the pins are meant to last.
    pub kind: PinKind,
    /// Which memory pages must leave before a long-term pin.
    pub rule: LongtermRule,
    /// How often each page is tried to be migrated; with 0, none is.
    pub attempts: u32,
    /// Which pins of others forbid a migration.
    pub policy: L,
    /// Who asks.
    pub context: Context,
}

impl PlaceRequest {
    /// The default for pins of this kind: the default [`LongtermRule`], three attempts,
    /// [`SkipOpportunistic`].
    #[must_use]
    pub fn new(kind: PinKind) -> Self {
        Self {
            kind,
            rule: LongtermRule::default(),
            attempts: 3,
            policy: SkipOpportunistic::new(),
            context: Context::default(),
        }
    }
}

impl<L> PlaceRequest<L> {
    /// The zone that the page has to leave, if it has to. A page that is pinned is not asked whether
    /// it could be.
    pub(super) fn ask<P: Placed, E>(
        &self,
        page: &P,
        pinned: bool,
    ) -> Result<Option<Zone>, PlaceStop<E>> {
        if !pinned {
            page.pinnable(self.kind).map_err(PlaceStop::Refused)?;
        }
        let zone = page.zone();
        match zone.placement(self.kind, self.rule) {
            Placement::Pin => Ok(None),
            Placement::MigrateFirst => Ok(Some(zone)),
            Placement::Refuse => Err(PlaceStop::NotAllowed(zone)),
        }
    }
}
