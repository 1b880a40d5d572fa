//! What the shop does for its visitors, as far as sessions carry it.

use serde_json::json;

use super::stage::Stage;
use super::visitor::{Me, Visitor, now};

const DAY: u64 = 24 * 3600;
/// How far the clocks of test and application may seem apart while a machine is busy.
const TOLERANCE: u64 = 60;

pub(crate) async fn visits_are_counted(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    for count in 1..=3 {
        visitor.visit().await.expect_status(200);
        assert_eq!(visitor.me().await.visits, count);
    }
    assert_eq!(Visitor::new(&app).me().await.visits, 0);
}

pub(crate) async fn the_page_shows_the_cart_and_no_markup_of_its_visitors(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    let page = visitor.visit().await.expect_status(200);
    assert!(page.body.contains("<body class=\"stranger\">"), "{}", page.body);
    visitor.sign_in("<b>ada</b>").await.expect_status(200);
    visitor.buy("<script>tea</script>").await.expect_status(200);
    let page = visitor.visit().await.expect_status(200);
    assert!(page.header("content-type").is_some_and(|it| it.starts_with("text/html")), "{page:?}");
    for part in ["tea", "ada", "<body class=\"member\">"] {
        assert!(page.body.contains(part), "no {part} in {}", page.body);
    }
    for markup in ["<script>", "<b>"] {
        assert!(!page.body.contains(markup), "{markup} in {}", page.body);
    }
}

pub(crate) async fn forms_are_answered_by_a_redirect_and_json_by_json(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    for (path, fields) in
        [("/login", &[("user", "ada")][..]), ("/cart", &[("item", "tea")]), ("/logout", &[])]
    {
        let answer = visitor.post_form(path, fields).await.expect_status(303);
        assert_eq!(answer.header("location"), Some("/"));
        if path == "/cart" {
            let me = visitor.me().await;
            assert_eq!((me.user.as_deref(), &*me.cart), (Some("ada"), &["tea".to_owned()][..]));
        }
    }

    let mut visitor = Visitor::new(&app);
    let signed_in = visitor.sign_in("bob").await.me();
    assert_eq!(signed_in.user.as_deref(), Some("bob"));
    let bought = visitor.buy("coffee").await.me();
    assert_eq!((bought.user.as_deref(), &*bought.cart), (Some("bob"), &["coffee".to_owned()][..]));
    assert_eq!(visitor.log_out().await.me(), Me::anonymous());
}

pub(crate) async fn a_session_knows_its_times(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let me = visitor.me().await;
    assert!(!me.is_new);
    assert!(me.created_at.is_some_and(|at| at.abs_diff(now()) <= TOLERANCE), "{me:?}");
    assert!(me.seconds_left().abs_diff(DAY) <= TOLERANCE, "{me:?}");
}

/// SECURITY 10.
pub(crate) async fn remembering_keeps_the_session_for_thirty_days(stage: Stage) {
    let app = stage.app().await;

    let mut by_form = Visitor::new(&app);
    by_form.post_form("/login", &[("user", "ada"), ("remember", "on")]).await.expect_status(303);
    let mut by_json = Visitor::new(&app);
    by_json.post_json("/login", &json!({ "user": "ada", "remember": true })).await.expect_status(200);
    for visitor in [&mut by_form, &mut by_json] {
        // It stays with the session through later writes.
        visitor.buy("tea").await.expect_status(200);
        let me = visitor.me().await;
        assert!(me.seconds_left().abs_diff(30 * DAY) <= TOLERANCE, "{me:?}");
    }

    let mut unremembered = Visitor::new(&app);
    unremembered.post_json("/login", &json!({ "user": "ada", "remember": false })).await.expect_status(200);
    assert!(unremembered.me().await.seconds_left().abs_diff(DAY) <= TOLERANCE);
}

pub(crate) async fn a_cart_that_holds_too_much_is_an_error_in_the_words_of_the_shop(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    // The example in warp takes bodies of 64 KiB, and a session holds 1 MiB.
    let item = "x".repeat(60_000);
    let mut bought = 0;
    let refused = loop {
        assert!(bought < 20, "the cart holds anything");
        match visitor.buy(&item).await {
            answer if answer.status == 200 => bought += 1,
            answer => break answer,
        }
    };
    refused.expect_error(500, "That did not work.").expect_no_cookie();
    assert_eq!(visitor.me().await.cart.len(), bought);
}

pub(crate) async fn bodies_that_cannot_be_read_are_refused_and_change_nothing(stage: Stage) {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let before = visitor.me().await;
    for (content_type, body) in [
        (JSON, ""),
        (JSON, "{"),
        (JSON, "null"),
        (JSON, "[]"),
        (JSON, "{}"),
        (JSON, "{\"user\": 1, \"item\": 1}"),
        (JSON, "{\"user\": null, \"item\": null}"),
        (FORM, ""),
        (FORM, "other=field"),
        (FORM, "%ff=%fe"),
        ("text/plain", "user=ada&item=tea"),
        ("no content type at all", "user=ada&item=tea"),
    ] {
        for path in ["/login", "/cart"] {
            let answer = visitor.post_text(path, content_type, body).await.expect_no_cookie();
            let status = answer.status;
            assert!([400, 411, 415, 422].contains(&status), "{path} {content_type} {body}: {answer:?}");
        }
    }
    for user in ["", &"x".repeat(257)] {
        visitor.sign_in(user).await.expect_status(422).expect_no_cookie();
    }
    assert_eq!(visitor.me().await, before);
}
