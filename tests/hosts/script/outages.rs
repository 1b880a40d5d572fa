//! Stores that fail. Clients learn that, and nothing more.

use crate::browser::Answer;
use crate::lab::Notes;
use crate::site::{IDLE, Stage};
use crate::store::Call;

impl Answer {
    /// The answer says that the service is unavailable, and nothing of the cause.
    #[track_caller]
    fn expect_opaque_503(self) -> Self {
        let answer = self.expect_status(503);
        assert_eq!(answer.body, "Service Unavailable");
        assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        answer
    }
}

/// SECURITY 26.
pub(crate) async fn a_failing_load_is_a_503_and_the_handler_does_not_run(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Load);
    // Had it run, it would have updated at once, and answered otherwise.
    browser.get("/notes/update/overwritten/panic").await.expect_opaque_503().expect_no_cookie();
    assert_eq!(site.store().calls(), [Call::Load]);
    site.store().recover();
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

pub(crate) async fn whoever_has_no_session_is_served_while_loads_fail(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Load);
    browser.get("/static").await.expect_status(200);
    assert_eq!(site.browser().notes().await, Notes::default());
}

/// SECURITY 26.
pub(crate) async fn a_failing_commit_is_a_503_in_place_of_the_handlers_answer(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    for (call, mut visitor) in [(Call::Update, browser.clone()), (Call::Create, site.browser())] {
        site.store().fail(call);
        let path = "/notes/text/new?set-cookie=promise=made&content-type=text/html";
        let answer = visitor.get(path).await.expect_opaque_503().expect_no_cookie();
        assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    }
    assert!(site.log().contains("the store was told to fail at 10.0.0.7"), "{}", site.log());
    site.store().recover();
    assert_eq!(browser.notes().await, Notes::with_text("old"));
}

pub(crate) async fn a_store_that_fails_the_handler_itself_is_a_503(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    for (call, path) in [(Call::Update, "/notes/update/new"), (Call::Create, "/theme/dark")] {
        site.store().fail(call);
        browser.get(path).await.expect_opaque_503().expect_no_cookie();
    }
    site.store().recover();
    assert_eq!(browser.notes().await, Notes::with_text("old"));
}

/// SECURITY 5 and 26.
pub(crate) async fn a_sign_in_that_cannot_be_stored_is_a_503_and_leaves_the_old_session(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Rotate);
    for path in ["/notes/sign_in/ada", "/notes/renew"] {
        browser.get(path).await.expect_opaque_503().expect_no_cookie();
    }
    site.store().recover();
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

/// SECURITY 20 and 26.
pub(crate) async fn a_logout_that_cannot_be_stored_is_a_503_and_still_removes_the_cookie(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Delete);
    let answer = browser.get("/notes/log_out").await.expect_opaque_503().expect_removal();
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
}

pub(crate) async fn a_failing_touch_does_not_alter_the_answer(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.store().fail(Call::Touch);
    site.clock.advance(IDLE / 2);
    let answer = browser.get("/notes/read").await.expect_no_cookie();
    assert_eq!(answer.notes(), Notes::with_text("hello"));
    assert_eq!(site.store().calls(), [Call::Load, Call::Touch]);
}
