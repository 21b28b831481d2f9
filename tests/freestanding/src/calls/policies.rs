//! What a pin forbids.

use super::embedder::AnyPolicy;
use super::text::{debug, print};
use super::values::opaque_enum;
use crate::{keep, opaque};
use pinfold::pin::{Biased, Refined};
use pinfold::{
    Context, IgnorePins, Operation, PinMode, PinPolicy, PinVerdict, PlainPage, Policy, Requester,
    SkipLongterm, SkipOpportunistic, SkipPinned,
};

opaque_enum!(Policy:
    Policy::IgnorePins, Policy::SkipPinned, Policy::SkipOpportunistic, Policy::SkipLongterm);
opaque_enum!(PinMode: PinMode::Ignore, PinMode::PerVma, PinMode::PerPage);

pub fn call() {
    policy(&IgnorePins);
    policy(&SkipPinned);
    policy(&SkipOpportunistic::<Refined>::new());
    policy(&SkipOpportunistic::<Biased>::default());
    policy(&SkipLongterm::<Refined>::new());
    policy(&SkipLongterm::<Biased>::default());
    policy(&&AnyPolicy::<true>);
    keep(Operation::of(opaque(), opaque()));
    keep(Operation::is_opportunistic(opaque()));
    keep((Context::new(opaque()), Context::default()));
    keep(PinVerdict::proceeds(opaque()));
    print::<Operation>(&opaque());
    debug::<Requester>(&opaque());
    debug::<Context>(&opaque());
    debug::<PinVerdict>(&opaque());
    debug::<PinMode>(&opaque());
    policy(&opaque::<Policy>());
    debug::<Policy>(&opaque());
    debug::<IgnorePins>(&IgnorePins);
    debug::<SkipPinned>(&SkipPinned);
    debug::<SkipOpportunistic>(&SkipOpportunistic::new());
    debug::<SkipLongterm>(&SkipLongterm::new());
}

fn policy<L: PinPolicy>(policy: &L) {
    keep(PinPolicy::mode(policy));
    keep(PinPolicy::read(policy, &opaque::<PlainPage>(), opaque()));
    keep(PinPolicy::verdict(policy, opaque(), opaque(), opaque()));
    keep(PinPolicy::verdict(&policy, opaque(), opaque(), opaque()));
}
