//! The example that shows its metrics, as a process, with a Redis that goes and comes back.

#![cfg(all(feature = "axum", feature = "memory", feature = "redis", feature = "metrics"))]

#[allow(dead_code)]
#[path = "http/visitor.rs"]
mod visitor;

mod support;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use support::app::{App, Host};
use support::redis::{Server, wait_until};
use visitor::{Answer, Visitor};

const EXAMPLE: Host = Host { example: "metrics" };

async fn metrics(app: &App, token: &'static str) -> Answer {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(token))]);
    Visitor::new(app).get_with_headers("/metrics", headers).await
}

#[tokio::test]
async fn metrics_are_for_whoever_has_the_token_and_tell_how_the_sessions_are() {
    let mut redis = Server::start().await;
    let url = redis.url();
    let settings = [
        ("REDIS_URL", &*url),
        ("SESSION_SECRET", "only-for-tests-oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x"),
        ("SESSION_COOKIE_SECURE", "false"),
    ];
    let closed = App::start(EXAMPLE, &settings).await;
    metrics(&closed, "Bearer let-me-in").await.expect_status(404);
    let app = App::start(EXAMPLE, &[&settings[..], &[("SHOP_STATS_TOKEN", "let-me-in")]].concat()).await;
    metrics(&app, "Bearer wrong").await.expect_status(403);

    let mut visitor = Visitor::returning(&app).await;
    visitor.visit().await.expect_status(200);
    let secrets = [visitor.id().to_owned(), visitor.signature().to_owned()];
    visitor.post_json("/leave", &serde_json::json!({})).await.expect_status(200);
    let told = metrics(&app, "Bearer let-me-in").await.expect_status(200).body;
    for line in [
        "session_store_events_total{event=\"created\"} 1",
        "session_store_operation_duration_seconds_count{operation=\"create\",outcome=\"ok\"} 1",
        "session_store_session_duration_seconds_count{end=\"destroyed\"} 1",
        "session_store_connected{store=\"redis\",topology=\"standalone\"} 1",
    ] {
        assert!(told.lines().any(|told| told == line), "no {line:?} in\n{told}");
    }
    assert!(!secrets.iter().any(|secret| told.contains(secret)), "{told}");

    redis.kill();
    let shows = async |line: &str| metrics(&app, "Bearer let-me-in").await.body.contains(line);
    wait_until("it is seen that Redis is away", || {
        shows("session_store_connected{store=\"redis\",topology=\"standalone\"} 0")
    })
    .await;
    redis.restart().await;
    wait_until("it is seen that Redis is back", || shows("session_store_reconnects_total 1")).await;
}
