//! Which names Node loses.

use serde_json::json;
use session_store::Error;

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
        let effects = stage.write(&sid, &name, 1).await;
        match effects.failure {
            None => assert!(node_keeps, "{name} is written, and Node loses it"),
            Some(Error::Encode { .. }) => assert!(!node_keeps, "{name} is refused, and Node keeps it"),
            Some(other) => panic!("{name}: {other}"),
        }
        assert_eq!(stage.value(&sid).await.get(&name) == Some(&json!(1)), node_keeps, "{name}");
    }
}
