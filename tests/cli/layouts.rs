//! Sessions in the layout of Express, whose keys in Redis contain live ids.

use std::sync::Arc;

use serde_json::json;
use session_store::{ExpressLayout, RedisLayout, RedisStore, SessionCookie, SessionId};

use crate::support::redis::Server;
use crate::tool::{Tool, record, signed_in, store};

fn id() -> SessionId {
    SessionId::express(SessionId::generate().as_str()).unwrap()
}

fn layout() -> ExpressLayout {
    ExpressLayout::new(SessionCookie::new().name("connect.sid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_of_express_is_shown() {
    let server = Server::start().await;
    let express = Arc::new(
        RedisStore::builder(server.url()).layout(RedisLayout::express(layout())).connect().await.unwrap(),
    );
    let mut ids = Vec::new();
    for _ in 0..30 {
        let id = id();
        store(&express, &id, &record()).await;
        ids.push(id);
    }
    let ada = signed_in(&express, id(), "ada", "Laptop").await;
    let of_node =
        r#"SET sess:aNodeSessionWithItsOwnId {"cookie":{"originalMaxAge":60000},"user":"bob"} PX 60000"#;
    server.ask::<redis::Value>(of_node).await.unwrap();
    let tool = Tool::at(server.url())
        .set("SESSION_LAYOUT", "express")
        .hiding(ids.iter().chain([&ada]).map(SessionId::as_str))
        .hiding(["aNodeSessionWithItsOwnId"]);

    let all = tool.run(&["list", "--json"]).lines();
    assert_eq!(all.len(), 32);
    tool.run(&["list"]).has(0, "Laptop");
    let of_node = SessionId::express("aNodeSessionWithItsOwnId").unwrap().key();
    let shown = tool.json(&["show", &format!(":{of_node}")]);
    assert_eq!((&shown["key"], &shown["data"]), (&json!(format!(":{of_node}")), &json!({ "user": "bob" })));
    let beginning = format!(":{}", &ada.key().to_string()[..10]);
    assert_eq!(tool.json(&["ttl", &beginning])["key"], format!(":{}", ada.key()));
    assert_eq!(tool.run(&["list", "--json", "--owner", "ada"]).lines().len(), 1);
    // The name of the key in Redis has the id in it.
    tool.run(&["show", &format!("sess:{}", ada.as_str())]).has(2, "no key of a session");
    tool.run(&["check"]).has(1, "given another id, and ended");
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 33, "32, and the index of ada's");
    tool.run(&["revoke", &beginning]).has(0, "ended");
    assert_eq!(tool.json(&["stats"])["totalSessions"], 31);
    tool.run(&["clear"]).has(2, r#""sess:""#);
    assert_eq!(tool.json(&["clear", "--yes"]), json!({ "ended": 31 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_layouts_are_seen_at_once() {
    let server = Server::start().await;
    let express = RedisStore::builder(server.url())
        .layout(RedisLayout::express(layout().prefix("shop:")))
        .connect()
        .await
        .unwrap();
    let both =
        RedisStore::builder(server.url()).layout(RedisLayout::move_to_native(layout().prefix("shop:")));
    let both = both.prefix("new:").connect().await.unwrap();
    let (old, new) = (id(), id());
    store(&express, &old, &record()).await;
    store(&both, &new, &record()).await;
    let tool = Tool::at(server.url()).hiding([old.as_str(), new.as_str()]);
    let flags = ["--layout", "move-to-native", "--prefix", "new:", "--express-prefix", "shop:"];
    let run = |arguments: &[&str]| tool.run(&[&flags, arguments].concat());
    assert_eq!(run(&["list", "--json"]).lines().len(), 2);
    for id in [&old, &new] {
        run(&["show", &format!(":{}", id.key())]).has(0, "tea");
        run(&["revoke", &format!(":{}", id.key())]).has(0, "ended");
    }
    run(&["clear"]).has(2, r#""new:" and "shop:""#);
    run(&["check"]).has(1, "given another id, and ended");
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 0);
}
