//! Connections that are closed, cut and refused: what is told then is told late, and within the bound.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use session_store::{Ended, RedisStore};
use tokio::time::sleep;

use crate::stage::{
    AT_ONCE, BOUND, SETTLED, Visitor, assert_goes_on, connected, end_of, manager, wait_for_trackers, waiting,
};
use crate::support::log::Log;
use crate::support::redis::{Proxy, Sentinels, Server, wait_until};

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
    let (here, there) = (manager(connected(&server.url()).await), manager(connected(&server.url()).await));
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
    let (here, there) = (manager(connected(&server.url()).await), manager(connected(&server.url()).await));
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
    let (here, there) = (manager(connected(&redis.url()).await), manager(connected(&redis.url()).await));
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
    assert_eq!(end_of(waiting, BOUND + Duration::from_secs(1)).await.0, Ended::SignedOut);
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
