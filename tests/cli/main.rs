//! The command-line tool as a process, on real servers. SECURITY 21: whatever it prints in any of these tests is
//! searched for the ids and passwords that are in play.
#![cfg(all(feature = "cli", unix))]

#[path = "../support/mod.rs"]
mod support;

mod checking;
mod histories;
mod interrupting;
mod keys;
mod layouts;
mod permissions;
mod recording;
mod sessions;
mod tables;
mod terminal;
mod tidying;
mod tool;
mod topologies;
mod usage;
