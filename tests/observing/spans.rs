//! The spans around what a store is asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use session_store::{Error, Evict, HistoryBounds, KeyRing, ManualClock, MemoryStore, SessionManager};

use crate::log::Log;
use crate::world::{IDLE, World};

/// The spans that ended, without their times, and without those that they are in.
fn spans(log: &Log) -> Vec<String> {
    let text = log.text();
    let closed = text.lines().filter(|line| line.contains(": close "));
    let spans = closed.filter_map(|line| {
        let span = line.rsplit_once("session_store{")?.1;
        Some(span.split_once('}')?.0.to_owned())
    });
    spans.collect()
}

#[tokio::test]
async fn each_operation_has_a_span_with_the_key_and_the_outcome() {
    let log = Log::begin();
    let world = World::new();
    let cookie = world.sign_up("private-note").await;
    let key = world.manager.begin(Some(&cookie)).session().await.unwrap().key().unwrap();
    let request = world.manager.begin(Some(&cookie));
    request.session().await.unwrap().update(|text| text.push('!')).await.unwrap();
    let _ = request.finish(200).await;
    world.clock.advance(IDLE / 2);
    world.read(&cookie).await.unwrap();
    let signed_in = world.sign_in(&cookie, "ada.lovelace").await;
    let new_key = world.manager.begin(Some(&signed_in)).session().await.unwrap().key().unwrap();
    world.log_out(&signed_in).await;
    world.read(&signed_in).await.unwrap();
    world.store.is_away.store(true, Ordering::SeqCst);
    assert!(matches!(world.read(&signed_in).await, Err(Error::Unavailable { .. })));

    let span = |operation: &str, key: &dyn std::fmt::Display, outcome: &str| {
        format!("operation=\"{operation}\" key={key} outcome=\"{outcome}\"")
    };
    let expected = [
        span("create", &key, "created"),
        span("load", &key, "found"),
        span("load", &key, "found"),
        span("update", &key, "updated"),
        span("load", &key, "found"),
        span("touch", &key, "done"),
        span("load", &key, "found"),
        span("rotate", &key, "updated"),
        span("load", &new_key, "found"),
        span("load", &new_key, "found"),
        span("delete", &new_key, "done"),
        span("load", &new_key, "absent"),
        span("load", &new_key, "unavailable"),
    ];
    assert_eq!(spans(&log), expected);
}

/// What a store is asked for, by the traits' sources, and the span of each.
const SPANS: [(&str, &str); 19] = [
    ("load", "load"),
    ("load_fresh", "load"),
    ("create", "create"),
    ("update", "update"),
    ("touch", "touch"),
    ("rotate", "rotate"),
    ("delete", "delete"),
    ("insert", "index_insert"),
    ("list", "index_list"),
    ("revoke", "index_revoke"),
    ("revoked", "index_revoked"),
    ("remove", "index_remove"),
    ("page", "scan_page"),
    ("usage", "scan_usage"),
    ("owners_page", "scan_owners"),
    ("record", "history_record"),
    ("list", "history_list"),
    ("forget", "history_forget"),
    ("page", "history_page"),
];

#[test]
fn no_operation_of_a_store_is_missing_from_the_table() {
    let traits = [
        include_str!("../../src/store.rs"),
        include_str!("../../src/store/owner_index.rs"),
        include_str!("../../src/store/scan.rs"),
        include_str!("../../src/store/history.rs"),
    ];
    let names = traits.iter().flat_map(|source| source.lines()).filter_map(|line| {
        let name = line.strip_prefix("    async fn ")?;
        Some(name.split_once('(').unwrap().0)
    });
    assert!(names.eq(SPANS.map(|(name, _)| name)));
}

/// Also what is asked for from outside the requests of a session.
#[tokio::test]
async fn every_operation_of_a_store_has_a_span() {
    let (log, clock) = (Log::begin(), Arc::new(ManualClock::default()));
    let manager = SessionManager::<String>::builder(MemoryStore::new(), KeyRing::generate())
        .max_sessions_per_owner(2, Evict::Oldest)
        .touch_share(0.0)
        .history(HistoryBounds::default())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let sign_in = async || {
        let request = manager.begin(None);
        request.session().await.unwrap().sign_in("ada.lovelace", |_| ()).unwrap();
        request.finish(200).await.set_cookie.unwrap().split(';').next().unwrap().to_owned()
    };
    let cookie = sign_in().await;
    let session = manager.begin(Some(&cookie)).session().await.unwrap();
    session.update(|text| text.push('!')).await.unwrap();
    clock.advance(Duration::from_secs(1));
    session.touch().await.unwrap();
    session.renew().unwrap();
    session.save().await.unwrap();
    manager.sessions_of("ada.lovelace").await.unwrap();
    manager.stats_exact().await.unwrap();
    manager.tidy().await.unwrap();
    session.destroy().await.unwrap();
    sign_in().await;
    manager.revoke_all("ada.lovelace").await.unwrap();
    manager.history_of("ada.lovelace").await.unwrap();
    manager.histories().next().await.unwrap().unwrap();
    manager.forget("ada.lovelace").await.unwrap();

    let seen = spans(&log);
    for (_, span) in SPANS {
        let begins = format!("operation=\"{span}\" ");
        assert!(seen.iter().any(|seen| seen.starts_with(&begins)), "{span}: {seen:#?}");
    }
    assert!(seen.iter().all(|seen| seen.contains("outcome=") && !seen.contains("lovelace")), "{seen:#?}");
}

/// Storing runs in a task of its own.
#[tokio::test]
async fn what_is_stored_at_the_end_belongs_to_the_span_of_the_request() {
    use tracing::Instrument as _;
    let log = Log::begin();
    let world = World::new();
    world.sign_up("a note").instrument(tracing::info_span!("request", number = 7)).await;
    let text = log.text();
    assert!(text.contains("request{number=7}:session_store{operation=\"create\""), "{text}");
}

#[tokio::test]
async fn the_log_says_when_a_session_is_created_and_how_long_it_has() {
    let log = Log::begin();
    let world = World::new();
    let cookie = world.sign_up("a note").await;
    let key = world.manager.begin(Some(&cookie)).session().await.unwrap().key().unwrap();
    let text = log.text();
    let line = text.lines().find(|line| line.contains("session created")).unwrap();
    assert!(line.contains("expires in 30 minutes") && line.contains(&key.to_string()), "{line}");
}

/// SECURITY 21. `tests/hosts` proves it for a request through each framework.
#[tokio::test]
async fn neither_spans_nor_stats_nor_metrics_hold_an_id_an_owner_or_data() {
    let log = Log::begin();
    #[cfg(feature = "metrics")]
    crate::metrics::rendered();
    let world = World::new();
    let mut secrets = vec!["private-note".to_owned(), "ada.lovelace".to_owned()];
    let mut note = |cookie: &str| {
        secrets.extend(cookie.trim_start_matches("id=").split('.').map(str::to_owned));
    };
    let cookie = world.sign_up("private-note").await;
    note(&cookie);
    let signed_in = world.sign_in(&cookie, "ada.lovelace").await;
    note(&signed_in);
    world.read(&cookie).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    let here = world.manager.stats().await;
    world.store.is_away.store(true, Ordering::SeqCst);
    world.read(&signed_in).await.unwrap_err();
    let away = world.manager.stats().await;
    let mut told = format!("{here:?} {away:?} {}", serde_json::json!([here, away]));
    #[cfg(feature = "metrics")]
    {
        let metrics = crate::metrics::rendered();
        assert!(metrics.contains("session_store_events_total"), "{metrics}");
        told.push_str(&metrics);
    }
    told.push_str(&log.text());
    assert!(told.contains("operation=\"rotate\""), "{told}");
    for secret in &secrets {
        assert!(!told.contains(secret.as_str()), "{told}");
    }
}
