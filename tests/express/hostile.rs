//! SECURITY 27: values that no Express service should have written.

use session_store::checkup::{Checkup, Verdict};
use session_store::{Error, RedisLayout, RedisStore, SessionId, SessionStore as _};

use super::stage::{Stage, cookie_of, layout};
use crate::support::log::Log;

const SID: &str = "D7Eh1mJuDoC_ivRs-T6-f1Gj2TpXxHTs";

fn broken_values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        "not json",
        "null",
        "1",
        "[]",
        "\"text\"",
        "{}",
        r#"{"user":"ada"}"#,
        r#"{"cookie":null,"user":"ada"}"#,
        r#"{"cookie":1,"user":"ada"}"#,
        r#"{"cookie":"{}","user":"ada"}"#,
        r#"{"cookie":[],"user":"ada"}"#,
        r#"{"cookie":{},"user":"ada""#,
        r#"{"cookie":{},"user":"ada"}}"#,
        r#"{"cookie":{},"__session_store":"00"}"#,
    ]
    .map(|value| value.as_bytes().to_vec())
    .to_vec();
    values.push(b"{\"cookie\":{},\"user\":\"\xff\"}".to_vec());
    values.push(format!(r#"{{"cookie":{{}},"text":"{}"}}"#, "x".repeat(1 << 20)).into_bytes());
    values.push("[".repeat(100_000).into_bytes());
    values.push(format!(r#"{{"cookie":{}}}"#, "[".repeat(100_000)).into_bytes());
    values
}

/// A request that comes with the session, and how it fails.
async fn failure(stage: &Stage) -> Error {
    let request = stage.begin(SID);
    let error = request.session().await.expect_err("it cannot be read");
    let actions = request.finish(error.status()).await;
    assert!(actions.set_cookie.is_none() && actions.failure.is_none(), "{actions:?}");
    error
}

/// Express fails such requests, too.
#[tokio::test]
async fn broken_values_fail_their_requests_and_stay_as_they_are() {
    let mut stage = Stage::set().await;
    let key = SessionId::express(SID).unwrap().key();
    for value in broken_values() {
        let shown = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        stage.put(SID, &value).await;
        let corrupt = stage.manager.counts().corrupt;
        let error = failure(&stage).await;
        assert!(matches!(error, Error::Unreadable { .. }), "{shown}: {error}");
        assert_eq!((error.status(), stage.manager.counts().corrupt), (500, corrupt + 1), "{shown}");
        assert_eq!(stage.raw(SID).await.as_deref(), Some(&value[..]), "{shown}");

        // An operator can end it.
        assert!(stage.manager.revoke(&key).await.unwrap(), "{shown}");
        assert_eq!(stage.raw(SID).await, None, "{shown}");
    }
}

/// Node may break a value while a request runs here.
#[tokio::test]
async fn a_value_that_breaks_meanwhile_fails_the_request_and_stays_as_it_is() {
    let mut stage = Stage::set().await;
    for value in broken_values() {
        let shown = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        for renew in [false, true] {
            stage.put(SID, r#"{"cookie":{},"user":"ada"}"#).await;
            let request = stage.begin(SID);
            let session = request.session().await.unwrap();
            session.write(|values| values.insert("n", 1)).unwrap().unwrap();
            if renew {
                session.renew().unwrap();
            }
            stage.put(SID, &value).await;
            let actions = request.finish(200).await;
            assert!(matches!(actions.failure, Some(Error::Unreadable { .. })), "{shown}: {actions:?}");
            assert_eq!(actions.set_cookie, None, "{shown}");
            assert_eq!(stage.keys().await, [format!("sess:{SID}")], "{shown}");
            assert_eq!(stage.raw(SID).await.as_deref(), Some(&value[..]), "{shown}");
        }
    }
}

/// Data that nests deeper than anybody reads is decoded by whoever asks for it.
#[tokio::test]
async fn data_that_does_not_decode_fails_the_request_and_stays_as_it_is() {
    let mut stage = Stage::set().await;
    let value = format!(r#"{{"cookie":{{}},"deep":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    stage.put(SID, &value).await;
    assert!(matches!(failure(&stage).await, Error::Unreadable { .. }));
    assert_eq!(stage.raw(SID).await.as_deref(), Some(value.as_bytes()));
}

#[tokio::test]
async fn keys_of_another_type_fail_the_request_and_stay_as_they_are() {
    let mut stage = Stage::set().await;
    let name = format!("sess:{SID}");
    let () = redis::cmd("RPUSH").arg(&name).arg("a").query_async(&mut stage.redis).await.unwrap();
    assert!(matches!(failure(&stage).await, Error::Unreadable { .. }));
    let length: u32 = redis::cmd("LLEN").arg(&name).query_async(&mut stage.redis).await.unwrap();
    assert_eq!(length, 1);
}

/// connect-redis' `serializer`: base64, V8's own, and one that wraps.
#[tokio::test]
async fn a_serializer_other_than_json_is_noticed_once_and_by_the_checkup() {
    let log = Log::begin();
    let mut stage = Stage::set().await;
    let store = RedisStore::builder(stage.server.url()).layout(RedisLayout::express(layout()));
    let store = store.connect().await.unwrap();
    let records = |checkup: Checkup| checkup.findings.into_iter().find(|it| it.subject == "records");
    stage.put("fine", r#"{"cookie":{}}"#).await;
    assert_eq!(records(store.checkup().await), None);
    for value in ["eyJjb29raWUiOnt9fQ", "\u{ff}\u{f}o", r#"{"v":1,"data":{"cookie":{}}}"#] {
        stage.put(SID, value).await;
        failure(&stage).await;
    }
    assert_eq!(log.text().matches("`serializer`").count(), 1, "{}", log.text());
    let finding = records(store.checkup().await).expect("it is found");
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.detail.contains("`serializer`"), "{finding:?}");
}

#[tokio::test]
async fn a_member_that_node_would_lose_is_refused_and_nothing_is_stored() {
    let mut stage = Stage::set().await;
    stage.put(SID, r#"{"cookie":{},"user":"ada"}"#).await;
    let before = stage.raw(SID).await;
    for name in ["save", "id", "cookie", "constructor", "__session_store"] {
        let actions = stage.write(SID, name, 1).await;
        let failure = actions.failure.expect("it is refused");
        assert!(matches!(&failure, Error::Encode { reason } if reason.contains(name)), "{failure}");
        assert_eq!(stage.raw(SID).await, before);
    }
}

#[tokio::test]
async fn sessions_without_ids_of_express_are_refused_with_advice() {
    let server = crate::support::redis::Server::start().await;
    let store = session_store::RedisStore::builder(server.url())
        .layout(RedisLayout::express(layout()))
        .connect()
        .await
        .unwrap();
    let error = store.load(&SessionId::generate().key()).await.unwrap_err().to_string();
    assert!(error.contains("KeyRing::express"), "{error}");
}

/// SECURITY 21.
#[tokio::test]
async fn no_error_and_no_debug_shows_an_id() {
    let mut stage = Stage::set().await;
    stage.put(SID, "not json").await;
    let key = SessionId::express(SID).unwrap().key();
    let error = {
        let store =
            session_store::RedisStore::builder(stage.server.url()).layout(RedisLayout::express(layout()));
        store.connect().await.unwrap().load(&key).await.unwrap_err()
    };
    for shown in [format!("{key:?}"), key.to_string(), error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains(&SID[4..]) && !shown.contains("not json"), "{shown}");
    }
    let request = stage.manager.begin(Some(&cookie_of(SID)));
    assert!(!format!("{request:?} {:?}", stage.manager).contains(&SID[4..]));
}
