//! Asks for the text of a value, in the ways in which it can be asked for.

use crate::{Sink, keep};
use core::error::Error;
use core::fmt::{Debug, Display, Write};

pub fn debug<T: Debug>(value: &T) {
    debug_of(value);
}

// Once for all types, which saves much of the time that linking takes.
#[inline(never)]
fn debug_of(value: &dyn Debug) {
    keep(write!(Sink, "{value:?}"));
    keep(write!(Sink, "{value:#?}"));
    keep(write!(Sink, "{value:+09.3x?}"));
}

pub fn print<T: Display + Debug>(value: &T) {
    debug(value);
    print_of(value);
}

#[inline(never)]
fn print_of(value: &dyn Display) {
    keep(write!(Sink, "{value}"));
    keep(write!(Sink, "{value:*^40.9}"));
}

pub fn error<T: Error + 'static>(value: &T) {
    print(value);
    keep(value.source());
}
