//! What stores tell of changes, and waiting for a session's end: in memory and on real servers, with connections that
//! are closed, cut and refused.

#![cfg(all(feature = "redis", feature = "memory", feature = "json"))]

#[path = "../support/mod.rs"]
mod support;

mod ending;
mod failing;
mod pushing;
mod stage;
