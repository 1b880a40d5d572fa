//! Looking at sessions, and ending them.

use serde_json::json;
use session_store::{Codec, Payload, SessionId, SessionStore as _};

use crate::support::redis::Server;
use crate::tool::{Tool, anonymous, connect, record, signed_in, with_data};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_shown_and_ended() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let ada = signed_in(&store, SessionId::generate(), "ada", "Firefox on Linux").await;
    let laptop = signed_in(&store, SessionId::generate(), "ada", "Laptop").await;
    let bob = signed_in(&store, SessionId::generate(), "bob", "Safari").await;
    let visitor = anonymous(&store).await;
    let ids = [&ada, &laptop, &bob, &visitor];
    let tool = Tool::at(server.url()).hiding(ids.map(SessionId::as_str));

    let all = tool.run(&["list", "--json"]).lines();
    assert_eq!(all.len(), 4, "{all:?}");
    let name = ada.key().storage_name().to_owned();
    let listed = all.iter().find(|it| it["key"] == name.as_str()).expect("it is listed");
    assert_eq!((&listed["owner"], &listed["label"]), (&json!("ada"), &json!("Firefox on Linux")));
    assert_eq!((&listed["codec"], &listed["dataBytes"]), (&json!("json"), &json!(16)));
    assert!(listed["expiresInSeconds"].as_u64().is_some_and(|it| (3500..=3600).contains(&it)), "{listed}");
    assert!(listed["createdAt"].as_str().is_some_and(|it| it.ends_with('Z')), "{listed}");
    let table = tool.run(&["list"]);
    assert_eq!((table.code, table.out.lines().count()), (Some(0), 5), "{}", table.out);
    assert!(table.out.starts_with("KEY ") && table.out.contains("Firefox on Linux"), "{}", table.out);

    let of_ada = tool.run(&["list", "--owner", "ada", "--json"]).lines();
    assert_eq!(of_ada.len(), 2, "{of_ada:?}");
    assert!(of_ada.iter().all(|it| it["owner"] == "ada"), "{of_ada:?}");

    let shown = tool.json(&["show", &name]);
    assert_eq!((&shown["data"], &shown["dataIsReadable"]), (&json!({ "cart": ["tea"] }), &json!(true)));
    assert!(!tool.json(&["show", &name, "--no-data"]).as_object().unwrap().contains_key("data"));
    let table = tool.run(&["show", &name]);
    assert!(table.out.contains("ada") && table.out.contains("\"tea\""), "{}", table.out);
    assert!(!tool.run(&["show", "--no-data", &name]).out.contains("tea"));
    let ttl = tool.json(&["ttl", &name]);
    assert!(ttl["absoluteDeadlineInSeconds"].as_u64().is_some_and(|it| it > 80_000), "{ttl}");
    tool.run(&["ttl", &name]).has(0, "ends at the latest");

    tool.run(&["revoke", &name]).has(0, "ended");
    tool.run(&["revoke", &name]).has(1, "not there");
    tool.run(&["show", &name]).has(1, "no such session");
    let both = tool.run(&["revoke", "--json", visitor.key().storage_name(), &name]);
    assert_eq!(both.json(), json!({ "revoked": [visitor.key().storage_name()], "notThere": 1 }));
    assert_eq!(both.code, Some(1));
    assert_eq!(tool.json(&["revoke-all", "ada"]), json!({ "revoked": 1 }));
    tool.run(&["revoke-all", "nobody"]).has(0, "ended 0 sessions");
    // One that the index of owners has lost.
    let mut lost = record();
    lost.owner = Some(session_store::Owner::new("ada").unwrap());
    crate::tool::store(&store, &ada, &lost).await;
    assert_eq!(tool.json(&["revoke-all", "ada"]), json!({ "revoked": 0 }));
    assert_eq!(tool.json(&["revoke-all", "ada", "--thorough"]), json!({ "revoked": 1 }));
    assert_eq!(tool.run(&["list", "--json"]).lines().len(), 1, "bob's is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_ended_only_when_that_is_confirmed() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    for _ in 0..7 {
        anonymous(&store).await;
    }
    let () = server.ask("SET other:key 1").await.unwrap();
    let tool = Tool::at(server.url());
    tool.run(&["clear"]).has(2, "end 7 sessions");
    tool.run(&["clear"]).has(2, r#""session:""#);
    tool.run(&["clear", "--yes", "--prefix", "shop:"]).has(0, "ended 0 sessions");
    assert_eq!(tool.json(&["clear", "--yes"]), json!({ "ended": 7 }));
    assert_eq!(server.ask::<u32>("DBSIZE").await.unwrap(), 1, "another's key is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_shown_where_its_codec_names_the_parts() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let compact = with_data(&store, Codec::MessagePack.encode(&json!({ "n": 1 })).unwrap()).await;
    let unknown = with_data(&store, Payload::new(35, "\u{0}\u{1}")).await;
    let tool = Tool::at(server.url());
    let shown = tool.json(&["show", compact.key().storage_name()]);
    assert_eq!((&shown["codec"], &shown["data"]), (&json!("messagepack"), &json!({ "n": 1 })));
    let shown = tool.json(&["show", unknown.key().storage_name()]);
    assert_eq!(
        (&shown["codec"], &shown["data"], &shown["dataIsReadable"]),
        (&json!(35), &json!(null), &json!(false))
    );
    tool.run(&["show", unknown.key().storage_name()]).has(0, "cannot be shown");
}

/// Owners and labels are whatever visitors say.
#[tokio::test(flavor = "multi_thread")]
async fn what_visitors_say_does_nothing_to_a_terminal() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let id =
        signed_in(&store, SessionId::generate(), "\u{1b}]0;x\u{7}ada", "\u{1b}[2J\u{9b}1m\u{202e}").await;
    let mut record = record();
    record.data = Codec::Json.encode(&json!({ "name": "\u{9b}31m\u{1b}[2J" })).unwrap();
    let other = SessionId::generate();
    crate::tool::store(&store, &other, &record).await;
    let tool = Tool::at(server.url());
    for arguments in
        [&["list"][..], &["show", id.key().storage_name()], &["show", other.key().storage_name()]]
    {
        // That there is no escape is looked at in all tests.
        let said = tool.run(arguments);
        assert!(said.code == Some(0) && !said.out.contains(['\u{9b}', '\u{7}', '\u{202e}']), "{}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_of_all_servers() {
    let server = Server::start_with(&["--maxmemory", "100mb"]).await;
    let store = connect(&server.url()).await;
    for _ in 0..20 {
        anonymous(&store).await;
    }
    let tool = Tool::at(server.url());
    let stats = tool.json(&["stats"]);
    assert_eq!((&stats["totalSessions"], &stats["totalSessionsError"]), (&json!(20), &json!(0)), "{stats}");
    assert_eq!((&stats["topology"], &stats["memoryLimitBytes"]), (&json!("standalone"), &json!(100 << 20)));
    assert_eq!(stats["servers"][0]["keys"], 20, "{stats}");
    let software = &stats["servers"][0]["software"];
    assert!(["Redis", "Valkey", "Redict"].contains(&software.as_str().unwrap()), "{stats}");
    assert_eq!(tool.json(&["stats", "--exact"])["totalSessions"], 20);
    tool.run(&["stats"]).has(0, "20 sessions");
    tool.run(&["stats"]).has(0, &server.address().to_string());

    let lines = tool.run(&["watch", "--json", "--count", "3", "--interval", "0.05"]).lines();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["totalSessions"], &lines[0]["commandsPerSecond"]), (&json!(20), &json!(null)));
    assert!(lines[2]["commandsPerSecond"].as_f64().is_some_and(|rate| rate > 0.0), "{lines:?}");
    assert!(lines[2]["pingP99Seconds"].as_f64() >= lines[2]["pingSeconds"].as_f64(), "{lines:?}");
    let table = tool.run(&["watch", "--count", "2", "--interval", "0.05"]);
    assert_eq!((table.code, table.out.lines().count()), (Some(0), 3), "{}", table.out);
    assert!(store.load(&SessionId::generate().key()).await.is_ok());
}
