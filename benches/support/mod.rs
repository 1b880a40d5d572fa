//! What the benchmarks share: the data, the tasks that do things over and over, and what they do.

// Each benchmark compiles this module and uses its own part of it.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, missing_debug_implementations)]

use std::time::Duration;

use criterion::Criterion;
use futures_util::FutureExt as _;

#[cfg(feature = "redis")]
pub mod floor;
pub mod operation;
#[cfg(feature = "redis")]
pub mod raw_session;
pub mod shopper;
pub mod signing;
pub mod visitor;
mod workers;

// The tests' launcher. The package has neither tests nor benchmarks, so nothing is missing from it.
#[cfg(feature = "redis")]
#[path = "../../tests/support/redis/mod.rs"]
pub mod redis;

pub use workers::{TASKS, Worker, run, runtime, share};

/// Criterion, with as much time for each benchmark and as many samples as their number allows.
pub fn criterion(time: Duration) -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(time)
        .configure_from_args()
}

/// What comes out of something that has nothing to wait for, such as a store in memory: no runtime's
/// time is measured with it.
pub fn at_once<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("there is nothing to wait for")
}
