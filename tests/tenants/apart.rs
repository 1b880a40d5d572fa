//! What is one tenant's is not another's.

use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Clock as _, Created, Ended, Error, Loaded, Payload, Record, RedisStore, Rotation, SessionId,
    SessionStore, SystemClock, Ttl, Update, Updated,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stage::{AT_ONCE, Manager, PREFIXES, Visitor, connect, tenants};
use crate::support::redis::{Cluster, Sentinels, Server};

/// A tenant, and three sessions there.
struct Tenant {
    manager: Manager,
    anonymous: Visitor,
    ada: [Visitor; 2],
    /// Waits for the end of Ada's first session.
    waiting: JoinHandle<Result<Ended, Error>>,
}

impl Tenant {
    async fn open(manager: Manager) -> Self {
        let anonymous = Visitor::of(&manager).await;
        let ada = [Visitor::signed_in(&manager, "ada").await, Visitor::signed_in(&manager, "ada").await];
        let (waits, key) = (manager.clone(), ada[0].key.clone());
        let waiting = tokio::spawn(async move { waits.ended(&key).await });
        Self { manager, anonymous, ada, waiting }
    }

    fn visitors(&self) -> [&Visitor; 3] {
        [&self.anonymous, &self.ada[0], &self.ada[1]]
    }

    /// Which of its three sessions are there.
    async fn holds(&self) -> [bool; 3] {
        let mut held = [false; 3];
        for (held, visitor) in held.iter_mut().zip(self.visitors()) {
            *held = visitor.is_known(&self.manager).await;
        }
        held
    }
}

async fn open_all(url: &str) -> Vec<Tenant> {
    let mut open = Vec::new();
    for (_, manager) in tenants(&connect(url).await, PREFIXES) {
        open.push(Tenant::open(manager).await);
    }
    open
}

async fn are_apart(url: &str) {
    let mut tenants = open_all(url).await;
    for (nth, tenant) in tenants.iter().enumerate() {
        // The signatures are right everywhere.
        for (other, its) in tenants.iter().enumerate() {
            for visitor in its.visitors() {
                assert_eq!(visitor.is_known(&tenant.manager).await, nth == other, "{other} at {nth}");
            }
        }
        let counts = tenant.manager.counts();
        assert_eq!((counts.created, counts.unknown, counts.forged), (3, 27, 0), "{nth}");
        let listed = tenant.manager.sessions_of("ada").await.unwrap();
        let is_own = |key| tenant.ada.iter().any(|visitor| visitor.key == key);
        assert!(listed.len() == 2 && listed.into_iter().all(|session| is_own(session.key)), "{nth}");
        let stats = tenant.manager.stats_exact().await.unwrap();
        assert_eq!((stats.total_sessions, stats.counts.created), (Some(3), 3), "{nth}");
    }

    // The limit of two is each tenant's own.
    let last = tenants.len() - 1;
    Visitor::signed_in(&tenants[last].manager, "ada").await;
    assert!(matches!(timeout(AT_ONCE, &mut tenants[last].waiting).await, Ok(Ok(Ok(Ended::SignedOut)))));
    // So is what is ended, one way or the other.
    for nth in 0..last {
        let ended = if nth % 2 == 0 {
            tenants[nth].manager.revoke_all("ada").await.unwrap()
        } else {
            tenants[nth].manager.revoke_everyone().await.unwrap()
        };
        assert_eq!(ended, if nth % 2 == 0 { 2 } else { 3 }, "{nth}");
        let waiting = timeout(AT_ONCE, &mut tenants[nth].waiting).await;
        assert!(matches!(waiting, Ok(Ok(Ok(Ended::SignedOut)))), "{nth}: {waiting:?}");
        assert_eq!(tenants[nth].holds().await, [nth % 2 == 0, false, false], "{nth}");
        for (other, tenant) in tenants.iter().enumerate().skip(nth + 1).filter(|(other, _)| *other != last) {
            assert!(!tenant.waiting.is_finished(), "{other} after {nth}");
            assert_eq!(tenant.holds().await, [true; 3], "{other} after {nth}");
        }
    }
    assert_eq!(tenants[last].holds().await, [true, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_on_one_server_open_nothing_of_each_other() {
    are_apart(&Server::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_on_a_cluster_open_nothing_of_each_other() {
    are_apart(&Cluster::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_behind_sentinels_open_nothing_of_each_other() {
    are_apart(&Sentinels::start().await.url()).await;
}

fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(600))
}

fn record(data: &'static str) -> Record {
    let now = SystemClock.now();
    Record::new(now, now.saturating_add(Duration::from_secs(600)), Payload::new(1, data))
}

/// As after a tenant's sessions were copied to another one.
async fn keep_the_same_key_apart(stores: Vec<Arc<RedisStore>>) {
    let id = SessionId::generate();
    let (key, successor) = (id.key(), id.rotated().key());
    let [first, second] = [r#"{"first":1}"#, r#"{"second":1}"#].map(record);
    let [one, another] = [&stores[0], &stores[1]];
    for (store, record) in [(one, &first), (another, &second)] {
        assert_eq!(store.create(&key, record, ttl()).await.unwrap(), Created::Created);
    }
    let found = async |store: &RedisStore| store.load(&key).await.unwrap();
    for _ in 0..2 {
        assert_eq!(found(one).await, Loaded::Found(first.clone()));
        assert_eq!(found(another).await, Loaded::Found(second.clone()));
    }
    let changed = second.next();
    let stale = one.update(Update::new(&key, &changed, ttl())).await.unwrap();
    assert_eq!(stale, Updated::Stale(first.clone()), "its revision is another one");
    assert_eq!(another.update(Update::new(&key, &changed, ttl())).await.unwrap(), Updated::Updated);
    assert_eq!(found(one).await, Loaded::Found(first.clone()));

    let rotated = changed.next();
    let rotation = Rotation::new(&key, &successor, &rotated, ttl());
    assert_eq!(another.rotate(rotation).await.unwrap(), Updated::Updated);
    assert_eq!(one.load(&successor).await.unwrap(), Loaded::Absent);
    // A deletion follows the marker, and the other store's session has no part in it.
    assert!(another.delete(&key).await.unwrap());
    assert_eq!(another.load(&successor).await.unwrap(), Loaded::Absent);
    assert_eq!(found(one).await, Loaded::Found(first));
    assert_eq!(found(&stores[2]).await, Loaded::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_in_two_stores_is_two_sessions() {
    let server = Server::start().await;
    let stores =
        |store: RedisStore| tenants(&store, ["a:", "a:b:", "c:"]).into_iter().map(|it| it.0).collect();
    keep_the_same_key_apart(stores(connect(server.url()).await)).await;
    let cluster = Cluster::start().await;
    keep_the_same_key_apart(stores(connect(cluster.url()).await)).await;
}
