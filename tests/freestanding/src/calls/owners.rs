//! Who is asked to give pages back: shrinkers, and the owners of pins.

use super::text::{debug, error, print};
use super::values::Mishap;
use crate::{hidden, keep, opaque};
use core::num::NonZeroU64;
use pinfold::pin::{OwnerUse, Owners, PinLedger};
use pinfold::revoke::{
    Action, Answer, Deadlines, Driven, Event, Ladder, Level, Pressure, Rung, Shortfall, WhyShort,
    drive,
};
use pinfold::shrinker::{
    Deferred, Ended, Pass, Plan, PriorityError, Registered, Scan, Shrunk, ShrunkAll, shrink_all,
    shrink_slab,
};
use pinfold::{PinOwner, Shrinker};

pub fn call() {
    arithmetic();
    shrinker(&mut Any);
    shrinker(&mut Bare);
    shrinker(&mut ());
    shrinker(&mut &mut Any);
    shrinker::<dyn Shrinker>(hidden(&mut Any));
    all();
    ladder();
    told(&mut Any);
    told(&mut ());
    told(&mut &mut Any);
    told(&mut (Any, ()));
    shrinker(&mut ((), Any));
    driven(&mut Any);
    driven(&mut ((), ()));
    let (mut owner, mut device) = (Any, Any);
    let owner: &mut dyn PinOwner<Error = Mishap> = hidden(&mut owner);
    let device: &mut dyn Shrinker = hidden(&mut device);
    driven(&mut (owner, device));
    owners::<4>();
    owners::<1>();
    owners::<0>();
    texts();
}

#[derive(Debug)]
struct Any;

super::values::opaque_enum!(Scan:
    Scan::Stop, Scan::Did { scanned: opaque(), freed: opaque() });

impl Shrinker for Any {
    super::embedder::answers_anything! {
        &mut count() -> Option<u64>;
        &mut scan(objects: NonZeroU64) -> Scan;
    }
    super::embedder::answers_anything! {
        &seeks() -> u32;
        &batch() -> u64;
        &pages(freed: u64) -> u64;
    }
}

struct Bare;

impl Shrinker for Bare {
    super::embedder::answers_anything! {
        &mut count() -> Option<u64>;
        &mut scan(objects: NonZeroU64) -> Scan;
    }
}

super::values::opaque_enum!(Answer: Answer::WillTry, Answer::No);
super::values::opaque_enum!(Level: Level::Low, Level::Medium, Level::Critical);

impl PinOwner for Any {
    type Error = Mishap;

    super::embedder::answers_anything! {
        &mut pressure(level: Level) -> Result<Answer, Mishap>;
        &mut all_clear() -> Result<(), Mishap>;
    }
}

fn arithmetic() {
    if let Ok(plan) = Plan::new(opaque(), opaque(), opaque(), opaque()) {
        debug::<Plan>(&plan);
    }
    keep(Plan::next_batch(opaque(), opaque(), opaque()));
    error::<PriorityError>(&PriorityError(opaque()));
    let mut deferred = Deferred::new(opaque());
    keep(Deferred::get(deferred));
    Deferred::put(&mut deferred, opaque());
    keep(Deferred::take(&mut deferred));
    debug::<Deferred>(&Deferred::new(opaque()));
}

fn shrinker<S: Shrinker + ?Sized>(shrinker: &mut S) {
    keep(Shrinker::count(shrinker));
    keep(Shrinker::scan(shrinker, NonZeroU64::MIN));
    keep(Shrinker::seeks(shrinker));
    keep(Shrinker::batch(shrinker));
    keep(Shrinker::pages(shrinker, opaque()));
    let deferred = &mut Deferred::new(opaque());
    if let Ok(pass) = Pass::begin(shrinker, deferred, opaque()) {
        turn(shrinker, pass, deferred);
    }
    let pass = Pass::begin_full(shrinker);
    turn(shrinker, pass, deferred);
    keep(shrink_slab(shrinker, deferred, opaque()));
    keep(Pass::shrink_pages(shrinker, opaque()));
}

fn turn<S: Shrinker + ?Sized>(shrinker: &mut S, mut pass: Pass, deferred: &mut Deferred) {
    keep(Pass::step(hidden(&mut pass), shrinker));
    debug::<Ended>(&Pass::run(hidden(&mut pass), shrinker, opaque(), opaque()));
    keep(Pass::pages(&pass));
    debug::<Pass>(&pass);
    debug::<Shrunk>(&Pass::finish(hidden(pass), deferred));
}

fn all() {
    let (mut one, mut two) = (Registered::new(Any), Registered::new(()));
    debug::<Registered<Any>>(hidden(&one));
    let all: [&mut Registered<dyn Shrinker>; 2] = [&mut one, &mut two];
    if let Ok(shrunk) = shrink_all(all, opaque(), opaque()) {
        debug::<ShrunkAll>(&shrunk);
    }
    keep(shrink_all(hidden(&mut [one][..]), opaque(), opaque()));
}

super::values::opaque_struct!(Deadlines { ask, wait, shrink });
super::values::opaque_enum!(Event: Event::Tick, Event::PagesBack(opaque()), Event::Refused);
super::values::opaque_enum!(Rung:
    Rung::Idle, Rung::Asked, Rung::Waiting, Rung::Shrinking, Rung::GivenUp, Rung::Done);
super::values::opaque_enum!(WhyShort: WhyShort::Deadline, WhyShort::Refused);
super::values::opaque_struct!(Shortfall {
    needed,
    back,
    since,
    until,
    why
});

fn ladder() {
    let mut ladder = Ladder::new(opaque(), opaque());
    let ladder = hidden(&mut ladder);
    debug::<Action>(&Ladder::step(ladder, opaque(), opaque()));
    keep(Ladder::rung(ladder));
    keep(Ladder::back(ladder));
    keep(Ladder::missing(ladder));
    debug::<Ladder>(ladder);
    keep(Deadlines::sum(opaque()));
    keep(Rung::is_final(opaque()));
    debug::<Deadlines>(&opaque());
    debug::<Rung>(&opaque());
    debug::<Event>(&opaque());
    debug::<WhyShort>(&opaque());
    error::<Shortfall>(&opaque());
}

fn told<O: PinOwner>(owner: &mut O) {
    keep(PinOwner::pressure(owner, opaque()).is_ok());
    keep(PinOwner::all_clear(owner).is_ok());
    let mut pressure = Pressure::new();
    let pressure = hidden(&mut pressure);
    keep(Pressure::level(pressure));
    keep(Pressure::tell(pressure, owner, opaque()).is_ok());
    debug::<Pressure>(pressure);
}

fn driven<D>(device: &mut D)
where
    D: PinOwner<Error: core::fmt::Debug> + Shrinker + ?Sized,
{
    let mut ladder = Ladder::new(opaque(), opaque());
    let mut pressure = Pressure::default();
    let driven = drive(
        hidden(&mut ladder),
        hidden(&mut pressure),
        device,
        opaque(),
        opaque(),
    );
    debug::<Driven<D::Error>>(&driven);
}

fn owners<const N: usize>() {
    let usages: [OwnerUse; 3] = opaque();
    let mut owners = Owners::<N>::collect(hidden(&usages[..]).iter().copied());
    keep(Owners::<N>::default());
    let ledger = PinLedger::<2, 3>::new();
    keep(Owners::<N>::collect(hidden(&ledger).usages()));
    let owners = hidden(&mut owners);
    keep(Owners::first(owners));
    Owners::iter(owners).for_each(keep);
    keep(Owners::left_out(owners));
    keep(Owners::left_out_pages(owners));
    keep(Owners::pages(owners));
    print::<Owners<N>>(owners);
}

fn texts() {
    debug::<Answer>(&opaque());
    debug::<Level>(&opaque());
    debug::<Scan>(&opaque());
}
