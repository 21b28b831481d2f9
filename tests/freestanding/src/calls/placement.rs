//! Where a page must be before it is pinned.

use super::embedder::{AnyPage, AnyPolicy, BarePage};
use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use core::fmt::Debug;
use pinfold::pin::{LedgerError, PinError, PinKind, PinLedger, Pinnable};
use pinfold::placement::{
    Account, Books, Facts, PlaceError, PlaceRequest, PlaceStop, PlacedPins, Rule, WhyMigrate,
    WhyNot, decide,
};
use pinfold::{
    IgnorePins, PinPolicy, Placed, Placement, PlainPage, Refusal, SkipLongterm, SkipOpportunistic,
    SkipPinned, Zone, may, place_and_pin,
};

pub fn call() {
    decisions();
    allowed();
    placed(&opaque::<AnyPage>());
    placed(&BarePage);
    placed(&opaque::<PlainPage>());
    placed(&&opaque::<AnyPage>());
    placed(&&mut opaque::<AnyPage>());
    objects();
    books(&mut ());
    books(&mut AnyBooks);
    books(&mut &mut AnyBooks);
    account::<2, 3>();
    account::<2, 0>();
    texts();
}

super::values::opaque_enum!(Rule: Rule::CmaOnly, Rule::Unmovable);
super::values::opaque_struct!(Facts {
    kind,
    zone,
    rule,
    refusal,
    pages,
    room
});
super::values::opaque_enum!(WhyMigrate:
    WhyMigrate::Movable, WhyMigrate::Cma, WhyMigrate::Device);
super::values::opaque_enum!(WhyNot:
    WhyNot::Limit, WhyNot::Blocked, WhyNot::Free, WhyNot::Overflow, WhyNot::FsDax,
    WhyNot::Page(opaque()), WhyNot::Ledger(opaque()));

fn decisions() {
    debug::<Placement>(&decide(opaque()));
    debug::<Facts>(&opaque());
    debug::<Rule>(&opaque());
    debug::<Zone>(&opaque());
    keep(WhyNot::from(opaque::<PinError>()));
    keep(WhyNot::from(opaque::<LedgerError>()));
}

fn allowed() {
    allows(&IgnorePins);
    allows(&SkipPinned);
    allows::<SkipOpportunistic>(&SkipOpportunistic::new());
    allows::<SkipLongterm>(&SkipLongterm::new());
    allows(&AnyPolicy::<true>);
}

fn allows<L: PinPolicy>(policy: &L) {
    if let Err(refusal) = may(&opaque::<AnyPage>(), opaque(), policy, opaque()) {
        error::<Refusal>(&refusal);
    }
}

fn placed<P: Placed>(page: &P) {
    keep(Placed::zone(page));
    keep(Placed::pinnable(page, opaque()));
}

#[derive(Debug)]
struct AnyBooks;

impl Books for AnyBooks {
    type Charge = u64;

    super::embedder::answers_anything! {
        &mut charge(kind: PinKind, pages: u64) -> Result<u64, LedgerError>;
        &mut release(charge: u64) -> Result<(), LedgerError>;
    }
}

fn books<B: Books>(books: &mut B) {
    if let Ok(charge) = Books::charge(books, opaque(), opaque()) {
        keep(Books::release(books, charge));
    }
}

fn objects() {
    let mut request = PlaceRequest::new(opaque());
    request.rule = opaque();
    request.attempts = opaque();
    request.context = opaque();
    debug::<PlaceRequest>(&request);
    let mut pages: [AnyPage; 2] = opaque();
    object(hidden(&mut pages[..]), &request, &mut AnyBooks);
    object(hidden(&mut pages[..]), &under(AnyPolicy::<false>), &mut ());
    object(hidden(&mut pages[..]), &under(IgnorePins), &mut ());
    object(hidden(&mut [BarePage][..]), &request, &mut AnyBooks);
    let [one, two] = &mut pages;
    object(hidden(&mut [&*one, &*two][..]), &request, &mut AnyBooks);
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

fn object<P, L, B>(pages: &mut [P], request: &PlaceRequest<L>, books: &mut B)
where
    P: Placed + Pinnable + Debug,
    L: PinPolicy,
    B: Books<Charge: Debug>,
{
    let migrate = |page: &mut P, why: WhyMigrate| {
        keep((page, why));
        opaque::<Result<(), Mishap>>()
    };
    match place_and_pin(pages, request, books, migrate) {
        Ok(placed) => {
            debug::<PlacedPins<'_, P, B::Charge>>(&placed);
            keep(placed.pins.release());
            keep(books.release(placed.charge));
        }
        Err(failed) => keep(failed),
    }
}

fn account<const OWNERS: usize, const CHARGES: usize>() {
    let mut ledger = PinLedger::<OWNERS, CHARGES>::new();
    let ledger = hidden(&mut ledger);
    let Ok(owner) = ledger.add_owner(opaque(), opaque()) else {
        return;
    };
    let mut account = Account {
        ledger: hidden(ledger),
        owner,
        now: opaque(),
    };
    debug::<Account<'_, OWNERS, CHARGES>>(&account);
    books(hidden(&mut account));
    let mut pages: [AnyPage; 2] = opaque();
    let request = PlaceRequest::new(opaque());
    object(hidden(&mut pages[..]), &request, hidden(&mut account));
}

super::values::opaque_struct!(Refusal {
    operation,
    pins,
    verdict
});
super::values::opaque_enum!(PlaceStop<Mishap>:
    PlaceStop::Refused(opaque()), PlaceStop::Held(opaque()),
    PlaceStop::NotMigrated(opaque(), opaque()), PlaceStop::MustMove(opaque()));
super::values::opaque_struct!(PlaceError<Mishap> { index, stop, lost, books });

fn texts() {
    print::<WhyMigrate>(&opaque());
    error::<WhyNot>(&opaque());
    error::<Refusal>(&opaque());
    print::<PlaceStop<Mishap>>(&opaque());
    error::<PlaceError<Mishap>>(&opaque());
}
