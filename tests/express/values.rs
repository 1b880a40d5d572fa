//! What the layout makes of sessions that Node made, and leaves for Node to read.

use std::time::Duration;

use serde_json::{Value, json};
use session_store::{Clock as _, Conflict, Error, Expiry, KeyRing, RedisLayout, SystemClock};

use super::stage::{SECRET, Stage, cookie, cookie_of, layout, sid_in, signed};
use crate::support::redis::Traffic;

const SID: &str = "D7Eh1mJuDoC_ivRs-T6-f1Gj2TpXxHTs";
const BY_NODE: &str = r#"{"cookie":{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z","secure":false,"httpOnly":true,"path":"/","odd":[1,{"x":null}]},"user":"ada","cart":["tea"]}"#;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_session_of_node_is_read_and_changed_and_its_cookie_kept() {
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    assert_eq!(stage.read(SID, "user").await, Some(json!("ada")));
    assert_eq!(stage.raw(SID).await.as_deref(), Some(BY_NODE.as_bytes()), "a read changes nothing");

    let actions = stage.write(SID, "theme", "dark").await;
    assert!(actions.failure.is_none());
    // As Express sends it when a session with a `maxAge` has changed.
    assert!(actions.set_cookie.unwrap().contains("; Max-Age=3600"));
    let value = stage.value(SID).await;
    assert_eq!(members(&value), ["cookie", "user", "cart", "theme", "__session_store"]);
    assert_eq!(
        (&value["user"], &value["cart"], &value["theme"]),
        (&json!("ada"), &json!(["tea"]), &json!("dark"))
    );
    let cookie = &value["cookie"];
    assert_eq!(members(cookie), ["originalMaxAge", "expires", "secure", "httpOnly", "path", "odd"]);
    assert_eq!((&cookie["originalMaxAge"], &cookie["odd"]), (&json!(HOUR), &json!([1, { "x": null }])));
    assert!(cookie["expires"].as_str().unwrap() > "2026", "counted from now: {cookie}");
    // The session's, not the policy's idle timeout of a day.
    assert!((HOUR - 60_000..=HOUR).contains(&stage.time_to_live(SID).await));
}

#[tokio::test]
async fn a_session_made_here_is_one_for_node() {
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    assert_eq!(stage.keys().await, [format!("sess:{sid}")]);
    let value = stage.value(&sid).await;
    let cookie = json!({
        "originalMaxAge": null, "expires": null, "secure": false, "httpOnly": true, "path": "/", "sameSite": "lax",
    });
    assert_eq!((&value["cookie"], &value["user"]), (&cookie, &json!("ada")));
    assert!(
        stage.raw(&sid).await.unwrap().starts_with(b"{\"cookie\":{\"originalMaxAge\":null,\"expires\":null,")
    );

    let persistent = |manager: session_store::SessionManagerBuilder<_>| {
        manager.cookie(cookie_persistent()).expiry(Expiry::idle(Duration::from_secs(3600)))
    };
    let layout = session_store::ExpressLayout::new(cookie_persistent()).prefix("shop:");
    let mut stage = Stage::set_with(|store| store.layout(RedisLayout::express(layout)), persistent).await;
    let sid = stage.create().await;
    assert_eq!(stage.keys().await, [format!("shop:{sid}")]);
    let value: String = stage.server.ask(&format!("GET shop:{sid}")).await.unwrap();
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["cookie"]["originalMaxAge"], json!(HOUR));
    assert!(value["cookie"]["expires"].is_string());
}

fn cookie_persistent() -> session_store::SessionCookie {
    cookie().persistent(true)
}

#[tokio::test]
async fn a_request_that_only_reads_runs_no_script_and_a_rolling_one_touches_the_key_alone() {
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    stage.read(SID, "user").await;
    let before = Traffic::of(&mut stage.redis).await;
    for _ in 0..10 {
        stage.read(SID, "user").await;
    }
    let traffic = Traffic::of(&mut stage.redis).await.since(&before);
    // Value, time to live and marker are asked for at once.
    let calls = ["getrange", "pttl", "exists"].map(|command| traffic.calls.get(command).copied());
    assert_eq!((traffic.reads, calls, traffic.calls.len()), (10, [Some(10); 3], 3));

    let () = stage.server.ask(&format!("EXPIRE sess:{SID} 600")).await.unwrap();
    let before = Traffic::of(&mut stage.redis).await;
    stage.read(SID, "user").await;
    let traffic = Traffic::of(&mut stage.redis).await.since(&before);
    assert_eq!((traffic.calls.get("pexpire"), traffic.calls.get("set")), (Some(&1), None), "{traffic:?}");
    assert_eq!(stage.raw(SID).await.as_deref(), Some(BY_NODE.as_bytes()), "a touch changes no value");
    assert!((HOUR - 60_000..=HOUR).contains(&stage.time_to_live(SID).await));
}

#[tokio::test]
async fn the_keys_time_to_live_is_what_counts() {
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    let () = stage.server.ask(&format!("EXPIRE sess:{SID} 60")).await.unwrap();
    let request = stage.begin(SID);
    let session = request.session().await.unwrap();
    let left = session.expires_at().unwrap().saturating_since(SystemClock.now());
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(50), "{left:?}");

    // connect-redis' `disableTTL`: until somebody writes here.
    let () = stage.server.ask(&format!("PERSIST sess:{SID}")).await.unwrap();
    assert_eq!(stage.read(SID, "user").await, Some(json!("ada")));
    assert_eq!(stage.time_to_live(SID).await, -1);
    assert!(stage.write(SID, "n", 1).await.failure.is_none());
    assert!(stage.time_to_live(SID).await > 0);
}

#[tokio::test]
async fn what_node_stored_meanwhile_is_merged() {
    let mut stage = Stage::set().await;
    for made_here in [false, true] {
        let sid = if made_here { stage.create().await } else { SID.to_owned() };
        if !made_here {
            stage.put(&sid, BY_NODE).await;
        }
        let request = stage.begin(&sid);
        let session = request.session().await.unwrap();
        session.write(|values| values.insert("ours", 1)).unwrap().unwrap();
        stage.node_stores(&sid, |value| value["theirs"] = json!(2)).await;
        assert!(request.finish(200).await.failure.is_none());
        let value = stage.value(&sid).await;
        assert_eq!((&value["ours"], &value["theirs"]), (&json!(1), &json!(2)), "made here: {made_here}");
    }
}

/// Node keeps the members in their order, so that ours still comes last.
#[tokio::test]
async fn what_node_changed_in_its_place_is_merged() {
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    let request = stage.begin(&sid);
    let session = request.session().await.unwrap();
    session.write(|values| values.insert("ours", 1)).unwrap().unwrap();
    let stored = String::from_utf8(stage.raw(&sid).await.unwrap()).unwrap();
    stage.put(&sid, stored.replace("\"ada\"", "\"bob\"")).await;
    assert!(request.finish(200).await.failure.is_none());
    let value = stage.value(&sid).await;
    assert_eq!((&value["ours"], &value["user"]), (&json!(1), &json!("bob")));
}

#[tokio::test]
async fn what_contradicts_node_is_a_conflict_and_node_s_word_stays() {
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    let request = stage.begin(&sid);
    let session = request.session().await.unwrap();
    session.write(|values| values.insert("list", [1])).unwrap().unwrap();
    stage.node_stores(&sid, |value| value["list"] = json!({ "a": 1 })).await;
    let failure = request.finish(200).await.failure;
    assert!(matches!(failure, Some(Error::Conflict(Conflict::Fields))), "{failure:?}");
    assert_eq!(stage.value(&sid).await["list"], json!({ "a": 1 }));
}

/// What nobody changed is the same number to Node, to the last bit.
#[tokio::test]
async fn numbers_survive_a_write() {
    const NUMBERS: &str =
        "return JSON.stringify([...Array(2000)].map(() => Math.random() * 1e3).concat([1e21, 5e-324, 0.1]))";
    let mut stage = Stage::set().await;
    let numbers = crate::support::node::evaluate(NUMBERS).await;
    stage.put(SID, format!(r#"{{"cookie":{{}},"numbers":{}}}"#, numbers.as_str().unwrap())).await;
    assert!(stage.write(SID, "theme", "dark").await.failure.is_none());
    let stored = String::from_utf8(stage.raw(SID).await.unwrap()).unwrap();
    let same = format!("return JSON.stringify(({stored}).numbers) === '{}'", numbers.as_str().unwrap());
    assert_eq!(crate::support::node::evaluate(&same).await, json!(true));
}

/// SECURITY 12.
#[tokio::test]
async fn a_session_that_node_ended_stays_ended() {
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    for update in [false, true] {
        let request = stage.begin(SID);
        let session = request.session().await.unwrap();
        session.write(|values| values.insert("late", 1)).unwrap().unwrap();
        let () = stage.server.ask(&format!("DEL sess:{SID}")).await.unwrap();
        if update {
            let late = session.update(|values| values.insert("late", 2)).await;
            assert!(matches!(late, Err(Error::Conflict(Conflict::Ended))), "{late:?}");
        }
        assert!(request.finish(200).await.set_cookie.is_none());
        assert_eq!(stage.keys().await, Vec::<String>::new());
        stage.put(SID, BY_NODE).await;
    }
}

#[tokio::test]
async fn several_writes_of_one_request_and_of_many_at_once_are_all_kept() {
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    let request = stage.begin(&sid);
    let session = request.session().await.unwrap();
    for n in 0..3 {
        session.write(|values| values.insert("n", n)).unwrap().unwrap();
        session.save().await.unwrap();
    }
    session.write(|values| values.insert("n", 3)).unwrap().unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(stage.value(&sid).await["n"], json!(3));

    let count = async |n: u32| {
        for _ in 0..n {
            let add = async |session: session_store::Session<session_store::Values>| {
                let add = |values: &mut session_store::Values| {
                    values.insert("count", values.get::<u32>("count").unwrap_or(0) + 1)
                };
                session.update(add).await?
            };
            assert!(stage.request(&sid, add).await.1.failure.is_none());
        }
    };
    tokio::join!(count(20), count(20), count(20), count(20));
    assert_eq!(stage.value(&sid).await["count"], json!(80));
}

/// SECURITY 5 and 7.
#[tokio::test]
async fn a_sign_in_gives_a_new_id_and_the_old_one_is_dead() {
    let mut stage = Stage::set().await;
    for sid in [SID, "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a.b.c"] {
        stage.put(sid, BY_NODE).await;
        let running = stage.begin(sid);
        let late = running.session().await.unwrap();

        let sign_in = async |session: session_store::Session<_>| {
            session.sign_in("ada", |values: &mut session_store::Values| values.insert("admin", true))?
        };
        let ((), actions) = stage.request(sid, sign_in).await;
        let new = sid_in(&actions);
        assert_eq!((new.len(), stage.raw(sid).await), (32, None));
        let value = stage.value(&new).await;
        assert_eq!(
            (&value["user"], &value["admin"], &value["cart"]),
            (&json!("ada"), &json!(true), &json!(["tea"]))
        );
        assert_eq!(value["cookie"]["odd"], json!([1, { "x": null }]), "the cookie's members go along");

        late.write(|values| values.insert("late", 1)).unwrap().unwrap();
        assert!(running.finish(200).await.set_cookie.is_none());
        assert_eq!(stage.raw(sid).await, None);
        // Node may write it back; here it stays what it is.
        stage.put(sid, BY_NODE).await;
        let (is_new, _) = stage.request(sid, async |session| Ok(session.is_new())).await;
        assert!(is_new, "the id from before the sign-in");

        // Whoever logs out with it has logged out.
        let ((), _) = stage.request(sid, async |session| session.destroy().await).await;
        // Who followed a marker does not know whose session it was: the index learns of it when its time is up.
        let mut keys = stage.keys().await.into_iter().filter(|key| !key.starts_with("owner:{"));
        assert_eq!(keys.next(), None);
    }
}

/// SECURITY 9 and 11.
#[tokio::test]
async fn owner_and_limits_outlive_what_node_writes() {
    let short = |manager: session_store::SessionManagerBuilder<_>| {
        manager.expiry(Expiry::idle(Duration::from_secs(3600)).absolute(Duration::from_secs(7200)))
    };
    let mut stage = Stage::set_with(|store| store.layout(RedisLayout::express(layout())), short).await;
    let request = stage.manager.begin(None);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |values| values.insert("user", "ada")).unwrap().unwrap();
    session.set_expiry(Expiry::idle(Duration::from_secs(1800)).absolute(Duration::from_secs(2700))).unwrap();
    let actions = request.finish(200).await;
    let sid = sid_in(&actions);
    assert!(actions.set_cookie.unwrap().contains("Max-Age=1800"));
    assert_eq!(stage.value(&sid).await["cookie"]["originalMaxAge"], json!(1_800_000));

    stage.node_stores(&sid, |value| value["theme"] = json!("dark")).await;
    let created = stage.begin(&sid).session().await.unwrap().created_at().unwrap();
    let (owner, _) = stage
        .request(&sid, async |session| {
            session.write(|values| values.insert("n", 1))??;
            Ok(session.owner())
        })
        .await;
    assert_eq!(owner.unwrap().as_str(), "ada");
    assert_eq!(stage.begin(&sid).session().await.unwrap().created_at(), Some(created));
    let life = stage.time_to_live(&sid).await;
    assert!((1_790_000..=1_800_000).contains(&life), "{life}");
    assert_eq!(stage.value(&sid).await["theme"], json!("dark"));
}

/// SECURITY 9 and 11. Node's touches know of no deadline.
#[tokio::test]
async fn a_deadline_holds_however_long_node_keeps_the_key() {
    let short = |manager: session_store::SessionManagerBuilder<_>| {
        manager.expiry(Expiry::idle(Duration::from_secs(3600)).absolute(Duration::from_millis(1500)))
    };
    let mut stage = Stage::set_with(|store| store.layout(RedisLayout::express(layout())), short).await;
    let sid = stage.create().await;
    let () = stage.server.ask(&format!("EXPIRE sess:{sid} 86400")).await.unwrap();
    stage.node_stores(&sid, |value| value["theirs"] = json!(1)).await;
    assert_eq!(stage.read(&sid, "user").await, Some(json!("ada")));
    assert!(stage.write(&sid, "n", 1).await.failure.is_none());
    let () = stage.server.ask(&format!("EXPIRE sess:{sid} 86400")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(stage.read(&sid, "user").await, None);
    assert_ne!(sid_in(&stage.write(&sid, "n", 1).await), sid);
}

/// A key without a time to live ends later than any touch could make it end.
#[tokio::test]
async fn a_touch_leaves_a_key_without_an_end_alone() {
    use session_store::{Loaded, SessionStore as _};
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    let () = stage.server.ask(&format!("PERSIST sess:{SID}")).await.unwrap();
    let key = session_store::SessionId::express(SID).unwrap().key();
    let store = session_store::RedisStore::builder(stage.server.url())
        .layout(RedisLayout::express(layout()))
        .connect()
        .await
        .unwrap();
    let Loaded::Found(record) = store.load(&key).await.unwrap() else { panic!("it is stored") };
    let (now, ttl) = (session_store::SystemClock.now(), session_store::Ttl::new(Duration::from_secs(60)));
    assert!(!store.touch(session_store::Touch::new(&key, &record, now, ttl)).await.unwrap());
    assert_eq!(stage.time_to_live(SID).await, -1);
}

/// SECURITY 24.
#[tokio::test]
async fn secrets_are_rotated_as_in_express() {
    let ring = || KeyRing::express("new secret").unwrap().with_previous_express(SECRET).unwrap();
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    let store = session_store::RedisStore::builder(stage.server.url())
        .layout(RedisLayout::express(layout()))
        .connect()
        .await
        .unwrap();
    let manager = session_store::SessionManager::<session_store::Values>::builder(store, ring())
        .cookie(cookie())
        .build()
        .unwrap();
    let visit = async |cookie: &str| {
        let request = manager.begin(Some(cookie));
        let user = request.session().await.unwrap().read(|values| values.get::<String>("user"));
        (user, request.finish(200).await.set_cookie)
    };
    let (user, set_cookie) = visit(&cookie_of(SID)).await;
    assert_eq!(user.as_deref(), Some("ada"));
    let fresh = signed(SID, "new secret");
    assert!(set_cookie.unwrap().starts_with(&format!("{fresh};")));
    assert_eq!(visit(&fresh).await, (Some("ada".to_owned()), None));
    assert_eq!(visit(&signed(SID, "another")).await, (None, None));
    // Some clients send it as it is, without escapes.
    let plain = cookie_of(SID).replace("%3A", ":").replace("%2B", "+").replace("%2F", "/");
    assert_eq!(visit(&plain).await.0.as_deref(), Some("ada"));
}

/// For rows of the application's own that have it for a key.
#[tokio::test]
async fn a_handler_may_know_the_id_by_which_node_knows_the_session() {
    let mut stage = Stage::set().await;
    stage.put(SID, BY_NODE).await;
    let id = |session: session_store::Session| session.express_id().map(|id| id.as_str().to_owned());
    assert_eq!(stage.request(SID, async |session| Ok(id(session))).await.0.as_deref(), Some(SID));
    let renewing = async |session: session_store::Session| {
        session.renew()?;
        session.save().await?;
        Ok(id(session))
    };
    let (renewed, actions) = stage.request(SID, renewing).await;
    assert_eq!(renewed, Some(sid_in(&actions)));
    assert_eq!(stage.request("unknown", async |session| Ok(id(session))).await.0, None);
    // In this crate's own layout there is none.
    let manager =
        session_store::SessionManager::builder(session_store::MemoryStore::new(), KeyRing::generate())
            .build()
            .unwrap();
    let session = manager.begin(None).session().await.unwrap();
    session.start().await.unwrap();
    assert_eq!(id(session), None);
}

/// What `express.md` says of a user with an ACL.
#[tokio::test]
async fn the_documented_permissions_are_enough() {
    let server = crate::support::redis::Server::start().await;
    let commands = "+get +getrange +set +pttl +pexpire +del +exists +hget +hset +eval +evalsha";
    let keys = "~sess:* ~moved:{sess:*";
    let () = server
        .ask(&format!("ACL SETUSER sessions on >secret resetkeys {keys} -@all {commands}"))
        .await
        .unwrap();
    let url = server.url().replace("redis://", "redis://sessions:secret@");
    let store = session_store::RedisStore::builder(url).layout(RedisLayout::express(layout()));
    let manager = super::stage::manager(store, |manager| manager).await;
    let mut stage = Stage { redis: server.client().await, server, manager };
    let sid = stage.create().await;
    let () = stage.server.ask(&format!("PEXPIRE sess:{sid} 60000")).await.unwrap();
    assert_eq!(stage.read(&sid, "user").await, Some(json!("ada")));
    assert!(stage.time_to_live(&sid).await > 60_000, "touched");
    assert!(stage.write(&sid, "n", 1).await.failure.is_none());
    let ((), actions) = stage.request(&sid, async |session| session.renew()).await;
    assert!(actions.failure.is_none());
    let ((), actions) = stage.request(&sid, async |session| session.destroy().await).await;
    assert!(actions.failure.is_none());
    assert_eq!(stage.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_marker_stays_for_a_minute() {
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    let ((), _) = stage.request(&sid, async |session| session.renew()).await;
    let mut left = redis::cmd("PTTL");
    let left: i64 = left.arg(format!("moved:{{sess:{sid}}}")).query_async(&mut stage.redis).await.unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");
}

/// By which a write that is sent twice still knows itself behind one of Node's.
#[tokio::test]
async fn what_node_wrote_remembers_our_write_before() {
    use session_store::{Loaded, SessionStore as _};
    let mut stage = Stage::set().await;
    let sid = stage.create().await;
    let key = session_store::SessionId::express(&sid).unwrap().key();
    let store = session_store::RedisStore::builder(stage.server.url())
        .layout(RedisLayout::express(layout()))
        .connect()
        .await
        .unwrap();
    let Loaded::Found(ours) = store.load(&key).await.unwrap() else { panic!("it is stored") };
    let stored = String::from_utf8(stage.raw(&sid).await.unwrap()).unwrap();
    stage.put(&sid, stored.replace("\"ada\"", "\"bob\"")).await;
    let Loaded::Found(theirs) = store.load(&key).await.unwrap() else { panic!("it is stored") };
    assert_eq!(theirs.previous_revision, Some(ours.revision));
    assert_ne!(theirs.revision, ours.revision);
}

/// What Express writes where the application sets `req.session.cookie.maxAge`.
async fn put_with_max_age(stage: &mut Stage, millis: i64) {
    let cookie = format!(r#"{{"originalMaxAge":{millis},"expires":"2027-01-01T00:00:00.000Z","path":"/"}}"#);
    stage.put(SID, format!(r#"{{"cookie":{cookie},"user":"ada"}}"#)).await;
    let () = stage.server.ask(&format!("PEXPIRE sess:{SID} {millis}")).await.unwrap();
}

#[tokio::test]
async fn whom_node_remembers_for_a_month_is_not_forgotten_in_a_day_by_a_write_here() {
    let mut stage = Stage::set().await;
    put_with_max_age(&mut stage, 30 * DAY).await;
    assert!(stage.write(SID, "n", 1).await.failure.is_none());
    let left = stage.time_to_live(SID).await;
    assert!(left > 29 * DAY, "{left}");
}

#[tokio::test]
async fn what_node_keeps_for_a_minute_is_not_kept_for_a_day_here() {
    let mut stage = Stage::set().await;
    for write in [false, true] {
        put_with_max_age(&mut stage, 60_000).await;
        if write {
            assert!(stage.write(SID, "n", 1).await.failure.is_none());
        } else {
            stage.read(SID, "user").await;
        }
        let left = stage.time_to_live(SID).await;
        assert!(left <= 60_000, "{left}");
    }
}

/// JavaScript goes through them in it.
#[tokio::test]
async fn the_order_of_members_survives_a_write_of_another() {
    let mut stage = Stage::set().await;
    stage.put(SID, r#"{"cookie":{},"cart":{"tea":1,"cake":2}}"#).await;
    assert!(stage.write(SID, "n", 1).await.failure.is_none());
    let value = String::from_utf8(stage.raw(SID).await.unwrap()).unwrap();
    assert!(value.contains(r#""cart":{"tea":1,"cake":2}"#), "{value}");
}
