//! One session, two services: the shop on Express and the shop in Rust.

use serde_json::{Value, json};

use crate::support::app::{App, Host};
use crate::support::node;
use crate::support::redis::Server;
use crate::visitor::{Me, Visitor};

const RUST: Host = Host { example: "axum" };
const TTL: i64 = 3600;

/// The two on one Redis.
pub(crate) async fn both(redis: &Server, settings: &[(&str, &str)]) -> (App, App) {
    (express(redis, settings).await, rust(redis, settings).await)
}

async fn express(redis: &Server, settings: &[(&str, &str)]) -> App {
    let url = redis.url();
    let common = [("REDIS_URL", &*url), ("SESSION_SECRET", "keyboard cat")];
    node::shop(&[&common, settings].concat()).await
}

async fn rust(redis: &Server, settings: &[(&str, &str)]) -> App {
    let (url, has_ttl) = (redis.url(), settings.iter().any(|(name, _)| *name == "SESSION_TTL"));
    let common = [
        ("REDIS_URL", &*url),
        ("SESSION_SECRET", "keyboard cat"),
        ("SESSION_LAYOUT", "express"),
        ("SESSION_COOKIE_SECURE", "false"),
        // As with `maxAge` in Express.
        ("SESSION_COOKIE_PERSISTENT", if has_ttl { "true" } else { "false" }),
    ];
    App::start(RUST, &[&common, settings].concat()).await
}

/// The id in a visitor's cookie.
fn sid(visitor: &Visitor) -> String {
    let value = visitor.cookie().strip_prefix("connect.sid=s%3A").expect("a cookie of Express");
    value.rsplit_once('.').expect("a signature").0.to_owned()
}

async fn time_to_live(redis: &Server, sid: &str) -> i64 {
    redis.ask(&format!("TTL sess:{sid}")).await.unwrap()
}

async fn value(redis: &Server, sid: &str) -> Value {
    let value: String = redis.ask(&format!("GET sess:{sid}")).await.unwrap();
    serde_json::from_str(&value).unwrap()
}

fn shown(me: &Me) -> (Option<&str>, u32, Vec<&str>) {
    (me.user.as_deref(), me.visits, me.cart.iter().map(String::as_str).collect())
}

#[tokio::test]
async fn who_signs_in_at_one_is_signed_in_at_the_other_and_out_at_both() {
    for settings in [&[("SESSION_TTL", "3600")][..], &[("SESSION_TTL", "3600"), ("ROLLING", "true")], &[]] {
        let redis = Server::start().await;
        let (node, rust) = both(&redis, settings).await;
        for (one, other) in [(&node, &rust), (&rust, &node)] {
            let mut visitor = Visitor::new(one);
            visitor.visit().await.expect_status(200);
            visitor.buy("tea").await.expect_status(200);
            let stranger = visitor.clone();
            assert_eq!(shown(&visitor.sign_in("ada").await.me()), (Some("ada"), 1, vec!["tea"]));
            assert_eq!(stranger.at(one).me().await, Me::anonymous());
            assert_eq!(stranger.at(other).me().await, Me::anonymous());

            // Read and changed by both, in turn.
            let signed_in = sid(&visitor);
            visitor = visitor.at(other);
            assert_eq!(shown(&visitor.me().await), (Some("ada"), 1, vec!["tea"]));
            visitor.buy("coffee").await.expect_status(200);
            visitor = visitor.at(one);
            visitor.visit().await.expect_status(200);
            visitor.buy("cake").await.expect_status(200);
            visitor = visitor.at(other);
            visitor.visit().await.expect_status(200);
            let expected = (Some("ada"), 3, vec!["tea", "coffee", "cake"]);
            for service in [one, other] {
                assert_eq!(shown(&visitor.at(service).me().await), expected);
            }
            assert_eq!(sid(&visitor), signed_in, "nothing gave it a new id");
            assert!(value(&redis, &signed_in).await["cookie"].is_object());

            // Renewed by the other.
            let before = visitor.clone();
            assert_eq!(shown(&visitor.sign_in("bob").await.me()).0, Some("bob"));
            assert_ne!(sid(&visitor), signed_in);
            for service in [one, other] {
                assert_eq!(before.at(service).me().await, Me::anonymous(), "the id from before");
                assert_eq!(shown(&visitor.at(service).me().await).0, Some("bob"));
            }

            let tab = visitor.clone();
            assert_eq!(visitor.log_out().await.me(), Me::anonymous());
            for service in [one, other] {
                assert_eq!(tab.at(service).me().await, Me::anonymous());
            }
        }
    }
}

#[tokio::test]
async fn each_keeps_the_session_alive_for_both() {
    for rolling in ["false", "true"] {
        let redis = Server::start().await;
        let (node, rust) = both(&redis, &[("SESSION_TTL", "3600"), ("ROLLING", rolling)]).await;
        for (made_by, used_at) in [(&node, &rust), (&rust, &node), (&node, &node), (&rust, &rust)] {
            let mut visitor = Visitor::new(made_by);
            visitor.visit().await.expect_status(200);
            let sid = sid(&visitor);
            let before = value(&redis, &sid).await;
            // Express computes it from two looks at the clock.
            let max_age = before["cookie"]["originalMaxAge"].as_i64().unwrap();
            assert!((TTL * 1000 - 100..=TTL * 1000).contains(&max_age), "{max_age}");
            let () = redis.ask(&format!("EXPIRE sess:{sid} 600")).await.unwrap();

            let mut visitor = visitor.at(used_at);
            let answer = visitor.get("/me").await.expect_status(200);
            let left = time_to_live(&redis, &sid).await;
            assert!((TTL - 5..=TTL).contains(&left), "{left}");
            assert_eq!(value(&redis, &sid).await, before, "a touch is no write");
            // In Rust the browser's copy moves with the session; Express leaves that to `rolling`.
            let sent_again = answer.set_cookie().is_some();
            assert_eq!(sent_again, std::ptr::eq(used_at, &raw const rust) || rolling == "true");
        }
    }
}

#[tokio::test]
async fn a_secret_is_rotated_at_one_service_after_the_other() {
    let redis = Server::start().await;
    let (old, new) = ([("SESSION_SECRET", "old")], [("SESSION_SECRET", "new,old")]);
    for (first, then) in [
        (express(&redis, &old).await, rust(&redis, &new).await),
        (rust(&redis, &old).await, express(&redis, &new).await),
    ] {
        let mut visitor = Visitor::returning(&first).await.at(&then);
        assert_eq!(visitor.me().await.visits, 1);
        // A new id is signed with the new secret.
        visitor.sign_in("ada").await.expect_status(200);
        assert_eq!(visitor.at(&first).me().await, Me::anonymous());
        assert_eq!(visitor.at(&then).me().await.user.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn ids_of_a_custom_genid_are_shared_too() {
    for genid in ["uuid", "dots"] {
        let redis = Server::start().await;
        let (node, rust) = both(&redis, &[("GENID", genid)]).await;
        let mut visitor = Visitor::returning(&node).await.at(&rust);
        let id = sid(&visitor);
        visitor.buy("tea").await.expect_status(200).expect_no_cookie();
        assert_eq!(shown(&visitor.at(&node).me().await), (None, 1, vec!["tea"]));
        // What Rust makes has the common shape, and both read it.
        visitor.sign_in("ada").await.expect_status(200);
        assert!(sid(&visitor).len() == 32 && sid(&visitor) != id);
        assert_eq!(shown(&visitor.at(&node).me().await), (Some("ada"), 1, vec!["tea"]));
    }
}

#[tokio::test]
async fn being_remembered_by_rust_holds_at_node() {
    const MONTH: i64 = 30 * 24 * 3600;
    let redis = Server::start().await;
    let (node, rust) = both(&redis, &[("SESSION_TTL", "3600")]).await;
    for (remembers, other) in [(&rust, &node), (&node, &rust)] {
        let mut visitor = Visitor::new(remembers);
        let login = json!({ "user": "ada", "remember": true });
        visitor.post_json("/login", &login).await.expect_status(200);
        let sid = sid(&visitor);
        let remembered = value(&redis, &sid).await["cookie"]["originalMaxAge"].as_f64().unwrap();
        let mut visitor = visitor.at(other);
        visitor.me().await;
        visitor.buy("tea").await.expect_status(200);
        let left = time_to_live(&redis, &sid).await;
        assert!((MONTH - 5..=MONTH).contains(&left), "{left}");
        // What Express remembers is in the cookie's members; they stay, and its next request goes by them.
        assert!((remembered / 1000.0 - 30.0 * 24.0 * 3600.0).abs() < 5.0, "{remembered}");
        let kept = value(&redis, &sid).await["cookie"]["originalMaxAge"].as_f64().unwrap();
        assert!((kept - remembered).abs() <= 1.0, "Express lets it drift by a millisecond: {kept}");
        visitor.at(&node).me().await;
        let left = time_to_live(&redis, &sid).await;
        assert!((MONTH - 5..=MONTH).contains(&left), "{left}");
    }
}

/// Where JavaScript cuts a text, it may cut a character in two.
#[tokio::test]
async fn half_a_character_signs_nobody_out() {
    let redis = Server::start().await;
    let (node, rust) = both(&redis, &[]).await;
    let mut visitor = Visitor::new(&node);
    visitor.sign_in("ada").await.expect_status(200);
    let half = r#"{ "item": "tea \ud83d" }"#;
    visitor.post_text("/cart", "application/json", half).await.expect_status(200);
    let mut visitor = visitor.at(&rust);
    assert_eq!(shown(&visitor.me().await), (Some("ada"), 0, vec!["tea \u{fffd}"]));
    visitor.buy("coffee").await.expect_status(200);
    assert_eq!(shown(&visitor.at(&node).me().await), (Some("ada"), 0, vec!["tea \u{fffd}", "coffee"]));
}

/// Where Node answers 500, Rust has a visitor without a session.
#[tokio::test]
async fn a_value_that_breaks_node_breaks_rust_no_less_and_stays() {
    let redis = Server::start().await;
    let (node, rust) = both(&redis, &[]).await;
    let visitor = Visitor::returning(&node).await;
    let sid = sid(&visitor);
    for broken in ["not-json", "{\"user\":\"ada\"}", "[]"] {
        let () = redis.ask(&format!("SET sess:{sid} {broken} EX 600")).await.unwrap();
        for app in [&node, &rust] {
            visitor.at(app).get("/me").await.expect_status(500);
        }
        let stored: String = redis.ask(&format!("GET sess:{sid}")).await.unwrap();
        assert_eq!(stored, broken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_both_at_once_are_answered_and_rust_loses_none_of_its_own() {
    let redis = Server::start().await;
    let (node, rust) = both(&redis, &[("SESSION_TTL", "3600")]).await;
    let mut visitor = Visitor::new(&node);
    visitor.sign_in("ada").await.expect_status(200);
    let mut tasks = tokio::task::JoinSet::new();
    for item in 0..20 {
        let (mut at_rust, mut at_node) = (visitor.at(&rust), visitor.at(&node));
        tasks.spawn(async move {
            at_rust.buy(&format!("item {item}")).await.expect_status(200);
            // Node reads, and so only touches.
            at_node.get("/me").await.expect_status(200);
        });
    }
    tasks.join_all().await;
    let me = visitor.me().await;
    assert_eq!((me.user.as_deref(), me.cart.len()), (Some("ada"), 20), "{me:?}");
}
