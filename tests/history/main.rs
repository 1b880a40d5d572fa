//! What is remembered of owners' sessions: by whom it is recorded, what is lost, and how it is forgotten.

#![cfg(all(feature = "memory", feature = "json"))]

mod forgetting;
#[cfg(feature = "redis")]
mod in_redis;
mod losing;
mod recording;
mod stage;
#[cfg(feature = "redis")]
#[path = "../support/mod.rs"]
mod support;
#[path = "../engine/world.rs"]
#[allow(dead_code)]
mod world;
