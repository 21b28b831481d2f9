//! Calls every entry point of the library, with inputs that the optimiser cannot see through.
//!
//! A call names the function with what it belongs to (`PinWord::pin(...)`), and text is asked for by
//! type (`print::<PinError>(...)`): `.ci/entry_points` looks for both.

mod conformance;
mod embedder;
mod invariants;
mod ledger;
mod lists;
mod owners;
mod pages;
mod pins;
mod placement;
mod policies;
mod reclaim;
mod text;
mod unmap;
mod values;

pub fn every_entry_point() {
    pages::call();
    pins::call();
    ledger::call();
    policies::call();
    unmap::call();
    reclaim::call();
    owners::call();
    placement::call();
    invariants::call();
    conformance::call();
    lists::call();
}
