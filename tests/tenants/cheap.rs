//! A thousand tenants: what they take of the servers.

use std::sync::Arc;

use session_store::RedisStore;
use tokio::task::JoinSet;

use crate::stage::{AT_ONCE, Visitor, connect, connections, near_cache, tenants};
use crate::support::redis::{Cluster, Server, wait_until};

const TENANTS: usize = 1000;

fn prefixes() -> Vec<String> {
    (0..TENANTS).map(|number| format!("tenant:{number}:")).collect()
}

/// Has each of a thousand tenants serve, and watch, a session of its own, and says how many connections that takes to a
/// server; first without the watching.
async fn connections_of_all(store: &RedisStore, server: &Server) -> [(usize, usize); 2] {
    let client = server.client().await;
    let prefixes = prefixes();
    let tenants = Arc::new(tenants(store, prefixes.iter().map(String::as_str)));
    let mut serving = JoinSet::new();
    for task in 0..10 {
        let tenants = Arc::clone(&tenants);
        serving.spawn(async move {
            let mut visitors = Vec::new();
            for (_, manager) in &tenants[task * TENANTS / 10..(task + 1) * TENANTS / 10] {
                visitors.push((manager.clone(), Visitor::signed_in(manager, "ada").await));
            }
            visitors
        });
    }
    let visitors = serving.join_all().await.concat();
    let serving = connections(&client).await;

    let mut waiting = JoinSet::new();
    for (manager, visitor) in visitors.clone() {
        waiting.spawn(async move { manager.ended(&visitor.key).await.unwrap() });
    }
    wait_until("the server tells of changes", || async { connections(&client).await.1 == 1 }).await;
    let watching = connections(&client).await;
    for (manager, _) in &visitors {
        assert_eq!(manager.revoke_all("ada").await.unwrap(), 1);
    }
    tokio::time::timeout(10 * AT_ONCE, waiting.join_all()).await.expect("all ends are told");
    [serving, watching]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tenants_have_one_connection_and_one_more_to_be_told_by() {
    let server = Server::start().await;
    let store = connect(server.url()).await;
    assert_eq!(connections_of_all(&store, &server).await, [(1, 0), (2, 1)]);
    // At each write the server goes through what it is to tell of.
    let told: String = server.ask("INFO stats").await.unwrap();
    let told = told.lines().find_map(|line| line.strip_prefix("tracking_total_prefixes:")).unwrap();
    assert!(told.trim().parse::<u32>().unwrap() <= 16, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tenants_have_one_connection_to_each_master_of_a_cluster() {
    let redis = Cluster::start().await;
    let store = connect(redis.url()).await;
    // Each node has its replica besides.
    let before = connections(&redis.client_of(0).await).await.0;
    let [serving, watching] = connections_of_all(&store, &redis.nodes()[0]).await;
    assert_eq!((serving.1, watching.1), (0, 1));
    assert!(serving.0 <= before.max(1) && watching.0 <= serving.0 + 1, "{before} {serving:?} {watching:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_near_caches_are_one() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).near_cache(near_cache()).connect().await.unwrap();
    assert_eq!(connections_of_all(&store, &server).await, [(1, 0), (2, 1)]);
}
