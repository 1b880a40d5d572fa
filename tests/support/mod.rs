//! What integration tests run against.

// Each test binary compiles this module and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod app;
#[cfg(feature = "redis")]
pub mod redis;
