//! Whose session it is, where Node signs users in and `owner_from` says how the data tells.

use serde_json::{Value, json};
use session_store::{
    Conflict, Error, KeyRing, MemoryStore, RedisLayout, RedisStore, SessionManager, SessionManagerBuilder,
    Values,
};

use super::stage::{SECRET, Stage, layout, sid_in};

const SID: &str = "5fXsD1mJuDoC_ivRs-T6-f1Gj2TpXxHT";

fn passport(user: &str) -> String {
    format!(
        r#"{{"cookie":{{"originalMaxAge":null,"expires":null}},"passport":{{"user":"{user}"}},"cart":["tea"]}}"#
    )
}

fn told(manager: SessionManagerBuilder<Values>) -> SessionManagerBuilder<Values> {
    manager.owner_from(|values| Some(values.get::<Value>("passport")?["user"].as_str()?.to_owned()))
}

async fn stage() -> Stage {
    Stage::set_with(|store| store.layout(RedisLayout::express(layout())), told).await
}

impl Stage {
    async fn owner(&self, sid: &str) -> Option<String> {
        let (owner, actions) = self.request(sid, async |session| Ok(session.owner())).await;
        assert!(actions.failure.is_none(), "{actions:?}");
        owner.map(|owner| owner.as_str().to_owned())
    }

    async fn sessions_of(&self, owner: &str) -> usize {
        self.manager.sessions_of(owner).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_session_that_node_signed_in_is_its_users_when_it_is_first_seen() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    assert_eq!(stage.sessions_of("ada").await, 0, "nobody has seen it");
    assert_eq!(stage.owner(SID).await.as_deref(), Some("ada"));
    assert_eq!(stage.sessions_of("ada").await, 1);
    let stored = stage.raw(SID).await;
    assert_eq!(stage.owner(SID).await.as_deref(), Some("ada"));
    assert_eq!(stage.raw(SID).await, stored, "it is entered once");
    assert_eq!(stage.value(SID).await["cart"], json!(["tea"]));

    assert_eq!(stage.manager.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(stage.raw(SID).await, None);
    assert_eq!(stage.owner(SID).await, None);
}

/// Node stores a session as its request saw it, without what was entered meanwhile.
#[tokio::test]
async fn a_session_that_node_overwrites_is_entered_again() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    for _ in 0..2 {
        assert_eq!(stage.owner(SID).await.as_deref(), Some("ada"));
        assert!(stage.value(SID).await["__session_store"].is_string());
        assert_eq!(stage.sessions_of("ada").await, 1);
        stage.put(SID, passport("ada")).await;
    }
}

#[tokio::test]
async fn a_session_that_only_node_has_seen_is_found_by_going_through_all() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    stage.put("another", passport("bob")).await;
    stage.put("nobodys", r#"{"cookie":{},"passport":{}}"#).await;
    assert_eq!(stage.manager.revoke_all("ada").await.unwrap(), 0);
    assert!(stage.raw(SID).await.is_some());
    assert_eq!(stage.manager.revoke_all_thoroughly("ada").await.unwrap(), 1);
    let keys = stage.keys().await;
    let left: Vec<_> = keys.iter().filter(|key| key.starts_with("sess:")).collect();
    assert_eq!(left, ["sess:another", "sess:nobodys"]);
}

/// As passport did it before 0.6: the id stays.
#[tokio::test]
async fn a_logout_of_nodes_leaves_nobody_signed_in() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    assert_eq!(stage.owner(SID).await.as_deref(), Some("ada"));
    stage.node_stores(SID, |session| session["passport"] = json!({})).await;
    assert_eq!(stage.owner(SID).await, None);
    assert_eq!(stage.sessions_of("ada").await, 0);
    assert_eq!(stage.manager.revoke_all("ada").await.unwrap(), 0, "it is not in the index any more");

    stage.node_stores(SID, |session| session["passport"] = json!({ "user": "bob" })).await;
    assert_eq!(stage.owner(SID).await.as_deref(), Some("bob"));
    assert_eq!((stage.sessions_of("ada").await, stage.sessions_of("bob").await), (0, 1));
}

#[tokio::test]
async fn whoever_is_signed_in_here_has_to_be_in_the_data() {
    let mut stage = stage().await;
    for data in [json!({}), json!({ "user": "bob" })] {
        let request = stage.manager.begin(None);
        let session = request.session().await.unwrap();
        session.sign_in("ada", |values| values.insert("passport", &data)).unwrap().unwrap();
        let actions = request.finish(200).await;
        assert!(matches!(&actions.failure, Some(Error::Config(it)) if it.contains("sign_in")), "{actions:?}");
        assert_eq!((actions.set_cookie, stage.keys().await.len()), (None, 0));
    }
    let request = stage.manager.begin(None);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |values| values.insert("passport", json!({ "user": "ada" }))).unwrap().unwrap();
    let sid = sid_in(&request.finish(200).await);
    assert_eq!(stage.owner(&sid).await.as_deref(), Some("ada"));
    assert_eq!(stage.sessions_of("ada").await, 1);

    // What a plain write says counts, too.
    let ((), actions) = stage
        .request(&sid, async |session| {
            session.write(|values| values.insert("passport", json!({ "user": "bob" })))?
        })
        .await;
    assert!(actions.failure.is_none());
    assert_eq!(stage.owner(&sid).await.as_deref(), Some("bob"));
    assert_eq!((stage.sessions_of("ada").await, stage.sessions_of("bob").await), (0, 1));
}

/// A sign-in over a session of Node's that nobody has seen here.
#[tokio::test]
async fn another_user_begins_with_nothing_of_what_node_kept() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    let bob = json!({ "user": "bob" });
    let ((), actions) = stage
        .request(SID, async |session| session.sign_in("bob", |values| values.insert("passport", &bob))?)
        .await;
    let sid = sid_in(&actions);
    assert_eq!(stage.read(&sid, "cart").await, None);
    assert_eq!(stage.owner(&sid).await.as_deref(), Some("bob"));
    assert_eq!((stage.sessions_of("ada").await, stage.sessions_of("bob").await), (0, 1));

    stage.put(SID, passport("bob")).await;
    let () = stage.server.ask(&format!("DEL moved:{{sess:{SID}}}")).await.unwrap();
    let ((), actions) = stage
        .request(SID, async |session| session.sign_in("bob", |values| values.insert("passport", &bob))?)
        .await;
    assert_eq!(stage.read(&sid_in(&actions), "cart").await, Some(json!(["tea"])), "it is bob's own");
    assert_eq!(stage.sessions_of("bob").await, 2);
}

#[tokio::test]
async fn a_write_of_one_user_does_not_reach_another_whom_node_signs_in_meanwhile() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    let request = stage.begin(SID);
    request.session().await.unwrap().write(|values| values.insert("n", 1)).unwrap().unwrap();
    stage.put(SID, passport("bob")).await;
    let actions = request.finish(200).await;
    assert!(matches!(actions.failure, Some(Error::Conflict(Conflict::Owner))), "{actions:?}");
    assert_eq!(stage.value(SID).await.get("n"), None);
}

/// What only reads is not failed by it.
#[tokio::test]
async fn a_read_is_answered_where_the_owner_cannot_be_entered() {
    let mut stage = stage().await;
    stage.put(SID, passport("ada")).await;
    let request = stage.begin(SID);
    assert!(request.session().await.unwrap().owner().is_some());
    let () = stage.server.ask("CONFIG SET min-replicas-to-write 1").await.unwrap();
    let actions = request.finish(200).await;
    assert!(actions.failure.is_none(), "{actions:?}");
    let () = stage.server.ask("CONFIG SET min-replicas-to-write 0").await.unwrap();
    assert_eq!(stage.owner(SID).await.as_deref(), Some("ada"));
    assert_eq!(stage.sessions_of("ada").await, 1);
}

#[tokio::test]
async fn one_manager_of_a_store_says_how_and_in_other_layouts_it_means_nothing() {
    let stage = stage().await;
    let store = RedisStore::builder(stage.server.url()).layout(RedisLayout::express(layout()));
    let store = std::sync::Arc::new(store.connect().await.unwrap());
    let build = || {
        told(SessionManager::builder(std::sync::Arc::clone(&store), KeyRing::express(SECRET).unwrap()))
            .build()
    };
    // One that is not built says nothing.
    let refused = SessionManager::builder(std::sync::Arc::clone(&store), KeyRing::generate());
    assert!(told(refused).build().is_err(), "no key verifies cookies of Express");
    assert!(build().is_ok());
    assert!(matches!(build(), Err(Error::Config(message)) if message.contains("owner_from")));

    let manager = told(SessionManager::builder(MemoryStore::new(), KeyRing::generate())).build().unwrap();
    let session = manager.begin(None).session().await.unwrap();
    session.sign_in("ada", |_| ()).unwrap();
    session.save().await.unwrap();
    assert_eq!(session.owner().unwrap().as_str(), "ada");
}
