//! Several stores in one Redis: what is one's is not another's.

use std::sync::Arc;

use session_store::{
    ExpressLayout, KeyRing, RedisLayout, RedisStore, SessionCookie, SessionId, SessionManager, Values,
};

use crate::stage::{fill, manager, store_all, with_prefix};
use crate::support::redis::{Cluster, Server};

/// Some begin like others, and some would match others as patterns.
const PREFIXES: [&str; 12] =
    ["app:", "app:admin:", "app", "ap", "a*c:", "abc:", "a[b]c:", "a?c:", r"a\c:", r"a\\c:", "a[^x]c:", ""];

async fn foreign_keys(server: &Server) {
    for command in [
        "SET app:foreign value",
        "SET foreign value",
        "HSET app:hash field value",
        "RPUSH app:{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK value",
        "SET app:{AAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGKx value",
        "SADD a*c:set value",
        "ZADD a?c:zset 1 value",
    ] {
        // In a cluster, some are another node's.
        let _ = server.ask::<redis::Value>(command).await;
    }
}

async fn are_apart(url: &str, servers: &[Server], keys_besides: usize) {
    let mut stores = Vec::new();
    for (nth, prefix) in PREFIXES.into_iter().enumerate() {
        let store = with_prefix(url, prefix).await;
        fill(&store, 20 + nth).await;
        stores.push((prefix, 20 + nth as u64, store));
    }
    for (prefix, count, store) in &stores {
        assert_eq!(manager(store).count_sessions().await.unwrap(), *count, "{prefix:?}");
    }
    while let Some((prefix, count, store)) = stores.pop() {
        assert_eq!(manager(&store).revoke_everyone().await.unwrap(), count, "{prefix:?}");
        assert_eq!(manager(&store).count_sessions().await.unwrap(), 0, "{prefix:?}");
        for (other, count, store) in &stores {
            assert_eq!(manager(store).count_sessions().await.unwrap(), *count, "{other:?} after {prefix:?}");
        }
    }
    let mut left = 0;
    for server in servers {
        left += server.ask::<usize>("DBSIZE").await.unwrap();
    }
    assert_eq!(left, keys_besides, "what is no session stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_on_one_server_are_apart() {
    let server = Server::start().await;
    foreign_keys(&server).await;
    let besides = server.ask("DBSIZE").await.unwrap();
    are_apart(&server.url(), std::slice::from_ref(&server), besides).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_in_a_cluster_are_apart() {
    let redis = Cluster::start().await;
    let mut besides = 0;
    for node in &redis.nodes()[..3] {
        foreign_keys(node).await;
        besides += node.ask::<usize>("DBSIZE").await.unwrap();
    }
    are_apart(&redis.url(), &redis.nodes()[..3], besides).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_of_express_are_apart() {
    let server = Server::start().await;
    foreign_keys(&server).await;
    let besides: usize = server.ask("DBSIZE").await.unwrap();
    let mut stores = Vec::new();
    for (nth, prefix) in
        ["app:", "app:admin:", "a*c:", "abc:", "a[b]c:", "a?c:", r"a\c:", "app"].into_iter().enumerate()
    {
        let layout = ExpressLayout::new(SessionCookie::new().secure(false)).prefix(prefix);
        let store =
            RedisStore::builder(server.url()).layout(RedisLayout::express(layout)).connect().await.unwrap();
        let store = Arc::new(store);
        let keys = (0..20 + nth).map(|_| SessionId::express(SessionId::generate().as_str()).unwrap().key());
        store_all(&store, keys.collect()).await;
        let keys = KeyRing::express("keyboard cat").unwrap();
        let manager = SessionManager::<Values>::builder(store, keys).build().unwrap();
        stores.push((prefix, 20 + nth as u64, manager));
    }
    // In this crate's own layout, under one of these prefixes.
    let native = with_prefix(&server.url(), "app:").await;
    fill(&native, 7).await;
    stores.push(("native", 7, manager(&native)));
    for (prefix, count, manager) in &stores {
        assert_eq!(manager.count_sessions().await.unwrap(), *count, "{prefix:?}");
    }
    while let Some((prefix, count, manager)) = stores.pop() {
        assert_eq!(manager.revoke_everyone().await.unwrap(), count, "{prefix:?}");
        for (other, count, manager) in &stores {
            assert_eq!(manager.count_sessions().await.unwrap(), *count, "{other:?} after {prefix:?}");
        }
    }
    assert_eq!(server.ask::<usize>("DBSIZE").await.unwrap(), besides);
}
