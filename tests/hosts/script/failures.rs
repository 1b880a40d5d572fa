//! Handlers that fail.

use crate::lab::Notes;
use crate::site::{Stage, cookie};
use crate::store::Call;

/// Hosts answer a panic by a 500 or not at all.
pub(crate) async fn a_panic_leaves_the_stored_session_whole(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    for path in ["/notes/text/half/panic", "/notes/sign_in/ada/panic", "/notes/renew/text/half/panic"] {
        if let Ok(answer) = browser.try_get(path).await {
            answer.expect_status(500).expect_no_cookie();
        }
        site.idle().await;
        assert_eq!(site.store().calls(), [Call::Load], "{path}");
    }
    assert_eq!(browser.notes().await, Notes::with_text("whole"));
}

pub(crate) async fn a_server_error_saves_no_data(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    let answer = browser.get("/notes/text/half/status/502").await.expect_status(502).expect_no_cookie();
    assert_eq!(answer.body, "It is done.", "the handler's answer stays");
    assert_eq!(site.store().calls(), [Call::Load]);
    assert_eq!(browser.notes().await, Notes::with_text("whole"));
    // Nor does it start a session.
    site.browser().get("/notes/text/half/status/500").await.expect_status(500).expect_no_cookie();
}

pub(crate) async fn any_other_status_saves_the_data(stage: Stage) {
    let site = stage.open();
    for status in [204, 303, 404, 409, 498] {
        let mut browser = site.browser();
        let path = format!("/notes/text/hello/status/{status}");
        browser.get(&path).await.expect_status(status).expect_cookie();
        assert_eq!(browser.notes().await, Notes::with_text("hello"), "{status}");
    }
}

/// SECURITY 12 and 20.
pub(crate) async fn a_server_error_still_logs_out(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let mut other = browser.clone();
    let answer = browser.get("/notes/log_out/status/500").await.expect_status(500).expect_removal();
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(other.get("/notes/read").await.expect_no_cookie().notes(), Notes::default());
}

/// A panic that was caught, a time limit inside the layer.
pub(crate) async fn a_handler_that_did_not_get_to_its_end_stores_nothing(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    for status in [408, 499, 500, 503, 504] {
        for steps in ["sign_in/ada/text/half", "renew", "text/half"] {
            let path = format!("/notes/{steps}/status/{status}");
            browser.get(&path).await.expect_status(status).expect_no_cookie();
            assert_eq!(site.store().calls(), [Call::Load], "{path}");
        }
    }
    assert_eq!(browser.notes().await, Notes::with_text("whole"));
}

/// As soon as a time limit inside the layer is over, or what is there catches a panic.
pub(crate) async fn a_handler_that_middleware_ended_stores_nothing(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    for (end, status) in [("hang", 408), ("panic", 500)] {
        for steps in ["sign_in/ada/text/half", "renew/text/half", "text/half"] {
            let path = format!("/guarded/{steps}/{end}");
            browser.get(&path).await.expect_status(status).expect_no_cookie();
            assert_eq!(site.store().calls(), [Call::Load], "{path}");
            // Nor does it start a session.
            site.browser().get(&path).await.expect_status(status).expect_no_cookie();
            assert_eq!(site.store().calls(), [], "{path}");
        }
    }
    assert_eq!(site.lab.notes.sessions_of("ada").await.unwrap(), []);
    assert_eq!(browser.notes().await, Notes::with_text("whole"));
    // Those that get to their ends do.
    browser.get("/guarded/sign_in/ada/text/done").await.expect_status(200).expect_cookie();
    assert_eq!(browser.notes().await, Notes::with_text("done"));
    assert_eq!(site.lab.notes.sessions_of("ada").await.unwrap().len(), 1);
}

/// SECURITY 5.
pub(crate) async fn what_a_handler_saved_before_middleware_ended_it_brings_the_new_id(stage: Stage) {
    let site = stage.open();
    // No `give_up_saving/hang`: the time would run out for the call to Redis as well.
    for (steps, status) in
        [("save/text/half/hang", 408), ("save/text/half/panic", 500), ("give_up_saving/text/half/panic", 500)]
    {
        let mut browser = site.browser_with_text("whole").await;
        let mut left_behind = browser.clone();
        let path = format!("/guarded/sign_in/ada/{steps}");
        browser.get(&path).await.expect_status(status).expect_cookie();
        assert_ne!(browser.cookie_value(), left_behind.cookie_value(), "{path}");
        assert_eq!(browser.notes().await, Notes::with_text("whole"), "{path}");
        assert_eq!(left_behind.notes().await, Notes::default(), "{path}");
    }
}

/// SECURITY 5: what is in the store has to reach the client.
pub(crate) async fn a_server_error_after_a_save_brings_the_new_id(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    let mut left_behind = browser.clone();
    let path = "/notes/sign_in/ada/save/text/half/status/500";
    browser.get(path).await.expect_status(500).expect_cookie();
    assert_ne!(browser.cookie_value(), left_behind.cookie_value());
    assert_eq!(browser.notes().await, Notes::with_text("whole"));
    assert_eq!(left_behind.notes().await, Notes::default());
}

/// Its page goes out, and the session stays as it was.
pub(crate) async fn a_handler_may_answer_a_save_that_failed(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("whole").await;
    for (call, steps) in [(Call::Update, "text/half"), (Call::Rotate, "sign_in/ada"), (Call::Rotate, "renew")]
    {
        site.store().fail(call);
        let answer = browser.get(&format!("/notes/{steps}/try_to_save/read")).await;
        assert_eq!(answer.expect_status(200).expect_no_cookie().notes(), Notes::with_text("whole"));
        assert_eq!(site.store().calls(), [Call::Load, call], "{steps}");
        site.store().recover();
        assert_eq!(browser.notes().await, Notes::with_text("whole"));
        site.store().calls();
    }
}

pub(crate) async fn data_over_the_limit_is_a_500_and_the_record_stays_as_it_was(stage: Stage) {
    let site = stage.open_with(|notes| notes.cookie(cookie("id")).max_payload(200));
    let mut browser = site.browser_with_text("small").await;
    let path = format!("/notes/text/{}", "x".repeat(1000));
    let answer = browser.get(&path).await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    assert!(site.log().contains("the limit is 200"), "{}", site.log());
    assert_eq!(site.store().calls(), [Call::Load]);
    assert_eq!(browser.notes().await, Notes::with_text("small"));
}
