//! What is shared with the crate's own benchmarks and tests.

// Each uses its own part of it.
#![allow(dead_code, unreachable_pub)]

#[path = "../../support/floor.rs"]
pub mod floor;
#[path = "../../support/operation.rs"]
pub mod operation;
#[path = "../../../tests/support/redis/mod.rs"]
pub mod redis;
#[path = "../../support/shopper.rs"]
pub mod shopper;
#[path = "../../support/workers.rs"]
mod workers;

pub use workers::{TASKS, Worker, run, runtime, share};
