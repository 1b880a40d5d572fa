//! Sessions in the layout of express-session and connect-redis: against a real Redis alone, and with a
//! real Express service beside.
#![cfg(all(feature = "express", feature = "memory"))]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "conformance")]
mod conformance;
mod hostile;
mod leaving;

mod stage;
mod values;
