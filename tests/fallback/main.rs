//! `FallbackStore` above a primary store that goes away in every way.

#![cfg(feature = "memory")]

#[cfg(feature = "conformance")]
mod conformance;
mod deletions;
#[cfg(feature = "json")]
mod engine;
mod half_moved;
mod moving;
mod opening;
mod owners;
mod primary;
mod routing;
mod sample;
mod schedule;
#[path = "../support/mod.rs"]
mod support;
mod task;

use support::{gate, log};
