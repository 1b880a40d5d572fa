//! How a router is served.

use axum::Router;

use super::{Outcome, listen};
use crate::support::runtime;

/// On the runtime of two threads; `router` may connect to Redis first.
pub fn run<F: Future<Output = Result<Router, Box<dyn std::error::Error>>>>(router: F) -> Outcome {
    runtime().block_on(async {
        let router = router.await?;
        Ok(axum::serve(listen().await?, router).await?)
    })
}
