//! A master with replicas, watched by sentinels.
//!
//! What a master acknowledged and its successor does not have, Redis itself loses. Deletions wait for
//! replicas here, so that none of them is lost.

use super::*;
use crate::support::redis::{Certificates, Sentinels, Traffic};

/// With the master alive, one replica alone may confirm to it what the other, promoted, does not have.
const ALL: u32 = 2;

async fn connect(redis: &Sentinels) -> RedisStore {
    connect_with(redis, 1).await
}

async fn connect_with(redis: &Sentinels, replicas: u32) -> RedisStore {
    let store = RedisStore::builder(redis.url()).wait_for_replicas(replicas, Duration::from_millis(200));
    store.connect().await.expect("the master answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_down_at_the_start() {
    let mut redis = Sentinels::start().await;
    redis.servers_mut()[0].kill();
    let error = RedisStore::connect(redis.url()).await.unwrap_err();
    assert!(reason(&error).contains("mymaster"), "{error}");
    let store = RedisStore::builder(redis.url()).connect_eventually().await.unwrap();
    redis.wait_for_new_master(0).await;
    let recovery = healthy(&store).await;
    println!("| sentinel: master down at start | {} | |", recovery.as_millis());
    assert!(recovery < PATIENCE, "{recovery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_of_which_most_are_down() {
    let mut redis = Sentinels::start().await;
    redis.sentinels_mut()[0].kill();
    redis.sentinels()[1].freeze();
    let store = connect(&redis).await;
    let account = endure("sentinel: two of three sentinels down", store, async |store| {
        assert!(store.status().connected);
        redis.servers()[0].ask::<u32>("CLIENT KILL TYPE normal").await.unwrap();
        Instant::now()
    });
    account.await.nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_and_restarted() {
    let mut redis = Sentinels::start().await;
    let store = connect(&redis).await;
    let account = endure("sentinel: SIGKILL, promotion, restart", store, async |_| {
        redis.servers_mut()[0].kill();
        redis.wait_for_new_master(0).await;
        let over = Instant::now();
        sleep(4 * CALM).await;
        redis.servers_mut()[0].restart().await;
        over
    });
    assert!(account.await.errors["not connected"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_freezes_for_a_while() {
    let redis = Sentinels::start().await;
    let store = connect(&redis).await;
    endure("sentinel: SIGSTOP 5 s, SIGCONT", store, async |_| {
        redis.servers()[0].freeze();
        sleep(Duration::from_secs(5)).await;
        redis.wait_for_new_master(0).await;
        redis.servers()[0].thaw();
        Instant::now()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_freezes_for_good() {
    let redis = Sentinels::start().await;
    let store = connect(&redis).await;
    endure("sentinel: SIGSTOP for good, promotion", store, async |_| {
        redis.servers()[0].freeze();
        redis.wait_for_new_master(0).await;
        Instant::now()
    })
    .await;
}

/// It stays a master in its own eyes, and would take writes that are lost later.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_not_told_of_its_successor() {
    let redis = Sentinels::start().await;
    let store = connect_with(&redis, ALL).await;
    let old = &redis.servers()[0];
    old.ask::<String>("ACL SETUSER default -replicaof -slaveof").await.unwrap();
    endure("sentinel: old master not told", store, async |_| {
        redis.failover().await;
        redis.wait_for_new_master(0).await;
        let over = Instant::now();
        wait_until("nobody uses the old master", async || {
            let mut client = old.client().await;
            let before = Traffic::of(&mut client).await;
            sleep(CALM).await;
            let calls = Traffic::of(&mut client).await.since(&before).calls;
            !calls.contains_key("getrange") && !calls.contains_key("evalsha")
        })
        .await;
        let role: String = old.ask("INFO replication").await.unwrap();
        assert!(role.contains("role:master"));
        over
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_master_that_is_silently_cut() {
    let redis = Sentinels::start_behind_proxies().await;
    let store = connect(&redis).await;
    endure("sentinel: master cut off, promotion", store, async |_| {
        redis.proxies()[0].cut();
        redis.wait_for_new_master(0).await;
        let over = Instant::now();
        sleep(2 * CALM).await;
        redis.proxies()[0].heal();
        over
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_master_that_is_closed_by_client_kill() {
    let redis = Sentinels::start().await;
    anywhere::client_kill("sentinel: CLIENT KILL", connect(&redis).await, &[&redis.servers()[0]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_memory() {
    let redis = Sentinels::start().await;
    let store = connect(&redis).await;
    anywhere::no_memory("sentinel: maxmemory, noeviction", store, &redis.servers()[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_an_operator_asks_for() {
    let redis = Sentinels::start().await;
    let store = connect_with(&redis, ALL).await;
    endure("sentinel: SENTINEL FAILOVER", store, async |_| {
        redis.failover().await;
        redis.wait_for_new_master(0).await;
        Instant::now()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_loading() {
    let redis = Sentinels::start_with(anywhere::DEBUG, &[]).await;
    anywhere::loading("sentinel: LOADING", connect(&redis).await, &redis.servers()[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed() {
    let redis = Sentinels::start().await;
    let master = &redis.servers()[0];
    anywhere::password_changed("sentinel: password changed", &redis.url(), &[master]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_are_flushed() {
    let redis = Sentinels::start().await;
    anywhere::scripts_flushed("sentinel: SCRIPT FLUSH", connect(&redis).await, &[&redis.servers()[0]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_wrong() {
    let (ours, strange) = (Certificates::generate(), Certificates::generate());
    let redis = Sentinels::start_tls(&ours, &["--requirepass", "secret"], &["--requirepass", "watch"]).await;
    let trusting = |certificates: &Certificates| {
        RedisStore::builder(redis.url())
            .tls_authorities(certificates.authority.certificate.bytes())
            .credentials(session_store::Credentials::password("secret"))
            .sentinel_credentials(session_store::Credentials::password("watch"))
    };
    let error = trusting(&strange).connect().await.unwrap_err();
    assert!(reason(&error).contains("certificate"), "{error}");
    healthy(&trusting(&ours).connect().await.unwrap()).await;
}
