//! What Redis tells, in each topology and layout, and what that costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_store::feed::{Copies, CopySource as _};
use session_store::{
    Ended, ExpressLayout, Feed as _, KeyRing, RedisLayout, RedisStore, Session, SessionCookie, SessionId,
    SessionKey, SessionManager, Values,
};

use crate::stage::{
    AT_ONCE, Manager, SETTLED, Visitor, assert_goes_on, connected, end_of, instances, manager, trackers,
    wait_for_trackers, waiting,
};
use crate::support::redis::{Cluster, Sentinels, Server, Traffic, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_wait_have_one_connection_and_ask_nothing() {
    let server = Server::start().await;
    let (here, there) = instances(&server.url()).await;
    let mut client = server.client().await;
    assert_eq!(trackers(&mut client).await, 0, "nobody watches yet");
    let mut visitors = Vec::new();
    let mut all = Vec::new();
    for _ in 0..1000 {
        let visitor = Visitor::signed_in(&there, "ada").await;
        let (here, key) = (here.clone(), visitor.key.clone());
        all.push(tokio::spawn(async move { here.ended(&key).await }));
        visitors.push(visitor);
    }
    wait_for_trackers(&client, 1).await;
    // All look once more after the connection is there, and then there is nothing to look for.
    let asking = client.clone();
    wait_until("nobody asks anything", || async {
        let mut client = asking.clone();
        let before = Traffic::of(&mut client).await;
        tokio::time::sleep(SETTLED).await;
        reads(&Traffic::of(&mut client).await.since(&before).calls) == 0
    })
    .await;

    // Each change of a session is looked at once, by the one who waits for it.
    let before = Traffic::of(&mut client).await;
    for visitor in &mut visitors[..10] {
        let write = async |session: &Session<Values>| {
            session.write(|values| values.insert("page", 2)).unwrap().unwrap();
        };
        visitor.asks(&there, write).await;
    }
    tokio::time::sleep(SETTLED).await;
    let calls = reads(&Traffic::of(&mut client).await.since(&before).calls);
    // The request's own read, and the one in its script.
    let own = if server.sets_if_equal().await { 10 } else { 20 };
    assert_eq!(calls, own + 10);

    assert_eq!(there.revoke_all("ada").await.unwrap(), 1000);
    for waiting in all {
        assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
    }
    wait_for_trackers(&client, 0).await;
}

/// How often a session was read.
fn reads(calls: &BTreeMap<String, u64>) -> u64 {
    calls.get("getrange").copied().unwrap_or(0)
}

async fn tells_of_a_logout(url: &str) {
    let (here, there) = instances(url).await;
    // At once, as each takes a while.
    let each = async || {
        let mut visitor = Visitor::of(&there).await;
        let mut waiting = waiting(&here, &visitor.key).await;
        visitor.asks(&there, async |session| session.renew().unwrap()).await;
        assert_goes_on(&mut waiting).await;
        visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
    };
    join_all((0..12).map(|_| each())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_master_of_a_cluster_tells() {
    let cluster = Cluster::start().await;
    tells_of_a_logout(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_behind_sentinels_tells() {
    let sentinels = Sentinels::start().await;
    tells_of_a_logout(&sentinels.url()).await;
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_over_tls() {
    use crate::support::redis::Certificates;

    let certificates = Certificates::generate();
    let server = Server::start_tls(&certificates, &[]).await;
    let authority = certificates.authority.certificate.path().display();
    tells_of_a_logout(&format!("{}?cacert={authority}", server.url())).await;
}

#[cfg(feature = "express")]
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_express_are_told_of_in_each_step_of_the_move() {
    let secret = crate::stage::SECRET;
    let layout = || ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    for step in [RedisLayout::express, RedisLayout::express_before_move, RedisLayout::move_to_native] {
        let server = Server::start().await;
        let built = async || {
            let store = RedisStore::builder(server.url()).layout(step(layout())).connect().await.unwrap();
            SessionManager::<Values>::builder(store, KeyRing::express(secret).unwrap()).build().unwrap()
        };
        let (here, there) = (built().await, built().await);
        let mut visitor = Visitor::of(&there).await;
        let mut waiting = waiting(&here, &visitor.key).await;
        visitor.asks(&there, async |session| session.renew().unwrap()).await;
        assert_goes_on(&mut waiting).await;
        visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
    }
}

/// With an index of owners under the same prefix, another service's sessions, and other databases.
#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_written_ends_nothing() {
    let server = Server::start().await;
    let (here, there) = instances(&server.url()).await;
    let visitor = Visitor::signed_in(&there, "ada").await;
    let mut waiting = waiting(&here, &visitor.key).await;
    let mut client = server.client().await;
    let mut junk = redis::pipe();
    for name in ["session:", "session:{AAAA}", "session:\u{ff}", "other:{AAAA}:x", "session:owner:x"] {
        junk.cmd("SET").arg(name).arg("x").ignore();
    }
    junk.query_async::<()>(&mut client).await.unwrap();
    Visitor::signed_in(&there, "ada").await;
    assert_goes_on(&mut waiting).await;
    // Everything is gone at once.
    redis::cmd("FLUSHALL").query_async::<()>(&mut client).await.unwrap();
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_redis_evicts_has_ended() {
    let server = Server::start().await;
    let (here, there) = instances(&server.url()).await;
    let visitor = Visitor::of(&there).await;
    let waiting = waiting(&here, &visitor.key).await;
    for setting in ["maxmemory-policy volatile-ttl", "maxmemory 1"] {
        server.ask::<String>(&format!("CONFIG SET {setting}")).await.unwrap();
    }
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

#[derive(Default)]
struct Told {
    changes: AtomicU64,
    anything: AtomicU64,
}

impl Copies for Told {
    fn changed(&self, _: &SessionKey) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn all_changed(&self) {
        self.anything.fetch_add(1, Ordering::Relaxed);
    }
}

/// What copies rely on: each write is told of, and once. `WRITES=300000` makes it a minute or so.
#[tokio::test(flavor = "multi_thread")]
async fn no_write_goes_untold() {
    const WRITERS: u64 = 16;
    let writes = std::env::var("WRITES").map_or(5000, |writes| writes.parse::<u64>().unwrap()) / WRITERS;
    let server = Server::start().await;
    let store = connected(&server.url()).await;
    let told = Arc::<Told>::default();
    store.copies().unwrap().subscribe(Arc::<Told>::downgrade(&told), Duration::from_secs(1));
    let nobody = SessionId::generate().key();
    wait_until("changes are told", || async {
        // Who looks for a session has the store connect.
        store.find(&nobody).await.unwrap();
        store.told_until().is_some()
    })
    .await;
    let there = manager(connected(&server.url()).await);
    let begun = Instant::now();
    let writer = async |there: Manager| {
        let mut visitor = Visitor::of(&there).await;
        for page in 0..writes {
            let write = async |session: &Session<Values>| {
                session.write(|values| values.insert("page", page)).unwrap().unwrap();
            };
            visitor.asks(&there, write).await;
        }
    };
    join_all((0..WRITERS).map(|_| writer(there.clone()))).await;
    let expected = WRITERS * (writes + 1);
    println!("{expected} writes in {:?}", begun.elapsed());
    wait_until("all are told", || async { told.changes.load(Ordering::Relaxed) >= expected }).await;
    assert_eq!(told.changes.load(Ordering::Relaxed), expected);
    // Once, when the connection was made.
    assert_eq!(told.anything.load(Ordering::Relaxed), 1);
}
