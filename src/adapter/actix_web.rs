//! actix-web 4: its middleware, `Session<T>` as an extractor, and errors as responses.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::body::EitherBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, COOKIE, ContentType, HeaderValue, SET_COOKIE, VARY};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::mounted::Mounted;
use super::{answer_to, overrides_no_store, varies_by_cookie};
use crate::error::Error;
use crate::manager::SessionManager;
use crate::session::{Effects, Exchange, Session, SessionData};
use crate::values::Values;

type LocalFuture<R> = Pin<Box<dyn Future<Output = R>>>;

/// Gives the routes below it the sessions of a [`SessionManager`], in actix-web.
///
/// A middleware inside another of the same `T` and cookie name shares the outer one's session. For
/// two sessions in one application give each its type and its cookie name.
///
/// A client that hangs up does not stop a handler, unless the server is told so by
/// `HttpServer::h1_allow_half_closed(false)`; what it changed is stored.
///
/// Where the middleware below answers with an `Err`, the session is stored and its cookie set all the
/// same: the error is passed on as an [`InternalError`] that holds its response.
///
/// ```
/// use actix_web::{App, HttpServer, web};
/// use session_store::{Error, KeyRing, MemoryStore, Session, SessionManager, SessionMiddleware};
///
/// async fn count(session: Session<u32>) -> Result<String, Error> {
///     session.write(|visits| *visits += 1)?;
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
}

impl<T: SessionData> SessionMiddleware<T> {
    /// A middleware for the sessions of `manager`.
    pub fn new(manager: SessionManager<T>) -> Self {
        Self { manager }
    }
}

// Derived, this would ask for `T: Clone`.
impl<T: SessionData> Clone for SessionMiddleware<T> {
    fn clone(&self) -> Self {
        Self::new(self.manager.clone())
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
        ready(Ok(SessionMiddlewareService { inner, manager: self.manager.clone() }))
    }
}

/// The service that [`SessionMiddleware`] makes.
#[derive(Debug)]
pub struct SessionMiddlewareService<S, T: SessionData = Values> {
    inner: S,
    manager: SessionManager<T>,
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
        let exchange = mount(&self.manager, &request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let Some(exchange) = exchange else {
                return answer.map(ServiceResponse::map_into_left_body);
            };
            match answer {
                Ok(answer) => {
                    let (request, response) = answer.into_parts();
                    let effects = exchange.finish(response.status().as_u16()).await;
                    Ok(ServiceResponse::new(request, apply(effects, response)))
                }
                Err(error) => {
                    // Asked once only: an error may give its response away.
                    let response = error.error_response();
                    let effects = exchange.finish(response.status().as_u16()).await;
                    let response = apply(effects, response).map_into_boxed_body();
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}

/// Begins an exchange, unless an outer middleware did; the one to finish is returned.
fn mount<T: SessionData>(manager: &SessionManager<T>, request: &ServiceRequest) -> Option<Exchange<T>> {
    let cookies = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
    let mut extensions = request.extensions_mut();
    let (mounted, exchange) = Mounted::mount(manager, extensions.get(), cookies);
    extensions.insert(mounted);
    exchange
}

/// Does to the response what the session asks for.
fn apply<B>(effects: Effects, response: HttpResponse<B>) -> HttpResponse<EitherBody<B>> {
    let mut response = match effects.failure {
        Some(error) => HttpResponse::from_error(error).map_into_right_body(),
        None => response.map_into_left_body(),
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
    if effects.vary_cookie && !varies_by_cookie(headers.get_all(VARY).map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
    response
}

/// Finds the session at the first use in a request. Needs a [`SessionMiddleware`] of the same `T`
/// around the route. A handler that can do without takes a `Result<Session<T>, Error>`.
impl<T: SessionData> FromRequest for Session<T> {
    type Error = Error;
    type Future = LocalFuture<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let remedy = "wrap its app or scope: `.wrap(SessionMiddleware::new(manager))`";
        let exchange = Mounted::exchange(request.extensions().get(), remedy).cloned();
        Box::pin(async move { exchange?.session().await })
    }
}

/// 503, 409 or 500 with an opaque body; the cause goes to the log.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).expect("an error has a status of HTTP")
    }

    fn error_response(&self) -> HttpResponse {
        let (_, text) = answer_to(self);
        HttpResponse::build(self.status_code()).content_type(ContentType::plaintext()).body(text)
    }
}
