//! A registration beside other requests of its session. Without a network, as only the store decides.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use http_body_util::Empty;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use session_store::{
    Conflict, DeviceBinding, Error, EventKind, KeyRing, ManualClock, MemoryStore, MissingProof, RedisStore,
    Session, SessionLayer, SessionManager, SessionStore,
};
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::redis::Server;

const SECRET: &str = "only-for-tests-oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
type Told = Arc<Mutex<Vec<EventKind>>>;

const ROUNDS: usize = 100;
const WRITES: usize = 100;
/// At once.
const WRITERS: usize = 10;

fn instance(store: &Arc<dyn SessionStore>, clock: &Arc<ManualClock>, told: &Told) -> SessionManager<u64> {
    let told = Arc::clone(told);
    let binding = DeviceBinding::at("/.session").missing(MissingProof::Report);
    let keys = KeyRing::parse(SECRET).unwrap();
    SessionManager::builder(Arc::clone(store), keys)
        .device_bound(binding)
        .clock(Arc::clone(clock))
        .on_event(move |event| told.lock().unwrap().push(event.kind))
        .build()
        .unwrap()
}

/// Signs in at `/login`, counts at every other path, and answers with the headers and what it counted.
async fn request(
    instance: &SessionManager<u64>,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(Response<()>, u64), Error> {
    let service =
        SessionLayer::new(instance.clone()).layer(service_fn(async |request: Request<Empty<_>>| {
            let session = Session::<u64>::from_extensions(request.extensions()).await?;
            if request.uri().path() == "/login" {
                session.sign_in("ada", |_| ())?;
            }
            let count = session.update(|count| {
                *count += 1;
                *count
            });
            Ok::<_, Error>(Response::new(axum::body::Body::from(count.await?.to_string())))
        }));
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, body) =
        service.oneshot(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let count = str::from_utf8(&body).unwrap().parse().unwrap_or_default();
    Ok((Response::from_parts(head, ()), count))
}

fn cookie(response: &Response<()>) -> String {
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn proof(key: &SigningKey, challenge: &str) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65) });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": jwk }));
    let signed = format!("{header}.{}", part(json!({ "jti": challenge })));
    let signature: Signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// Registers at one instance while others write at another, and says whether everything is there afterwards.
async fn race(store: &Arc<dyn SessionStore>, key: &SigningKey) {
    let clock = Arc::new(ManualClock::default());
    let told = [Told::default(), Told::default()];
    let instances = [instance(store, &clock, &told[0]), instance(store, &clock, &told[1])];
    let (answer, _) = request(&instances[0], "/login", &[]).await.unwrap();
    let cookie = cookie(&answer);
    let offer = answer.headers()["secure-session-registration"].to_str().unwrap();
    let proof = proof(key, offer.rsplit('"').nth(1).unwrap());
    let mut writes = JoinSet::new();
    for _ in 0..WRITERS {
        let (instance, cookie) = (instances[1].clone(), cookie.clone());
        writes.spawn(async move {
            for _ in 0..WRITES / WRITERS {
                // Who loses too many races in a row is told to try again.
                let written = loop {
                    match request(&instance, "/count", &[("cookie", &cookie)]).await {
                        Err(Error::Conflict(Conflict::Contention)) => {}
                        written => break written.unwrap(),
                    }
                };
                assert_eq!(written.0.status(), 200);
            }
        });
    }
    let headers = [("cookie", &*cookie), ("secure-session-response", &*proof)];
    let (registered, _) = request(&instances[0], "/.session/register", &headers).await.unwrap();
    assert_eq!(registered.status(), 200);
    writes.join_all().await;

    // The bound cookie is good for the other instance, and no write took the binding away.
    let bound = format!("{cookie}; {}", self::cookie(&registered));
    clock.advance(Duration::from_secs(60));
    let lost = instances[1].counts().device_lost;
    let (_, count) = request(&instances[1], "/count", &[("cookie", &bound)]).await.unwrap();
    assert_eq!(count, WRITES as u64 + 2);
    assert_eq!(instances[1].counts().device_lost, lost);
    request(&instances[1], "/count", &[("cookie", &cookie)]).await.unwrap();
    assert_eq!(instances[1].counts().device_lost, lost + 1, "it is bound");

    let (refused, _) = request(&instances[0], "/.session/register", &headers).await.unwrap();
    assert_eq!(refused.status(), 403);
    for (told, instance) in told.iter().zip(&instances) {
        instance.flush_events().await;
        // Writers that lost too many races in a row told that, too.
        told.lock().unwrap().retain(|kind| *kind != EventKind::Conflict);
    }
    let [here, there] = told.map(|told| std::mem::take(&mut *told.lock().unwrap()));
    assert_eq!(here, [EventKind::SignedIn, EventKind::DeviceBound, EventKind::DeviceRefused]);
    assert_eq!(there, [EventKind::DeviceLost]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_keeps_the_binding_whatever_is_written_meanwhile() {
    let redis = Server::start().await;
    let in_redis = RedisStore::builder(redis.url()).connect().await.unwrap();
    let stores: [Arc<dyn SessionStore>; 2] = [Arc::new(MemoryStore::new()), Arc::new(in_redis)];
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    for store in stores {
        for _ in 0..ROUNDS {
            race(&store, &key).await;
        }
    }
}
