//! From the layout of Express to this crate's own, by one rolling deploy after the other.

use serde_json::{Value, json};
use session_store::{ExpressLayout, Key, KeyRing, RedisLayout, RedisStore, SessionManager, Values};

use super::stage::{SECRET, Stage, cookie, cookie_of, layout, manager, sid_in};
use crate::support::redis::Cluster;

const SID: &str = "D7Eh1mJuDoC_ivRs-T6-f1Gj2TpXxHTs";
const BY_NODE: &str =
    r#"{"cookie":{"originalMaxAge":null,"expires":null,"path":"/"},"user":"ada","cart":["tea"]}"#;

type Step = fn(ExpressLayout) -> RedisLayout;

/// The steps of a service on its way.
const STEPS: [Step; 3] =
    [RedisLayout::express, RedisLayout::express_before_move, RedisLayout::move_to_native];

/// The stage with an instance of another step beside its own.
async fn beside(stage: &Stage, step: Step) -> Stage {
    let manager =
        manager(RedisStore::builder(stage.server.url()).layout(step(layout())), |manager| manager).await;
    Stage { server: crate::support::redis::Server::start().await, redis: stage.redis.clone(), manager }
}

#[tokio::test]
async fn a_read_moves_nothing_and_a_write_moves_the_session_under_the_same_cookie() {
    for sid in [SID, "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a.b.c"] {
        let mut stage =
            Stage::set_with(|store| store.layout(RedisLayout::move_to_native(layout())), |manager| manager)
                .await;
        stage.put(sid, BY_NODE).await;
        assert_eq!(stage.read(sid, "user").await, Some(json!("ada")));
        assert_eq!(stage.raw(sid).await.as_deref(), Some(BY_NODE.as_bytes()));

        let actions = stage.write(sid, "theme", "dark").await;
        assert!(actions.failure.is_none() && actions.set_cookie.is_none());
        let keys = stage.keys().await;
        assert_eq!(keys.len(), 1);
        assert!(keys[0].starts_with("session:{") && !keys[0].contains(sid), "{keys:?}");
        for (name, value) in [("user", json!("ada")), ("cart", json!(["tea"])), ("theme", json!("dark"))] {
            assert_eq!(stage.read(sid, name).await, Some(value), "{name}");
        }
        // And stays there.
        assert!(stage.write(sid, "n", 1).await.failure.is_none());
        assert_eq!(stage.keys().await, keys);
        let ((), actions) = stage.request(sid, async |session| session.destroy().await).await;
        assert!(actions.set_cookie.unwrap().contains("Max-Age=0"));
        assert_eq!(stage.keys().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_new_or_gets_a_new_id_goes_to_the_own_layout() {
    let mut stage =
        Stage::set_with(|store| store.layout(RedisLayout::move_to_native(layout())), |manager| manager).await;
    let sid = stage.create().await;
    assert!(stage.keys().await[0].starts_with("session:{"));
    assert_eq!(stage.read(&sid, "user").await, Some(json!("ada")));

    stage.put(SID, BY_NODE).await;
    let sign_in = async |session: session_store::Session<Values>| session.sign_in("ada", |_| ());
    let ((), actions) = stage.request(SID, sign_in).await;
    let new = sid_in(&actions);
    assert_eq!(stage.read(&new, "cart").await, Some(json!(["tea"])));
    let keys = stage.keys().await;
    assert_eq!(keys.iter().filter(|key| key.starts_with("session:{")).count(), 2);
    assert_eq!(keys.iter().filter(|key| key.starts_with("moved:{sess:")).count(), 1);
    // A logout that still has the id from before follows.
    let ((), _) = stage.request(SID, async |session| session.destroy().await).await;
    // Who followed a marker does not know whose session it was: the index learns of it when its time is up.
    let keys = stage.keys().await.into_iter().filter(|key| !key.contains("owner:{"));
    assert_eq!(keys.count(), 1, "the session that has nothing to do with it");
}

/// Instances of neighbouring steps run side by side, and a visitor is answered by one, then by another.
#[tokio::test]
async fn neighbouring_steps_share_every_session() {
    for (old, new) in [(STEPS[0], STEPS[1]), (STEPS[1], STEPS[2])] {
        let mut stage = Stage::set_with(|store| store.layout(old(layout())), |manager| manager).await;
        let other = beside(&stage, new).await;
        stage.put(SID, BY_NODE).await;
        let (made_by_old, made_by_new) = (stage.create().await, other.create().await);
        for sid in [SID, &made_by_old, &made_by_new] {
            for round in 0..3 {
                for (instance, name) in [(&stage, "old"), (&other, "new")] {
                    assert!(instance.write(sid, name, round).await.failure.is_none());
                    for (reader, by) in [(&stage, "old"), (&other, "new")] {
                        assert_eq!(reader.read(sid, "user").await, Some(json!("ada")), "{by}");
                        assert_eq!(reader.read(sid, name).await, Some(json!(round)), "{name} read by {by}");
                    }
                }
            }
        }
        // A logout at either ends it for both.
        for (sid, ending, seeing) in
            [(SID, &stage, &other), (&*made_by_old, &other, &stage), (&*made_by_new, &stage, &other)]
        {
            let ((), _) = ending.request(sid, async |session| session.destroy().await).await;
            assert_eq!(seeing.read(sid, "user").await, None);
        }
        assert_eq!(stage.keys().await, Vec::<String>::new());
    }
}

/// A request at one step that is under way while the next step moves its session.
#[tokio::test]
async fn a_session_that_moves_under_a_running_request_keeps_both_changes() {
    for sign_in in [false, true] {
        let mut stage = Stage::set_with(
            |store| store.layout(RedisLayout::express_before_move(layout())),
            |manager| manager,
        )
        .await;
        let other = beside(&stage, STEPS[2]).await;
        stage.put(SID, BY_NODE).await;
        let running = stage.begin(SID);
        let session = running.session().await.unwrap();
        session.write(|values| values.insert("ours", 1)).unwrap().unwrap();
        if sign_in {
            session.sign_in("ada", |_| ()).unwrap();
        }
        assert!(other.write(SID, "theirs", 2).await.failure.is_none());
        let actions = running.finish(200).await;
        assert!(actions.failure.is_none());
        let sid = if sign_in { sid_in(&actions) } else { SID.to_owned() };
        for instance in [&stage, &other] {
            let both = (instance.read(&sid, "ours").await, instance.read(&sid, "theirs").await);
            assert_eq!(both, (Some(json!(1)), Some(json!(2))), "with a sign-in: {sign_in}");
        }
        assert_eq!(stage.raw(SID).await, None);
    }
}

/// SECURITY 12.
#[tokio::test]
async fn a_session_that_ended_while_it_moved_stays_ended() {
    let mut stage =
        Stage::set_with(|store| store.layout(RedisLayout::move_to_native(layout())), |manager| manager).await;
    for sign_in in [false, true] {
        stage.put(SID, BY_NODE).await;
        let running = stage.begin(SID);
        let session = running.session().await.unwrap();
        session.write(|values| values.insert("late", 1)).unwrap().unwrap();
        if sign_in {
            session.renew().unwrap();
        }
        let ((), _) = stage.request(SID, async |session| session.destroy().await).await;
        assert!(running.finish(200).await.set_cookie.is_none());
        assert_eq!(stage.keys().await, Vec::<String>::new());
    }
}

/// In a cluster, the names of the two layouts are on different nodes.
#[tokio::test]
async fn in_a_cluster_a_session_moves_when_it_gets_a_new_id() {
    let cluster = Cluster::start().await;
    let instance =
        |step: Step| manager(RedisStore::builder(cluster.url()).layout(step(layout())), |manager| manager);
    let (express, both, leaving) =
        (instance(STEPS[0]).await, instance(STEPS[1]).await, instance(STEPS[2]).await);
    let visit = async |manager: &SessionManager<Values>, sid: &str, theme: &str| {
        let request = manager.begin(Some(&cookie_of(sid)));
        let session = request.session().await.unwrap();
        let before: (Option<Value>, Option<Value>) =
            session.read(|values| (values.get("user"), values.get("theme")));
        session.write(|values| values.insert("theme", theme)).unwrap().unwrap();
        assert!(request.finish(200).await.failure.is_none());
        before
    };

    let begun = express.begin(None);
    begun.session().await.unwrap().write(|values| values.insert("user", "ada")).unwrap().unwrap();
    let sid = sid_in(&begun.finish(200).await);
    assert_eq!(visit(&leaving, &sid, "one").await, (Some(json!("ada")), None));
    assert_eq!(visit(&express, &sid, "two").await, (Some(json!("ada")), Some(json!("one"))), "it stayed");

    let request = leaving.begin(Some(&cookie_of(&sid)));
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    let new = sid_in(&request.finish(200).await);
    assert_eq!(visit(&both, &new, "three").await, (Some(json!("ada")), Some(json!("two"))));
    let gone = express.begin(Some(&cookie_of(&new)));
    assert!(gone.session().await.unwrap().is_new(), "it is in the own layout");
    let old = both.begin(Some(&cookie_of(&sid)));
    old.session().await.unwrap().destroy().await.unwrap();
    let ended = leaving.begin(Some(&cookie_of(&new)));
    assert!(ended.session().await.unwrap().is_new(), "the logout with the old id followed");
}

/// The last step: cookies leave Express' form, too, and nobody is signed out by it.
#[tokio::test]
async fn cookies_leave_the_form_of_express() {
    const FOREIGN: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let mut stage =
        Stage::set_with(|store| store.layout(RedisLayout::move_to_native(layout())), |manager| manager).await;
    for sid in [SID, FOREIGN] {
        stage.put(sid, BY_NODE).await;
        assert!(stage.write(sid, "n", 1).await.failure.is_none());
    }
    let key = || Key::new("oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x").unwrap();
    let visit = async |ring: KeyRing, cookie: &str| {
        let store = RedisStore::connect(stage.server.url()).await.unwrap();
        let manager = SessionManager::<Values>::builder(store, ring).cookie(self::cookie()).build().unwrap();
        let request = manager.begin(Some(cookie));
        let user: Option<String> = request.session().await.unwrap().read(|values| values.get("user"));
        (user, request.finish(200).await.set_cookie)
    };
    let both = || KeyRing::new(key()).with_previous_express(SECRET).unwrap();
    let (user, set_cookie) = visit(both(), &cookie_of(SID)).await;
    assert_eq!(user.as_deref(), Some("ada"));
    let set_cookie = set_cookie.expect("the cookie in its new form");
    let (renewed, _) = set_cookie.split_once(';').unwrap();
    assert!(renewed.starts_with(&format!("connect.sid={SID}.")), "{renewed}");
    for ring in [both(), KeyRing::new(key())] {
        assert_eq!(visit(ring, renewed).await, (Some("ada".to_owned()), None));
    }
    // An id of another shape keeps its cookie until it is renewed.
    assert_eq!(visit(both(), &cookie_of(FOREIGN)).await, (Some("ada".to_owned()), None));
}
