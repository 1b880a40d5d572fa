//! A near cache on real servers: what its copies save, what they never show, and when they are not used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_store::{
    Conflict, Error, FallbackPolicy, FallbackStore, MemoryStore, NearCache, NearCacheStatus, RedisStore,
    Session, SessionStore as _, Values,
};
use tokio::time::sleep;

use crate::stage::{
    AT_ONCE, Manager, NEAR_BOUND, SETTLED, Visitor, connected, copied, manager, near_cache, trackers,
    until_trusted, wait_for_trackers,
};
use crate::support::log::Log;
use crate::support::redis::{Cluster, Proxy, Sentinels, Server, Traffic, wait_until};
use crate::told_by::ToldBy;

async fn two_with_copies(url: &str) -> (Manager, Manager) {
    (manager(copied(url).await), manager(copied(url).await))
}

fn status(manager: &Manager) -> NearCacheStatus {
    manager.status().near_cache.expect("it has copies")
}

/// What a request sees of its session's data.
async fn seen(manager: &Manager, visitor: &Visitor) -> Option<String> {
    let request = manager.begin(Some(&visitor.cookie));
    let session = request.session().await.unwrap();
    let seen = session.read(|values| values.get::<String>("name"));
    assert!(request.finish(200).await.failure.is_none());
    seen
}

async fn names(visitor: &mut Visitor, manager: &Manager, name: &str) {
    let write = async |session: &Session<Values>| {
        session.write(|values| values.insert("name", name)).unwrap().unwrap();
    };
    visitor.asks(manager, write).await;
}

/// Waits until a request sees what another instance has made of the session. Answers how long that took.
async fn until_seen(manager: &Manager, visitor: &Visitor, name: Option<&str>) -> Duration {
    let begun = Instant::now();
    while seen(manager, visitor).await.as_deref() != name {
        assert!(begun.elapsed() < AT_ONCE, "{name:?} is not seen");
        tokio::task::yield_now().await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_change_is_read_once_from_redis() {
    let server = Server::start().await;
    let manager = manager(copied(&server.url()).await);
    let mut client = server.client().await;
    let visitor = Visitor::of(&manager).await;
    seen(&manager, &visitor).await;
    // What this process wrote is told as well, a moment later.
    sleep(SETTLED).await;
    seen(&manager, &visitor).await;
    let (before, hits) = (Traffic::of(&mut client).await, status(&manager).hits);
    for _ in 0..100 {
        assert_eq!(seen(&manager, &visitor).await.as_deref(), Some("Ada"));
    }
    let calls = Traffic::of(&mut client).await.since(&before).calls;
    assert!(calls.keys().all(|command| command == "role"), "{calls:?}");
    assert_eq!(status(&manager).hits, hits + 100);
    assert_eq!(trackers(&mut client).await, 1);
    drop(manager);
    wait_for_trackers(&client, 0).await;
}

/// Of everything that another instance does to a session.
async fn what_others_do_is_seen(url: &str) {
    let (here, there) = two_with_copies(url).await;
    for round in 0..6 {
        let mut visitor = Visitor::signed_in(&there, "ada").await;
        for name in ["Ada", "Grace"] {
            names(&mut visitor, &there, name).await;
            until_seen(&here, &visitor, Some(name)).await;
        }
        let stale = visitor.clone();
        visitor.asks(&there, async |session| session.renew().unwrap()).await;
        until_seen(&here, &stale, None).await;
        until_seen(&here, &visitor, Some("Grace")).await;
        let old = visitor.clone();
        if round % 2 == 0 {
            visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        } else {
            assert_eq!(there.revoke_all("ada").await.unwrap(), 1);
        }
        until_seen(&here, &old, None).await;
    }
    assert!(status(&here).invalidated > 0, "{:?}", status(&here));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_instances_do_is_seen_at_once() {
    what_others_do_is_seen(&Server::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_master_of_a_cluster_keeps_copies_right() {
    what_others_do_is_seen(&Cluster::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_behind_sentinels_keeps_copies_right() {
    what_others_do_is_seen(&Sentinels::start().await.url()).await;
}

/// Nothing is waited for: it is the same process that reads.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_does_itself_it_sees_without_delay() {
    let server = Server::start().await;
    let manager = manager(copied(&server.url()).await);
    for round in 0..100 {
        let mut visitor = Visitor::signed_in(&manager, "ada").await;
        names(&mut visitor, &manager, "Ada").await;
        assert_eq!(seen(&manager, &visitor).await.as_deref(), Some("Ada"), "{round}");
        let old = visitor.clone();
        // A request that came before the renewal writes after it, to a session whose new key it does not know.
        let late = manager.begin(Some(&old.cookie));
        let session = late.session().await.unwrap();
        visitor.asks(&manager, async |session| session.renew().unwrap()).await;
        assert_eq!(seen(&manager, &old).await, None, "{round}");
        assert_eq!(seen(&manager, &visitor).await.as_deref(), Some("Ada"), "{round}");
        session.write(|values| values.insert("name", "Late")).unwrap().unwrap();
        assert!(late.finish(200).await.failure.is_none());
        assert_eq!(seen(&manager, &visitor).await.as_deref(), Some("Late"), "{round}");
        // A logout by the old id ends the session under its new one.
        assert!(manager.revoke(&old.key).await.unwrap());
        assert_eq!(seen(&manager, &visitor).await, None, "{round}");
    }
    assert!(status(&manager).hits > 0, "{:?}", status(&manager));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_writes_or_empties_is_seen() {
    let server = Server::start().await;
    let here = manager(copied(&server.url()).await);
    let visitors = [Visitor::of(&here).await, Visitor::of(&here).await];
    for visitor in &visitors {
        until_seen(&here, visitor, Some("Ada")).await;
    }
    server.ask::<u64>(&format!("DEL session:{}", visitors[0].key.storage_name())).await.unwrap();
    until_seen(&here, &visitors[0], None).await;
    // An end that only the server knows of.
    let name = format!("session:{}", visitors[1].key.storage_name());
    server.ask::<u64>(&format!("PEXPIRE {name} 300")).await.unwrap();
    until_seen(&here, &visitors[1], Some("Ada")).await;
    until_seen(&here, &visitors[1], None).await;

    let visitor = Visitor::of(&here).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    let emptied = status(&here).emptied;
    server.ask::<String>("FLUSHALL").await.unwrap();
    until_seen(&here, &visitor, None).await;
    assert_eq!(status(&here).emptied, emptied + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_takes_the_copies_with_it() {
    let server = Server::start().await;
    let (here, there) = (manager(copied(&server.url()).await), manager(connected(&server.url()).await));
    let mut visitor = Visitor::of(&there).await;
    for name in ["Grace", "Hedy", "Joan"] {
        until_seen(&here, &visitor, Some(if name == "Grace" { "Ada" } else { "seen" })).await;
        let killed: u64 = server.ask("CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
        assert!(killed > 0);
        // Nobody is told of it.
        wait_until("the store is back", || async { there.usage().await.is_ok() }).await;
        names(&mut visitor, &there, name).await;
        wait_until("the store is back", || async { here.usage().await.is_ok() }).await;
        until_seen(&here, &visitor, Some(name)).await;
        names(&mut visitor, &there, "seen").await;
    }
}

/// Reads without a pause from before a change until the change is seen. Answers when it was: counted from the moment
/// at which it was acknowledged.
async fn staleness(here: &Manager, there: &Manager, visitor: &mut Visitor, name: &str) -> Duration {
    until_trusted(here).await;
    until_seen(here, visitor, Some("Ada")).await;
    names(visitor, there, name).await;
    let acknowledged = Instant::now();
    while seen(here, visitor).await.as_deref() != Some(name) {
        assert!(acknowledged.elapsed() < 2 * NEAR_BOUND, "it is not seen");
        tokio::task::yield_now().await;
    }
    acknowledged.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_silence_shows_nothing_older_than_the_bound() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    // Its data comes through, and what tells of changes does not.
    let told = ToldBy::another(connected(&server.url()).await, connected(&proxy.url()).await);
    let here = manager(near_cache().around(told).unwrap());
    let there = manager(connected(&server.url()).await);
    let mut visitor = Visitor::of(&there).await;
    until_trusted(&here).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    proxy.cut();
    names(&mut visitor, &there, "Grace").await;
    let acknowledged = Instant::now();
    let mut stale = 0;
    loop {
        // The copy was looked at later than this, however long its reader was kept waiting after that.
        let asked = acknowledged.elapsed();
        if seen(&here, &visitor).await.as_deref() == Some("Grace") {
            break;
        }
        assert!(asked <= NEAR_BOUND, "a copy outlives the bound");
        stale += 1;
    }
    assert!(stale > 0, "the copy was of use until then");
    assert!(!status(&here).trusted);
    proxy.heal();
    until_trusted(&here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_frozen_copies_are_used_no_longer_than_the_bound() {
    let server = Server::start().await;
    let store =
        RedisStore::builder(server.url()).timeout(Duration::from_millis(200)).near_cache(near_cache());
    let here = manager(store.connect().await.unwrap());
    let visitor = Visitor::of(&here).await;
    until_trusted(&here).await;
    sleep(SETTLED).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    server.freeze();
    let frozen = Instant::now();
    let loads = async || here.begin(Some(&visitor.cookie)).session().await.map(|_| ());
    assert!(loads().await.is_ok(), "a copy that is as old as allowed");
    while loads().await.is_ok() {
        assert!(frozen.elapsed() <= NEAR_BOUND, "a copy outlives the bound");
    }
    server.thaw();
    wait_until("Redis answers", || async { loads().await.is_ok() }).await;
    until_trusted(&here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_follow_a_failover() {
    let mut redis = Sentinels::start().await;
    let (here, there) = two_with_copies(&redis.url()).await;
    let mut visitor = Visitor::of(&there).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    sleep(SETTLED).await;
    let old = redis.master().await;
    redis.servers_mut()[old].kill();
    redis.wait_for_new_master(old).await;
    for manager in [&here, &there] {
        wait_until("the store is connected to the new master", || async {
            manager.status().connected && manager.usage().await.is_ok()
        })
        .await;
    }
    assert!(staleness(&here, &there, &mut visitor, "Grace").await <= NEAR_BOUND);
}

/// A master that was made a replica answers as before, and tells of what reaches it.
#[tokio::test]
async fn a_replica_confirms_nothing() {
    let log = Log::begin();
    let (server, other) = (Server::start().await, Server::start().await);
    let here = manager(copied(&server.url()).await);
    let port = other.port();
    server.ask::<String>(&format!("REPLICAOF 127.0.0.1 {port}")).await.unwrap();
    wait_until("the copies are not used", || async { !status(&here).trusted }).await;
    assert!(log.text().contains("copies of sessions are not used at present"), "{}", log.text());
    server.ask::<String>("REPLICAOF NO ONE").await.unwrap();
    until_trusted(&here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_follow_slots_and_replicas_that_take_over() {
    let mut cluster = Cluster::start().await;
    let (here, there) = two_with_copies(&cluster.url()).await;
    let mut visitor = Visitor::of(&there).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    let question = format!("CLUSTER KEYSLOT session:{}", visitor.key.storage_name());
    let slot: u16 = cluster.nodes()[0].ask(&question).await.unwrap();
    let next = (cluster.master_of(slot).await + 1) % 3;
    cluster.migrate_slot(slot, next).await;
    assert!(staleness(&here, &there, &mut visitor, "Grace").await <= NEAR_BOUND);
    names(&mut visitor, &there, "Ada").await;
    until_seen(&here, &visitor, Some("Ada")).await;
    sleep(SETTLED).await;
    cluster.nodes_mut()[next].kill();
    cluster.wait_for_promotion(next).await;
    for manager in [&here, &there] {
        wait_until("the store knows the new master", || async { manager.status().connected }).await;
    }
    assert!(staleness(&here, &there, &mut visitor, "Hedy").await <= NEAR_BOUND);
}

/// On one thread, since the log is that thread's.
#[tokio::test]
async fn without_a_permission_sessions_are_read_from_redis_and_the_log_says_why() {
    let server = Server::start().await;
    let rules = "+set +getrange +setrange +pexpire +del +eval +evalsha";
    for (missing, others, words) in [
        ("client|tracking", "+role +pttl", "does not tell of changes"),
        ("role", "+client|tracking +pttl", "copies of sessions are not used at present"),
    ] {
        let log = Log::begin();
        server
            .ask::<String>(&format!("ACL SETUSER app reset on >secret ~session:* {rules} {others}"))
            .await
            .unwrap();
        let store =
            RedisStore::builder(server.url().replace("://", "://app:secret@")).near_cache(near_cache());
        let here = manager(store.connect().await.unwrap());
        let visitor = Visitor::of(&here).await;
        for _ in 0..3 {
            assert_eq!(seen(&here, &visitor).await.as_deref(), Some("Ada"));
            sleep(SETTLED).await;
        }
        assert_eq!((status(&here).hits, status(&here).trusted), (0, false), "without {missing}");
        assert!(log.text().contains(words), "without {missing}: {}", log.text());
    }
    // What was read has no end that is known.
    server
        .ask::<String>(&format!("ACL SETUSER app reset on >secret ~session:* {rules} +client|tracking +role"))
        .await
        .unwrap();
    let store = RedisStore::builder(server.url().replace("://", "://app:secret@")).near_cache(near_cache());
    let here = manager(store.connect().await.unwrap());
    let visitor = Visitor::of(&here).await;
    until_trusted(&here).await;
    for _ in 0..3 {
        assert_eq!(seen(&here, &visitor).await.as_deref(), Some("Ada"));
    }
    assert_eq!(status(&here).hits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_for_copies() {
    let server = Server::start().await;
    let rules = "+set +getrange +setrange +pexpire +del +eval +evalsha +client|tracking +role +pttl";
    server.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    let here = manager(copied(&server.url().replace("://", "://app:secret@")).await);
    let visitor = Visitor::of(&here).await;
    wait_until("a copy is used", || async {
        seen(&here, &visitor).await;
        status(&here).hits > 0
    })
    .await;
}

/// Freshness is what one asks for where a logout a moment ago must count.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_session_is_what_the_store_holds() {
    let server = Server::start().await;
    let told = ToldBy::nobody(connected(&server.url()).await);
    let frozen_copies = manager(near_cache().around(told).unwrap());
    let there = manager(connected(&server.url()).await);
    let write =
        |session: &Session<Values>| session.write(|values| values.insert("page", 1)).unwrap().unwrap();
    let page = |session: &Session<Values>| session.read(|values| values.get::<u32>("page"));
    let name = |session: &Session<Values>| session.read(|values| values.get::<String>("name"));

    let mut visitor = Visitor::signed_in(&there, "ada").await;
    seen(&frozen_copies, &visitor).await;
    names(&mut visitor, &there, "Grace").await;
    // Nothing written: what others wrote is seen.
    let request = frozen_copies.begin(Some(&visitor.cookie));
    let session = request.session().await.unwrap();
    assert_eq!(name(&session), None, "a copy");
    session.fresh().await.unwrap();
    assert_eq!(name(&session).as_deref(), Some("Grace"));
    drop(request);
    // Something written: it is stored with what others wrote.
    let request = frozen_copies.begin(Some(&visitor.cookie));
    let session = request.session().await.unwrap();
    write(&session);
    assert_eq!(name(&session).as_deref(), Some("Grace"));
    names(&mut visitor, &there, "Hedy").await;
    session.fresh().await.unwrap();
    assert_eq!((page(&session), name(&session).as_deref()), (Some(1), Some("Hedy")));
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(seen(&there, &visitor).await.as_deref(), Some("Hedy"));

    // It has ended: nothing written, and something written.
    seen(&frozen_copies, &visitor).await;
    let cookie = visitor.cookie.clone();
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    let [reads, writes] = [(); 2].map(|()| frozen_copies.begin(Some(&cookie)));
    let session = reads.session().await.unwrap();
    assert!(session.owner().is_some(), "a copy");
    session.fresh().await.unwrap();
    assert_eq!((session.owner(), name(&session)), (None, None));
    assert!(reads.finish(200).await.failure.is_none());
    let session = writes.session().await.unwrap();
    write(&session);
    let ended = session.fresh().await.unwrap_err();
    assert!(matches!(ended, Error::Conflict(Conflict::Ended)), "{ended}");
    assert_eq!(session.owner(), None);
    let actions = writes.finish(200).await;
    // As a write that came just before the logout.
    assert!(actions.failure.is_none() && actions.set_cookie.is_none());
    assert_eq!(server.ask::<u64>("DBSIZE").await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_fallback_copies_bridge_an_outage_as_long_as_they_may() {
    let mut server = Server::start().await;
    let redis =
        RedisStore::builder(server.url()).timeout(Duration::from_millis(200)).near_cache(near_cache());
    let store = Arc::new(FallbackStore::new(redis.connect().await.unwrap(), FallbackPolicy::WhileDown));
    let here = manager(Arc::clone(&store));
    let visitor = Visitor::of(&here).await;
    until_trusted(&here).await;
    sleep(SETTLED).await;
    until_seen(&here, &visitor, Some("Ada")).await;
    server.kill();
    let loads = async || here.begin(Some(&visitor.cookie)).session().await.map(|_| ());
    wait_until("the copy is given up", || async { loads().await.is_err() }).await;
    assert!(store.delete(&visitor.key).await.is_err());
    assert!(loads().await.is_err(), "it was ended here");
    server.restart().await;
    wait_until("Redis answers", || async { loads().await.is_ok() }).await;
    assert_eq!(seen(&here, &visitor).await, None);
}

#[cfg(feature = "express")]
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_kept_of_express_sessions_in_each_step_of_the_move() {
    use session_store::{ExpressLayout, KeyRing, RedisLayout, SessionCookie, SessionManager};

    use crate::stage::SECRET;

    let layout = || ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    for step in [RedisLayout::express, RedisLayout::express_before_move, RedisLayout::move_to_native] {
        let server = Server::start().await;
        let built = async || {
            let store = RedisStore::builder(server.url()).layout(step(layout())).near_cache(near_cache());
            let store = store.connect().await.unwrap();
            SessionManager::<Values>::builder(store, KeyRing::express(SECRET).unwrap()).build().unwrap()
        };
        let (here, there) = (built().await, built().await);
        let mut visitor = Visitor::of(&there).await;
        until_trusted(&here).await;
        until_seen(&here, &visitor, Some("Ada")).await;
        sleep(SETTLED).await;
        for _ in 0..3 {
            until_seen(&here, &visitor, Some("Ada")).await;
        }
        assert!(status(&here).hits > 0, "{:?}", status(&here));
        names(&mut visitor, &there, "Grace").await;
        until_seen(&here, &visitor, Some("Grace")).await;
        visitor.asks(&there, async |session| session.renew().unwrap()).await;
        until_seen(&here, &visitor, Some("Grace")).await;
        let old = visitor.clone();
        visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        until_seen(&here, &old, None).await;
    }
}

#[tokio::test]
async fn bounds_and_sizes_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let store = connected(&server.url()).await;
    let around = |near_cache: NearCache| near_cache.around(ToldBy::nobody(Arc::clone(&store))).map(|_| ());
    for near_cache in [
        NearCache::new(1000),
        NearCache::new(1 << 20).bound(Duration::from_millis(99)),
        NearCache::new(1 << 20).bound(Duration::from_secs(31)),
    ] {
        let error = around(near_cache.clone()).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{near_cache:?}: {error}");
    }
    let memory = NearCache::new(1 << 20).around(MemoryStore::new()).map(|_| ()).unwrap_err();
    assert!(matches!(memory, Error::Unsupported { .. }), "{memory}");
}

/// A change that finds nothing to do is answered by the store too, and not by a copy.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_changes_nothing_is_decided_by_the_store() {
    let server = Server::start().await;
    let told = ToldBy::nobody(connected(&server.url()).await);
    let frozen_copies = manager(near_cache().around(told).unwrap());
    let there = manager(connected(&server.url()).await);
    let spend = |values: &mut Values| match values.get::<u32>("credits").unwrap_or(0) {
        0 => false,
        credits => {
            values.insert("credits", credits - 1).unwrap();
            true
        }
    };
    let spends = async |visitor: &Visitor| {
        let request = frozen_copies.begin(Some(&visitor.cookie));
        let session = request.session().await.unwrap();
        let spent = session.update(spend).await;
        assert!(request.finish(200).await.failure.is_none());
        spent
    };
    let mut visitor = Visitor::of(&there).await;
    assert!(!spends(&visitor).await.unwrap());
    let earn = async |session: &Session<Values>| session.insert("credits", 1).unwrap();
    visitor.asks(&there, earn).await;
    assert!(spends(&visitor).await.unwrap(), "by a copy there are none");
    assert!(!spends(&visitor).await.unwrap());

    seen(&frozen_copies, &visitor).await;
    let cookie = visitor.cookie.clone();
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    let ended = spends(&Visitor { cookie, ..visitor }).await.unwrap_err();
    assert!(matches!(ended, Error::Conflict(Conflict::Ended)), "{ended}");
}

/// Somebody else's device, which was signed out a moment ago, must not sign out the one that did it.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_ended_session_ends_no_others() {
    let server = Server::start().await;
    let told = ToldBy::nobody(connected(&server.url()).await);
    let frozen_copies = manager(near_cache().around(told).unwrap());
    let there = manager(connected(&server.url()).await);
    let (own, other) = (Visitor::signed_in(&there, "ada").await, Visitor::signed_in(&there, "ada").await);
    seen(&frozen_copies, &other).await;
    assert!(there.revoke(&other.key).await.unwrap());
    let request = frozen_copies.begin(Some(&other.cookie));
    let session = request.session().await.unwrap();
    assert!(session.owner().is_some(), "a copy");
    let refusal = frozen_copies.revoke_others(&session).await.unwrap_err();
    assert!(matches!(refusal, Error::Conflict(Conflict::Ended)), "{refusal}");
    assert_eq!(there.sessions_of("ada").await.unwrap().len(), 1);
    let request = frozen_copies.begin(Some(&own.cookie));
    assert_eq!(frozen_copies.revoke_others(&request.session().await.unwrap()).await.unwrap(), 0);
}
