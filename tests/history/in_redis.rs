//! On real servers.
