//! Ids and prefixes of any kind that applications give.

use serde_json::json;
use session_store::{Error, ExpressLayout, Owner, RedisLayout, RedisStore, SessionId};

use super::stage::{Stage, cookie, manager, sid_in};
use crate::support::node;
use crate::support::redis::Cluster;

const BY_NODE: &str = r#"{"cookie":{"originalMaxAge":null,"expires":null},"user":"ada"}"#;

/// What is done to a session under each id that `genid` may make.
async fn lives_and_ends(stage: &mut Stage, prefix: &str, sid: &str) {
    let name = format!("{prefix}{sid}");
    let mut set = redis::cmd("SET");
    let () = set.arg(&name).arg(BY_NODE).arg("EX").arg(3600).query_async(&mut stage.redis).await.unwrap();
    assert_eq!(stage.read(sid, "user").await, Some(json!("ada")), "{name}");
    assert!(stage.write(sid, "n", 1).await.failure.is_none(), "{name}");
    let ((), actions) = stage.request(sid, async |session| session.sign_in("ada", |_| ())).await;
    let new = sid_in(&actions);
    assert_eq!(stage.read(sid, "user").await, None, "{name}");
    assert_eq!(stage.read(&new, "n").await, Some(json!(1)), "{name}");
    let ada = Owner::new("ada").unwrap();
    assert_eq!(stage.manager.sessions_of(&ada).await.unwrap().len(), 1, "{name}");
    // A logout with the id from before the sign-in, in the same request as it were.
    assert!(stage.manager.revoke(&SessionId::express(sid).unwrap().key()).await.unwrap(), "{name}");
    assert_eq!(stage.read(&new, "n").await, None, "{name}");
}

#[tokio::test]
async fn any_id_and_any_prefix_will_do_on_one_server() {
    let longest = "x".repeat(1024);
    for prefix in ["sess:", "", "{sess}:", "a}b:"] {
        let layout = ExpressLayout::new(cookie()).prefix(prefix);
        let mut stage =
            Stage::set_with(|store| store.layout(RedisLayout::express(layout)), |manager| manager).await;
        for sid in ["plain", "a{b}c", "a}b{c", "{}", "{", "a.b/c+d=", &longest] {
            lives_and_ends(&mut stage, prefix, sid).await;
        }
    }
}

#[tokio::test]
async fn in_a_cluster_an_id_may_have_a_hash_tag_and_a_brace_without_one_is_said() {
    let cluster = Cluster::start().await;
    for prefix in ["sess:", "{sess}:"] {
        let layout = ExpressLayout::new(cookie()).prefix(prefix);
        let store = RedisStore::builder(cluster.url()).layout(RedisLayout::express(layout));
        let manager = manager(store, |manager| manager).await;
        for sid in ["plain", "a{b}c", "{"] {
            let request = manager.begin(Some(&super::stage::cookie_of(sid)));
            assert!(request.session().await.unwrap().is_new(), "{prefix}{sid}");
        }
        let request = manager.begin(Some(&super::stage::cookie_of("a}b")));
        let session = request.session().await;
        match session {
            Ok(_) => assert_eq!(prefix, "{sess}:"),
            Err(error) => {
                assert!(matches!(&error, Error::Unreadable { .. }) && prefix == "sess:", "{error}");
                assert!(error.to_string().contains("genid"), "{error}");
            }
        }
    }
}

/// connect-redis lists all that begins with its prefix, and parses what is a string.
#[tokio::test]
async fn where_the_prefix_is_empty_node_still_lists_its_sessions() {
    let layout = ExpressLayout::new(cookie()).prefix("");
    let stage = Stage::set_with(|store| store.layout(RedisLayout::express(layout)), |manager| manager).await;
    let sid = stage.create().await;
    // Leaves a marker, and makes an index.
    let ((), actions) = stage.request(&sid, async |session| session.sign_in("ada", |_| ())).await;
    let new = sid_in(&actions);
    let ask = format!(
        "const {{ createClient }} = require('redis'), {{ RedisStore }} = require('connect-redis');
         const client = await createClient({{ url: '{}' }}).connect();
         const all = await new Promise((done, failed) => new RedisStore({{ client, prefix: '' }}).all(
             (error, all) => error ? failed(error) : done(all)));
         await client.quit();
         return all.map((session) => [session.id, session.user]);",
        stage.server.url()
    );
    assert_eq!(node::evaluate(&ask).await, json!([[new, "ada"]]));
}
