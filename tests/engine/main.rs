//! The engine on its own: no framework, a clock that is set, a store that is watched.

#![cfg(all(feature = "memory", feature = "json"))]

mod beside;
mod conflicts;
mod expiring;
mod hostile;
mod owners;
mod refreshing;
mod round_trips;
mod saving;
mod signing_in;
mod storing;
mod world;
