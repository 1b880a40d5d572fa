//! actix-web 4: its middleware, `Session<T>` as an extractor, and errors as responses.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::body::EitherBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::failure::{FailureResponse, OnError};
use super::mounted::Mounted;
use super::{Answer, answer_to, overrides_no_store, varies_by_cookie};
use crate::engine::SessionManager;
use crate::engine::Values;
use crate::engine::{DeviceAnswer, RequestHead, RequestSession, ResponseActions, Session, SessionData};
use crate::error::Error;

type LocalFuture<R> = Pin<Box<dyn Future<Output = R>>>;

/// Gives the routes below it the sessions of a [`SessionManager`], in actix-web.
///
/// A middleware inside another of the same `T` and cookie name shares the outer one's session. For
/// two sessions in one application, give each its own type and cookie name.
///
/// A handler continues when its client disconnects, and its changes are stored, unless the server is set to
/// `HttpServer::h1_allow_half_closed(false)`.
///
/// If the middleware below returns an `Err`, the session is stored and its cookie set nevertheless:
/// the error is passed on as an [`InternalError`] that holds its response.
///
/// ```
/// use actix_web::{App, HttpServer, web};
/// use session_store::{Error, KeyRing, MemoryStore, Session, SessionManager, SessionMiddleware};
///
/// async fn count(session: Session<u32>) -> Result<String, Error> {
///     session.update(|visits| *visits += 1).await?;
///     Ok(session.read(|visits| format!("Visit {visits}")))
/// }
///
/// // One manager for all of the server's workers.
/// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// let server = HttpServer::new(move || {
///     App::new().wrap(SessionMiddleware::new(manager.clone())).route("/", web::get().to(count))
/// });
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SessionMiddleware<T: SessionData = Values> {
    manager: SessionManager<T>,
    on_error: OnError,
    touch_always: bool,
}

impl<T: SessionData> SessionMiddleware<T> {
    /// Makes a middleware for the sessions of `manager`.
    ///
    /// ```
    /// use actix_web::{App, web};
    /// use session_store::{KeyRing, MemoryStore, SessionManager, SessionMiddleware};
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// // Around the routes that need sessions, and not around those for health checks.
    /// let account = web::scope("/account").wrap(SessionMiddleware::new(manager));
    /// let app = App::new().service(account).route("/healthz", web::get().to(async || "ok"));
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
    /// use session_store::SessionMiddleware;
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
    /// let middleware = SessionMiddleware::new(manager).on_error(failed);
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
    /// Each request then asks the store, even one for a picture: wrap the scopes that count. Their
    /// responses have `Vary: Cookie`. [`touch_share`](crate::SessionManagerBuilder::touch_share) says how often a
    /// request writes.
    ///
    /// ```
    /// use actix_web::web;
    /// use session_store::{KeyRing, MemoryStore, SessionManager, SessionMiddleware};
    ///
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let account = web::scope("/account").wrap(SessionMiddleware::new(manager).touch_always());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    #[must_use]
    pub fn touch_always(mut self) -> Self {
        self.touch_always = true;
        self
    }
}

// Derived, this would ask for `T: Clone`.
impl<T: SessionData> Clone for SessionMiddleware<T> {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            on_error: self.on_error.clone(),
            touch_always: self.touch_always,
        }
    }
}

impl<S, T, B> Transform<S, ServiceRequest> for SessionMiddleware<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    T: SessionData,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = SessionMiddlewareService<S, T>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionMiddlewareService { inner, middleware: self.clone() }))
    }
}

/// The service that [`SessionMiddleware`] makes.
#[derive(Debug)]
pub struct SessionMiddlewareService<S, T: SessionData = Values> {
    inner: S,
    middleware: SessionMiddleware<T>,
}

impl<S, T, B> Service<ServiceRequest> for SessionMiddlewareService<S, T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    T: SessionData,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<Self::Response, Self::Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let manager = &self.middleware.manager;
        let device_call = manager.device_call(&Head(&request));
        let request_session = mount(manager, &request);
        if let Some(call) = device_call
            && let Some(request_session) = request_session.clone()
        {
            return Box::pin(async move {
                let DeviceAnswer { status, body, actions } = request_session.answer_device(call).await;
                let answer = respond(FailureResponse::new(status, "application/json", body));
                Ok(request.into_response(put(actions, answer).map_into_right_body()))
            });
        }
        let touch_always = self.middleware.touch_always;
        let failing = Failing::new(&self.middleware.on_error, &request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Some(request_session) = request_session.as_ref().filter(|_| touch_always) {
                request_session.touch().await;
            }
            if request_session.is_none() && !failing.on_error.is_set() {
                return answer.map(ServiceResponse::map_into_left_body);
            }
            match answer {
                Ok(answer) => {
                    let (request, response) = answer.into_parts();
                    let actions = finish(request_session, response.status()).await;
                    let error = response.error().and_then(|error| error.as_error());
                    let replaced = failing.replacement(error, response.status());
                    Ok(ServiceResponse::new(request, apply(actions, response, replaced, &failing)))
                }
                Err(error) => {
                    // Asked once only: an error may give its response away.
                    let response = error.error_response();
                    let actions = finish(request_session, response.status()).await;
                    let replaced = failing.replacement(error.as_error(), response.status());
                    let response = apply(actions, response, replaced, &failing).map_into_boxed_body();
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}

/// How a request is answered if its session fails.
struct Failing {
    on_error: OnError,
    accept: Option<HeaderValue>,
}

impl Failing {
    fn new(on_error: &OnError, request: &ServiceRequest) -> Self {
        let accept = on_error.is_set().then(|| request.headers().get(ACCEPT).cloned()).flatten();
        Self { on_error: on_error.clone(), accept }
    }

    fn accept(&self) -> Option<&[u8]> {
        self.accept.as_ref().map(HeaderValue::as_bytes)
    }

    /// What takes the place of a response that this crate made of `error`.
    fn replacement(&self, error: Option<&Error>, status: StatusCode) -> Option<FailureResponse> {
        let error = error.filter(|error| error.status() == status.as_u16())?;
        self.on_error.replacement(error, self.accept())
    }
}

/// Nothing is to be done where an outer middleware finishes the session.
async fn finish<T: SessionData>(
    request_session: Option<RequestSession<T>>,
    status: StatusCode,
) -> ResponseActions {
    match request_session {
        Some(request_session) => request_session.finish(status.as_u16()).await,
        None => ResponseActions::default(),
    }
}

fn respond(failure: FailureResponse) -> HttpResponse {
    let content_type = HeaderValue::try_from(failure.content_type);
    match (StatusCode::from_u16(failure.status), content_type) {
        (Ok(status), Ok(content_type)) => {
            HttpResponse::build(status).insert_header((CONTENT_TYPE, content_type)).body(failure.body)
        }
        _ => HttpResponse::InternalServerError().finish(),
    }
}

/// Begins the session of a request, unless an outer middleware did; the one to finish is returned.
struct Head<'r>(&'r ServiceRequest);

impl RequestHead for Head<'_> {
    fn fields<'h>(&'h self, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
        self.0.headers().get_all(name).map(HeaderValue::as_bytes)
    }

    fn path(&self) -> &str {
        self.0.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn is_post(&self) -> bool {
        self.0.method() == Method::POST
    }
}

fn mount<T: SessionData>(manager: &SessionManager<T>, request: &ServiceRequest) -> Option<RequestSession<T>> {
    let mut extensions = request.extensions_mut();
    let (mounted, request_session) = Mounted::mount(manager, extensions.get(), &Head(request));
    extensions.insert(mounted);
    request_session
}

/// Does to the response what the session asks for.
fn apply<B>(
    actions: ResponseActions,
    response: HttpResponse<B>,
    replaced: Option<FailureResponse>,
    failing: &Failing,
) -> HttpResponse<EitherBody<B>> {
    let failure = actions.failure.as_ref().map(|error| failing.on_error.answer(error, failing.accept()));
    let response = match failure.or(replaced) {
        Some(failure) => respond(failure).map_into_right_body(),
        None => response.map_into_left_body(),
    };
    put(actions, response)
}

/// Puts what the session asks for into the response's head.
fn put<B>(actions: ResponseActions, mut response: HttpResponse<B>) -> HttpResponse<B> {
    let headers = response.headers_mut();
    if let Some(cookie) = actions.set_cookie {
        let cookie = HeaderValue::try_from(cookie).expect("the cookie's attributes were checked");
        headers.append(SET_COOKIE, cookie);
    }
    for (name, value) in actions.fields {
        headers.append(
            HeaderName::from_static(name),
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
    if actions.vary_cookie && !varies_by_cookie(headers.get_all(VARY).map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
    response
}

/// The extractor of actix-web. Needs a [`SessionMiddleware`] of the same `T` around the route. The store is asked at
/// the first use in a request. A handler that works without a session takes a `Result<Session<T>, Error>`.
///
/// ```
/// use actix_web::{App, web};
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
/// let app = App::new().route("/", web::get().to(home)).route("/logout", web::post().to(logout));
/// ```
impl<T: SessionData> FromRequest for Session<T> {
    type Error = Error;
    type Future = LocalFuture<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let remedy = "wrap its app or scope: `.wrap(SessionMiddleware::new(manager))`";
        let request_session = Mounted::request_session::<T>(request.extensions().get(), remedy);
        Box::pin(async move { request_session?.session().await })
    }
}

/// The response to an error: 503, 409 or 500 with an opaque body; the cause goes to the log.
///
/// ```
/// use actix_web::ResponseError as _;
/// use session_store::{Conflict, Error};
///
/// assert_eq!(Error::Conflict(Conflict::Fields).error_response().status(), 409);
/// ```
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).expect("an error has a status of HTTP")
    }

    fn error_response(&self) -> HttpResponse {
        let Answer { content_type, text, .. } = answer_to(self);
        HttpResponse::build(self.status_code()).content_type(content_type).body(text)
    }
}
