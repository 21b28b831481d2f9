//! The LRU level, property by property: failures at every call, budgets, lists that change or lie,
//! pins, huge pages, statistics. On the machine in `tests/model/` where contents and counters
//! matter, and on a script in `tests/reclaim/` where answers do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_possible_truncation)]

mod model;

#[path = "reclaim/budget.rs"]
mod budget;
#[path = "reclaim/faults.rs"]
mod faults;
#[path = "reclaim/huge.rs"]
mod huge;
#[path = "reclaim/laps.rs"]
mod laps;
#[path = "reclaim/lists.rs"]
mod lists;
#[path = "reclaim/pinned.rs"]
mod pinned;
#[path = "reclaim/script.rs"]
mod script;
#[path = "reclaim/setup.rs"]
mod setup;
#[path = "reclaim/stats.rs"]
mod stats;
#[path = "reclaim/unpinned.rs"]
mod unpinned;
#[path = "reclaim/world.rs"]
mod world;
#[path = "reclaim/world_ops.rs"]
mod world_ops;
#[path = "reclaim/worlds.rs"]
mod worlds;
