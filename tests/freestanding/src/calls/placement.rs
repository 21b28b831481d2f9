//! Where a page must be before it is pinned.

use super::embedder::{AnyPage, AnyPolicy, BarePage};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use pinfold::pin::{PinGuard, Pinnable};
use pinfold::placement::{
    LongtermRule, PinnedError, PlaceError, PlaceRequest, PlaceStop, check_pins,
};
use pinfold::{
    IgnorePins, PinPolicy, Placed, Placement, PlainPage, SkipLongterm, SkipOpportunistic,
    SkipPinned, Zone, place_and_pin,
};

pub fn call() {
    decisions();
    allowed();
    placed(&opaque::<AnyPage>());
    placed(&BarePage);
    placed(&opaque::<PlainPage>());
    placed(&&opaque::<AnyPage>());
    placed(&&mut opaque::<AnyPage>());
    placed::<dyn Placed>(hidden(&opaque::<AnyPage>()));
    objects();
    texts();
}

super::values::opaque_enum!(LongtermRule: LongtermRule::CmaOnly, LongtermRule::Unmovable);

fn decisions() {
    debug::<Placement>(&Zone::placement(opaque(), opaque(), opaque()));
    debug::<LongtermRule>(&opaque());
    print::<Zone>(&opaque());
}

fn allowed() {
    allows(&IgnorePins);
    allows(&SkipPinned);
    allows::<SkipOpportunistic>(&SkipOpportunistic::new());
    allows::<SkipLongterm>(&SkipLongterm::new());
    allows(&AnyPolicy::<true>);
}

fn allows<L: PinPolicy>(policy: &L) {
    if let Err(pinned) = check_pins(&opaque::<AnyPage>(), opaque(), policy, opaque()) {
        error::<PinnedError>(&pinned);
    }
}

fn placed<P: Placed + ?Sized>(page: &P) {
    keep(Placed::id(page));
    keep(Placed::zone(page));
    keep(Placed::pinnable(page, opaque()));
}

fn objects() {
    let mut request = PlaceRequest::new(opaque());
    request.rule = opaque();
    request.attempts = opaque();
    request.context = opaque();
    debug::<PlaceRequest>(&request);
    let mut pages: [AnyPage; 3] = opaque();
    object(hidden(&mut pages), &request);
    object(hidden(&mut pages[..]), &under(AnyPolicy::<false>));
    object(opaque::<[AnyPage; 2]>(), &under(IgnorePins));
    object(hidden([BarePage]), &request);
    let [one, two, _] = &pages;
    object(hidden([one, two, one]), &request);
}

fn under<L>(policy: L) -> PlaceRequest<L> {
    PlaceRequest {
        kind: opaque(),
        rule: opaque(),
        attempts: opaque(),
        policy,
        context: opaque(),
    }
}

fn object<P, S, L>(pages: S, request: &PlaceRequest<L>)
where
    P: Placed + Pinnable + Clone,
    S: AsRef<[P]> + AsMut<[P]>,
    L: PinPolicy,
{
    let migrate = |page: &mut P, places: usize| {
        keep((page, places));
        opaque::<Result<(), Mishap>>()
    };
    match place_and_pin(pages, request, migrate) {
        Ok(mut pins) => {
            keep(PinGuard::<P, S>::release(&mut pins));
        }
        Err(failed) => keep(failed),
    }
}

super::values::opaque_struct!(PinnedError {
    operation,
    pins,
    verdict
});
super::values::opaque_enum!(PlaceStop<Mishap>:
    PlaceStop::Refused(opaque()),
    PlaceStop::NotAllowed(opaque()), PlaceStop::Held(opaque()),
    PlaceStop::NotMigrated(opaque(), opaque()));
super::values::opaque_struct!(PlaceError<Mishap> { index, stop, lost });

fn texts() {
    error::<PinnedError>(&opaque());
    print::<PlaceStop<Mishap>>(&opaque());
    error::<PlaceError<Mishap>>(&opaque());
}
