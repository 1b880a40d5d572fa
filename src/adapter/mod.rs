//! Thin adapters: they translate between a framework and the engine, and decide nothing.

use crate::error::Error;

pub(crate) mod tower;

#[cfg(feature = "axum")]
mod axum;

/// Logs why a request failed, and gives the status and the text that the client gets. The text says
/// nothing about the cause.
fn answer_to(error: &Error) -> (http::StatusCode, &'static str) {
    let status =
        http::StatusCode::from_u16(error.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    match error {
        Error::Conflict(_) => tracing::info!(%error, "a session could not be changed"),
        _ => tracing::error!(error = %Chain(error), "a session failed"),
    }
    (status, status.canonical_reason().unwrap_or("Error"))
}

/// An error with its sources.
struct Chain<'e>(&'e Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
