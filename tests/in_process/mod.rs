//! A site in the test's own process: its store can be told to fail or to wait, its handlers can be
//! held, and its log is read.

pub(crate) mod browser;
pub(crate) mod gate;
pub(crate) mod log;
#[cfg(feature = "axum")]
pub(crate) mod site;
pub(crate) mod store;
