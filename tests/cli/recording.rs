//! What the tool adds to histories, and what it erases.

use serde_json::{Value, json};
use session_store::{
    ExpressLayout, KeyRing, Owner, RedisLayout, RedisStore, RedisStoreBuilder, SessionCookie, SessionId,
};

use crate::histories::{Service, column, hidden};
use crate::support::redis::{Cluster, Server};
use crate::tool::{self, Tool, connect, signed_in};

const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

async fn service(builder: RedisStoreBuilder) -> Service {
    Service::hours_ago(5, builder, KeyRing::generate()).await
}

fn history(tool: &Tool, owner: &str) -> Vec<Value> {
    tool.run(&["history", owner, "--json"]).lines()
}

fn events(tool: &Tool, owner: &str) -> Vec<String> {
    column(&history(tool, owner), "what")
}

fn sessions(tool: &Tool, owner: &str) -> Vec<String> {
    column(&tool.run(&["list", "--owner", owner, "--json"]).lines(), "key")
}

fn forgotten(sessions: u64, entries: u64, dry_run: bool) -> Value {
    json!({ "sessions": sessions, "entries": entries, "dryRun": dry_run })
}

async fn what_the_tool_ends_is_recorded(service: &Service, tool: &Tool) {
    for (owner, device) in [("ada", "Safari on iPhone"), ("ada", "Firefox on Linux"), ("bob", "a phone")] {
        service.sign_in(owner, device).await;
    }
    service.manager.flush_events().await;
    let recording = tool.clone().set("SESSION_HISTORY", "100").set("SESSION_HISTORY_AGE", "90d");

    let phone = history(tool, "ada").pop().expect("it is the earliest");
    let key = phone["session"].as_str().unwrap();
    recording.run(&["revoke", key]).has(0, "ended ");
    let ended = history(tool, "ada").remove(0);
    for (name, value) in
        [("what", &json!("revoked")), ("label", &phone["label"]), ("session", &phone["session"])]
    {
        assert_eq!(&ended[name], value, "{name}");
    }
    assert_eq!(ended["began"], phone["at"], "it is of the same session");
    recording.run(&["revoke", key]).has(1, "not there");
    assert_eq!(events(tool, "ada"), ["revoked", "signedIn", "signedIn"], "it did not end twice");

    assert_eq!(recording.json(&["revoke-all", "ada"]), json!({ "revoked": 1 }));
    assert_eq!(events(tool, "ada"), ["revoked", "revoked", "signedIn", "signedIn"]);
    recording.run(&["clear"]).has(2, "nothing was done");
    assert_eq!(events(tool, "bob"), ["signedIn"]);
    assert_eq!(recording.json(&["clear", "--yes"]), json!({ "ended": 1 }));
    assert_eq!(events(tool, "bob"), ["revoked", "signedIn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tool_ends_is_in_the_histories() {
    let server = Server::start().await;
    let service = service(RedisStore::builder(server.url())).await;
    what_the_tool_ends_is_recorded(&service, &Tool::at(server.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tool_ends_is_in_the_histories_of_a_cluster() {
    let cluster = Cluster::start().await;
    let service = service(RedisStore::builder(cluster.url())).await;
    what_the_tool_ends_is_recorded(&service, &Tool::at(cluster.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thorough_revocation_finds_is_recorded_too() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let mut record = tool::record();
    record.owner = Some(Owner::new("ada").unwrap());
    tool::store(&store, &SessionId::generate(), &record).await;
    let tool = Tool::at(server.url()).set("SESSION_HISTORY", "100");
    assert_eq!(tool.json(&["revoke-all", "ada"])["revoked"], 0, "the index does not know it");
    assert_eq!(tool.json(&["revoke-all", "ada", "--thorough"])["revoked"], 1);
    assert_eq!(events(&tool, "ada"), ["revoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_sealed_in_what_the_tool_records() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let id = signed_in(&store, SessionId::generate(), "ada", "Laptop").await;
    let tool = Tool::at(server.url()).set("SESSION_HISTORY", "100");
    let sealing = tool.clone().set("SESSION_SEAL_KEY", SECRET).set("SESSION_SEAL_LABELS", "true");
    sealing.run(&["revoke", id.key().storage_name()]).has(0, "ended ");
    assert_eq!(history(&sealing, "ada")[0]["label"], "Laptop");
    assert_eq!(history(&tool, "ada")[0]["label"], json!(null), "it takes the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tool_ends_is_recorded_as_the_variables_say() {
    let server = Server::start().await;
    let service = service(RedisStore::builder(server.url())).await;
    let tool = Tool::at(server.url());
    let sign_in = async || {
        service.sign_in("ada", "Firefox on Linux").await;
        service.manager.flush_events().await;
    };
    sign_in().await;
    tool.run(&["revoke-all", "ada"]).has(0, "ended 1 sessions");
    assert_eq!(events(&tool, "ada"), ["signedIn"], "no service keeps one, for all that is known here");
    sign_in().await;
    let said = tool.clone().set("SESSION_HISTORY_AGE", "30d").run(&["revoke-all", "ada"]);
    said.has(0, "SESSION_HISTORY_AGE has no effect: SESSION_HISTORY is not set");
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert_eq!(events(&tool, "ada"), ["signedIn", "signedIn"]);

    sign_in().await;
    for (name, value) in [("SESSION_HISTORY", "0"), ("SESSION_HISTORY_AGE", "401d")] {
        let wrong = tool.clone().set(name, value);
        wrong.run(&["revoke-all", "ada"]).has(2, &format!("{name} is "));
        wrong.run(&["history", "ada"]).has(0, "signed in");
    }
    assert_eq!(sessions(&tool, "ada").len(), 1, "nothing has ended");
    // As the service's own entry would, it pushes the oldest out.
    let few = tool.clone().set("SESSION_HISTORY", "2");
    few.run(&["revoke-all", "ada"]).has(0, "ended 1 sessions");
    assert_eq!(events(&tool, "ada"), ["revoked", "signedIn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_does_not_end_before_all_is_recorded() {
    const MANY: usize = 300;
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    for _ in 0..MANY {
        signed_in(&store, SessionId::generate(), "ada", "Laptop").await;
    }
    let tool = Tool::at(server.url()).set("SESSION_HISTORY", "1000");
    assert_eq!(tool.json(&["revoke-all", "ada"]), json!({ "revoked": MANY }));
    assert_eq!(history(&tool, "ada").len(), MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_recorded_is_said() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    for (count, words) in
        [(1, "the end of 1 session is in no"), (2, "the ends of 2 sessions are in no history")]
    {
        for _ in 0..count {
            signed_in(&store, SessionId::generate(), "ada", "Laptop").await;
        }
        let forbidden = "ACL SETUSER app reset on >correct-horse ~session:* +@all -lpush";
        server.ask::<String>(forbidden).await.unwrap();
        let tool = Tool::at(server.url().replace("://", "://app:@"));
        let tool = tool.set("REDIS_PASSWORD", "correct-horse").set("SESSION_HISTORY", "100");
        let said = tool.run(&["revoke-all", "ada", "--json"]);
        said.has(0, words);
        assert_eq!(said.json(), json!({ "revoked": count }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_forgotten_by_yes_alone() {
    let server = Server::start().await;
    let service = service(RedisStore::builder(server.url())).await;
    let cookies =
        [service.sign_in("ada", "Safari on iPhone").await, service.sign_in("ada", "Firefox on Linux").await];
    service.sign_out(&cookies[0]).await;
    service.sign_in("bob", "a phone").await;
    service.manager.flush_events().await;
    // Bounds that a history has by now make no entry of it less stored.
    let tool = Tool::at(server.url()).hiding(hidden(&cookies)).set("SESSION_HISTORY", "1");

    let looked = tool.run(&["forget", "ada"]);
    looked.has(0, "sessions to be ended                 1");
    looked.has(0, "entries of the history to be erased  3");
    looked.has(0, "nothing was done: add --yes");
    assert_eq!(tool.json(&["forget", "ada"]), forgotten(1, 3, true));
    assert_eq!((sessions(&tool, "ada").len(), history(&tool, "ada").len()), (1, 3));

    assert_eq!(tool.json(&["forget", "ada", "--yes"]), forgotten(1, 3, false));
    assert_eq!((sessions(&tool, "ada").len(), history(&tool, "ada").len()), (0, 0));
    let again = tool.run(&["forget", "ada", "-y"]);
    again.has(0, "entries of the history erased  0");
    assert!(!again.out.contains("nothing was done"), "{}", again.out);
    assert_eq!((sessions(&tool, "bob").len(), history(&tool, "bob").len()), (1, 1));
    assert_eq!(tool.json(&["forget", "carl"]), forgotten(0, 0, true));
    tool.run(&["forget", ""]).has(2, "empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_express_sessions_is_forgotten_too() {
    let server = Server::start().await;
    let layout = || ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    for (layout, name) in [
        (RedisLayout::express(layout()), "express"),
        (RedisLayout::move_to_native(layout()), "move-to-native"),
    ] {
        let builder = RedisStore::builder(server.url()).layout(layout);
        let service = Service::hours_ago(5, builder, KeyRing::express("keyboard cat").unwrap()).await;
        service.sign_in("ada", "Firefox on Linux").await;
        service.manager.flush_events().await;
        let tool = Tool::at(server.url()).set("SESSION_LAYOUT", name).set("SESSION_HISTORY", "100");
        tool.run(&["revoke-all", "ada"]).has(0, "ended 1 sessions");
        assert_eq!(events(&tool, "ada"), ["revoked", "signedIn"], "{name}");
        service.sign_in("ada", "Firefox on Linux").await;
        service.manager.flush_events().await;
        let said = tool.json(&["forget", "ada", "--yes"]);
        assert_eq!(said, forgotten(1, 3, false), "{name}");
        assert_eq!((sessions(&tool, "ada").len(), history(&tool, "ada").len()), (0, 0), "{name}");
    }
}
