//! `tidy`: sessions are sealed by it and shown with the key alone; entries of those that are gone go.

use serde_json::{Value, json};
use session_store::{
    ExpressLayout, KeyRing, RedisLayout, RedisStore, Sealing, SessionCookie, SessionId, SessionManager,
    SessionStore as _, Values,
};

use crate::support::redis::Server;
use crate::tool::{Tool, connect, signed_in};

const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_sealed_and_then_shown_with_the_key_alone() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let ids = [SessionId::generate(), SessionId::generate()];
    for id in &ids {
        signed_in(&store, id.clone(), "ada", "Laptop").await;
    }
    let tool = Tool::at(server.url()).hiding(ids.iter().map(SessionId::as_str)).hiding([SECRET]);
    let sealing = tool.clone().set("SESSION_SEAL_KEY", SECRET).set("SESSION_SEAL_LABELS", "true");

    let looked = sealing.run(&["tidy"]);
    looked.has(0, "nothing was done");
    looked.has(0, "to be rewritten");
    let done = |rewritten: u64, dry_run: bool| {
        json!({
            "seen": 2, "rewritten": rewritten, "leftForLater": 0, "needTheId": 0, "unopened": 0, "owners": 1,
            "entriesRemoved": 0, "share": 1.0, "next": null, "dryRun": dry_run,
        })
    };
    assert_eq!(sealing.json(&["tidy"]), done(2, true));
    assert_eq!(sealing.json(&["tidy", "--yes"]), done(2, false));
    assert_eq!(sealing.json(&["tidy", "--yes"]), done(0, false));
    sealing.run(&["tidy", "--yes"]).has(0, "rewritten");

    let name = ids[0].key().storage_name().to_owned();
    let shown = sealing.json(&["show", &name]);
    assert_eq!((&shown["data"], &shown["sealed"]), (&json!({ "cart": ["tea"] }), &json!(true)));
    assert_eq!(shown["label"], "Laptop");
    sealing.run(&["show", &name]).has(0, "json, sealed");
    // Without the key it is said, and without the visitor's id for what takes that.
    let shown = tool.json(&["show", &name]);
    assert_eq!((&shown["dataIsReadable"], &shown["label"]), (&json!(false), &json!(null)));
    tool.run(&["show", &name]).has(0, "its data is sealed");
    let labels: Vec<_> = tool.run(&["list", "--json"]).lines().iter().map(|it| it["label"].clone()).collect();
    assert_eq!(labels, [json!(null), json!(null)]);

    let keys = KeyRing::parse(SECRET).unwrap();
    let by_id = SessionManager::<Values>::builder(store, KeyRing::generate())
        .seal(Sealing::new(&keys).unwrap().and_id())
        .build()
        .unwrap();
    let session = by_id.begin(None).session().await.unwrap();
    session.insert("diagnosis", "a cold").unwrap();
    session.save().await.unwrap();
    let name = session.key().unwrap().storage_name().to_owned();
    let said = sealing.run(&["show", &name]);
    said.has(0, "with the visitor's id too");
    assert!(!said.out.contains("diagnosis"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tidied_is_said() {
    let server = Server::start().await;
    let tool = Tool::at(server.url());
    tool.clone().set("SESSION_SEAL_KEY", "short").run(&["tidy"]).has(2, "SESSION_SEAL_KEY");
    tool.run(&["tidy", "--resume", "nonsense"]).has(2, "the cursor cannot be used");
}

/// Keys that Node, or Redis itself, removes leave entries behind.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_sessions_that_are_gone_are_removed() {
    let server = Server::start().await;
    for (name, layout) in [
        ("native", RedisLayout::native()),
        ("express", RedisLayout::express(ExpressLayout::new(SessionCookie::new().name("connect.sid")))),
    ] {
        let store = RedisStore::builder(server.url()).layout(layout).connect().await.unwrap();
        let tool = Tool::at(server.url()).set("SESSION_LAYOUT", name);
        let id = || match name {
            "native" => SessionId::generate(),
            _ => SessionId::express(SessionId::generate().as_str()).unwrap(),
        };
        let [gone, there, bobs] = [id(), id(), id()];
        for (id, owner) in [(&gone, "ada"), (&there, "ada"), (&bobs, "bob")] {
            signed_in(&store, id.clone(), owner, "Laptop").await;
        }
        for id in [&gone, &bobs] {
            assert!(store.delete(&id.key()).await.unwrap());
        }
        let counts = |tidied: &Value| {
            ["seen", "owners", "entriesRemoved"].map(|field| tidied[field].as_u64().unwrap())
        };
        tool.run(&["tidy"]).has(0, "entries to be removed");
        // All owners are on the first page of such.
        assert_eq!(counts(&tool.json(&["tidy", "--resume", "o+"])), [0, 2, 2], "{name}");
        assert_eq!(counts(&tool.json(&["tidy"])), [1, 2, 2], "{name}: nothing was done before");
        assert_eq!(counts(&tool.json(&["tidy", "--yes"])), [1, 2, 2], "{name}");
        assert_eq!(counts(&tool.json(&["tidy", "--yes"])), [1, 1, 0], "{name}: bob has no index any more");
    }
}
