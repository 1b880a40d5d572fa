//! A tower service without a framework, over real HTTP.

#![cfg(all(feature = "tower", feature = "memory"))]

#[allow(dead_code)] // The adapters of frameworks use the rest.
mod in_process;
#[path = "in_process/server.rs"]
mod server;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use in_process::browser::Browser;
use in_process::gate::within;
use in_process::store::{Call, StagedStore};
use session_store::{Error, KeyRing, Session, SessionCookie, SessionLayer, SessionManager};
use tokio::sync::mpsc;
use tower::{Layer as _, service_fn};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What a session holds.
type Name = String;

async fn handle<B>(request: Request<B>) -> Result<Answer, Error> {
    let path = request.uri().path().to_owned();
    if path == "/static" {
        return Ok(text("style"));
    }
    let session = Session::<Name>::from_extensions(request.extensions()).await?;
    match path.as_str() {
        "/sign_in" => session.sign_in("ada", |name| "Ada".clone_into(name))?,
        "/log_out" => session.destroy().await?,
        "/promise" => session.write(|name| "Countess".clone_into(name))?,
        _ => {}
    }
    Ok(text(session.read(Name::clone)))
}

fn text(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()).boxed())
}

fn refusal(error: Error) -> Answer {
    Response::<Full<Bytes>>::from(error).map(BodyExt::boxed)
}

fn layer(store: &StagedStore) -> SessionLayer<Name> {
    let cookie = SessionCookie::new().name("id").secure(false);
    let manager = SessionManager::builder(store.clone(), KeyRing::generate()).cookie(cookie);
    SessionLayer::new(manager.build().expect("no contradiction"))
}

async fn open(store: &StagedStore) -> Browser {
    let service = async |request| Ok(handle(request).await.unwrap_or_else(refusal));
    Browser::new(&server::serve(layer(store).layer(service_fn(service))).await)
}

#[tokio::test]
async fn a_visitor_signs_in_is_known_and_logs_out() {
    let store = StagedStore::default();
    let mut browser = open(&store).await;

    browser.get("/static").await.expect_status(200).expect_no_cookie();
    assert_eq!(browser.get("/me").await.expect_status(200).expect_no_cookie().body, "");
    assert_eq!(store.calls(), []);

    browser.get("/sign_in").await.expect_status(200);
    let mut tab = browser.clone();
    let me = browser.get("/me").await.expect_status(200).expect_no_cookie();
    assert_eq!((me.body.as_str(), me.header("vary").as_deref()), ("Ada", Some("Cookie")));

    browser.get("/log_out").await.expect_status(200);
    assert_eq!(browser.cookies.len(), 0);
    assert_eq!(tab.get("/me").await.body, "");
    assert_eq!(store.calls(), [Call::Create, Call::Load, Call::Load, Call::Delete, Call::Load]);
}

#[tokio::test]
async fn without_the_store_the_answer_is_503() {
    let store = StagedStore::default();
    let mut browser = open(&store).await;
    browser.get("/sign_in").await.expect_status(200);

    for (call, path) in [(Call::Load, "/me"), (Call::Update, "/promise")] {
        store.fail(call);
        let answer = browser.get(path).await.expect_status(503).expect_no_cookie();
        assert_eq!(answer.body, "Service Unavailable");
        assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    }
    store.fail(Call::Delete);
    browser.clone().get("/log_out").await.expect_status(503);
    store.recover();
    assert_eq!(browser.get("/me").await.expect_status(200).body, "Ada");
}

#[tokio::test]
async fn a_service_outside_any_layer_is_refused() {
    let error = handle(Request::new(())).await.expect_err("there is no layer");
    assert_eq!(error.status(), 500);
}

#[tokio::test]
async fn a_response_streams() {
    struct Chunks(mpsc::UnboundedReceiver<&'static str>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|chunk| chunk.map(|text| Ok(Frame::data(Bytes::from(text)))))
        }
    }
    let (chunks, receiver) = mpsc::unbounded_channel();
    let body = Arc::new(Mutex::new(Some(Chunks(receiver))));
    let service = service_fn(move |request: Request<_>| {
        let body = body.lock().unwrap().take().expect("one request");
        async move {
            handle(request).await.expect("a session");
            Ok(Response::new(body))
        }
    });
    let url = server::serve(layer(&StagedStore::default()).layer(service)).await;

    let mut response = within(reqwest::get(url + "/sign_in")).await.unwrap();
    assert!(response.headers().contains_key(SET_COOKIE));
    for text in ["one", "two"] {
        chunks.send(text).unwrap();
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), text);
    }
    drop(chunks);
    assert_eq!(within(response.chunk()).await.unwrap(), None);
}
