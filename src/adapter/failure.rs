//! The response to a request whose session failed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::{Answer, answer_to};
use crate::error::Error;

/// The response to a request whose session failed, for any framework: a status, a content type and a body.
///
/// The headers that the session needs (its cookie, `Cache-Control`, `Vary`) are added to it. It is made by the function
/// that a layer's or a middleware's `on_error` takes.
///
/// ```
/// use session_store::FailureResponse;
///
/// let response = FailureResponse::json(503, &serde_json::json!({ "error": "try again later" }));
/// let page = FailureResponse::new(503, "text/html; charset=utf-8", "<h1>Try again later</h1>");
/// ```
#[derive(Clone, Debug)]
pub struct FailureResponse {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl FailureResponse {
    /// Makes a response of this status, 100 to 999, `Content-Type` and body. A status or a content type that
    /// HTTP does not allow becomes a plain 500.
    ///
    /// ```
    /// use session_store::{Error, FailureResponse};
    ///
    /// fn failed(error: &Error, _accept: Option<&str>) -> FailureResponse {
    ///     FailureResponse::new(error.status(), "text/html; charset=utf-8", "<h1>Try again later</h1>")
    /// }
    /// # failed(&Error::unavailable("", None), None);
    /// ```
    pub fn new(status: u16, content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: content_type.into(), body: body.into() }
    }

    /// Makes a response whose body is `value` as JSON. A value that can't be encoded leaves the body empty.
    ///
    /// ```
    /// use session_store::{Error, FailureResponse};
    ///
    /// fn failed(error: &Error, _accept: Option<&str>) -> FailureResponse {
    ///     FailureResponse::json(error.status(), &serde_json::json!({ "error": "try again later" }))
    /// }
    /// # failed(&Error::unavailable("", None), None);
    /// ```
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
    }

    /// The response that an error gets where the application has no other: 503, 409 or 500, and a
    /// plain text which says nothing about the cause.
    fn plain(error: &Error) -> Self {
        let Answer { status, content_type, text } = answer_to(error);
        Self::new(status, content_type, text)
    }
}

type OwnAnswer = dyn Fn(&Error, Option<&str>) -> FailureResponse + Send + Sync;

/// How an application answers requests whose session failed.
#[derive(Clone, Default)]
pub(super) struct OnError(Option<Arc<OwnAnswer>>);

impl OnError {
    pub(super) fn new(
        answer: impl Fn(&Error, Option<&str>) -> FailureResponse + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(answer)))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Answers a request with this `Accept` header, and logs the error.
    pub(super) fn answer(&self, error: &Error, accept: Option<&[u8]>) -> FailureResponse {
        let plain = FailureResponse::plain(error);
        self.replacement(error, accept).unwrap_or(plain)
    }

    /// The application's own answer, to an error that has been logged already.
    pub(super) fn replacement(&self, error: &Error, accept: Option<&[u8]>) -> Option<FailureResponse> {
        let accept = accept.and_then(|accept| std::str::from_utf8(accept).ok());
        self.0.as_ref().map(|answer| answer(error, accept))
    }
}

impl fmt::Debug for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "OnError(..)" } else { "OnError(default)" })
    }
}
