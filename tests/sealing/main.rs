//! What is sealed and compressed: who can read it in the store, what becomes of what was changed there, and that
//! everything goes on as it does without.

#![cfg(all(feature = "seal", feature = "compress", feature = "memory", feature = "redis"))]

#[path = "../support/mod.rs"]
mod support;

mod late;
mod living;
mod rolling_out;
mod secrecy;
mod sizes;
mod stage;
mod tampering;
