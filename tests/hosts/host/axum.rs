//! The application in axum.

use std::net::TcpListener;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use session_store::{Error, Session, SessionLayer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::{Host, Serving};
use crate::lab::{self, Lab, Notes, Reply, ReplyBody, TIME_LIMIT, Theme};

pub(crate) const HOST: Host = Host {
    serve,
    remedy: "add one with `.layer(SessionLayer::new(manager))`, after the route",
    notices_hang_ups: true,
};

fn serve(lab: &Lab, listener: TcpListener) -> Serving {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it doesn't block");
    let application = application(lab);
    tokio::spawn(async move { axum::serve(listener, application).await });
    // It ends with the test's runtime.
    Box::new(())
}

fn application(lab: &Lab) -> Router {
    let inner = Router::new()
        .route("/inner/{*steps}", get(steps))
        .layer(SessionLayer::new(lab.notes.clone()))
        .layer(middleware::from_fn(count));
    let guarded = Router::new()
        .route("/guarded/{*steps}", get(steps))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIME_LIMIT))
        .layer(CatchPanicLayer::new());
    let refused = Router::new().route("/refused", get("never")).layer(middleware::from_fn(refuse));
    let ambiguous = Router::new()
        .route("/ambiguous/{*steps}", get(steps))
        .route("/ambiguous/static", get("style"))
        .layer(SessionLayer::new(lab.other.clone()));
    Router::new()
        .route("/notes/{*steps}", get(steps))
        .route("/twice", get(twice))
        .route("/theme", get(theme))
        .route("/theme/{name}", get(theme))
        .route("/both/{name}", get(both))
        .route("/static", get("style"))
        .merge(inner)
        .merge(guarded)
        .merge(refused)
        .merge(ambiguous)
        .layer(lab.notes_layer())
        .layer(SessionLayer::new(lab.themes.clone()))
        .route("/bare/{*steps}", get(steps))
        .layer(middleware::from_fn_with_state(lab.clone(), attend))
        .with_state(lab.clone())
}

async fn steps(session: Session<Notes>, State(lab): State<Lab>, uri: Uri) -> Result<Response, Error> {
    lab.steps(session, uri.path(), uri.query()).await.map(respond)
}

async fn count(session: Session<Notes>, request: Request, next: Next) -> Result<Response, Error> {
    lab::count(&session)?;
    Ok(next.run(request).await)
}

async fn refuse(session: Session<Notes>, _: Request, _: Next) -> Result<Response, Error> {
    lab::count(&session)?;
    Ok(StatusCode::FORBIDDEN.into_response())
}

async fn twice(one: Session<Notes>, other: Session<Notes>) -> Result<String, Error> {
    lab::twice(&one, &other)
}

async fn theme(session: Session<Theme>, name: Option<Path<String>>) -> Result<String, Error> {
    lab::theme(&session, name.map(|Path(name)| name)).await
}

async fn both(
    notes: Session<Notes>,
    theme: Session<Theme>,
    Path(name): Path<String>,
) -> Result<String, Error> {
    lab::both(&notes, &theme, &name)
}

async fn attend(State(lab): State<Lab>, request: Request, next: Next) -> Response {
    lab.attend(next.run(request)).await.unwrap_or_else(|| StatusCode::GATEWAY_TIMEOUT.into_response())
}

fn respond(reply: Reply) -> Response {
    let body = match reply.body {
        ReplyBody::Whole(text) => Body::from(text),
        ReplyBody::Parts(gate) => Body::from_stream(lab::parts(gate)),
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body).expect("a status and headers that exist")
}
