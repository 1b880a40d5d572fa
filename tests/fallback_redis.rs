//! `FallbackStore` above a Redis that is killed, restarted, stopped and continued.

#![cfg(all(feature = "memory", feature = "redis"))]

mod support;

use std::time::{Duration, Instant};

use session_store::owners::Revocation;
use session_store::{
    Clock as _, Created, Error, FallbackPolicy, FallbackStatus, FallbackStore, Loaded, Owner, OwnerHash,
    Payload, Record, RedisStore, SessionId, SessionKey, SessionStore as _, SystemClock, Ttl, Update, Updated,
};
use support::redis::Server;
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_millis(200);
/// No caller waits for longer than its own operation's timeout, and some time for a busy machine.
const WAIT: Duration = Duration::from_secs(3);

async fn store(server: &Server) -> FallbackStore {
    let redis = RedisStore::builder(server.url()).timeout(TIMEOUT).connect().await.unwrap();
    FallbackStore::new(redis, FallbackPolicy::WhileDown)
}

async fn create(store: &FallbackStore) -> Result<(SessionKey, Record), Error> {
    create_of(None, store).await
}

fn fallback(store: &FallbackStore) -> FallbackStatus {
    store.status().fallback.expect("a fallback")
}

async fn create_of(owner: Option<&Owner>, store: &FallbackStore) -> Result<(SessionKey, Record), Error> {
    let (key, now) = (SessionId::generate().key(), SystemClock.now());
    let mut record = Record::new(now, now.saturating_add(HOUR), Payload::new(1, "{}"));
    record.owner = owner.cloned();
    assert_eq!(store.create(&key, &record, Ttl::new(HOUR)).await?, Created::Created);
    Ok((key, record))
}

/// Creates sessions until one goes to memory; none may take longer than the timeout.
async fn create_in_memory(store: &FallbackStore) -> (SessionKey, Record) {
    for _ in 0..10 {
        let started = Instant::now();
        let created = create(store).await;
        assert!(started.elapsed() < WAIT, "{:?}", started.elapsed());
        match created {
            Ok(session) if fallback(store).open => return session,
            Ok(_) => panic!("Redis is away"),
            Err(error) => assert!(error.outcome_unknown(), "{error}"),
        }
    }
    panic!("no session after ten attempts")
}

async fn edit(store: &FallbackStore, key: &SessionKey, record: &Record) -> Record {
    let edited = record.next();
    let updated = store.update(Update::new(key, &edited, Ttl::new(HOUR))).await;
    assert_eq!(updated.unwrap(), Updated::Updated);
    edited
}

async fn found(store: &FallbackStore, key: &SessionKey) -> Option<Record> {
    match store.load(key).await.unwrap() {
        Loaded::Found(record) => Some(record),
        _ => None,
    }
}

/// Waits until the store has settled, and says for how long.
async fn settled(store: &FallbackStore) -> Duration {
    let started = Instant::now();
    loop {
        let status = fallback(store);
        if !status.open && status.in_memory == 0 && status.owed_deletions == 0 {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(70), "{status:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_and_restarted() {
    let mut server = Server::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = store(&server).await;
    let (before, record) = create(&store).await.unwrap();
    let (logged_out, _) = create(&store).await.unwrap();

    server.kill();
    let (during, born) = create_in_memory(&store).await;
    let born = edit(&store, &during, &born).await;
    assert_eq!(found(&store, &during).await.as_ref(), Some(&born));
    for _ in 0..5 {
        let started = Instant::now();
        assert_eq!(store.load(&before).await.unwrap_err().status(), 503);
        assert_eq!(store.delete(&logged_out).await.unwrap_err().status(), 503);
        assert!(started.elapsed() < WAIT, "{:?}", started.elapsed());
    }

    server.restart().await;
    let settled = settled(&store).await;
    assert!(settled < Duration::from_secs(5), "{settled:?}");
    assert_eq!(found(&store, &before).await, Some(record), "nobody is signed out");
    assert_eq!(found(&store, &logged_out).await, None, "nobody comes back");
    assert_eq!(found(&store, &during).await.as_ref(), Some(&born));
    let mut client = server.client().await;
    let name = format!("session:{}", during.storage_name());
    let ttl: i64 = redis::cmd("PTTL").arg(name).query_async(&mut client).await.unwrap();
    assert!((3_500_000..3_600_000).contains(&ttl), "{ttl} ms");
    assert_eq!((fallback(&store).moved, fallback(&store).dropped), (1, 0));
}

#[tokio::test]
async fn a_redis_that_is_stopped_and_continued() {
    let server = Server::start().await;
    let store = store(&server).await;
    let (before, record) = create(&store).await.unwrap();

    server.freeze();
    let (during, born) = create_in_memory(&store).await;
    let started = Instant::now();
    assert_eq!(store.load(&before).await.unwrap_err().status(), 503);
    assert!(started.elapsed() < WAIT, "{:?}", started.elapsed());
    let born = edit(&store, &during, &born).await;
    sleep(Duration::from_secs(1)).await;

    server.thaw();
    let settled = settled(&store).await;
    assert!(settled < Duration::from_secs(5), "{settled:?}");
    assert_eq!(found(&store, &before).await, Some(record));
    assert_eq!(found(&store, &during).await, Some(born));
}

/// However long Redis was away, and this instance waits before it tries to connect again: the first load
/// finds out.
#[tokio::test]
async fn a_session_that_another_instance_ended_is_not_served_once_redis_is_back() {
    let ada = Owner::new("ada").unwrap();
    let mut server = Server::start().await;
    for outage in [0, 100, 700, 2500] {
        let store = store(&server).await;
        server.kill();
        create_in_memory(&store).await;
        let (ended, record) = create_of(Some(&ada), &store).await.unwrap();
        sleep(Duration::from_millis(outage)).await;
        assert_eq!(found(&store, &ended).await, Some(record));

        server.restart().await;
        let other = RedisStore::connect(server.url()).await.unwrap();
        other.owners().unwrap().revoke(OwnerHash::of(&ada), Revocation::All).await.unwrap();
        assert_eq!(found(&store, &ended).await, None, "after {outage} ms");
        settled(&store).await;
        assert_eq!(found(&store, &ended).await, None);
        assert_eq!(fallback(&store).dropped, 1);
    }
}
