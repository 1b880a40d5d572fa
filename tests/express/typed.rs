//! Data of a type, beside what Node writes.

use serde::{Deserialize, Serialize};
use serde_json::json;
use session_store::{Error, KeyRing, Lenient, RedisLayout, RedisStore, SessionData, SessionManager};

use super::stage::{SECRET, Stage, cookie_of, layout};

const SID: &str = "5fXsD1mJuDoC_ivRs-T6-f1Gj2TpXxHT";

/// As passport leaves a session after a logout.
const SIGNED_OUT: &str = r#"{"cookie":{"originalMaxAge":null},"passport":{},"cart":["tea"],"views":1}"#;

#[derive(Serialize, Deserialize)]
struct Passport {
    user: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Strict {
    passport: Option<Passport>,
    cart: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Mild {
    #[serde(skip_serializing_if = "Lenient::is_missing")]
    passport: Lenient<Passport>,
    cart: Vec<String>,
}

async fn manager<T: SessionData>(stage: &Stage) -> SessionManager<T> {
    let store = RedisStore::builder(stage.server.url()).layout(RedisLayout::express(layout()));
    SessionManager::builder(store.connect().await.unwrap(), KeyRing::express(SECRET).unwrap())
        .build()
        .unwrap()
}

/// Node can read it: a visitor of it is no stranger, and keeps the cookie.
#[tokio::test]
async fn a_member_that_does_not_fit_fails_the_request_and_nothing_is_written() {
    let mut stage = Stage::set().await;
    let strict = manager::<Strict>(&stage).await;
    stage.put(SID, SIGNED_OUT).await;
    let request = strict.begin(Some(&cookie_of(SID)));
    let error = request.session().await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }) && error.status() == 500, "{error}");
    assert!(!error.to_string().contains("tea"), "{error}");
    let actions = request.finish(200).await;
    assert!(actions.set_cookie.is_none() && actions.failure.is_none(), "{actions:?}");
    assert_eq!(stage.raw(SID).await.as_deref(), Some(SIGNED_OUT.as_bytes()));
}

/// It becomes such while a request runs here.
#[tokio::test]
async fn a_write_over_data_that_does_not_fit_fails() {
    let mut stage = Stage::set().await;
    let strict = manager::<Strict>(&stage).await;
    for update in [false, true] {
        stage.put(SID, r#"{"cookie":{},"cart":[]}"#).await;
        let request = strict.begin(Some(&cookie_of(SID)));
        let session = request.session().await.unwrap();
        stage.put(SID, SIGNED_OUT).await;
        let buy = |data: &mut Strict| data.cart.push("milk".into());
        if update {
            let error = session.update(buy).await.unwrap_err();
            assert!(matches!(error, Error::Unreadable { .. }), "{error}");
        } else {
            session.write(buy).unwrap();
        }
        let actions = request.finish(200).await;
        assert!(actions.set_cookie.is_none(), "{actions:?}");
        assert_eq!(actions.failure.is_some(), !update, "{actions:?}");
        assert_eq!(stage.raw(SID).await.as_deref(), Some(SIGNED_OUT.as_bytes()));
    }
}

#[tokio::test]
async fn a_lenient_member_is_read_where_it_fits_and_kept_where_it_does_not() {
    let mut stage = Stage::set().await;
    let mild = manager::<Mild>(&stage).await;
    for passport in ["{}", "null", "\"\"", "[7]", r#"{"user":{"id":7.5}}"#] {
        stage.put(SID, SIGNED_OUT.replace("{},\"cart\"", &format!("{passport},\"cart\""))).await;
        let request = mild.begin(Some(&cookie_of(SID)));
        let session = request.session().await.unwrap();
        assert!(session.read(|data| data.passport.get().is_none()));
        session.write(|data| data.cart.push("milk".into())).unwrap();
        assert!(request.finish(200).await.failure.is_none());
        let stored = String::from_utf8(stage.raw(SID).await.unwrap()).unwrap();
        assert!(
            stored.contains(&format!("\"passport\":{passport},\"cart\":[\"tea\",\"milk\"],\"views\":1")),
            "{stored}"
        );
    }
    let request = mild.begin(Some(&cookie_of(SID)));
    request
        .session()
        .await
        .unwrap()
        .write(|data| data.passport.set(Passport { user: "ada".into() }))
        .unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(stage.value(SID).await["passport"], json!({ "user": "ada" }));
}
