//! What operators see: stats, spans, metrics. And what they must not see.

#![cfg(all(feature = "memory", feature = "json"))]

#[path = "../support/log.rs"]
#[allow(dead_code, unreachable_pub)]
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod spans;
mod stats;
mod world;
