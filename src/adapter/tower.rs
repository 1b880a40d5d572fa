//! tower: the middleware that every adapter on `http` 1 shares, and the session of a plain request.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE, VARY};
use http::{Extensions, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use super::mounted::Mounted;
use super::{answer_to, overrides_no_store, varies_by_cookie};
use crate::error::Error;
use crate::manager::SessionManager;
use crate::session::{Effects, Exchange, Session, SessionData};
use crate::values::Values;

/// Gives the service inside it the sessions of a [`SessionManager`].
///
/// It goes around any tower service on `http` 1, which gets the session of a request by
/// [`Session::from_extensions`]. In axum a handler takes a `Session<T>` as an argument; in warp there
/// are `SessionLayer::around` and `Session::filter` (feature `warp`).
///
/// A layer inside another of the same `T` and cookie name shares the outer one's session. For two
/// sessions in one application give each its type and its cookie name.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), session_store::Error> {
/// use axum::{Router, routing::get};
/// use session_store::{Error, KeyRing, MemoryStore, Session, SessionLayer, SessionManager};
///
/// async fn count(session: Session<u32>) -> Result<String, Error> {
///     session.write(|visits| *visits += 1)?;
///     Ok(session.read(|visits| format!("Visit {visits}")))
/// }
///
/// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// let app: Router = Router::new().route("/", get(count)).layer(SessionLayer::new(manager));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct SessionLayer<T: SessionData = Values> {
    manager: SessionManager<T>,
}

impl<T: SessionData> SessionLayer<T> {
    /// A layer for the sessions of `manager`.
    pub fn new(manager: SessionManager<T>) -> Self {
        Self { manager }
    }
}

// Derived, these would ask for `T: Clone`.
impl<T: SessionData> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self::new(self.manager.clone())
    }
}

impl<S: Clone, T: SessionData> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), manager: self.manager.clone() }
    }
}

impl<S, T: SessionData> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, manager: self.manager.clone() }
    }
}

/// The service that [`SessionLayer`] makes.
#[derive(Debug)]
pub struct SessionService<S, T: SessionData = Values> {
    inner: S,
    manager: SessionManager<T>,
}

impl<S, T, B, R> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    T: SessionData,
    R: Body<Data: From<&'static str>> + Send + 'static,
{
    /// The body is the inner service's, or a short text where the session could not be stored.
    type Response = Response<Either<R, Full<R::Data>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let exchange = mount(&self.manager, &mut request);
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            let Some(exchange) = exchange else {
                return Ok(response.map(Either::Left));
            };
            let effects = exchange.finish(response.status().as_u16()).await;
            Ok(apply(effects, response))
        })
    }
}

impl<T: SessionData> Session<T> {
    /// The session of the request that has these extensions, for a service inside a [`SessionLayer`]
    /// of the same `T`. The first use in a request asks the store.
    ///
    /// A [`Response`] is made [`From`] an [`Error`]. That belongs inside the layer too: the response
    /// to a logout that failed removes the cookie all the same.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response, header::SET_COOKIE};
    /// use session_store::{Error, KeyRing, MemoryStore, Session, SessionLayer, SessionManager};
    /// use tower::{ServiceBuilder, ServiceExt as _};
    ///
    /// async fn count(request: Request<()>) -> Result<Response<String>, Error> {
    ///     let session = Session::<u32>::from_extensions(request.extensions()).await?;
    ///     session.write(|visits| *visits += 1)?;
    ///     Ok(Response::new(session.read(|visits| format!("Visit {visits}"))))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let service = ServiceBuilder::new().layer(SessionLayer::new(manager)).service_fn(
    ///     async |request| Ok::<_, Infallible>(count(request).await.unwrap_or_else(Response::from)),
    /// );
    ///
    /// let response = service.oneshot(Request::new(())).await?;
    /// assert!(response.headers().contains_key(SET_COOKIE));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_extensions(extensions: &Extensions) -> Result<Self, Error> {
        let remedy = "add one with `.layer(SessionLayer::new(manager))`, after the route";
        Mounted::exchange(extensions.get(), remedy)?.session().await
    }
}

/// 503, 409 or 500 with an opaque body; the cause goes to the log.
impl<R: From<&'static str>> From<Error> for Response<R> {
    fn from(error: Error) -> Self {
        answer(&error)
    }
}

pub(super) fn answer<R: From<&'static str>>(error: &Error) -> Response<R> {
    let (status, text) = answer_to(error);
    let mut response = Response::new(R::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("an error has a status of HTTP");
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Begins an exchange, unless an outer layer did; the one to finish is returned.
fn mount<T: SessionData, B>(manager: &SessionManager<T>, request: &mut Request<B>) -> Option<Exchange<T>> {
    let cookies = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let (mounted, exchange) = Mounted::mount(manager, request.extensions().get(), cookies);
    request.extensions_mut().insert(mounted);
    exchange
}

/// Does to the response what the session asks for.
fn apply<R>(effects: Effects, response: Response<R>) -> Response<Either<R, Full<R::Data>>>
where
    R: Body<Data: From<&'static str>>,
{
    let mut response = match &effects.failure {
        Some(error) => answer(error).map(Either::Right),
        None => response.map(Either::Left),
    };
    let headers = response.headers_mut();
    if let Some(cookie) = effects.set_cookie {
        let cookie = HeaderValue::try_from(cookie).expect("the builder checked the cookie's attributes");
        headers.append(SET_COOKIE, cookie);
    }
    if effects.no_store {
        let fields = headers.keys().filter(|field| overrides_no_store(field.as_str()));
        for field in fields.cloned().collect::<Vec<_>>() {
            headers.remove(field);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if effects.vary_cookie && !varies_by_cookie(headers.get_all(VARY).iter().map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
    response
}
