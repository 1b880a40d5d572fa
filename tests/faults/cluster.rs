//! Three masters with a replica each.

use super::*;
use crate::support::redis::{Certificates, Cluster, Proxy, Server};

async fn connect(redis: &Cluster) -> RedisStore {
    RedisStore::connect(redis.url()).await.expect("the masters answer")
}

fn masters(redis: &Cluster) -> Vec<&Server> {
    redis.nodes()[..3].iter().collect()
}

/// The slots of other masters stay served while one is away.
const PARTIAL: &[&str] = &["--cluster-require-full-coverage", "no"];

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_down_at_the_start() {
    let redis = Cluster::start_behind_proxies().await;
    redis.proxies().iter().for_each(Proxy::cut);
    let error = RedisStore::connect(redis.url()).await.unwrap_err();
    assert!(reason(&error).contains("the Redis Cluster of 127.0.0.2:"), "{error}");
    let store = RedisStore::builder(redis.url()).connect_eventually().await.unwrap();
    sleep(CALM).await;
    assert!(!store.status().connected);
    redis.proxies().iter().for_each(Proxy::heal);
    let recovery = healthy(&store).await;
    println!("| cluster: down at start | {} | |", recovery.as_millis());
    assert!(recovery < PATIENCE, "{recovery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_down_at_the_start() {
    let mut redis = Cluster::start().await;
    redis.nodes_mut()[1].kill();
    let store = connect(&redis).await;
    redis.wait_for_promotion(1).await;
    let recovery = healthy(&store).await;
    println!("| cluster: master down at start | {} | |", recovery.as_millis());
    assert!(recovery < PATIENCE, "{recovery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_and_restarted() {
    let mut redis = Cluster::start().await;
    let store = connect(&redis).await;
    let account = endure("cluster: SIGKILL, promotion, restart", store, async |_| {
        redis.nodes_mut()[1].kill();
        redis.wait_for_promotion(1).await;
        let over = Instant::now();
        sleep(4 * CALM).await;
        redis.nodes_mut()[1].restart().await;
        over
    });
    assert!(account.await.errors["not connected"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_freezes_for_a_while() {
    let redis = Cluster::start().await;
    let store = connect(&redis).await;
    endure("cluster: SIGSTOP 5 s, SIGCONT", store, async |_| {
        redis.nodes()[1].freeze();
        sleep(Duration::from_secs(5)).await;
        redis.nodes()[1].thaw();
        Instant::now()
    })
    .await
    .nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_freezes_for_good() {
    let redis = Cluster::start().await;
    let store = connect(&redis).await;
    endure("cluster: SIGSTOP for good, promotion", store, async |store| {
        redis.nodes()[1].freeze();
        redis.wait_for_promotion(1).await;
        let over = Instant::now();
        wait_until("the store is connected", async || store.status().connected).await;
        over
    })
    .await
    .nothing_lost();
}

/// Nobody can take over; the sessions of the other two masters don't notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_a_replica_that_freezes_for_a_while() {
    let mut redis = Cluster::start_with(PARTIAL).await;
    let replica = redis.replica_of(1);
    // Of one that froze and thaws, Valkey 9 makes a master at once, however old its data.
    redis.nodes_mut()[replica].kill();
    let store = connect(&redis).await;
    let account = endure("cluster: SIGSTOP 5 s, no replica", store, async |_| {
        redis.nodes()[1].freeze();
        sleep(Duration::from_secs(5)).await;
        redis.nodes()[1].thaw();
        Instant::now()
    });
    let account = account.await.nothing_lost();
    let failed: usize = account.errors.values().sum();
    assert!(failed < account.operations / 2, "a third of the sessions is concerned: {account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_master_that_is_silently_cut() {
    let redis = Cluster::start_behind_proxies().await;
    let store = connect(&redis).await;
    endure("cluster: link to a master cut 3 s", store, async |store| {
        redis.proxies()[1].cut();
        sleep(Duration::from_secs(3)).await;
        assert!(!store.status().connected);
        redis.proxies()[1].heal();
        Instant::now()
    })
    .await
    .nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_by_client_kill() {
    let redis = Cluster::start().await;
    anywhere::client_kill("cluster: CLIENT KILL", connect(&redis).await, &masters(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_memory() {
    let redis = Cluster::start().await;
    let store = connect(&redis).await;
    anywhere::no_memory("cluster: maxmemory, noeviction", store, &redis.nodes()[1]).await;
}

/// In a cluster, a master that becomes a replica answers `MOVED` rather than `READONLY`.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_an_operator_asks_for() {
    let redis = Cluster::start().await;
    let store = connect(&redis).await;
    endure("cluster: CLUSTER FAILOVER", store, async |_| {
        redis.nodes()[redis.replica_of(1)].ask::<String>("CLUSTER FAILOVER").await.unwrap();
        redis.wait_for_promotion(1).await;
        Instant::now()
    })
    .await
    .nothing_lost();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_loading() {
    let redis = Cluster::start_with(anywhere::DEBUG).await;
    anywhere::loading("cluster: LOADING", connect(&redis).await, &redis.nodes()[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed() {
    let redis = Cluster::start().await;
    anywhere::password_changed("cluster: password changed", &redis.url(), &masters(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_migrate() {
    let redis = Cluster::start().await;
    let store = connect(&redis).await;
    let account = endure("cluster: 100 slots migrate", store, async |_| {
        for slot in 0..100 {
            redis.migrate_slot(slot * 50, 1 + usize::from(slot % 2)).await;
        }
        Instant::now()
    });
    let account = account.await.nothing_lost();
    assert!(account.errors.is_empty(), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_are_flushed() {
    let redis = Cluster::start().await;
    anywhere::scripts_flushed("cluster: SCRIPT FLUSH", connect(&redis).await, &masters(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_wrong() {
    let (ours, strange) = (Certificates::generate(), Certificates::generate());
    let redis = Cluster::start_tls(&ours, &["--requirepass", "secret"]).await;
    let trusting = |certificates: &Certificates| {
        RedisStore::builder(redis.url())
            .tls_authorities(certificates.authority.certificate.bytes())
            .credentials(session_store::Credentials::password("secret"))
    };
    let error = trusting(&strange).connect().await.unwrap_err();
    assert!(reason(&error).contains("certificate"), "{error}");
    healthy(&trusting(&ours).connect().await.unwrap()).await;
}
