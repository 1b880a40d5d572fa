//! The session cookie on the wire, and what caches are told.

use super::stage::Stage;
use super::visitor::{Me, Visitor};
use crate::support::app::App;

/// SECURITY 16 and 20.
pub(crate) async fn the_default_cookie_is_set_renewed_and_removed_with_the_same_attributes(stage: Stage) {
    let app = stage.app_with_default_cookie().await;
    cookie_is_set_renewed_and_removed(&app, "__Host-Http-id", "HttpOnly; SameSite=Lax; Secure; Path=/").await;
}

/// SECURITY 20.
pub(crate) async fn the_cookie_for_plain_http_is_set_renewed_and_removed_with_the_same_attributes(
    stage: Stage,
) {
    let app = stage.app().await;
    cookie_is_set_renewed_and_removed(&app, "id", "HttpOnly; SameSite=Lax; Path=/").await;
}

async fn cookie_is_set_renewed_and_removed(app: &App, name: &str, attributes: &str) {
    let mut visitor = Visitor::new(app);

    let created = visitor.visit().await.expect_status(200);
    let first = visitor.cookie().to_owned();
    assert_eq!(created.set_cookie(), Some(&*format!("{first}; {attributes}")));
    assert!(first.starts_with(&format!("{name}=")), "{first}");
    assert_eq!((visitor.id().len(), visitor.signature().len()), (32, 43));

    let renewed = visitor.sign_in("ada").await.expect_status(200);
    assert_ne!(visitor.cookie(), first);
    assert_eq!(renewed.set_cookie(), Some(&*format!("{}; {attributes}", visitor.cookie())));

    let removed = visitor.log_out().await.expect_status(200);
    let forget = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(removed.set_cookie(), Some(&*format!("{name}=; {attributes}; {forget}")));
}

pub(crate) async fn a_read_by_an_anonymous_visitor_sets_no_cookie(stage: Stage) {
    let app = stage.app().await;
    let answer = Visitor::new(&app).get("/me").await.expect_status(200).expect_no_cookie();
    assert_eq!(answer.me(), Me::anonymous());
}

pub(crate) async fn a_cookie_is_sent_once(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.visit().await.expect_status(200).expect_no_cookie();
    visitor.get("/me").await.expect_status(200).expect_no_cookie();
    visitor.buy("tea").await.expect_status(200).expect_no_cookie();
}

/// SECURITY 19.
pub(crate) async fn responses_that_set_the_cookie_are_not_for_caches(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    for answer in [visitor.visit().await, visitor.sign_in("ada").await, visitor.log_out().await] {
        assert!(answer.set_cookie().is_some(), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let read = visitor.get("/me").await.expect_no_cookie();
    assert_eq!(read.header("cache-control"), None);
}

/// SECURITY 19.
pub(crate) async fn responses_that_used_the_session_vary_by_cookie(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    let anonymous = visitor.get("/me").await;
    let created = visitor.visit().await;
    let read = visitor.get("/me").await;
    for answer in [anonymous, created, read] {
        assert_eq!(answer.header("vary"), Some("Cookie"), "{answer:?}");
    }
}

/// SECURITY 1.
pub(crate) async fn every_visitor_gets_an_id_of_their_own(stage: Stage) {
    let app = stage.app().await;
    let (one, other) = (Visitor::returning(&app).await, Visitor::returning(&app).await);
    assert_ne!(one.id(), other.id());
}
