//! The public suites catch what they are there for: pages, readings, policies, walks, lists and page
//! operations that are wrong in one thing each; and their cases reach what they say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

#[path = "suite_catches/answers.rs"]
mod answers;
#[path = "suite_catches/cases.rs"]
mod cases;
#[path = "suite_catches/liar.rs"]
mod liar;
#[path = "suite_catches/lossy.rs"]
mod lossy;
#[path = "suite_catches/observed.rs"]
mod observed;
#[path = "suite_catches/pager/mod.rs"]
mod pager;
mod pages;
#[path = "suite_catches/planted.rs"]
mod planted;
#[path = "suite_catches/tally.rs"]
mod tally;
#[path = "suite_catches/walks.rs"]
mod walks;
#[path = "suite_catches/widths.rs"]
mod widths;
