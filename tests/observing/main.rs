//! What operators see: stats, spans, metrics. And what they must not see.

// The JSON of the statistics is one expression.
#![recursion_limit = "256"]
#![cfg(all(feature = "memory", feature = "json"))]

#[path = "../support/log.rs"]
#[allow(dead_code, unreachable_pub)]
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod spans;
mod stats;
mod world;
