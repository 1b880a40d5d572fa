//! What Node says of a session, by its cookie, its time to live and its members, is kept.

use std::time::Duration;

use serde_json::json;
use session_store::{Expiry, ExpressLayout, RedisLayout, SessionManagerBuilder, Values};

use super::stage::{Stage, cookie, layout, sid_in};

const SID: &str = "5fXsD1mJuDoC_ivRs-T6-f1Gj2TpXxHT";
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 3600);

fn in_two_weeks(manager: SessionManagerBuilder<Values>) -> SessionManagerBuilder<Values> {
    manager.expiry(Expiry::idle(TWO_WEEKS)).cookie(cookie().persistent(true))
}

async fn remembering_stage() -> Stage {
    let layout = ExpressLayout::new(cookie().persistent(true));
    Stage::set_with(|store| store.layout(RedisLayout::express(layout)), in_two_weeks).await
}

async fn keep_for(stage: &mut Stage, sid: &str, millis: i64) {
    let mut expire = redis::cmd("PEXPIRE");
    let () = expire.arg(format!("sess:{sid}")).arg(millis).query_async(&mut stage.redis).await.unwrap();
}

/// `req.session.cookie.expires = false`, or `maxAge = null`: don't remember me.
#[tokio::test]
async fn a_session_that_ends_with_the_browser_is_not_remembered() {
    for none in ["null", "false"] {
        let mut stage = remembering_stage().await;
        let value =
            format!(r#"{{"cookie":{{"originalMaxAge":{none},"expires":{none},"path":"/"}},"user":"ada"}}"#);
        stage.put(SID, &value).await;
        // As connect-redis has it by default, an hour ago.
        keep_for(&mut stage, SID, 23 * HOUR).await;
        let (is_new, actions) = stage.request(SID, async |session| Ok(session.is_new())).await;
        assert!(!is_new);
        assert_eq!(actions.set_cookie, None);
        assert!((22 * HOUR..=DAY).contains(&stage.time_to_live(SID).await));

        let actions = stage.write(SID, "n", 1).await;
        assert!(actions.failure.is_none());
        assert_eq!(actions.set_cookie, None);
        assert!((DAY - 60_000..=DAY).contains(&stage.time_to_live(SID).await));
        assert_eq!(
            stage.value(SID).await["cookie"]["originalMaxAge"],
            if none == "null" { json!(null) } else { json!(false) }
        );

        // It gets a new id for as long as the browser runs.
        let ((), actions) = stage.request(SID, async |session| session.renew()).await;
        assert!(!actions.set_cookie.unwrap().contains("Max-Age"), "{none}");
    }
}

#[tokio::test]
async fn what_the_service_remembers_is_remembered_here() {
    let mut stage = remembering_stage().await;
    let sid = stage.create().await;
    assert_eq!(stage.value(&sid).await["cookie"]["originalMaxAge"], json!(14 * DAY));
    let ((), actions) = stage.request(&sid, async |session| session.renew()).await;
    assert!(actions.set_cookie.unwrap().contains("Max-Age=1209600"));
}

/// passport's `logout({ keepSessionInfo: true })`, or any code that copies members into a new session.
#[tokio::test]
async fn an_owner_does_not_go_along_when_node_copies_members_to_another_session() {
    let mut stage = Stage::set().await;
    let request = stage.manager.begin(None);
    let session = request.session().await.unwrap();
    session.sign_in("ada", |values| values.insert("user", "ada")).unwrap().unwrap();
    let sid = sid_in(&request.finish(200).await);

    let mut copy = stage.value(&sid).await;
    copy["user"] = json!("bob");
    stage.put(SID, copy.to_string()).await;
    let (owner, _) = stage.request(SID, async |session| Ok(session.owner())).await;
    assert_eq!(owner, None);
    // The copy's write makes it a session of its own.
    assert!(stage.write(SID, "n", 1).await.failure.is_none());
    assert_eq!(stage.request(SID, async |session| Ok(session.owner())).await.0, None);
    assert_eq!(stage.read(SID, "user").await, Some(json!("bob")));

    let (owner, _) = stage.request(&sid, async |session| Ok(session.owner())).await;
    assert_eq!(owner.unwrap().as_str(), "ada");
}

/// connect-redis' `ttl: (session) => …`, and `disableTTL`.
#[tokio::test]
async fn a_write_does_not_take_time_away_that_node_gave() {
    let idle =
        |manager: SessionManagerBuilder<Values>| manager.expiry(Expiry::idle(Duration::from_secs(24 * 3600)));
    let mut stage = Stage::set_with(|store| store.layout(RedisLayout::express(layout())), idle).await;
    stage.put(SID, r#"{"cookie":{"originalMaxAge":null,"expires":null},"user":"ada"}"#).await;
    keep_for(&mut stage, SID, 90 * DAY).await;
    for n in 0..2 {
        assert!(stage.write(SID, "n", n).await.failure.is_none());
        let left = stage.time_to_live(SID).await;
        assert!((90 * DAY - 60_000..=90 * DAY).contains(&left), "{left}");
    }
    let () = stage.server.ask(&format!("PERSIST sess:{SID}")).await.unwrap();
    assert!(stage.write(SID, "n", 2).await.failure.is_none());
    let left = stage.time_to_live(SID).await;
    assert!((400 * DAY - 60_000..=400 * DAY).contains(&left), "{left}");
}

/// The old and the new id of a session that Node put back under the old one, by a request that had begun before it
/// got the new one; and what it put there.
async fn put_back(stage: &mut Stage) -> (String, String, Vec<u8>) {
    let old = stage.create().await;
    let stale = stage.raw(&old).await.unwrap();
    let ((), actions) = stage.request(&old, async |session| session.renew()).await;
    stage.put(&old, &stale).await;
    (old, sid_in(&actions), stale)
}

#[tokio::test]
async fn a_session_that_node_puts_back_under_its_old_id_ends() {
    let mut stage = Stage::set().await;
    let (old, new, _) = put_back(&mut stage).await;
    assert_eq!(stage.read(&old, "user").await, None, "the old id leads nowhere");
    assert_eq!(stage.raw(&old).await, None);
    assert_eq!(stage.read(&new, "user").await, Some(json!("ada")));
}

#[tokio::test]
async fn it_is_not_read_either_where_it_cannot_be_deleted() {
    let mut stage = Stage::set().await;
    let (old, _, stale) = put_back(&mut stage).await;
    // A replica, of a master that does not answer.
    let () = stage.server.ask("REPLICAOF 127.0.0.1 1").await.unwrap();
    assert_eq!(stage.read(&old, "user").await, None);
    assert_eq!(stage.raw(&old).await, Some(stale));
}

/// What Express would send for the session, and not what is sent for those that are made here.
#[tokio::test]
async fn a_session_keeps_the_attributes_that_node_gave_its_cookie() {
    let attributes =
        r#""httpOnly":true,"domain":"example.com","path":"/shop","sameSite":"strict","priority":"high""#;
    let stored =
        format!(r#"{{"cookie":{{"originalMaxAge":null,"expires":null,{attributes}}},"user":"ada"}}"#);
    let sent = "; HttpOnly; SameSite=Strict; Path=/shop; Domain=example.com";
    let mut stage = Stage::set().await;
    stage.put(SID, &stored).await;
    let ((), actions) = stage.request(SID, async |session| session.sign_in("ada", |_| ())).await;
    let renewed = sid_in(&actions);
    assert!(actions.set_cookie.unwrap().ends_with(&format!("{sent}; Priority=High")));
    let kept = stage.value(&renewed).await;
    assert_eq!(
        (&kept["cookie"]["domain"], &kept["cookie"]["priority"]),
        (&json!("example.com"), &json!("high"))
    );

    let ((), actions) = stage.request(&renewed, async |session| session.destroy().await).await;
    let removal = actions.set_cookie.unwrap();
    assert!(removal.starts_with(&format!("connect.sid={sent}; Max-Age=0; Expires=")), "{removal}");

    // What is made next is this service's again.
    for destroys in [false, true] {
        let request = stage.manager.begin(None);
        let session = request.session().await.unwrap();
        session.write(|values| values.insert("n", 1)).unwrap().unwrap();
        session.save().await.unwrap();
        if destroys {
            session.destroy().await.unwrap();
        }
        let cookie = request.finish(200).await.set_cookie.unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/"), "{cookie}");
    }
}

/// `cookie: {}` of a service that says nothing at all.
#[tokio::test]
async fn a_session_without_attributes_is_sent_without_any() {
    let mut stage = Stage::set().await;
    stage.put(SID, r#"{"cookie":{},"user":"ada"}"#).await;
    let ((), actions) = stage.request(SID, async |session| session.renew()).await;
    let cookie = actions.set_cookie.unwrap();
    assert!(cookie.ends_with("; HttpOnly; Path=/") && !cookie.contains("SameSite"), "{cookie}");
}

/// They all come with the same session, and find that its end is due to move.
#[tokio::test]
async fn of_a_hundred_reads_at_once_one_touches_and_one_sends_the_cookie() {
    let mut stage = remembering_stage().await;
    let sid = stage.create().await;
    keep_for(&mut stage, &sid, 7 * DAY).await;
    let requests: Vec<_> = (0..100).map(|_| stage.begin(&sid)).collect();
    for request in &requests {
        assert!(!request.session().await.unwrap().is_new());
    }
    let responses: Vec<_> = requests.into_iter().map(|it| tokio::spawn(it.finish(200))).collect();
    let mut cookies = 0;
    for response in responses {
        let actions = response.await.unwrap();
        assert!(actions.failure.is_none());
        cookies += usize::from(actions.set_cookie.is_some());
    }
    assert_eq!((cookies, stage.manager.counts().touched), (1, 1));
    let extended: String = stage.server.ask("INFO commandstats").await.unwrap();
    assert!(extended.contains("cmdstat_pexpire:calls=2,"), "one here, and one to set the stage: {extended}");
    assert!(stage.time_to_live(&sid).await > 13 * DAY);
}
