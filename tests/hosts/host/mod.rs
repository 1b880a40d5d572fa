//! The frameworks that serve the application.

use std::any::Any;
use std::net::TcpListener;
#[cfg(any(feature = "actix-web", feature = "warp"))]
use std::panic::AssertUnwindSafe;

#[cfg(any(feature = "actix-web", feature = "warp"))]
use futures_util::FutureExt as _;
#[cfg(any(feature = "actix-web", feature = "warp"))]
use tokio::time::timeout;

use crate::lab::Lab;
#[cfg(any(feature = "actix-web", feature = "warp"))]
use crate::lab::TIME_LIMIT;

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

/// Does the work inside a time limit, and catches its panic: what it gives, or the status to answer with.
#[cfg(any(feature = "actix-web", feature = "warp"))]
pub(crate) async fn guarded<R>(work: impl Future<Output = R>) -> Result<R, u16> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    timeout(TIME_LIMIT, caught).await.map_err(|_elapsed| 408u16)?.map_err(|_panic| 500)
}

/// What ends the service when it is dropped.
pub(crate) type Serving = Box<dyn Any + Send>;
