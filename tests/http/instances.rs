//! What sharing sessions in Redis is for: restarts, several instances, and new keys.

use super::stage::{OTHER_SECRET, SECRET, Stage};
use super::visitor::{Me, Visitor};

pub(crate) async fn sessions_survive_a_restart_of_the_application(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.sign_in("ada").await.expect_status(200);
    let before = visitor.me().await;
    drop(app);

    let app = stage.app().await;
    assert_eq!(visitor.at(&app).me().await, before);
}

/// SECURITY 5 and 12.
pub(crate) async fn two_instances_share_their_sessions(stage: Stage) {
    let (one, other) = (stage.app().await, stage.app().await);
    let mut visitor = Visitor::returning(&one).await;
    visitor.at(&other).buy("tea").await.expect_status(200).expect_no_cookie();
    assert_eq!(visitor.me().await.cart, ["tea"]);

    let before = visitor.clone();
    visitor.sign_in("ada").await.expect_status(200);
    assert_eq!(before.at(&other).me().await, Me::anonymous());
    let mut at_other = visitor.at(&other);
    assert_eq!(at_other.me().await.user.as_deref(), Some("ada"));

    at_other.log_out().await.expect_status(200);
    assert_eq!(visitor.me().await, Me::anonymous());
}

/// SECURITY 24.
pub(crate) async fn a_cookie_of_a_previous_key_is_sent_again_under_the_new_one(stage: Stage) {
    let old = stage.app().await;
    let mut visitor = Visitor::returning(&old).await;
    let under_old_key = visitor.clone();
    let before = visitor.me().await;
    drop(old);

    let both = stage.app_with(&[("SESSION_SECRET", &format!("{OTHER_SECRET},{SECRET}"))]).await;
    visitor = visitor.at(&both);
    let sent_again = visitor.get("/me").await;
    assert_eq!(sent_again.me(), before);
    assert_eq!(
        sent_again.set_cookie(),
        Some(&*format!("{}; HttpOnly; SameSite=Lax; Path=/", visitor.cookie()))
    );
    assert_eq!(sent_again.header("cache-control"), Some("no-store"));
    assert_eq!(visitor.id(), under_old_key.id());
    assert_ne!(visitor.signature(), under_old_key.signature());
    visitor.get("/me").await.expect_status(200).expect_no_cookie();
    drop(both);

    let new = stage.app_with(&[("SESSION_SECRET", OTHER_SECRET)]).await;
    assert_eq!(visitor.at(&new).me().await, before);
    assert_eq!(under_old_key.at(&new).me().await, Me::anonymous());
}

/// SECURITY 24.
pub(crate) async fn a_cookie_of_a_retired_key_is_an_anonymous_visitor(stage: Stage) {
    let old = stage.app().await;
    let visitor = Visitor::returning(&old).await;
    let new = stage.app_with(&[("SESSION_SECRET", OTHER_SECRET)]).await;

    let mut at_new = visitor.at(&new);
    let answer = at_new.get("/me").await.expect_no_cookie();
    assert_eq!(answer.me(), Me::anonymous());
    at_new.visit().await.expect_status(200);
    assert_ne!(at_new.id(), visitor.id());
}
