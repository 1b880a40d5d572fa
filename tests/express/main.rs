//! Sessions in the layout of express-session and connect-redis: against a real Redis alone, and with a
//! real Express service beside.
#![cfg(all(feature = "express", feature = "memory"))]

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../http/visitor.rs"]
mod visitor;

#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "axum")]
mod crossing;
mod fallback;
mod full;
mod generations;
mod hostile;
mod ids;
mod leaving;
mod managers;
mod names;
mod nodes_word;
#[cfg(feature = "axum")]
mod shared;
mod shop;
mod stage;
mod told_owner;
mod typed;
mod values;
