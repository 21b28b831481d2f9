//! A suite that any page representation can be put through, and the machine that it runs on.

mod machine;

pub use machine::{Answers, EntrySlot, EntryState, Machine, Told};

use crate::flags::PageFlags;
use crate::page::PageLike;
use crate::pin::PinKind;

/// A page that a test can change while the crate looks at it.
pub trait TestPage: PageLike {
    /// Sets these flags.
    fn add_flags(&self, flags: PageFlags);

    /// Uncounts one mapping, then drops its reference.
    fn remove_mapping(&self);

    /// Takes one pin.
    fn add_pin(&self, kind: PinKind);
}
