//! The body of a response that has passed a session layer.
//!
//! With axum it is axum's own, so that the service inside and outside the layer have one type, as
//! `option_layer` asks for. axum would put any other body into one of its own next.

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;

use crate::error::BoxError;

/// What the service inside a session layer may answer with.
pub trait InnerBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> InnerBody for R {}

#[cfg(feature = "axum")]
mod with {
    use super::{Bytes, Full, InnerBody};

    pub(in crate::adapter) type OuterBody<R> = <R as Outer>::Body;

    pub trait Outer {
        type Body;
    }

    impl<R: InnerBody> Outer for R {
        type Body = axum_core::body::Body;
    }

    pub(in crate::adapter) fn inner_body<R: InnerBody>(body: R) -> axum_core::body::Body {
        axum_core::body::Body::new(body)
    }

    pub(in crate::adapter) fn failed_body<R: InnerBody>(body: Full<Bytes>) -> axum_core::body::Body {
        axum_core::body::Body::new(body)
    }
}

#[cfg(not(feature = "axum"))]
mod with {
    use super::{Bytes, Full, InnerBody};
    use http_body_util::Either;

    pub(in crate::adapter) type OuterBody<R> = Either<R, Full<Bytes>>;

    pub(in crate::adapter) fn inner_body<R: InnerBody>(body: R) -> OuterBody<R> {
        Either::Left(body)
    }

    pub(in crate::adapter) fn failed_body<R: InnerBody>(body: Full<Bytes>) -> OuterBody<R> {
        Either::Right(body)
    }
}

pub(super) use with::{OuterBody, failed_body, inner_body};
