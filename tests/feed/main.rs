//! What stores tell of changes, waiting for a session's end, and near caches: in memory and on real servers, with connections that
//! are closed, cut and refused.

#![cfg(all(feature = "redis", feature = "memory", feature = "json"))]

#[path = "../support/mod.rs"]
mod support;

mod aging;
mod copying;
mod ending;
mod failing;
mod pushing;
mod stage;
mod told_by;
