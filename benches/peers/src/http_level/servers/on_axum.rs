//! How a router is served.

use axum::Router;

use super::Outcome;
use crate::support::runtime;

/// On the runtime of two threads; `router` may connect to Redis first.
pub fn run<F: Future<Output = Result<Router, Box<dyn std::error::Error>>>>(router: F) -> Outcome {
    runtime().block_on(async {
        let router = router.await?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}
