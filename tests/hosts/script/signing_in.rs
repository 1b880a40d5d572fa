//! New ids, and the end of old ones.

use session_store::SiteData;

use crate::lab::Notes;
use crate::site::{Stage, cookie};
use crate::store::Call;

/// SECURITY 5 and 7.
pub(crate) async fn a_sign_in_and_a_renewal_give_a_new_id_and_keep_the_data(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    for path in ["/notes/sign_in/ada", "/notes/renew"] {
        let mut left_behind = browser.clone();
        browser.get(path).await.expect_status(200).expect_cookie();
        assert_eq!(site.store().calls(), [Call::Load, Call::Rotate]);
        assert_ne!(browser.cookie_value(), left_behind.cookie_value());
        assert_eq!(browser.notes().await, Notes::with_text("hello"));
        assert_eq!(left_behind.notes().await, Notes::default(), "the old id lives on after {path}");
        site.store().calls();
    }
}

/// SECURITY 7. Nobody is shown what somebody else left behind.
pub(crate) async fn a_sign_in_of_somebody_else_begins_with_nothing(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    browser.get("/notes/sign_in/ada/text/hello").await.expect_status(200);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    browser.get("/notes/sign_in/bob").await.expect_status(200).expect_cookie();
    assert_eq!(browser.notes().await, Notes::default());
}

/// SECURITY 12.
pub(crate) async fn a_logout_ends_the_session_for_every_holder_of_the_cookie(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let mut other = browser.clone();
    browser.get("/notes/log_out").await.expect_status(200).expect_removal();
    assert_eq!(site.store().calls(), [Call::Load, Call::Delete]);
    assert_eq!(other.get("/notes/read").await.expect_no_cookie().notes(), Notes::default());
    // What is written then is a session of its own.
    other.get("/notes/text/new").await.expect_status(200).expect_cookie();
    assert_eq!(other.notes().await, Notes::with_text("new"));
}

/// SECURITY 5. A handler may lose patience with `save`, by a timeout or a `select!`, and answer all
/// the same. What was to be stored under a new id must then not end up under the old one.
pub(crate) async fn a_sign_in_whose_save_was_given_up_still_gets_a_new_id(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("anonymous").await;
    let mut left_behind = browser.clone();

    let path = "/notes/sign_in/ada/text/of-ada/give_up_saving";
    browser.get(path).await.expect_status(200).expect_cookie();
    assert_eq!(left_behind.notes().await, Notes::default(), "the old id is signed in");
    assert_eq!(browser.notes().await, Notes::with_text("of-ada"));
}

/// ASVS 7.5.3.
pub(crate) async fn who_does_something_sensitive_has_authenticated_recently(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let refused = browser.get("/notes/recent/600").await.expect_status(401);
    assert_eq!(refused.header("content-type").as_deref(), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(problem["error"], "insufficient_user_authentication");
    browser.get("/notes/confirm").await.expect_status(401);

    browser.get("/notes/sign_in/ada/recent/600").await.expect_status(200);
    site.clock.advance(std::time::Duration::from_secs(600));
    browser.get("/notes/recent/600").await.expect_status(200);
    site.clock.advance(std::time::Duration::from_secs(1));
    browser.get("/notes/recent/600").await.expect_status(401);
    // A renewal is no proof of anything, and takes nothing away.
    browser.get("/notes/renew").await.expect_status(200);
    browser.get("/notes/recent/600").await.expect_status(401);
    browser.get("/notes/recent/601").await.expect_status(200);

    let mut before = browser.clone();
    site.store().calls();
    browser.get("/notes/confirm/recent/600").await.expect_status(200).expect_cookie();
    assert_eq!(site.store().calls(), [Call::Load, Call::Rotate]);
    assert_eq!(before.notes().await, Notes::default(), "the old id stopped working");
    site.store().calls();
    browser.get("/notes/recent/600").await.expect_status(200);
    assert_eq!(site.store().calls(), [Call::Load]);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
}

pub(crate) async fn a_logout_has_the_browser_forget_what_it_is_asked_to(stage: Stage) {
    let site = stage
        .open_with(|notes| notes.cookie(cookie("id")).clear_site_data([SiteData::Cache, SiteData::Storage]));
    let mut browser = site.browser_with_text("hello").await;
    assert_eq!(browser.get("/notes/renew").await.header("clear-site-data"), None);
    let answer = browser.get("/notes/log_out").await.expect_status(200).expect_removal();
    assert_eq!(answer.header("clear-site-data").as_deref(), Some("\"cache\", \"storage\""));
}
