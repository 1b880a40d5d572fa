//! axum 0.8: `Session<T>` as an extractor, and errors as responses.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::engine::{Session, SessionData};
use crate::error::Error;

/// Finds the session at the first use in a request. Needs a [`SessionLayer`](crate::SessionLayer)
/// of the same `T` around the route. A handler that can do without takes a
/// `Result<Session<T>, Error>`.
impl<T: SessionData, S: Send + Sync> FromRequestParts<S> for Session<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).await
    }
}

/// 503, 409 or 500 with an opaque body; the cause goes to the log.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.into()
    }
}
