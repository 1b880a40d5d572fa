//! The application as a tower service without a framework; and its layers, which the host warp shares.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::TcpListener;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use session_store::{Error, Session, SessionData, SessionLayer};
use tower::util::BoxCloneService;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::{Host, Serving};
use crate::lab::{self, Lab, Notes, Reply, ReplyBody, TIME_LIMIT};

pub(crate) const HOST: Host = Host {
    serve,
    remedy: "add one with `.layer(SessionLayer::new(manager))`, after the route",
    notices_hang_ups: true,
};

type BoxError = Box<dyn StdError + Send + Sync>;
type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Response<AnyBody>;
pub(super) type Part = BoxCloneService<Request<Incoming>, Answer, Infallible>;

/// What is inside the layers, each part inside one of its own already.
pub(super) struct Parts {
    /// Inside a layer for the notes.
    pub(super) routes: Part,
    /// Inside a layer for notes in the cookie `other`.
    pub(super) ambiguous: Part,
    /// Inside a layer for the theme, and to stay in no other.
    pub(super) bare: Part,
}

fn serve(lab: &Lab, listener: TcpListener) -> Serving {
    let state = lab.clone();
    let routes = service_fn(move |request| {
        let lab = state.clone();
        async move { Ok::<_, Infallible>(handle(&lab, &request).await.unwrap_or_else(refusal)) }
    });
    let guarded = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIME_LIMIT))
        .service(routes.clone());
    let (plain, guarded) = (part(routes.clone()), part(guarded));
    let some_guarded = service_fn(move |request| {
        let service = if area(&request) == "guarded" { &guarded } else { &plain };
        service.clone().oneshot(request)
    });
    let parts = Parts {
        routes: part(SessionLayer::new(lab.notes.clone()).layer(some_guarded)),
        ambiguous: part(SessionLayer::new(lab.other.clone()).layer(routes.clone())),
        bare: part(SessionLayer::new(lab.themes.clone()).layer(routes)),
    };
    serve_parts(lab, listener, parts)
}

async fn handle(lab: &Lab, request: &Request<Incoming>) -> Result<Answer, Error> {
    let path = request.uri().path();
    let parts: Vec<_> = path.split('/').skip(1).collect();
    Ok(match parts[..] {
        ["static"] | ["ambiguous", "static"] => text("style"),
        ["notes" | "inner" | "guarded" | "ambiguous" | "bare", ..] => {
            respond(lab.steps(session(request).await?, path, request.uri().query()).await?)
        }
        ["twice"] => text(lab::twice(&session(request).await?, &session(request).await?)?),
        ["theme"] => text(lab::theme(&session(request).await?, None).await?),
        ["theme", name] => text(lab::theme(&session(request).await?, Some(name.to_owned())).await?),
        ["both", name] => text(lab::both(&session(request).await?, &session(request).await?, name)?),
        _ => status(404),
    })
}

async fn session<T: SessionData>(request: &Request<Incoming>) -> Result<Session<T>, Error> {
    Session::from_extensions(request.extensions()).await
}

fn respond(reply: Reply) -> Answer {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.body {
        ReplyBody::Whole(text) => return response.body(text_body(text)).expect("headers that exist"),
        ReplyBody::Parts(gate) => StreamBody::new(lab::parts(gate).map_ok(Frame::data).map_err(Into::into)),
    };
    response.body(body.boxed_unsync()).expect("headers that exist")
}

fn text(text: impl Into<Bytes>) -> Answer {
    Response::new(text_body(text))
}

fn status(status: u16) -> Answer {
    Response::builder().status(status).body(text_body("")).expect("a status that exists")
}

fn text_body(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(Into::into).boxed_unsync()
}

fn refusal(error: Error) -> Answer {
    Response::<Full<Bytes>>::from(error).map(|body| body.map_err(Into::into).boxed_unsync())
}

/// A part of the application as a service of a type that all parts have.
pub(super) fn part<S, B>(service: S) -> Part
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    service
        .map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
        .boxed_clone()
}

/// Serves the parts behind the layers that are missing around them.
pub(super) fn serve_parts(lab: &Lab, listener: TcpListener, parts: Parts) -> Serving {
    let notes = lab.notes_layer();
    let themes = SessionLayer::new(lab.themes.clone());
    let between = service_fn(move |request| {
        let inner = parts.routes.clone();
        async move { between(request, inner).await.or_else(|error| Ok::<_, Infallible>(refusal(error))) }
    });
    let routes = part(themes.layer(notes.layer(between)));
    let ambiguous = part(themes.layer(notes.layer(parts.ambiguous)));
    let lab = lab.clone();
    let application = service_fn(move |request: Request<Incoming>| {
        let part = match area(&request) {
            "bare" => &parts.bare,
            "ambiguous" => &ambiguous,
            _ => &routes,
        };
        let (part, lab) = (part.clone(), lab.clone());
        async move { lab.attend(part.oneshot(request)).await.unwrap_or_else(|| Ok(status(504))) }
    });
    serve_service(application, listener)
}

/// Serves a service by hyper alone.
pub(super) fn serve_service<S, B>(service: S, listener: TcpListener) -> Serving
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).expect("it doesn't block");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    // It ends with the test's runtime.
    Box::new(())
}

/// The middleware between two layers for the notes.
async fn between(request: Request<Incoming>, inner: Part) -> Result<Answer, Error> {
    if matches!(area(&request), "inner" | "refused") {
        lab::count(&session::<Notes>(&request).await?)?;
    }
    if area(&request) == "refused" {
        return Ok(status(403));
    }
    Ok(inner.oneshot(request).await.unwrap_or_else(|never| match never {}))
}

/// The first part of the path.
fn area(request: &Request<Incoming>) -> &str {
    request.uri().path().split('/').nth(1).unwrap_or_default()
}
