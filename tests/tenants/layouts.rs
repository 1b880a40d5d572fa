//! Tenants whose sessions are kept in another form, and prefixes that can't be told apart.

use std::sync::Arc;

use session_store::{
    Error, ExpressLayout, KeyRing, RedisLayout, RedisStore, SessionCookie, SessionManager, Values,
};

use crate::stage::Visitor;
use crate::support::redis::Server;

async fn connect(server: &Server, layout: fn(ExpressLayout) -> RedisLayout) -> RedisStore {
    let express = ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    RedisStore::builder(server.url()).layout(layout(express)).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_shares_its_sessions_with_an_express_service() {
    let server = Server::start().await;
    let store = connect(&server, RedisLayout::express).await;
    let mut tenants = Vec::new();
    for prefix in ["sess:", "sess:a:", "b:"] {
        let store = Arc::new(store.with_prefix(prefix).unwrap());
        let keys = KeyRing::express("keyboard cat").unwrap();
        let manager = SessionManager::<Values>::builder(store, keys).build().unwrap();
        let visitor = Visitor::signed_in(&manager, "ada").await;
        tenants.push((prefix, manager, visitor));
    }
    for (prefix, manager, _) in &tenants {
        for (other, _, visitor) in &tenants {
            assert_eq!(visitor.is_known(manager).await, prefix == other, "{other} at {prefix}");
        }
        assert_eq!(manager.count_sessions().await.unwrap(), 1, "{prefix}");
        assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 1, "{prefix}");
    }
    assert_eq!(tenants[0].1.revoke_all("ada").await.unwrap(), 1);
    assert!(tenants[1].2.is_known(&tenants[1].1).await && tenants[2].2.is_known(&tenants[2].1).await);
    let keys: Vec<String> = server.ask("KEYS sess:a:*").await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_apart_is_refused() {
    let server = Server::start().await;
    let native = RedisStore::connect(server.url()).await.unwrap();
    let braces = native.with_prefix("{tenant}:").unwrap_err();
    assert!(matches!(&braces, Error::Config(why) if why.contains("braces")), "{braces}");

    let express = connect(&server, RedisLayout::express).await;
    for (prefix, why) in [("{tenant}:", "braces"), ("tenant", "colon"), ("", "colon")] {
        let refused = express.with_prefix(prefix).unwrap_err();
        assert!(matches!(&refused, Error::Config(words) if words.contains(why)), "{prefix:?}: {refused}");
    }
    for layout in [RedisLayout::express_before_move, RedisLayout::move_to_native] {
        let refused = connect(&server, layout).await.with_prefix("tenant:").unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    }
}
