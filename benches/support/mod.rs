//! What the benchmarks share: the data, the tasks that do things over and over, and what they do.

// Each benchmark compiles this module and uses its own part of it.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, missing_debug_implementations)]

use futures_util::FutureExt as _;

#[cfg(all(feature = "tower", feature = "device-bound"))]
pub mod device;
mod extent;
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

pub use extent::{Extent, criterion, finish};
pub use workers::{TASKS, Worker, run, runtime, share};

/// What comes out of something that has nothing to wait for, such as a store in memory: no runtime's
/// time is measured with it.
pub fn at_once<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("there is nothing to wait for")
}
