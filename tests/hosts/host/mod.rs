//! The frameworks that serve the application.

use std::any::Any;
use std::net::TcpListener;

use crate::lab::Lab;

#[cfg(feature = "actix-web")]
pub(crate) mod actix_web;
#[cfg(feature = "axum")]
pub(crate) mod axum;
#[cfg(feature = "tower")]
pub(crate) mod tower;
#[cfg(feature = "warp")]
pub(crate) mod warp;

/// A framework.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    /// Begins to serve the application.
    pub(crate) serve: fn(&Lab, TcpListener) -> Serving,
    /// What the log advises where a route has no layer around it.
    pub(crate) remedy: &'static str,
    /// Whether it gives a request up when the client hangs up. One that doesn't carries on.
    pub(crate) notices_hang_ups: bool,
}

/// What ends the service when it is dropped.
pub(crate) type Serving = Box<dyn Any + Send>;
