//! Sign-in, logout, and the cookies that they leave behind.

use super::stage::Stage;
use super::visitor::{Me, Visitor};

/// SECURITY 5 and 6.
pub(crate) async fn signing_in_gives_a_new_id_and_keeps_the_cart(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    visitor.buy("tea").await.expect_status(200);
    let anonymous = visitor.id().to_owned();

    visitor.sign_in("ada").await.expect_status(200);
    assert_ne!(visitor.id(), anonymous);
    let me = visitor.me().await;
    assert_eq!((me.user.as_deref(), &*me.cart), (Some("ada"), &["tea".to_owned()][..]));
}

/// SECURITY 5 and 7.
pub(crate) async fn the_id_from_before_a_sign_in_is_dead(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let mut left_behind = visitor.clone();
    visitor.sign_in("ada").await.expect_status(200);

    let read = left_behind.get("/me").await.expect_no_cookie();
    assert_eq!(read.me(), Me::anonymous());
    // A session of its own would push the new cookie out of the browser.
    left_behind.buy("fixation").await.expect_status(409).expect_no_cookie();
    left_behind.visit().await.expect_status(409).expect_no_cookie();

    let me = visitor.me().await;
    assert_eq!((me.user.as_deref(), me.visits, &*me.cart), (Some("ada"), 1, &[][..]));
}

/// SECURITY 12.
pub(crate) async fn the_id_from_before_a_sign_in_still_logs_out(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let mut left_behind = visitor.clone();
    visitor.sign_in("ada").await.expect_status(200);
    visitor.sign_in("ada").await.expect_status(200);

    left_behind.log_out().await.expect_status(200);
    assert_eq!(visitor.me().await, Me::anonymous());
}

/// SECURITY 5.
pub(crate) async fn signing_in_again_gives_a_new_id_again(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    visitor.sign_in("ada").await.expect_status(200);
    let mut first = visitor.clone();
    visitor.sign_in("bob").await.expect_status(200);

    assert_ne!(visitor.id(), first.id());
    assert_eq!(first.me().await, Me::anonymous());
    assert_eq!(visitor.me().await.user.as_deref(), Some("bob"));
}

/// SECURITY 3, 12 and 20.
pub(crate) async fn logging_out_ends_the_session_for_every_holder_of_the_cookie(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    visitor.sign_in("ada").await.expect_status(200);
    let ended = visitor.id().to_owned();
    let mut other = visitor.clone();

    visitor.log_out().await.expect_status(200);
    assert!(!visitor.has_cookie());
    let read = other.get("/me").await.expect_no_cookie();
    assert_eq!(read.me(), Me::anonymous());

    other.buy("tea").await.expect_status(200);
    assert_ne!(other.id(), ended);
    assert_eq!(other.me().await.user, None);
}

pub(crate) async fn logging_out_without_a_session_is_harmless(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    assert_eq!(visitor.log_out().await.me(), Me::anonymous());
    visitor.post_form("/logout", &[]).await.expect_status(303);
    assert!(!visitor.has_cookie());
}
