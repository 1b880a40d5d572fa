//! What warp alone has: routes that reject.

use std::net::TcpListener;

use session_store::{Error, Session, SessionLayer};
use warp::http::StatusCode;
use warp::reject::{Reject, custom, not_found};
use warp::{Filter, Rejection};

use crate::host::tower::serve_service;
use crate::host::{Host, Serving};
use crate::lab::{Lab, Notes};
use crate::site::{Site, Stage};
use crate::store::Call;

#[derive(Debug)]
struct Refused;

impl Reject for Refused {}

fn open() -> Site {
    Stage::in_memory(Host { serve, ..super::HOST }).open()
}

fn serve(lab: &Lab, listener: TcpListener) -> Serving {
    let session = Session::<Notes>::filter;
    let recovering = warp::path!("recovering").and(session()).map(|_| "It is done.");
    let recovering = recovering.recover(async |rejection: Rejection| match rejection.find() {
        Some(Error::Unavailable { .. }) => Ok("Come back later."),
        _ => Err(rejection),
    });
    let refuse = warp::path!("refuse").and_then(async || Err::<&str, _>(custom(Refused)));
    let header = warp::path!("header").and(warp::header("x-missing")).map(|_: String| "there");

    let log_out = |path: &'static str, rejection: fn() -> Rejection| {
        warp::path(path).and(session()).and_then(move |session: Session<Notes>| async move {
            session.destroy().await?;
            Err::<&str, _>(rejection())
        })
    };
    let recovered = log_out("recovered", || custom(Refused)).recover(async |rejection: Rejection| {
        if rejection.find::<Refused>().is_some() { Ok(StatusCode::FORBIDDEN) } else { Err(rejection) }
    });
    let log_out = log_out("not_found", not_found).or(log_out("refused", || custom(Refused))).or(recovered);

    let routes = recovering.or(refuse).or(header).or(warp::path("log_out").and(log_out));
    let posts = warp::path!("notes" / "read").and(warp::post()).map(|| "posted");
    let routes = routes.or(super::routes(lab)).or(posts);
    serve_service(SessionLayer::new(lab.notes.clone()).around(routes), listener)
}

#[tokio::test]
async fn the_routes_own_recover_sees_the_error() {
    let site = open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Load);
    assert_eq!(browser.get("/recovering").await.expect_status(200).body, "Come back later.");
    browser.get("/notes/read").await.expect_status(503);
}

/// Neither 404 nor 405, which the routes behind it reject with, nor warp's own 500.
#[tokio::test]
async fn a_failing_load_is_the_reason_that_counts() {
    let site = open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Load);
    let answer = browser.get("/notes/read").await.expect_status(503).expect_no_cookie();
    assert_eq!(answer.body, "Service Unavailable");
    // Once for all routes that were tried.
    assert_eq!(site.store().calls(), [Call::Load]);
}

#[tokio::test]
async fn other_rejections_are_answered_as_ever() {
    let site = open();
    for (path, status) in [("/refuse", 500), ("/header", 400), ("/not_found", 404)] {
        site.browser().get(path).await.expect_status(status).expect_no_cookie();
    }
}

/// SECURITY 12 and 20.
#[tokio::test]
async fn a_logout_before_a_rejection_logs_out() {
    let site = open();
    for (path, status) in
        [("/log_out/not_found", 404), ("/log_out/refused", 500), ("/log_out/recovered", 403)]
    {
        let mut browser = site.browser_with_text("hello").await;
        let mut tab = browser.clone();
        browser.get(path).await.expect_status(status).expect_removal();
        assert_eq!(tab.notes().await, Notes::default(), "{path}");
    }
}
