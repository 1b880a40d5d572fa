//! How a session is named.

use std::time::Duration;

use session_store::{SessionKey, SessionStore as _, Ttl};

use crate::support::redis::Server;
use crate::tool::{Tool, anonymous, connect, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_by_each_of_its_names() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    for _ in 0..300 {
        anonymous(&store).await;
    }
    let id = anonymous(&store).await;
    let tool = Tool::at(server.url()).hiding([id.as_str()]);
    let (name, digest) = (id.key().storage_name().to_owned(), id.key().to_string());
    for text in [
        name.clone(),
        name.replace(['{', '}'], ""),
        format!("session:{name}"),
        format!(":{digest}"),
        format!(":{}", &digest[..8]),
        format!("{}:{}", &name[1..5], &digest[..12]),
    ] {
        assert_eq!(tool.json(&["ttl", "--", &text])["key"], name.as_str(), "{text}");
    }
    tool.run(&["ttl", ":AAAAAAAAAAAAAAAAAAAAAAAAAAAA"]).has(1, "no such session");
    tool.run(&["ttl", "{AAAA}:AAAAAAAAAAAAAAAAAAAAAAAAAAAA"]).has(1, "no such session");
    // Neither is an id a key, nor is it repeated.
    for text in [id.as_str(), "short", "", &format!("sess:{}", id.as_str())] {
        tool.run(&["revoke", "--", text]).has(2, "no key of a session");
    }
    assert_eq!(tool.json(&["ttl", &name])["key"], name.as_str(), "it is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_that_begin_alike_none_is_ended() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let names = ["{AAAA}:5okmGZOnaaaaaaaaaaaaaaaaaaaa", "{BBBB}:5okmGZOnbbbbbbbbbbbbbbbbbbbb"];
    for name in names {
        let key = SessionKey::from_storage_name(name).unwrap();
        store.create(&key, &record(), Ttl::new(Duration::from_secs(60))).await.unwrap();
    }
    let tool = Tool::at(server.url());
    let said = tool.run(&["revoke", names[0], "5okmGZOn"]);
    said.has(2, names[0]);
    said.has(2, names[1]);
    assert_eq!(tool.run(&["list", "--json"]).lines().len(), 2);
    tool.run(&["revoke", "5okmGZOnb"]).has(0, names[1]);
    assert_eq!(tool.run(&["list", "--json"]).lines().len(), 1);
}
