//! What Node makes of the members: which it loses, and the others as they were.

use std::time::Duration;

use serde_json::json;
use session_store::{Error, Expiry, ExpressLayout, RedisLayout, SameSite, SessionCookie};

use super::stage::Stage;
use crate::support::node;

/// All that a `Session` of the Express beside this has, and who is left of them when it reads a value in
/// which each is a member.
const ASK: &str = r#"
    const session = require('express-session');
    const store = new session.MemoryStore();
    const names = new Set(['fine', 'id', 'req', 'cookie', 'Save', 'originalMaxAge']);
    for (let it = session.Session.prototype; it; it = Object.getPrototypeOf(it))
      Object.getOwnPropertyNames(it).forEach((name) => names.add(name));
    const members = [...names].filter((name) => name !== 'cookie').map((name) => JSON.stringify(name) + ':1');
    const stored = JSON.parse('{"cookie":{},' + members.join(',') + '}');
    const read = store.createSession({ sessionID: 'a' }, stored);
    const kept = Object.keys(read);
    return [...names].map((name) => [name, name !== 'cookie' && kept.includes(name)]);
"#;

#[tokio::test]
async fn exactly_the_names_that_node_loses_are_refused() {
    let mut stage = Stage::set().await;
    let names: Vec<(String, bool)> = serde_json::from_value(node::evaluate(ASK).await).unwrap();
    assert!(names.len() > 20, "{names:?}");
    for (name, node_keeps) in names {
        let sid = stage.create().await;
        let actions = stage.write(&sid, &name, 1).await;
        match actions.failure {
            None => assert!(node_keeps, "{name} is written, and Node loses it"),
            Some(Error::Encode { .. }) => assert!(!node_keeps, "{name} is refused, and Node keeps it"),
            Some(other) => panic!("{name}: {other}"),
        }
        assert_eq!(stage.value(&sid).await.get(&name) == Some(&json!(1)), node_keeps, "{name}");
    }
}

/// To the byte, so that Node has no reason to store a session which it only read.
#[tokio::test]
async fn what_is_written_here_is_what_node_would_write() {
    let plain = || SessionCookie::new().name("connect.sid");
    let day = Expiry::idle(Duration::from_secs(24 * 3600));
    for (cookie, header) in [
        (plain().secure(false), "Path=/; HttpOnly; SameSite=Lax"),
        (
            plain().persistent(true).same_site(SameSite::Strict),
            "Path=/; Expires=; HttpOnly; Secure; SameSite=Strict",
        ),
        (
            plain().domain("example.com").path("/app").same_site(SameSite::None).partitioned(true),
            "Domain=example.com; Path=/app; HttpOnly; Secure; Partitioned; SameSite=None",
        ),
    ] {
        let layout = ExpressLayout::new(cookie.clone());
        let mut stage = Stage::set_with(
            |store| store.layout(RedisLayout::express(layout)),
            |manager| manager.cookie(cookie).expiry(day),
        )
        .await;
        let sid = stage.create().await;
        let text = String::from_utf8(stage.raw(&sid).await.unwrap()).unwrap();
        let ask = format!(
            "const session = require('express-session'), text = {};
             const read = new session.MemoryStore().createSession({{ sessionID: 'a' }}, JSON.parse(text));
             return [JSON.stringify(read) === text, read.cookie.serialize('a', 'b')];",
            json!(text)
        );
        let answer = node::evaluate(&ask).await;
        let sent = answer[1].as_str().unwrap().replace("a=b; ", "");
        let sent: Vec<_> =
            sent.split("; ").map(|it| if it.starts_with("Expires=") { "Expires=" } else { it }).collect();
        assert_eq!((&answer[0], &*sent.join("; ")), (&json!(true), header), "{text}");
    }
}
