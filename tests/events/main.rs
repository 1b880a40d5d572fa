//! What listeners and the audit log are told of sessions: each event once, by who did what it tells, and nothing of people
//! that was not asked for.

#![cfg(all(feature = "memory", feature = "json"))]

mod analysing;
mod auditing;
#[cfg(feature = "redis")]
mod instances;
mod listening;
mod racing;
#[path = "../support/mod.rs"]
mod support;
mod telling;
mod told;
#[path = "../engine/world.rs"]
#[allow(dead_code)]
mod world;
