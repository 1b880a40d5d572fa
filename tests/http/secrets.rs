//! What must not be found anywhere but in the visitor's browser.

use redis::aio::MultiplexedConnection;

use super::stage::{OTHER_SECRET, SECRET, Stage};
use super::visitor::{Me, Visitor};
use crate::support::app::App;

pub(crate) async fn without_a_secret_the_application_ends_with_advice(mut stage: Stage) {
    let url = stage.redis().url();
    let (status, output) = App::refuse_to_start(stage.host, &[("REDIS_URL", &url)]).await;
    assert!(!status.success());
    for advice in ["SESSION_SECRET", "openssl rand"] {
        assert!(output.contains(advice), "no {advice:?} in {output}");
    }
}

/// SECURITY 21.
pub(crate) async fn a_short_secret_ends_the_application_with_advice_and_stays_secret(mut stage: Stage) {
    let url = stage.redis().url();
    for secrets in ["hunter2".to_owned(), format!("{SECRET},hunter2"), format!("{SECRET},")] {
        let settings = [("REDIS_URL", &*url), ("SESSION_SECRET", &*secrets)];
        let (status, output) = App::refuse_to_start(stage.host, &settings).await;
        assert!(!status.success());
        assert!(output.contains("SESSION_SECRET") && output.contains("openssl rand"), "{output}");
        assert!(!output.contains("hunter2") && !output.contains(SECRET), "{output}");
    }
}

/// SECURITY 2, 21 and 23.
pub(crate) async fn neither_logs_nor_redis_hold_an_id_or_a_signature(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    let mut secrets = Vec::new();
    let mut note =
        |visitor: &Visitor| secrets.extend([visitor.id().to_owned(), visitor.signature().to_owned()]);

    // Everything that the application might have something to say about.
    visitor.visit().await.expect_status(200);
    note(&visitor);
    let mut left_behind = visitor.clone();
    visitor.sign_in("ada").await.expect_status(200);
    note(&visitor);
    visitor.buy("tea").await.expect_status(200);
    left_behind.buy("tea").await.expect_status(409);
    let retired = format!("{}x", visitor.cookie());
    Visitor::with_cookie(&app, retired).get("/me").await.expect_status(200);
    let mut signed_out = Visitor::returning(&app).await;
    note(&signed_out);
    let mut unknown = signed_out.clone();
    signed_out.log_out().await.expect_status(200);
    unknown.visit().await.expect_status(200);
    note(&unknown);

    let stored = everything_stored(&mut stage.redis().client().await).await;
    assert!(stored.len() >= 3, "{} keys", stored.len());
    for (key, value) in &stored {
        for secret in secrets.iter().map(String::as_str).chain([SECRET]) {
            assert!(!contains(key, secret), "a key in Redis holds a secret");
            assert!(!contains(value, secret), "a value in Redis holds a secret");
        }
    }

    stage.redis().kill();
    visitor.get("/me").await.expect_status(503);
    let output = app.into_output().await;
    assert!(output.contains("a session failed"), "the failure is logged: {output}");
    for secret in secrets.iter().map(String::as_str).chain([SECRET]) {
        assert!(!output.contains(secret), "{output}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// SECURITY 23. Signed by nobody here; `cookie::signing` and the hash in `SessionId::key` see to
/// the rest.
pub(crate) async fn a_cookie_shaped_like_a_stored_key_is_an_anonymous_visitor(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    // Whoever has a dump of the store may have an application with a key of their own.
    let own_app = stage.app_with(&[("SESSION_SECRET", OTHER_SECRET)]).await;
    let own = Visitor::returning(&own_app).await;
    for (key, _) in everything_stored(&mut stage.redis().client().await).await {
        let name = String::from_utf8(key).expect("keys are text");
        let digest = name.rsplit(':').next().expect("a last part");
        // With a lineage before it, the digest has the shape of an id.
        let as_long_as_an_id = format!("AAAA{digest}");
        assert_eq!(as_long_as_an_id.len(), own.id().len());
        for signature in [visitor.signature(), own.signature()] {
            for shape in [&as_long_as_an_id, digest, &name, name.trim_start_matches("session:")] {
                let mut thief = Visitor::with_cookie(&app, format!("id={shape}.{signature}"));
                assert_eq!(thief.me().await, Me::anonymous(), "{shape}");
            }
        }
    }
    assert_eq!(visitor.me().await.visits, 1);
}

pub(crate) async fn every_key_in_redis_has_a_time_to_live(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.sign_in("ada").await.expect_status(200);
    visitor.buy("tea").await.expect_status(200);

    let mut client = stage.redis().client().await;
    let stored = everything_stored(&mut client).await;
    assert_eq!(stored.len(), 3, "a session, the marker at its old key, and the index of its owner");
    for (key, _) in stored {
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut client).await.unwrap();
        assert!(ttl > 0, "{}: {ttl}", String::from_utf8_lossy(&key));
    }
}

async fn everything_stored(client: &mut MultiplexedConnection) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(client).await.unwrap();
    let mut stored = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(client).await.unwrap();
        let value = if kind == "zset" {
            // The index of an owner.
            let mut entries = redis::cmd("ZRANGE");
            let entries: Vec<Vec<u8>> = entries.arg(&key).arg(0).arg(-1).query_async(client).await.unwrap();
            entries.concat()
        } else {
            redis::cmd("GET").arg(&key).query_async(client).await.unwrap()
        };
        stored.push((key, value));
    }
    stored
}
