//! Which pages memory reclaim may take, and what pins for DMA have to say to it.
#![no_std]

mod flags;
mod page;
pub mod pin;
mod sync;
mod vma;

pub use flags::{PageFlags, PteFlags, UnknownFlags, UnmapFlags, VmFlags};
pub use page::{PageLike, PlainPage, RefCounts};
pub use vma::{PlainVma, Vma};
