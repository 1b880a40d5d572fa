//! Sessions in the layout of Express, and in both.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use session_store::{
    ExpressLayout, KeyRing, Owner, Payload, RedisLayout, RedisStore, SessionCookie, SessionId, SessionKey,
    SessionManager, SessionStore, Values,
};

use crate::stage::{record, store_all, ttl};
use crate::support::redis::{Cluster, Server};

fn layout() -> ExpressLayout {
    ExpressLayout::new(SessionCookie::new().secure(false))
}

fn key() -> SessionKey {
    SessionId::express(SessionId::generate().as_str()).unwrap().key()
}

fn manager(store: &Arc<RedisStore>) -> SessionManager<Values> {
    let keys = KeyRing::express("keyboard cat").unwrap();
    SessionManager::builder(Arc::clone(store), keys).build().unwrap()
}

async fn express(url: &str) -> Arc<RedisStore> {
    Arc::new(RedisStore::builder(url).layout(RedisLayout::express(layout())).connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_node_and_this_side_made_is_seen_and_no_id_is_shown() {
    let server = Server::start().await;
    let store = express(&server.url()).await;
    let made_here = key();
    let mut owned = record();
    owned.owner = Some(Owner::new("ada").unwrap());
    store.create(&made_here, &owned, ttl()).await.unwrap();
    for command in [
        r#"SET sess:aNodeSession {"cookie":{"originalMaxAge":60000},"user":"bob"} PX 60000"#,
        r#"SET sess:forever {"cookie":{}}"#,
        "SET sess:noJson text",
        r#"SET sess:noCookie {"user":"bob"}"#,
        r#"SET sess:admin:theirs {"cookie":{}}"#,
        "RPUSH sess:list x",
        "SET sess: x",
    ] {
        server.ask::<redis::Value>(command).await.unwrap();
    }
    let manager = manager(&store);
    let found: Vec<_> = manager.sessions().try_collect().await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    let of_node = SessionId::express("aNodeSession").unwrap().key();
    let summary = found.iter().find(|session| session.key == of_node).expect("it is there");
    assert!(summary.data_bytes == r#"{"user":"bob"}"#.len() && summary.owner.is_none(), "{summary:?}");
    assert_eq!(found.iter().filter(|session| session.owner.is_some()).count(), 1);
    for shown in [format!("{found:?}"), found.iter().map(|session| session.key.to_string()).collect()] {
        assert!(!shown.contains("aNodeSession") && !shown.contains("forever"), "{shown}");
    }
    let usage = manager.usage().await.unwrap();
    assert_eq!((usage.sessions, usage.error), (4.0, 0.0), "by its first byte, an object may be a session");

    assert_eq!(manager.revoke_everyone().await.unwrap(), 3);
    let mut left: Vec<String> = server.ask("KEYS *").await.unwrap();
    left.sort();
    assert_eq!(left, ["sess:", "sess:admin:theirs", "sess:list", "sess:noCookie", "sess:noJson"]);
}

/// Whole values have to be read, and a pipeline of them is bounded in bytes.
#[tokio::test(flavor = "multi_thread")]
async fn large_values_are_read_in_parts() {
    let server = Server::start().await;
    let store = express(&server.url()).await;
    for size in [900_000; 12].into_iter().chain([10; 50]) {
        let mut large = record();
        large.data = Payload::new(1, format!(r#"{{"text":"{}"}}"#, "x".repeat(size)));
        store.create(&key(), &large, ttl()).await.unwrap();
    }
    assert_eq!(manager(&store).count_sessions().await.unwrap(), 62);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_layouts_count_each_session_once() {
    let (server, cluster) = (Server::start().await, Cluster::start().await);
    for url in [server.url(), cluster.url()] {
        let before = express(&url).await;
        store_all(&before, (0..150).map(|_| key()).collect()).await;
        let both =
            RedisStore::builder(&url).layout(RedisLayout::move_to_native(layout())).connect().await.unwrap();
        let both = Arc::new(both);
        store_all(&both, (0..70).map(|_| key()).collect()).await;
        let manager = manager(&both);
        assert_eq!(manager.count_sessions().await.unwrap(), 220);
        let few: Vec<_> = manager.sessions().page_size(20).try_collect().await.unwrap();
        assert_eq!(few.len(), 220);
        assert_eq!(manager.revoke_everyone().await.unwrap(), 220);
        assert_eq!(manager.count_sessions().await.unwrap(), 0);
    }
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 0);
}
