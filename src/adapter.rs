//! Thin adapters: they translate between a framework and the engine, and decide nothing.

use crate::error::Error;

pub use failure::FailureResponse;

#[cfg(feature = "actix-web")]
pub(crate) mod actix_web;
#[cfg(feature = "tower")]
mod body;
mod failure;
mod mounted;
#[cfg(feature = "tower")]
pub(crate) mod tower;

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "warp")]
mod warp;

/// What clients are told of an error.
struct Answer {
    status: u16,
    content_type: &'static str,
    text: &'static str,
}

/// Logs an error, and answers with nothing of its cause.
fn answer_to(error: &Error) -> Answer {
    let status = error.status();
    match status {
        400 => tracing::debug!(%error, "a request cannot be used"),
        307 | 401 => tracing::debug!(%error, "a visitor was asked to prove who they are"),
        _ if matches!(error, Error::Conflict(_)) => tracing::info!(%error, "a session could not be changed"),
        _ => tracing::error!(error = %Chain(error), "a session failed"),
    }
    let text = match status {
        307 => "",
        400 => "Bad Request",
        401 => {
            let text = REAUTHENTICATE;
            return Answer { status, content_type: "application/problem+json", text };
        }
        403 => "Forbidden",
        409 => "Conflict",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    Answer { status, content_type: "text/plain; charset=utf-8", text }
}

/// A problem of RFC 9457, with the code of RFC 9470.
const REAUTHENTICATE: &str = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Authenticate again, then repeat the request.","error":"insufficient_user_authentication"}"#;

/// Whether one of these values of `Vary` names the cookie.
fn varies_by_cookie<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> bool {
    values.any(|value| {
        let mut fields = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        fields.any(|field| field == b"*" || field.eq_ignore_ascii_case(b"cookie"))
    })
}

/// Whether this field of a response, in lower case, lets a cache store it although its `Cache-Control` says
/// `no-store`. A response that sets the cookie has none of them.
///
/// - `…-cache-control`: a cache that the field is for heeds it and ignores `Cache-Control` (RFC 9213). So
///   `CDN-Cache-Control`, and the vendors' own: `Cloudflare-CDN-Cache-Control`, `Vercel-CDN-Cache-Control`,
///   `Netlify-CDN-Cache-Control`, `X-LiteSpeed-Cache-Control`.
/// - `Surrogate-Control`: the same before that RFC (Edge Architecture Specification), at Fastly and Akamai;
///   `Edge-Control` is Akamai's own.
/// - `X-Accel-Expires`: nginx, where it takes precedence over `Cache-Control`.
/// - `Expires`: nginx before 1.23 goes by whichever field comes first, and caches of HTTP/1.0 by this one.
fn overrides_no_store(field: &str) -> bool {
    field.ends_with("-cache-control")
        || matches!(field, "surrogate-control" | "edge-control" | "x-accel-expires" | "expires")
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
