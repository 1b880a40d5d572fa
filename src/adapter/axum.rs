//! axum 0.8: `Session<T>` as an extractor, and errors as responses.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::engine::{Session, SessionData};
use crate::error::Error;

/// The extractor of axum. Needs a [`SessionLayer`](crate::SessionLayer) of the same `T` around the route. The store is
/// asked at the first use in a request. A handler that works without a session takes a `Result<Session<T>, Error>`.
///
/// ```
/// use session_store::{Error, Session};
///
/// async fn logout(session: Session) -> Result<&'static str, Error> {
///     session.destroy().await?;
///     Ok("Bye.")
/// }
///
/// /// Answers also while the store is away.
/// async fn home(session: Result<Session, Error>) -> String {
///     let owner = session.ok().and_then(|session| session.owner());
///     owner.map_or_else(|| "Hello.".to_owned(), |owner| format!("Hello, {}.", owner.as_str()))
/// }
///
/// # let _: axum::Router =
/// axum::Router::new()
///     .route("/", axum::routing::get(home))
///     .route("/logout", axum::routing::post(logout))
/// # ;
/// ```
impl<T: SessionData, S: Send + Sync> FromRequestParts<S> for Session<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).await
    }
}

/// The response to an error: 503, 409 or 500 with an opaque body; the cause goes to the log.
///
/// ```
/// use axum::response::IntoResponse as _;
/// use session_store::{Conflict, Error};
///
/// assert_eq!(Error::Conflict(Conflict::Fields).into_response().status(), 409);
/// ```
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.into()
    }
}
