//! `FallbackStore` above a primary store that goes away in every way.

#![cfg(feature = "memory")]

#[cfg(feature = "conformance")]
mod conformance;
mod deletions;
#[cfg(feature = "json")]
mod engine;
#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../in_process/gate.rs"]
mod gate;
mod half_moved;
#[path = "../in_process/log.rs"]
mod log;
mod moving;
mod opening;
mod primary;
mod routing;
mod sample;
mod schedule;
mod task;
