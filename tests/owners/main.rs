//! Whose sessions there are, on real servers: what the index of owners promises while everything goes on
//! at once, and what it keeps in Redis.

#![cfg(all(feature = "redis", feature = "json"))]

#[path = "../support/mod.rs"]
mod support;

#[cfg(all(feature = "axum", feature = "memory"))]
mod devices;
mod keeping;
mod racing;
mod stage;
