//! Calls every entry point of the library, with inputs that the optimiser cannot see through.

use crate::{Sink, keep, opaque};
use core::fmt::Write;
use pinfold::UnmapFlags;

pub fn every_entry_point() {
    flags();
}

fn flags() {
    match UnmapFlags::try_from(opaque::<u32>()) {
        Ok(flags) => keep(write!(Sink, "{flags:?}")),
        Err(unknown) => keep(write!(Sink, "{unknown} {unknown:?}")),
    }
}
