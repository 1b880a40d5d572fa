//! The warp filter and its layer, in the test's own process: rejections above all.

#![cfg(all(feature = "warp", feature = "memory"))]

#[allow(dead_code)] // The tests of other adapters use the rest.
mod in_process;
#[path = "in_process/server.rs"]
mod server;

use std::convert::Infallible;

use in_process::browser::{Answer, Browser};
use in_process::gate::Gate;
use in_process::log;
use in_process::store::{Call, StagedStore};
use session_store::{Error, KeyRing, Session, SessionCookie, SessionLayer, SessionManager};
use tower::Layer as _;
use warp::http::StatusCode;
use warp::reject::Reject;
use warp::{Filter, Rejection, Reply};

/// What a session holds.
type Note = String;

#[derive(Debug)]
struct Refused;

impl Reject for Refused {}

fn session() -> impl Filter<Extract = (Session<Note>,), Error = Rejection> + Copy {
    Session::filter()
}

/// Routes that read and change the note in the ways that most tests need.
fn notes() -> impl Filter<Extract: Reply, Error = Rejection> + Clone + Send + Sync + 'static {
    let read = warp::path!("read").and(session()).map(|session: Session<Note>| session.read(Note::clone));
    let text = warp::path!("text" / String).and(session()).then(async |text, session: Session<Note>| {
        session.write(|note| *note = text)?;
        Ok::<_, Error>("It is done.")
    });
    let read = warp::get().and(read).or(warp::path!("static").map(|| "style"));
    read.or(text).or(warp::path!("read").and(warp::post()).map(|| "posted"))
}

fn layer(store: &StagedStore, cookie: &str) -> SessionLayer<Note> {
    let cookie = SessionCookie::new().name(cookie.to_owned()).secure(false);
    let manager = SessionManager::builder(store.clone(), KeyRing::generate()).cookie(cookie);
    SessionLayer::new(manager.build().expect("no contradiction"))
}

/// A site of `routes` and the notes.
async fn open<F>(store: &StagedStore, routes: F) -> Browser
where
    F: Filter<Extract: Reply + Send, Error = Rejection> + Clone + Send + Sync + 'static,
{
    log::collect();
    Browser::new(&server::serve(layer(store, "id").around(routes.or(notes()))).await)
}

/// A browser whose session holds a note.
async fn open_with_note<F>(store: &StagedStore, routes: F) -> Browser
where
    F: Filter<Extract: Reply + Send, Error = Rejection> + Clone + Send + Sync + 'static,
{
    let mut browser = open(store, routes).await;
    browser.get("/text/hello").await.expect_status(200);
    store.calls();
    browser
}

fn nothing() -> impl Filter<Extract = (&'static str,), Error = Rejection> + Copy {
    warp::path!("nothing").map(|| "nothing")
}

fn removes_cookie(answer: &Answer) -> bool {
    let removal = "id=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    answer.set_cookies == [removal]
}

#[tokio::test]
async fn a_route_that_never_uses_the_session_costs_nothing() {
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, nothing()).await;
    for (path, status) in [("/static", 200), ("/not_found", 404)] {
        let answer = browser.get(path).await.expect_status(status).expect_no_cookie();
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None), "{path}");
    }
    assert_eq!(store.calls(), []);
    assert_eq!(browser.get("/read").await.body, "hello");
}

// Failures

/// Neither 404 nor 405, which the routes behind it reject with, nor warp's own 500.
#[tokio::test]
async fn a_failing_load_is_a_503_with_an_opaque_body() {
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, nothing()).await;
    store.fail(Call::Load);
    let answer = browser.get("/read").await.expect_status(503).expect_no_cookie();
    assert_eq!(answer.body, "Service Unavailable");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(store.calls(), [Call::Load]);
    assert!(log::text().contains("the store was told to fail at 10.0.0.7"), "{}", log::text());
}

#[tokio::test]
async fn a_failing_commit_is_a_503_in_place_of_the_handlers_answer() {
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, nothing()).await;
    store.fail(Call::Update);
    let answer = browser.get("/text/new").await.expect_status(503).expect_no_cookie();
    assert_eq!(answer.body, "Service Unavailable");
    store.recover();
    assert_eq!(browser.get("/read").await.body, "hello");
}

#[tokio::test]
async fn a_conflict_that_a_handler_rejects_with_is_a_409() {
    let gate = Gate::closed();
    let at = gate.clone();
    let late = warp::path!("late").and(session()).and_then(move |session: Session<Note>| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            session.update(|note| "late".clone_into(note)).await?;
            Ok::<_, Rejection>("It is done.")
        }
    });
    let log_out = warp::path!("log_out").and(session()).then(async |session: Session<Note>| {
        session.destroy().await?;
        Ok::<_, Error>("Bye.")
    });
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, late.or(log_out)).await;
    let mut tab = browser.clone();
    let late = tokio::spawn(async move { tab.get("/late").await });
    gate.arrival().await;
    browser.get("/log_out").await.expect_status(200);
    gate.open();
    let answer = late.await.unwrap().expect_status(409).expect_no_cookie();
    assert_eq!(answer.body, "Conflict");
}

#[tokio::test]
async fn the_routes_own_recover_sees_the_error() {
    let recovering =
        warp::path!("mine").and(session()).map(|_| "It is done.").recover(async |it: Rejection| match it
            .find::<Error>()
        {
            Some(Error::Unavailable { .. }) => Ok("Come back later."),
            _ => Err(it),
        });
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, recovering).await;
    store.fail(Call::Load);
    assert_eq!(browser.get("/mine").await.expect_status(200).body, "Come back later.");
    browser.get("/read").await.expect_status(503);
}

#[tokio::test]
async fn routes_may_answer_every_rejection_themselves() {
    let store = StagedStore::default();
    let routes = notes().recover(async |_| Ok::<_, Infallible>(StatusCode::IM_A_TEAPOT));
    let mut browser = Browser::new(&server::serve(layer(&store, "id").around(routes)).await);
    browser.get("/text/hello").await.expect_status(200);
    store.fail(Call::Load);
    for path in ["/not_found", "/read"] {
        browser.get(path).await.expect_status(418);
    }
}

#[tokio::test]
async fn other_rejections_are_answered_as_ever() {
    let refuse = warp::path!("refuse").and_then(async || Err::<&str, _>(warp::reject::custom(Refused)));
    let header = warp::path!("header").and(warp::header("x-missing")).map(|_: String| "there");
    let mut browser = open(&StagedStore::default(), refuse.or(header)).await;
    for (path, status) in [("/refuse", 500), ("/header", 400), ("/not_found", 404)] {
        browser.get(path).await.expect_status(status);
    }
}

/// SECURITY 12 and 20.
#[tokio::test]
async fn a_logout_before_a_rejection_logs_out() {
    let log_out = |path: &'static str, rejection: fn() -> Rejection| {
        warp::path(path).and(session()).and_then(move |session: Session<Note>| async move {
            session.destroy().await?;
            Err::<&str, _>(rejection())
        })
    };
    let routes = log_out("not_found", warp::reject::not_found)
        .or(log_out("refuse", || warp::reject::custom(Refused)))
        .or(log_out("recovered", || warp::reject::custom(Refused)).recover(async |it: Rejection| {
            if it.find::<Refused>().is_some() { Ok(StatusCode::FORBIDDEN) } else { Err(it) }
        }));
    let store = StagedStore::default();
    for (path, status) in [("/not_found", 404), ("/refuse", 500), ("/recovered", 403)] {
        let mut browser = open_with_note(&store, routes).await;
        let mut tab = browser.clone();
        let answer = browser.get(path).await.expect_status(status);
        assert!(removes_cookie(&answer), "{answer:?}");
        assert_eq!(tab.get("/read").await.body, "", "{path}");
    }
}

#[tokio::test]
async fn a_panic_leaves_the_stored_session_whole() {
    let panics = warp::path!("panics").and(session()).then(async |session: Session<Note>| -> &str {
        session.write(|note| "half".clone_into(note)).expect("a session");
        panic!("this panic is part of a test");
    });
    let store = StagedStore::default();
    let mut browser = open_with_note(&store, panics).await;
    browser.try_get("/panics").await.expect_err("the connection drops");
    assert_eq!(store.calls(), [Call::Load]);
    assert_eq!(browser.get("/read").await.body, "hello");
}

// Layers

#[tokio::test]
async fn layers_of_one_type_and_cookie_share_the_session() {
    let store = StagedStore::default();
    let layer = layer(&store, "id");
    let mut browser = Browser::new(&server::serve(layer.layer(layer.clone().around(notes()))).await);
    let answer = browser.get("/text/hello").await.expect_status(200);
    assert_eq!(answer.set_cookies.len(), 1, "{answer:?}");
    assert_eq!(browser.get("/read").await.body, "hello");
    assert_eq!(store.calls(), [Call::Create, Call::Load]);
}

#[tokio::test]
async fn layers_of_one_type_and_two_cookies_are_refused_and_the_log_says_why() {
    log::collect();
    let store = StagedStore::default();
    let service = layer(&store, "two").layer(layer(&store, "one").around(notes()));
    let mut browser = Browser::new(&server::serve(service).await);
    let answer = browser.get("/text/hello").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    assert!(log::text().contains("two session layers for alloc::string::String name different cookies"));
    assert_eq!(store.calls(), []);
    browser.get("/static").await.expect_status(200);
}

#[tokio::test]
async fn a_route_without_a_layer_is_refused_and_the_log_says_why() {
    log::collect();
    let other = SessionManager::<u32>::builder(StagedStore::default(), KeyRing::generate());
    let service = SessionLayer::new(other.build().unwrap()).around(notes());
    let answer = Browser::new(&server::serve(service).await).get("/read").await.expect_status(500);
    assert_eq!(answer.body, "Internal Server Error");
    let reason = "there is no session layer for alloc::string::String around this route: \
                  put the routes into `SessionLayer::new(manager).around(routes)`";
    assert!(log::text().contains(reason), "{}", log::text());
}
