//! tower: the middleware that every adapter on `http` 1 shares, and the session of a plain request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{InnerBody, OuterBody, failed_body, inner_body};
use super::failure::{FailureResponse, OnError};
use super::mounted::Mounted;
use super::{Answer, answer_to, overrides_no_store, varies_by_cookie};
use crate::engine::SessionManager;
use crate::engine::Values;
use crate::engine::{DeviceAnswer, RequestHead, RequestSession, ResponseActions, Session, SessionData};
use crate::error::Error;

/// Gives the service inside it the sessions of a [`SessionManager`].
///
/// It wraps any tower service on `http` 1, which gets the session of a request by
/// [`Session::from_extensions`]. In axum a handler takes a `Session<T>` as an argument; in warp there
/// are `SessionLayer::around` and `Session::filter` (feature `warp`). If a setting decides whether there
/// are sessions, axum takes the layer in a `tower::util::option_layer`.
///
/// A layer inside another of the same `T` and cookie name shares the outer one's session. For two
/// sessions in one application, give each its own type and cookie name.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), session_store::Error> {
/// use axum::{Router, routing::get};
/// use session_store::{Error, KeyRing, MemoryStore, Session, SessionLayer, SessionManager};
///
/// async fn count(session: Session<u32>) -> Result<String, Error> {
///     session.update(|visits| *visits += 1).await?;
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
    on_error: OnError,
    touch_always: bool,
}

impl<T: SessionData> SessionLayer<T> {
    /// Makes a layer for the sessions of `manager`.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionLayer, SessionManager};
    /// use tower::ServiceBuilder;
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// // The manager stays at hand: its clones are one manager.
    /// let services = ServiceBuilder::new().layer(SessionLayer::new(manager.clone()));
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new(manager: SessionManager<T>) -> Self {
        Self { manager, on_error: OnError::default(), touch_always: false }
    }

    /// Sets the response to a request whose session fails: the store is away when it is needed, or a handler's
    /// changes can't be stored. By default it is a short text with the status of [`Error::status`].
    ///
    /// `answer` gets the error and the request's `Accept` header. It also replaces the response that this crate
    /// makes from an [`Error`] that a handler or an extractor returned, but not one that the application makes
    /// itself. The error's own status, not the answer's, decides what is stored, and the headers of the session are
    /// added to the answer.
    ///
    /// ```
    /// use session_store::SessionLayer;
    /// use session_store::{Error, FailureResponse, KeyRing, MemoryStore, SessionManager};
    ///
    /// fn failed(error: &Error, accept: Option<&str>) -> FailureResponse {
    ///     let text = if error.status() == 503 { "Try again later." } else { "That did not work." };
    ///     match accept {
    ///         Some(accept) if accept.contains("json") => {
    ///             FailureResponse::json(error.status(), &serde_json::json!({ "error": text }))
    ///         }
    ///         _ => FailureResponse::new(error.status(), "text/html; charset=utf-8", format!("<p>{text}")),
    ///     }
    /// }
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let layer = SessionLayer::new(manager).on_error(failed);
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn on_error(
        mut self,
        answer: impl Fn(&Error, Option<&str>) -> FailureResponse + Send + Sync + 'static,
    ) -> Self {
        self.on_error = OnError::new(answer);
        self
    }

    /// Extends the session at every request that comes with its cookie, as express-session does, and not only at
    /// those whose handlers use it.
    ///
    /// Each request then asks the store, even one for a picture: put the layer around the routes that count. Their
    /// responses have `Vary: Cookie`. [`touch_share`](crate::SessionManagerBuilder::touch_share) says how often a
    /// request writes.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionLayer, SessionManager};
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let layer = SessionLayer::new(manager).touch_always();
    /// # Ok::<(), session_store::Error>(())
    /// ```
    #[must_use]
    pub fn touch_always(mut self) -> Self {
        self.touch_always = true;
        self
    }
}

// Derived, these would ask for `T: Clone`.
impl<T: SessionData> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            on_error: self.on_error.clone(),
            touch_always: self.touch_always,
        }
    }
}

impl<S: Clone, T: SessionData> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, T: SessionData> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, layer: self.clone() }
    }
}

/// The service that [`SessionLayer`] makes; it needs no name in most applications.
///
/// ```
/// use session_store::{KeyRing, MemoryStore, SessionLayer, SessionManager, SessionService};
/// use tower::Layer as _;
///
/// struct App<S> {
///     service: SessionService<S, u32>,
/// }
///
/// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// let routes = tower::service_fn(async |_: http::Request<()>| Ok::<_, ()>(http::Response::new("Hello.")));
/// let app = App { service: SessionLayer::new(manager).layer(routes) };
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Debug)]
pub struct SessionService<S, T: SessionData = Values> {
    inner: S,
    layer: SessionLayer<T>,
}

impl<S, T, B, R> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    T: SessionData,
    R: InnerBody,
{
    /// The body is the inner service's, or that of the answer to a failed session. With the feature
    /// `axum` it is axum's, so that `option_layer` takes the layer.
    type Response = Response<OuterBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let manager = &self.layer.manager;
        let device_call = manager.device_call(&Head(&request));
        let request_session = mount(manager, &mut request);
        if let Some(call) = device_call
            && let Some(request_session) = request_session.clone()
        {
            return Box::pin(async move {
                let DeviceAnswer { status, body, actions } = request_session.answer_device(call).await;
                let answer = FailureResponse::new(status, "application/json", body);
                Ok(apply(actions, respond(answer).map(failed_body::<R>)))
            });
        }
        let (on_error, touch_always) = (self.layer.on_error.clone(), self.layer.touch_always);
        let accept = on_error.is_set().then(|| request.headers().get(ACCEPT).cloned()).flatten();
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            let actions = match request_session {
                Some(request_session) => {
                    if touch_always {
                        request_session.touch().await;
                    }
                    request_session.finish(response.status().as_u16()).await
                }
                None => ResponseActions::default(),
            };
            let accept = accept.as_ref().map(HeaderValue::as_bytes);
            let replaced = if on_error.is_set() { told(&mut response) } else { None };
            let failure = match (&actions.failure, replaced) {
                (Some(error), _) => Some(on_error.answer(error, accept)),
                (None, Some(told)) => told.error().and_then(|error| on_error.replacement(error, accept)),
                (None, None) => None,
            };
            let response = match failure {
                Some(failure) => respond(failure).map(failed_body::<R>),
                None => response.map(inner_body),
            };
            Ok(apply(actions, response))
        })
    }
}

impl<T: SessionData> Session<T> {
    /// Gets the session of the request with these extensions, in a service inside a [`SessionLayer`]
    /// of the same `T`. The first use in a request asks the store.
    ///
    /// A [`Response`] is made [`From`] an [`Error`]. Do that inside the layer too, so that the response to a failed
    /// logout still removes the cookie.
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
    ///     session.update(|visits| *visits += 1).await?;
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
        Mounted::request_session::<T>(extensions.get(), remedy)?.session().await
    }
}

/// The response to an error: 503, 409 or 500 with an opaque body; the cause goes to the log.
///
/// ```
/// use http::Response;
/// use session_store::{Conflict, Error};
///
/// let response = Response::<&str>::from(Error::Conflict(Conflict::Fields));
/// assert_eq!((response.status().as_u16(), *response.body()), (409, "Conflict"));
/// ```
impl<R: From<&'static str>> From<Error> for Response<R> {
    fn from(error: Error) -> Self {
        tell(answer(&error), error)
    }
}

/// What a response was made of, for the layer around it.
pub(super) trait Failed: Send + Sync + 'static {
    fn error(&self) -> Option<&Error>;
}

impl Failed for Error {
    fn error(&self) -> Option<&Error> {
        Some(self)
    }
}

#[derive(Clone)]
struct Told(Arc<dyn Failed>);

/// Tells the layer what the response was made of.
pub(super) fn tell<R>(mut response: Response<R>, failed: impl Failed) -> Response<R> {
    response.extensions_mut().insert(Told(Arc::new(failed)));
    response
}

/// What the response was made of, unless the application has answered it in its own way since.
fn told<R>(response: &mut Response<R>) -> Option<Arc<dyn Failed>> {
    let Told(failed) = response.extensions_mut().remove()?;
    let status = response.status().as_u16();
    failed.error().is_some_and(|error| error.status() == status).then_some(failed)
}

pub(super) fn answer<R: From<&'static str>>(error: &Error) -> Response<R> {
    let Answer { status, content_type, text } = answer_to(error);
    let mut response = Response::new(R::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("an error has a status of HTTP");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Begins the session of a request, unless an outer layer did; the one to finish is returned.
fn mount<T: SessionData, B>(
    manager: &SessionManager<T>,
    request: &mut Request<B>,
) -> Option<RequestSession<T>> {
    let (mounted, request_session) = Mounted::mount(manager, request.extensions().get(), &Head(request));
    request.extensions_mut().insert(mounted);
    request_session
}

struct Head<'r, B>(&'r Request<B>);

impl<B> RequestHead for Head<'_, B> {
    fn fields<'h>(&'h self, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
        self.0.headers().get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn path(&self) -> &str {
        self.0.uri().path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn is_post(&self) -> bool {
        self.0.method() == Method::POST
    }
}

/// Does to the response what the session asks for.
fn apply<R>(actions: ResponseActions, mut response: Response<R>) -> Response<R> {
    let headers = response.headers_mut();
    if let Some(cookie) = actions.set_cookie {
        let cookie = HeaderValue::try_from(cookie).expect("the cookie's attributes were checked");
        headers.append(SET_COOKIE, cookie);
    }
    for (name, value) in actions.fields {
        headers.append(
            name,
            HeaderValue::try_from(value).expect("neither we nor a URI have control characters"),
        );
    }
    if actions.no_store {
        let fields = headers.keys().filter(|field| overrides_no_store(field.as_str()));
        for field in fields.cloned().collect::<Vec<_>>() {
            headers.remove(field);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if actions.vary_cookie && !varies_by_cookie(headers.get_all(VARY).iter().map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
    response
}

fn respond(failure: FailureResponse) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let content_type = HeaderValue::try_from(failure.content_type);
    if let (Ok(status), Ok(content_type)) = (StatusCode::from_u16(failure.status), content_type) {
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Full::new(failure.body);
    } else {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}
