//! Page representations that share nothing but the trait: what the suite is run on.

#![allow(dead_code)]

mod counted;
mod frame;
mod packed;
mod plain;
mod words;

pub(crate) use counted::CountedPage;
pub(crate) use frame::FramePage;
pub(crate) use packed::PackedPage;
pub(crate) use plain::PlainCells;
pub(crate) use words::{LargePage, WordPage};
