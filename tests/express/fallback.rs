//! Memory beside a Redis in the layout of Express: what is born there moves into that layout.

use std::time::Duration;

use serde_json::json;
use session_store::{
    FallbackPolicy, FallbackStore, KeyRing, RedisLayout, RedisStore, ResponseActions, SessionManager,
    SessionStore as _, Values,
};
use tokio::time::{sleep, timeout};

use super::stage::{SECRET, cookie, cookie_of, layout, sid_in};
use crate::support::redis::Server;

async fn above(
    server: &Server,
    policy: FallbackPolicy,
) -> (SessionManager<Values>, std::sync::Arc<FallbackStore>) {
    let redis = RedisStore::builder(server.url())
        .timeout(Duration::from_millis(200))
        .layout(RedisLayout::express(layout()));
    let store = std::sync::Arc::new(FallbackStore::new(redis.connect_eventually().await.unwrap(), policy));
    let builder = SessionManager::builder(std::sync::Arc::clone(&store), KeyRing::express(SECRET).unwrap());
    (builder.cookie(cookie()).build().unwrap(), store)
}

async fn begin(manager: &SessionManager<Values>) -> ResponseActions {
    let request = manager.begin(None);
    request.session().await.unwrap().write(|values| values.insert("user", "ada")).unwrap().unwrap();
    request.finish(200).await
}

/// However long it takes, memory takes new sessions until Redis has answered for the first time.
#[tokio::test]
async fn until_redis_is_there_new_sessions_go_to_memory() {
    for policy in [FallbackPolicy::AtStart, FallbackPolicy::WhileDown] {
        let mut server = Server::start().await;
        server.kill();
        let (manager, store) = above(&server, policy).await;
        let mut sids = Vec::new();
        for round in 0..6 {
            let actions = begin(&manager).await;
            assert!(actions.failure.is_none(), "{policy:?}, round {round}: {:?}", actions.failure);
            assert!(store.status().fallback.unwrap().open, "{policy:?}, round {round}: nothing answers");
            sids.push(sid_in(&actions));
            sleep(Duration::from_millis(200)).await;
        }
        server.restart().await;
        let moved = async {
            while store.status().fallback.unwrap().in_memory > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(10), moved).await.expect("they move");
        for sid in &sids {
            let value: String = server.ask(&format!("GET sess:{sid}")).await.unwrap();
            let value: serde_json::Value = serde_json::from_str(&value).unwrap();
            assert_eq!((&value["user"], value["cookie"].is_object()), (&json!("ada"), true));
            let request = manager.begin(Some(&cookie_of(sid)));
            let session = request.session().await.unwrap();
            assert_eq!(session.read(|values| values.get::<String>("user")).as_deref(), Some("ada"));
        }
        // A logout of a session that moved.
        let request = manager.begin(Some(&cookie_of(&sids[0])));
        request.session().await.unwrap().destroy().await.unwrap();
        let left: bool = server.ask(&format!("EXISTS sess:{}", sids[0])).await.unwrap();
        assert!(!left);
    }
}

/// What answers is Redis, not the layout's refusal of a key that it can't name.
#[tokio::test]
async fn a_redis_that_is_away_stays_so_until_it_answers() {
    let mut server = Server::start().await;
    let (manager, store) = above(&server, FallbackPolicy::WhileDown).await;
    let sid = sid_in(&begin(&manager).await);
    server.kill();
    for _ in 0..4 {
        assert!(manager.begin(Some(&cookie_of(&sid))).session().await.is_err());
    }
    for _ in 0..10 {
        assert!(store.status().fallback.unwrap().open, "{:?}", store.status().fallback.unwrap());
        sleep(Duration::from_millis(100)).await;
    }
}
