//! Device-bound sessions: in a real browser, over TLS, with two instances; and under races.

#![cfg(all(feature = "device-bound", feature = "axum", feature = "memory", feature = "redis"))]

mod bank;
mod racing;
#[path = "../support/mod.rs"]
mod support;

use bank::Bank;
use serde_json::{Value, json};
use session_store::MissingProof;
use support::browser;

async fn play(scene: &str, missing: MissingProof) -> Value {
    let bank = Bank::open(missing).await;
    browser::bind(bank.port(), &bank.key_hash, scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_has_minutes_and_the_browser_goes_on_at_another_instance() {
    let seen = play("theft", MissingProof::Anonymous).await;
    let expected = json!({
        "names": ["__Host-Http-id", "__Host-id-device"],
        "bound": "ada, bound", "stolen": "ada, bound", "thief_later": "nobody, stale", "browser_later": "ada, bound",
    });
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_keeps_the_binding() {
    let seen = play("renewal", MissingProof::Refuse).await;
    assert_eq!(seen, json!({ "renewed": "ada, bound", "same_id": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_requests_at_once_wait_for_one_proof() {
    let seen = play("parallel", MissingProof::Refuse).await;
    assert_eq!(seen, json!({ "answers": ["ada, bound"], "proofs": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sensitive_arrives_once_after_a_proof() {
    let seen = play("sensitive", MissingProof::Refuse).await;
    assert_eq!(seen, json!({ "transferred": "transferred ten to bob", "transfers": ["ten to bob"] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_back_after_the_end() {
    let seen = play("end", MissingProof::Refuse).await;
    let expected = json!({ "after_logout": ["nobody, unbound", 0], "after_revoking": ["nobody, unbound", null], "again": "ada, bound" });
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_skips_its_proofs_is_not_signed_out() {
    let seen = play("quota", MissingProof::Anonymous).await;
    assert_eq!(seen, json!({ "last": "nobody, stale", "skipped": true, "still_there": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_cannot_bind_sees_no_difference() {
    let seen = play("unable", MissingProof::Refuse).await;
    assert_eq!(
        seen,
        json!({ "unbound": "ada, unbound", "transferred": "transferred ten to bob", "bound": 0 })
    );
}
