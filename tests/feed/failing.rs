//! Connections that are closed, cut and refused: what is told then is told late, and within the bound.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use session_store::{Ended, FallbackPolicy, FallbackStore, RedisStore, SessionKey, SessionStore as _};
use tokio::time::sleep;

use crate::stage::{
    AT_ONCE, BOUND, SETTLED, Visitor, assert_goes_on, connected, end_of, instances, manager,
    wait_for_trackers, waiting,
};
use crate::support::log::Log;
use crate::support::redis::{Cluster, Proxy, Sentinels, Server, wait_until};

async fn kill_trackers(client: &mut MultiplexedConnection) {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(client).await.unwrap();
    for line in list.lines().filter(|line| line.contains("resp=3") && line.contains("flags=tB")) {
        let id = line.split(' ').next().unwrap().trim_start_matches("id=");
        redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async::<()>(client).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_nobody_is_told_is_found_when_the_connection_is_back() {
    let server = Server::start().await;
    let (here, there) = instances(&server.url()).await;
    let mut client = server.client().await;
    for _ in 0..5 {
        let mut visitor = Visitor::of(&there).await;
        let mut other = waiting(&here, &Visitor::of(&there).await.key).await;
        let waiting = waiting(&here, &visitor.key).await;
        wait_for_trackers(&client, 1).await;
        kill_trackers(&mut client).await;
        visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
        assert_goes_on(&mut other).await;
        other.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_silence_is_noticed_within_the_bound() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let (here, there) = (manager(connected(&proxy.url()).await), manager(connected(&server.url()).await));
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    wait_for_trackers(&server.client().await, 1).await;
    proxy.cut();
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_goes_on(&mut waiting).await;
    // New connections get through.
    proxy.heal();
    assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_no_end() {
    let server = Server::start().await;
    let (here, there) = instances(&server.url()).await;
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    server.freeze();
    for _ in 0..5 {
        assert_goes_on(&mut waiting).await;
    }
    server.thaw();
    sleep(SETTLED).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_master_is_listened_to_after_a_failover() {
    let mut redis = Sentinels::start().await;
    let (here, there) = instances(&redis.url()).await;
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    let old = redis.master().await;
    redis.servers_mut()[old].kill();
    redis.wait_for_new_master(old).await;
    wait_until("the store is connected to the new master", || async {
        there.status().connected && there.usage().await.is_ok()
    })
    .await;
    let new = redis.master().await;
    wait_for_trackers(&redis.client_of(new).await, 1).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

/// On one thread, since the log is that thread's.
#[tokio::test]
async fn without_permission_sessions_are_looked_at_from_time_to_time() {
    let log = Log::begin();
    let server = Server::start().await;
    let rules = "+set +getrange +setrange +pexpire +del +eval +evalsha";
    server.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    let url = server.url().replace("://", "://app:secret@");
    let (here, there) = (manager(connected(&url).await), manager(connected(&server.url()).await));
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
    assert_eq!(log.text().matches("does not tell of changes").count(), 1, "{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice() {
    let server = Server::start().await;
    let rules = "+set +getrange +setrange +pexpire +del +eval +evalsha +ping +client|tracking";
    server.ask::<String>(&format!("ACL SETUSER app on >secret ~session:* {rules}")).await.unwrap();
    let store = RedisStore::connect(server.url().replace("://", "://app:secret@")).await.unwrap();
    let manager = manager(store);
    let mut visitor = Visitor::of(&manager).await;
    let waiting = waiting(&manager, &visitor.key).await;
    wait_for_trackers(&server.client().await, 1).await;
    visitor.asks(&manager, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

/// As where each test, or each part of a program, has a runtime.
#[test]
fn who_waits_outlives_the_runtime_that_came_first() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let server = first.block_on(Server::start());
    let (here, other) = first.block_on(async {
        let here = manager(connected(&server.url()).await);
        let other = waiting(&here, &Visitor::of(&here).await.key).await;
        (here, other)
    });
    let second = tokio::runtime::Runtime::new().unwrap();
    second.block_on(async {
        let there = manager(connected(&server.url()).await);
        let mut visitor = Visitor::of(&there).await;
        let mut waiting = waiting(&here, &visitor.key).await;
        drop(other);
        first.shutdown_background();
        assert_goes_on(&mut waiting).await;
        visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
        assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
    });
}

async fn slot_of(cluster: &Cluster, key: &SessionKey) -> u16 {
    let question = format!("CLUSTER KEYSLOT session:{}", key.storage_name());
    cluster.nodes()[0].ask(&question).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_watched_wherever_its_slot_goes() {
    let cluster = Cluster::start().await;
    let (here, there) = instances(&cluster.url()).await;
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    let slot = slot_of(&cluster, &visitor.key).await;
    let next = (cluster.master_of(slot).await + 1) % 3;
    cluster.migrate_slot(slot, next).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.renew().unwrap()).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_that_takes_over_is_listened_to() {
    let mut cluster = Cluster::start().await;
    let (here, there) = instances(&cluster.url()).await;
    let mut visitor = Visitor::of(&there).await;
    let mut waiting = waiting(&here, &visitor.key).await;
    let master = cluster.master_of(slot_of(&cluster, &visitor.key).await).await;
    // The replica has it by then.
    sleep(SETTLED).await;
    cluster.nodes_mut()[master].kill();
    cluster.wait_for_promotion(master).await;
    wait_until("the store knows the new master", || async { there.status().connected }).await;
    assert_goes_on(&mut waiting).await;
    visitor.asks(&there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, BOUND).await.0, Ended::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_born_in_memory_is_watched_when_redis_is_back() {
    let mut server = Server::start().await;
    let redis =
        RedisStore::builder(server.url()).timeout(Duration::from_millis(200)).connect().await.unwrap();
    let store = Arc::new(FallbackStore::new(redis, FallbackPolicy::WhileDown));
    let manager = manager(Arc::clone(&store));
    let before = Visitor::of(&manager).await;
    let from_before = waiting(&manager, &before.key).await;
    server.kill();
    wait_until("the loss is noticed", || async { !manager.status().connected }).await;
    // Redis will hear of the logout later; the session is over here.
    let _owed = store.delete(&before.key).await;
    assert_eq!(end_of(from_before, AT_ONCE).await.0, Ended::SignedOut);
    let mut visitor = Visitor::of(&manager).await;
    assert!(manager.status().uses_fallback());
    let mut born_in_memory = waiting(&manager, &visitor.key).await;
    server.restart().await;
    wait_until("the session is in Redis", || async {
        manager.status().fallback.is_some_and(|fallback| !fallback.open && fallback.in_memory == 0)
    })
    .await;
    assert_goes_on(&mut born_in_memory).await;
    visitor.asks(&manager, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(born_in_memory, BOUND).await.0, Ended::SignedOut);
}
