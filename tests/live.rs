//! The examples with pages that are told of the end of a session, in a real browser.

#![cfg(all(
    feature = "memory",
    feature = "redis",
    feature = "axum",
    feature = "actix-web",
    feature = "warp"
))]

mod support;

use serde_json::json;
use support::app::{App, Host};
use support::browser;
use support::redis::Server;

async fn a_socket_ends_with_its_session(example: &'static str) {
    let redis = Server::start().await;
    let settings = [
        ("SESSION_COOKIE_SECURE", "false"),
        ("REDIS_URL", &*redis.url()),
        ("SESSION_SECRET", "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x"),
        ("SESSION_TTL", "10s"),
    ];
    let app = App::start(Host { example }, &settings).await;
    let seen = browser::open_socket(&app).await;
    let signed_out = "4001: You were signed out.";
    let expected = json!({
        "stranger": "closed", "signed_in": "open", "said": "ada: hello", "signed_out": [signed_out, signed_out],
        "signed_in_again": "open", "expired": "4002: Your session has expired.",
    });
    assert_eq!(seen, expected, "{example}");
}

/// At the same time, since each waits for a session's time to be over.
#[tokio::test(flavor = "multi_thread")]
async fn in_each_framework_a_socket_closes_with_a_reason_when_its_session_ends() {
    let tests = ["live_axum", "live_actix_web", "live_warp"].map(a_socket_ends_with_its_session);
    for test in tests.map(tokio::spawn) {
        test.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_page_lists_devices_by_name_and_ends_their_sessions() {
    let app = App::start(Host { example: "devices" }, &[("SESSION_COOKIE_SECURE", "false")]).await;
    let seen = browser::use_devices(&app).await;
    let others = ["Firefox on Android just now Sign out", "Safari on macOS just now Sign out"];
    let first = "Chrome on Windows this device";
    let ended = ["Firefox on Android", "Safari on macOS"]
        .map(|device| format!("Signed out from another device {device} just now"));
    let began = ["Firefox on Android", "Safari on macOS", "Chrome on Windows"]
        .map(|device| format!("Signed in {device} just now"));
    let expected = json!({
        "stranger": ["Sign in"], "devices": [first, others[0], others[1]],
        "member": ["Sign out", "Sign out", "Sign out", "Sign out everywhere else"],
        "told": "You were signed out.", "without_one": [first, others[0]], "alone": [first],
        "activity": [ended[0], ended[1], began[0], began[1], began[2]],
    });
    assert_eq!(seen, expected);
}
