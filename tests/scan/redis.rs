//! Many sessions in every topology.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use session_store::{Clock as _, Cursor, ManualClock, Payload, RedisStore, SessionId, SessionStore, Ttl};

use crate::stage::{Walk, connect, fill, manager, record, ttl};
use crate::support::redis::{Cluster, Sentinels, Server, Traffic};

const MANY: u32 = 20_000;

async fn counts_lists_and_clears(store: &Arc<RedisStore>) {
    let before = manager(store).usage().await.unwrap();
    let keys = fill(store, MANY as usize).await;
    let manager = manager(store);
    assert_eq!(manager.count_sessions().await.unwrap(), u64::from(MANY));

    let told = Arc::new(AtomicU64::new(0));
    let last = Arc::clone(&told);
    let mut share_before = 0.0;
    let scan = manager.sessions().page_size(100).on_progress(move |seen, share| {
        assert!(seen >= last.swap(seen, Ordering::Relaxed) && share >= share_before && share <= 1.0);
        share_before = share;
    });
    let listed: Vec<_> = scan.map(|session| session.unwrap().key).collect().await;
    assert_eq!(listed.len(), keys.len(), "each once");
    assert!(listed.iter().all(|key| keys.contains(key)));
    assert_eq!(told.load(Ordering::Relaxed), u64::from(MANY));

    let usage = manager.usage().await.unwrap();
    assert!((usage.sessions - f64::from(MANY)).abs() <= 2.0 * usage.error, "{usage:?}");
    assert!(usage.error < 0.05 * f64::from(MANY), "{usage:?}");
    let used = usage.used_bytes.expect("each server tells its memory");
    assert!(before.used_bytes.is_some_and(|before| before < used), "{before:?}, {usage:?}");
    let weight = usage.bytes_per_session.expect("there are sessions");
    assert!(weight * usage.sessions < f64::from(u32::try_from(used).unwrap()), "{usage:?}");
    assert_eq!(usage.limit_bytes, None);

    assert_eq!(manager.revoke_everyone().await.unwrap(), u64::from(MANY));
    assert_eq!(manager.count_sessions().await.unwrap(), 0);
    let empty = manager.usage().await.unwrap();
    assert_eq!((empty.sessions, empty.error, empty.bytes_per_session), (0.0, 0.0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_server_by_bounded_scans() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let store = connect(server.url()).await;
    let before = Traffic::of(&mut client).await;
    counts_lists_and_clears(&store).await;
    let calls = Traffic::of(&mut client).await.since(&before).calls;
    assert!(!calls.contains_key("keys") && !calls.contains_key("get"), "{calls:?}");
    // Counted and cleared by 500, listed by 100.
    assert!(calls["scan"] > u64::from(MANY / 500 + MANY / 100) * 9 / 10, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_weighs_what_its_server_says() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    fill(&store, 10).await;
    let key: String = server.ask("RANDOMKEY").await.unwrap();
    let weight: f64 = server.ask(&format!("MEMORY USAGE {key} SAMPLES 0")).await.unwrap();
    assert_eq!(manager(&store).usage().await.unwrap().bytes_per_session, Some(weight));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster() {
    let redis = Cluster::start().await;
    counts_lists_and_clears(&connect(redis.url()).await).await;
}

/// Of each node's own slots, whichever these are and whatever order the server has.
#[tokio::test(flavor = "multi_thread")]
async fn progress_in_a_cluster_is_the_share_that_was_seen() {
    let redis = Cluster::start().await;
    let store = connect(redis.url()).await;
    let keys = fill(&store, MANY as usize).await;
    let mut walk = Walk::new(&store, 200);
    while walk.step().await {
        let seen = f64::from(u32::try_from(walk.seen.len()).unwrap()) / f64::from(MANY);
        assert!((walk.progress - seen).abs() < 0.05, "{} of {seen}", walk.progress);
    }
    assert_eq!((walk.missed(&keys), walk.progress), (0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels() {
    let redis = Sentinels::start().await;
    counts_lists_and_clears(&connect(redis.url()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_from_a_cursor() {
    let (server, cluster) = (Server::start().await, Cluster::start().await);
    for url in [server.url(), cluster.url()] {
        let store = connect(&url).await;
        let keys = fill(&store, 3000).await;
        let mut walk = Walk::new(&store, 100);
        drop(store);
        while walk.step().await {
            walk.go_on_with(&connect(&url).await);
        }
        assert_eq!(walk.missed(&keys), 0);
    }
    // What is no cursor of this topology is none.
    let (one, many) = (connect(server.url()).await, connect(cluster.url()).await);
    for (store, other) in [(&one, &many), (&many, &one)] {
        let mut walk = Walk::new(other, 10);
        walk.step().await;
        walk.go_on_with(store);
        assert!(matches!(walk.try_step().await, Err(session_store::Error::InvalidInput { .. })));
    }
    // Nor is one of sessions that are kept otherwise, whatever the letter.
    let scan = one.scan().unwrap();
    assert!(scan.page(Some(&"r2;n;@0".parse().unwrap()), 10).await.is_ok());
    let other = scan.page(Some(&"r2;z;@0".parse().unwrap()), 10).await;
    assert!(matches!(other, Err(session_store::Error::InvalidInput { .. })));
}

/// A stream that was dropped half-way is resumed by its cursor, and sees the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_resumed() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    let keys = fill(&store, 1000).await;
    let manager = manager(&store);
    let mut scan = manager.sessions().page_size(100);
    assert!(scan.cursor().is_none());
    let mut seen: Vec<_> = (&mut scan).take(333).map(|session| session.unwrap().key).collect().await;
    let cursor = Cursor::new(scan.cursor().expect("in the middle").to_string());
    let rest = manager.sessions().page_size(100).resume(cursor);
    seen.extend(rest.map(|session| session.unwrap().key).collect::<Vec<_>>().await);
    assert!(keys.iter().all(|key| seen.contains(key)));
    assert!(seen.len() < 1000 + 300, "no more than a few pages are seen again: {}", seen.len());
}

/// By the manager's clock, which may be ahead of Redis'.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_does_not_count() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    fill(&store, 30).await;
    let clock = Arc::new(ManualClock::default());
    let mut over = record();
    over.expires_at = clock.now();
    let mut done = record();
    done.absolute_deadline = Some(clock.now());
    for ended in [over, done] {
        store.create(&SessionId::generate().key(), &ended, ttl()).await.unwrap();
    }
    let builder =
        session_store::SessionManager::<u32>::builder(Arc::clone(&store), session_store::KeyRing::generate());
    let manager = builder.clock(Arc::clone(&clock)).build().unwrap();
    assert_eq!(manager.count_sessions().await.unwrap(), 30);
    clock.advance(std::time::Duration::from_secs(7200));
    assert_eq!(manager.count_sessions().await.unwrap(), 0);
}

/// Records that nobody can read don't end a scan, and end themselves when all do.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_records_are_passed_over_and_cleared() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    fill(&store, 20).await;
    let mut client = server.client().await;
    let mut put = async |command: &str, value: &[u8]| {
        let name = format!("session:{}", SessionId::generate().key().storage_name());
        let mut command = redis::cmd(command);
        let () = command.arg(name).arg(value).query_async(&mut client).await.unwrap();
    };
    put("SET", &[0xA2; 80]).await;
    put("SET", &[0xA1; 20]).await;
    put("SET", b"something else").await;
    // Of another type, it is nobody's session.
    put("RPUSH", b"x").await;
    let page = store.scan().unwrap().page(None, 10_000).await.unwrap();
    assert_eq!((page.sessions.len(), page.unreadable.len(), page.next), (20, 3, None));
    assert_eq!(manager(&store).count_sessions().await.unwrap(), 20);
    assert_eq!(manager(&store).revoke_everyone().await.unwrap(), 23);
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 1);
}

/// Only the beginning of a record is read.
#[tokio::test(flavor = "multi_thread")]
async fn data_stays_where_it_is() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    for _ in 0..20 {
        let mut large = record();
        large.data = Payload::new(1, vec![b'x'; 500_000]);
        store.create(&SessionId::generate().key(), &large, Ttl::new(ttl().as_duration())).await.unwrap();
    }
    let sent = async || {
        let info: String = server.ask("INFO stats").await.unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = sent().await;
    let page = store.scan().unwrap().page(None, 1000).await.unwrap();
    assert!(page.sessions.iter().all(|session| session.data_bytes == 500_000));
    assert_eq!(page.sessions.len(), 20);
    assert!(sent().await - before < 100_000);
}
