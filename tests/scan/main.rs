//! Counting, listing and ending all sessions, on real servers and in memory.
#![cfg(all(feature = "redis", feature = "memory", feature = "express"))]

#[path = "../support/mod.rs"]
mod support;

mod express;
mod failing;
mod in_memory;
mod migrating;
mod namespaces;
mod permissions;
#[cfg(all(feature = "seal", feature = "compress"))]
mod pruning;
mod redis;
mod stage;
#[cfg(all(feature = "seal", feature = "compress"))]
mod tidying;
