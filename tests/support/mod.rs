//! What integration tests run against.

// Each test binary compiles this module and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod app;
#[cfg(feature = "redis")]
pub mod browser;
pub mod gate;
pub mod log;
#[cfg(feature = "redis")]
pub mod nginx;
#[cfg(feature = "redis")]
pub mod node;
mod process;
#[cfg(feature = "redis")]
pub mod redis;

/// Where a visitor can go.
pub trait Site {
    /// Without a slash at its end.
    fn url(&self) -> &str;
}

impl Site for String {
    fn url(&self) -> &str {
        self
    }
}
