//! The engine on its own: no framework, a clock that is set, a store that is watched.

#![cfg(all(feature = "memory", feature = "json"))]

mod beside;
mod candidates;
mod changing_hands;
mod conflicts;
mod evolving;
mod expiring;
mod following;
mod hostile;
mod outlived;
mod owners;
mod refreshing;
mod reloading;
mod round_trips;
mod saving;
mod signing_in;
mod storing;
mod touching;
mod values;
mod world;
