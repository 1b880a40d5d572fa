//! A bank whose sessions are bound to devices for two seconds: two instances on one Redis, behind nginx with TLS.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use session_store::{
    Counts, Device, DeviceBinding, Error, KeyRing, MissingProof, RedisStore, Session, SessionLayer,
    SessionManager,
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::support::Site as _;
use crate::support::nginx::Nginx;
use crate::support::redis::{Certificates, Server};

const SECRET: &str = "only-for-tests-oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

type Account = u32;

#[derive(Clone)]
struct Instance {
    manager: SessionManager<Account>,
    bank: Arc<Books>,
}

/// What all instances share.
#[derive(Default)]
struct Books {
    transfers: Mutex<Vec<String>>,
    managers: Mutex<Vec<SessionManager<Account>>>,
    /// Proofs of browsers whose bound cookie had expired.
    proofs_without_cookie: AtomicUsize,
}

pub(crate) struct Bank {
    nginx: Nginx,
    pub(crate) key_hash: String,
    _redis: Server,
}

impl Bank {
    pub(crate) async fn open(missing: MissingProof) -> Self {
        let redis = Server::start().await;
        let bank = Arc::default();
        let mut urls = Vec::new();
        for _ in 0..2 {
            urls.push(serve(&redis, missing, &bank).await);
        }
        let certificates = Certificates::for_names("DNS:bank.test");
        let nginx = Nginx::start_tls(&certificates, |listen| {
            let [first, second] = [&urls[0], &urls[1]];
            format!(
                "server {{ {listen} server_name bank.test; location / {{ proxy_pass {first}; }}\n\
                 location /.session/refresh {{ proxy_pass {second}; }} }}"
            )
        })
        .await;
        let key_hash = key_hash(certificates.server.certificate.path());
        Self { nginx, key_hash, _redis: redis }
    }

    pub(crate) fn port(&self) -> &str {
        self.nginx.url().rsplit(':').next().unwrap()
    }
}

/// What Chromium knows a certificate by that it is to trust.
fn key_hash(certificate: &std::path::Path) -> String {
    let mut openssl = Command::new("openssl");
    let output = openssl.args(["x509", "-noout", "-pubkey", "-in"]).arg(certificate).output().unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.encode(Sha256::digest(STANDARD.decode(base64).unwrap()))
}

async fn serve(redis: &Server, missing: MissingProof, bank: &Arc<Books>) -> String {
    let store = RedisStore::builder(redis.url()).connect().await.unwrap();
    let binding = DeviceBinding::at("/.session").missing(missing).lifetime_for_tests(Duration::from_secs(2));
    let builder = SessionManager::builder(store, KeyRing::parse(SECRET).unwrap());
    let manager = builder.device_bound(binding).build().unwrap();
    bank.managers.lock().unwrap().push(manager.clone());
    let instance = Instance { manager: manager.clone(), bank: Arc::clone(bank) };
    let app = Router::new()
        .route("/", get(Html("<!doctype html><title>Bank</title>")))
        .route("/login", post(login))
        .route("/whoami", get(whoami))
        .route("/renew", post(async |session: Session<Account>| session.renew()))
        .route("/logout", post(logout))
        .route("/revoke-all", post(revoke_all))
        .route("/transfer", post(transfer))
        .route("/transfers", get(transferred))
        .route("/counts", get(counts))
        .route("/proofs-without-cookie", get(proofs_without_cookie))
        .layer(SessionLayer::new(manager))
        .layer(middleware::from_fn_with_state(instance.clone(), notice))
        .with_state(instance);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn login(session: Session<Account>, user: String) -> Result<(), Error> {
    session.sign_in(user, |_| ())
}

async fn logout(session: Session<Account>) -> Result<(), Error> {
    session.destroy().await
}

async fn whoami(session: Session<Account>) -> String {
    let owner = session.owner();
    let mut text = owner.as_ref().map_or("nobody", |owner| owner.as_str()).to_owned();
    let device = match session.device() {
        Device::Unbound => "unbound",
        Device::Bound { .. } => "bound",
        _ => "stale",
    };
    write!(text, ", {device}").unwrap();
    text
}

async fn revoke_all(
    State(Instance { manager, .. }): State<Instance>,
    session: Session<Account>,
) -> Result<(), Error> {
    let owner = session.owner().expect("somebody is signed in");
    manager.revoke_all(&owner).await.map(|_| ())
}

async fn transfer(
    State(Instance { bank, .. }): State<Instance>,
    session: Session<Account>,
    headers: HeaderMap,
    order: String,
) -> Result<String, Error> {
    session.require_device_proof(Duration::from_secs(1))?;
    assert!(headers.contains_key("content-length"));
    bank.transfers.lock().unwrap().push(order.clone());
    Ok(format!("transferred {order}"))
}

async fn transferred(State(Instance { bank, .. }): State<Instance>) -> Json<Vec<String>> {
    Json(bank.transfers.lock().unwrap().clone())
}

async fn notice(State(Instance { bank, .. }): State<Instance>, request: Request, next: Next) -> Response {
    let proves = request.headers().contains_key("secure-session-response");
    let mut cookies = request.headers().get_all("cookie").iter().map(|it| it.to_str().unwrap());
    if proves && request.uri().path() == "/.session/refresh" && !cookies.any(|it| it.contains("-device=")) {
        bank.proofs_without_cookie.fetch_add(1, Ordering::Relaxed);
    }
    next.run(request).await
}

async fn proofs_without_cookie(State(Instance { bank, .. }): State<Instance>) -> String {
    bank.proofs_without_cookie.load(Ordering::Relaxed).to_string()
}

/// Of all instances.
async fn counts(State(Instance { bank, .. }): State<Instance>) -> Json<serde_json::Value> {
    let counts: Vec<Counts> = bank.managers.lock().unwrap().iter().map(SessionManager::counts).collect();
    let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>();
    Json(serde_json::json!({
        "deviceBound": sum(|counts| counts.device_bound), "deviceRefreshed": sum(|counts| counts.device_refreshed),
        "deviceSkipped": sum(|counts| counts.device_skipped), "deviceLost": sum(|counts| counts.device_lost),
        "deviceRefused": sum(|counts| counts.device_refused),
    }))
}
