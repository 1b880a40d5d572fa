//! Stores with different prefixes on the same connections: what is one tenant's is not another's, and many of them cost little.

#![cfg(all(feature = "redis", feature = "memory", feature = "json"))]

#[path = "../support/mod.rs"]
mod support;

mod apart;
mod cheap;
mod hearing;
#[cfg(feature = "axum")]
mod hosts;
#[cfg(feature = "express")]
mod layouts;
mod stage;
