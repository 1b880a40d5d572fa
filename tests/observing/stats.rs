//! `SessionManager::stats`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use session_store::{
    Clock, Error, FallbackPolicy, FallbackStore, KeyRing, MemoryStore, Owner, Payload, Record, SessionId,
    SessionManager, SessionStore, SessionSummary, Stats, Timestamp, Topology,
};

use crate::log;
use crate::world::{IDLE, Scanned, World};

fn json(stats: &Stats) -> Value {
    serde_json::to_value(stats).unwrap()
}

/// The services that this one replaces have dashboards on these names.
#[tokio::test]
async fn the_json_has_the_shape_that_is_documented() {
    let world = World::new();
    world.sign_up("a note").await;
    let mut stats = json(&world.manager.stats().await);
    // How long it took is another number each time.
    let create = stats["storeLatencies"]["create"].take();
    assert_eq!(create["count"], 1);
    for name in ["sumSeconds", "p50Seconds", "p90Seconds", "p99Seconds"] {
        assert!(create[name].is_f64(), "{create}");
    }
    let none = json!({
        "count": 0, "sumSeconds": 0.0, "p50Seconds": null, "p90Seconds": null, "p99Seconds": null,
    });
    let this_hour = world.clock.now().as_millis() / 3_600_000;
    let hours: Vec<_> = (this_hour - 23..=this_hour)
        .map(|hour| {
            json!({
                "sinceUnixSeconds": hour * 3600, "signedIn": 0, "destroyed": 0, "replaced": 0, "revoked": 0,
                "evicted": 0, "expired": 0,
            })
        })
        .collect();
    let bounds = [1, 2, 3, 5, 10, 20, 50, 100, 1000].map(Value::from).into_iter().chain([Value::Null]);
    let per_owner: Vec<_> = bounds.map(|up_to| json!({ "upTo": up_to, "signIns": 0 })).collect();
    let expected = json!({
        "success": true, "store": "redis", "topology": "standalone", "connected": true,
        "totalSessions": 1204, "totalSessionsError": 31,
        "redisStats": {
            "connected": true, "usingFallback": false, "inMemoryKeys": 0,
            "sinceUnixSeconds": 1_767_225_600, "reconnects": 0, "lastError": null,
        },
        "nearCache": null, "memoryUsedBytes": 2_412_544, "memoryLimitBytes": 1_073_741_824, "bytesPerSession": 412.5,
        "counts": {
            "created": 1, "loaded": 0, "updated": 0, "touched": 0, "rotated": 0, "signedIn": 0,
            "returningDevices": 0, "newDevices": 0, "confirmed": 0, "signInRefused": 0, "destroyed": 0, "replaced": 0,
            "revoked": 0, "evicted": 0, "forged": 0, "unknown": 0, "oldIdUsed": 0, "expired": 0, "corrupt": 0,
            "unopened": 0,
            "conflicts": 0, "endedMeanwhile": 0,
            "deviceBound": 0, "deviceRefreshed": 0, "deviceSkipped": 0, "deviceRefused": 0, "deviceLost": 0,
            "eventsDropped": 0,
            "historyLost": 0,
        },
        "sessionsPerSecond": 1.0 / 60.0,
        "last24Hours": hours,
        "sessionDurations": none,
        "sessionsPerOwner": per_owner,
        "storeLatencies": {
            "load": none, "create": null, "update": none, "touch": none, "rotate": none, "delete": none,
            "revoke": none, "revokeAll": none, "revokeEveryone": none,
        },
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_store_that_cannot_count_its_sessions_has_stats_all_the_same() {
    let world = World::new();
    world.store.is_plain.store(true, Ordering::SeqCst);
    let stats = world.manager.stats().await;
    assert_eq!((stats.store, stats.connected, stats.total_sessions), ("custom", true, None));
    assert!(stats.success, "there is nothing to ask");
    let stats = json(&stats);
    assert_eq!((&stats["totalSessions"], &stats["topology"]), (&Value::Null, &Value::Null));
    assert_eq!(stats["redisStats"]["connected"], false, "there is no Redis");
    let refusal = world.manager.stats_exact().await.unwrap_err();
    assert!(matches!(refusal, Error::Unsupported { .. }), "{refusal}");
}

#[tokio::test]
async fn a_store_that_is_away_has_stats_that_say_so() {
    let world = World::new();
    world.sign_up("a note").await;
    world.store.is_away.store(true, Ordering::SeqCst);
    let stats = world.manager.stats().await;
    assert!(!stats.success && !stats.connected && !stats.redis_stats.connected);
    assert_eq!((stats.total_sessions, stats.memory_used_bytes, stats.counts.created), (None, None, 1));
    assert!(stats.redis_stats.last_error.unwrap().contains("nobody answers"));
    // But a count that could not be made is none.
    assert!(matches!(world.manager.stats_exact().await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn sessions_that_a_fallback_keeps_in_memory_are_counted() {
    let redis = Arc::new(Scanned::default());
    let store = FallbackStore::new(Arc::clone(&redis), FallbackPolicy::WhileDown);
    let builder = SessionManager::<String>::builder(store, KeyRing::generate());
    assert_eq!(builder.status().kind, "redis");
    let manager = builder.build().unwrap();
    let counted = async || {
        let stats = manager.stats().await;
        (stats.success, stats.redis_stats.using_fallback, stats.redis_stats.in_memory_keys)
    };
    assert_eq!(counted().await, (true, false, 0));

    redis.is_away.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let request = manager.begin(None);
        request.session().await.unwrap().write(|text| text.push('a')).unwrap();
        assert!(request.finish(200).await.failure.is_none());
    }
    assert_eq!(counted().await, (false, true, 2));
    let status = manager.status();
    assert_eq!((status.kind, status.fallback.unwrap().in_memory), ("redis", 2));
}

#[tokio::test]
async fn an_exact_count_counts_each_session_once() {
    let world = World::new();
    for _ in 0..3 {
        world.sign_up("a note").await;
    }
    let stats = world.manager.stats_exact().await.unwrap();
    assert_eq!((stats.total_sessions, stats.total_sessions_error), (Some(3), Some(0)));
    assert_eq!(stats.memory_used_bytes, Some(2_412_544));
}

#[tokio::test]
async fn sessions_last_from_their_sign_in_to_their_end() {
    let world = World::new();
    let (logged_out, forgotten) = (world.sign_up("a note").await, world.sign_up("a note").await);
    world.clock.advance(Duration::from_secs(600));
    let logged_out = world.sign_in(&logged_out, "ada").await;
    world.clock.advance(Duration::from_secs(100));
    world.log_out(&logged_out).await;
    assert!((world.manager.stats().await.session_durations.sum_seconds - 100.0).abs() < 1e-6);

    // It ended when it did, not when somebody came with its cookie.
    world.clock.advance(10 * IDLE);
    world.read(&forgotten).await.unwrap();
    let stats = world.manager.stats().await;
    assert_eq!((stats.counts.destroyed, stats.counts.expired), (1, 1));
    assert_eq!(stats.session_durations.count, 2);
    assert!((stats.session_durations.sum_seconds - 100.0 - IDLE.as_secs_f64()).abs() < 1e-6);
    // A logout without a session ends none.
    world.log_out(&logged_out).await;
    assert_eq!(world.manager.stats().await.session_durations.count, 2);
}

#[tokio::test]
async fn sessions_by_the_second_are_those_of_the_last_minute() {
    let world = World::new();
    for _ in 0..30 {
        world.sign_up("a note").await;
    }
    let by_the_second = async || world.manager.stats().await.sessions_per_second;
    assert!((by_the_second().await - 0.5).abs() < 1e-9);
    world.clock.advance(Duration::from_secs(61));
    assert!(by_the_second().await.abs() < 1e-9);
}

#[tokio::test]
async fn every_operation_is_timed_failed_ones_too() {
    let world = World::new();
    let cookie = world.sign_up("a note").await;
    let request = world.manager.begin(Some(&cookie));
    request.session().await.unwrap().update(|text| text.push('!')).await.unwrap();
    let _ = request.finish(200).await;
    world.clock.advance(IDLE / 2);
    world.read(&cookie).await.unwrap();
    let cookie = world.sign_in(&cookie, "ada").await;
    world.log_out(&cookie).await;
    world.store.is_away.store(true, Ordering::SeqCst);
    world.read(&cookie).await.unwrap_err();

    let latencies = world.manager.stats().await.store_latencies;
    let counts = [
        latencies.load,
        latencies.create,
        latencies.update,
        latencies.touch,
        latencies.rotate,
        latencies.delete,
    ];
    assert_eq!(counts.map(|histogram| histogram.count), [5, 1, 1, 1, 1, 1]);
}

/// What ends sessions from outside is an operation like others: counted, timed, with a span and a line in the
/// log, and nobody's name in it.
#[tokio::test]
async fn revocations_are_counted_timed_and_logged() {
    let log = log::Log::begin();
    let manager = SessionManager::<String>::builder(MemoryStore::new(), KeyRing::generate()).build().unwrap();
    let sign_in = async || {
        let request = manager.begin(None);
        let session = request.session().await.unwrap();
        session.sign_in("ada.lovelace", |_| ()).unwrap();
        assert!(request.finish(200).await.failure.is_none());
        session
    };
    let (session, _) = (sign_in().await, sign_in().await);
    assert_eq!(manager.revoke_others(&session).await.unwrap(), 1);
    manager.revoke(&session.key().unwrap()).await.unwrap();
    sign_in().await;
    manager.revoke_all("ada.lovelace").await.unwrap();
    sign_in().await;
    assert_eq!(manager.revoke_everyone().await.unwrap(), 1);

    let stats = manager.stats().await;
    let latencies = [
        stats.store_latencies.revoke,
        stats.store_latencies.revoke_all,
        stats.store_latencies.revoke_everyone,
    ];
    assert_eq!((stats.counts.revoked, latencies.map(|it| it.count)), (4, [1, 2, 1]));
    let text = log.text();
    for (operation, times) in [("revoke", 1), ("revoke_all", 2), ("revoke_everyone", 1)] {
        let lines = text.lines().filter(|line| line.contains("INFO") && line.contains("sessions ended"));
        let named = lines.filter(|line| line.contains(&format!("operation=\"{operation}\" ended=1")));
        assert_eq!(named.count(), times, "{operation}: {text}");
        let span = format!("session_store{{operation=\"{operation}\"");
        assert!(text.lines().any(|line| line.contains(&span) && line.contains("outcome=\"done\"")), "{text}");
    }
    assert!(!text.contains("lovelace"), "{text}");
}

/// What ended before an operation failed has ended.
#[tokio::test]
async fn revocations_of_an_operation_that_broke_off_are_counted() {
    for everyone in [false, true] {
        let world = World::new();
        let request = world.manager.begin(None);
        request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
        assert!(request.finish(200).await.failure.is_none());
        world.store.breaks_off.store(true, Ordering::SeqCst);
        let outcome = if everyone {
            world.manager.revoke_everyone().await
        } else {
            world.manager.revoke_all_thoroughly("ada").await
        };
        assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{outcome:?}");
        assert_eq!(world.manager.counts().revoked, 1, "everyone: {everyone}");
    }
}

#[tokio::test]
async fn of_the_loads_from_memory_one_in_64_is_timed() {
    let manager = SessionManager::<String>::builder(MemoryStore::new(), KeyRing::generate()).build().unwrap();
    let request = manager.begin(None);
    request.session().await.unwrap().write(|text| text.push('a')).unwrap();
    let cookie = request.finish(200).await.set_cookie.unwrap();
    for _ in 0..640 {
        manager.begin(cookie.split(';').next()).session().await.unwrap();
    }
    let stats = manager.stats().await;
    assert_eq!((stats.counts.loaded, stats.store_latencies.load.count), (640, 10));
}

#[tokio::test]
async fn the_log_says_how_many_sessions_there_are_when_that_changes() {
    let log = log::Log::begin();
    let world = World::new();
    world.manager.stats().await;
    world.manager.stats().await;
    assert_eq!(log.text().matches("1204 sessions in store (give or take 31)").count(), 1, "{}", log.text());
    world.manager.stats_exact().await.unwrap();
    assert!(log.text().contains("INFO") && log.text().contains("0 sessions in store"), "{}", log.text());
}

#[tokio::test]
async fn a_memory_store_says_what_it_is() {
    let status = MemoryStore::new().status();
    assert_eq!((status.kind, status.topology, status.connected), ("memory", None, true));
    assert!(!status.uses_fallback());
}

/// What a service shows of its store and of a user's devices needs no type of its own.
#[tokio::test]
async fn statuses_and_summaries_have_a_json_form() {
    let mut status = SessionStore::status(&MemoryStore::new());
    status.topology = Some(Topology::Sentinel);
    status.since = Some(Timestamp::from_millis(7));
    let expected = json!({
        "kind": "memory", "topology": "sentinel", "connected": true, "since": 7, "reconnects": 0,
        "unreplicated": 0, "lastError": null, "fallback": null, "nearCache": null,
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);

    let key = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().key();
    let mut record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), Payload::new(1, "{}"));
    record.owner = Some(Owner::new("ada").unwrap());
    record.idle_timeout = Some(Duration::from_secs(3));
    let expected = json!({
        "key": key.storage_name(), "owner": "ada", "label": null, "createdAt": 1, "expiresAt": 2,
        "idleTimeoutMillis": 3000, "absoluteDeadline": null, "codec": 1, "sealed": false, "compressed": false, "dataBytes": 2,
    });
    assert_eq!(serde_json::to_value(SessionSummary::new(key, &record)).unwrap(), expected);
}

#[cfg(feature = "redis")]
#[test]
fn a_verdict_is_the_same_word_for_people_and_for_programs() {
    use session_store::checkup::Verdict::{Fine, Unknown, Unsafe, Warning};
    for verdict in [Fine, Unknown, Unsafe, Warning] {
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.to_string());
    }
}
