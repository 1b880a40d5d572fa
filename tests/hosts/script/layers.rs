//! Layers in layers, beside each other, and missing.

use crate::lab::Notes;
use crate::site::Stage;
use crate::store::Call;

pub(crate) async fn layers_of_one_type_and_cookie_share_the_session(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    let answer = browser.get("/inner/text/hello").await.expect_status(200).expect_cookie();
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(site.store().calls(), [Call::Create]);

    let expected = Notes { count: 2, ..Notes::with_text("hello") };
    assert_eq!(browser.get("/inner/read").await.expect_no_cookie().notes(), expected);
    assert_eq!(site.store().calls(), [Call::Load, Call::Update]);
    assert_eq!(browser.notes().await, expected);
}

pub(crate) async fn layers_of_one_type_and_two_cookies_are_refused_and_the_log_says_why(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let answer = browser.get("/ambiguous/text/hello").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    let reason = "two session layers for hosts::lab::Notes name different cookies";
    assert!(site.log().contains(reason), "{}", site.log());
    assert_eq!(site.store().calls(), []);
    browser.get("/ambiguous/static").await.expect_status(200);
}

pub(crate) async fn a_route_without_a_layer_is_refused_and_the_log_says_why(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let answer = browser.get("/bare/read").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    let reason = "there is no session layer for hosts::lab::Notes around this route: ";
    let advice = reason.to_owned() + site.host().remedy;
    assert!(site.log().contains(&advice), "{}", site.log());
    assert_eq!(site.store().calls(), []);
}

pub(crate) async fn two_types_with_two_cookies_are_two_sessions(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    browser.get("/notes/text/hello").await.expect_status(200);
    browser.get("/theme/dark").await.expect_status(200);
    assert_eq!(browser.cookie_names(), ["id", "theme"]);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    assert_eq!(browser.get("/theme").await.expect_status(200).body, "dark");

    // Ending one leaves the other.
    browser.get("/notes/log_out").await.expect_status(200).expect_removal();
    assert_eq!(browser.cookie_names(), ["theme"]);
    assert_eq!(browser.get("/theme").await.expect_status(200).body, "dark");
}

pub(crate) async fn two_sessions_of_one_request_are_both_stored(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    let answer = browser.get("/both/dark").await.expect_status(200);
    assert_eq!((answer.set_cookies.len(), browser.cookie_names()), (2, vec!["id", "theme"]), "{answer:?}");
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(browser.notes().await, Notes::with_text("dark"));
    assert_eq!(browser.get("/theme").await.expect_status(200).body, "dark");
}

pub(crate) async fn everyone_who_handles_a_request_shares_one_load(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let expected = Notes { count: 1, ..Notes::with_text("hello") };
    assert_eq!(browser.get("/twice").await.notes(), expected);
    assert_eq!(site.store().calls(), [Call::Load, Call::Update]);
}

/// A framework may carry a middleware's error outwards in another way than a response.
pub(crate) async fn a_middleware_that_fails_is_answered_as_a_handler_is(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    let answer = browser.get("/refused").await.expect_status(403).expect_cookie();
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(browser.notes().await, Notes { count: 1, ..Notes::default() });

    for (call, path) in [(Call::Load, "/inner/read"), (Call::Update, "/refused")] {
        site.store().fail(call);
        let answer = browser.get(path).await.expect_status(503).expect_no_cookie();
        assert_eq!(answer.body, "Service Unavailable", "{path}");
    }
}
