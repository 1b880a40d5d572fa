//! The shop on Express, which is migrated from, does what `examples/README.md` says, and so do the
//! launchers it is run with.

use serde_json::json;

use crate::support::app::App;
use crate::support::node;
use crate::support::redis::Server;
use crate::visitor::{Me, Visitor};

const TTL: u64 = 3600;

async fn shop(redis: &Server, settings: &[(&str, &str)]) -> App {
    let (url, ttl) = (redis.url(), TTL.to_string());
    let common = [("REDIS_URL", &*url), ("SESSION_SECRET", "keyboard cat"), ("SESSION_TTL", &ttl)];
    node::shop(&[&common, settings].concat()).await
}

#[tokio::test]
async fn a_visitor_signs_in_buys_and_signs_out() {
    let redis = Server::start().await;
    let app = shop(&redis, &[]).await;
    let mut visitor = Visitor::new(&app);
    assert_eq!(visitor.me().await, Me::anonymous());
    assert!(!visitor.has_cookie());
    visitor.visit().await.expect_status(200);
    visitor.buy("tea").await.expect_status(200);
    let before = visitor.clone();

    let me = visitor.sign_in("ada").await.me();
    assert_eq!((me.user.as_deref(), me.visits, &*me.cart), (Some("ada"), 1, &["tea".to_owned()][..]));
    assert!(me.seconds_left().abs_diff(TTL) <= 60 && !me.is_new, "{me:?}");
    assert_ne!(before.cookie(), visitor.cookie());
    assert_eq!(before.at(&app).me().await, Me::anonymous());

    let signed_in = visitor.clone();
    assert_eq!(visitor.log_out().await.me(), Me::anonymous());
    assert!(!visitor.has_cookie());
    assert_eq!(signed_in.at(&app).me().await, Me::anonymous());
}

#[tokio::test]
async fn forms_are_answered_by_a_redirect() {
    let redis = Server::start().await;
    let app = shop(&redis, &[]).await;
    let mut visitor = Visitor::new(&app);
    for (path, fields) in
        [("/login", &[("user", "ada")][..]), ("/cart", &[("item", "<b>tea</b>")]), ("/logout", &[])]
    {
        let answer = visitor.post_form(path, fields).await.expect_status(303);
        assert_eq!(answer.header("location"), Some("/"));
        if path == "/cart" {
            let page = visitor.visit().await.expect_status(200).body;
            assert!(page.contains("Hello, ada") && page.contains("&lt;b&gt;tea&lt;/b&gt;"), "{page}");
        }
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let redis = Server::start().await;
    let app = shop(&redis, &[]).await;
    let mut visitor = Visitor::new(&app);
    for (content_type, body) in
        [("application/json", "{"), ("application/json", "[]"), ("text/plain", "user=ada&item=tea")]
    {
        for path in ["/login", "/cart"] {
            let answer = visitor.post_text(path, content_type, body).await.expect_no_cookie();
            assert!([400, 415, 422].contains(&answer.status), "{path} {content_type} {body}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn settings_give_cookies_and_ids_of_other_shapes() {
    let redis = Server::start().await;
    for (genid, dots) in [("uuid", 0), ("dots", 2)] {
        let settings =
            [("GENID", genid), ("SESSION_COOKIE_NAME", "shop"), ("SESSION_EXPRESS_PREFIX", "app:")];
        let app = shop(&redis, &settings).await;
        let visitor = Visitor::returning(&app).await;
        let (id, _) = visitor.cookie().strip_prefix("shop=s%3A").unwrap().rsplit_once('.').unwrap();
        assert_eq!(id.matches('.').count(), dots, "{id}");
        assert!(redis.ask::<bool>(&format!("EXISTS app:{id}")).await.unwrap(), "{id}");
    }
}

#[tokio::test]
async fn the_first_of_several_secrets_signs_and_all_verify() {
    let redis = Server::start().await;
    let old = shop(&redis, &[]).await;
    let visitor = Visitor::returning(&old).await;
    let both = shop(&redis, &[("SESSION_SECRET", "new,keyboard cat")]).await;
    let mut visitor = visitor.at(&both);
    assert_eq!(visitor.me().await.visits, 1);
    visitor.sign_in("ada").await.expect_status(200);
    assert_eq!(visitor.at(&old).me().await, Me::anonymous());
}

#[tokio::test]
async fn a_rolling_cookie_is_sent_with_every_answer() {
    let redis = Server::start().await;
    let app = shop(&redis, &[("ROLLING", "true")]).await;
    let mut visitor = Visitor::returning(&app).await;
    assert!(visitor.get("/me").await.set_cookie().is_some());
}

#[tokio::test]
async fn a_script_answers_what_it_returns() {
    let answer = node::evaluate("return [require('express-session/package.json').version, undefined]").await;
    assert_eq!(answer, json!(["1.19.0", null]));
    assert_eq!(node::evaluate("").await, json!(null));
}
