//! Bodies that are still being made when their headers go out.

use crate::lab::Notes;
use crate::site::Stage;
use crate::store::Call;
use crate::support::gate::within;

pub(crate) async fn the_cookie_and_the_first_part_arrive_while_the_rest_is_being_made(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    let mut response = browser.get_headers("/notes/text/hello/stream").await;
    assert_eq!(response.status(), 200);
    assert_eq!(browser.cookie_names(), ["id"]);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "first, ");
    site.lab.gate.arrival().await;
    // By then the session is stored.
    assert_eq!(site.store().calls(), [Call::Create]);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));

    site.lab.gate.open();
    assert_eq!(within(response.text()).await.unwrap(), "second");
    assert_eq!(site.store().calls(), [Call::Load]);
}

pub(crate) async fn a_body_that_nobody_waits_for_costs_the_session_nothing(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    let mut response = browser.get_headers("/notes/text/new/stream").await;
    assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "first, ");
    site.lab.gate.arrival().await;
    drop(response);
    assert_eq!(browser.notes().await, Notes::with_text("new"));
}

/// The answer that takes the stream's place is whole, and nobody makes the stream.
pub(crate) async fn a_failing_commit_takes_the_place_of_a_stream(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    site.store().fail(Call::Update);
    let answer = browser.get("/notes/text/new/stream").await.expect_status(503).expect_no_cookie();
    assert_eq!(answer.body, "Service Unavailable");
}
