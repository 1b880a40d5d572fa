//! A little bank whose sessions are bound to the browser's device, over TLS; `examples/README.md` says how to run it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Form;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, body::Body, http::Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use session_store::{
    AuthMethod, Device, DeviceBinding, Error, MissingProof, Session, SessionLayer, SessionManager, SiteData,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt as _;
use tracing_subscriber::EnvFilter;

#[path = "../pages/mod.rs"]
mod pages;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Account {
    transferred: u32,
}

async fn page(session: Session<Account>) -> Html<String> {
    let device = match session.device() {
        Device::Bound { .. } => "bound to this device",
        Device::Unbound => "not bound to a device: the browser can't do it, or has not done it yet",
        _ => "bound to another device, or late with its proof",
    };
    let transferred = session.read(|account| account.transferred).to_string();
    let owner = session.owner();
    let user = owner.as_ref().map(AsRef::as_ref);
    Html(pages::fill(
        include_str!("../pages/bank.html"),
        user,
        &[("device", device), ("transferred", &transferred)],
    ))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(session: Session<Account>, Form(Login { user }): Form<Login>) -> Result<Redirect, Error> {
    session.sign_in(user, |_| ())?;
    session.confirm([AuthMethod::Password])?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Order {
    amount: u32,
}

/// Needs a proof of the last minute, for which the browser is sent here again; or, where it can't prove anything, a
/// password within five.
async fn transfer(session: Session<Account>, Form(Order { amount }): Form<Order>) -> Result<Response, Error> {
    if session.owner().is_none() {
        return Ok(Redirect::to("/").into_response());
    }
    if session.require_device_proof(Duration::from_secs(60))? == Device::Unbound {
        session.require_recent(Duration::from_secs(5 * 60))?;
    }
    session.update(|account| account.transferred += amount).await?;
    Ok(Redirect::to("/").into_response())
}

async fn logout(session: Session<Account>) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}

fn tls() -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let [certificate, key] = ["TLS_CERTIFICATE", "TLS_KEY"].map(std::env::var);
    let chain = CertificateDer::pem_file_iter(certificate?)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key?)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let binding =
        DeviceBinding::at("/.session").lifetime(DeviceBinding::MIN_LIFETIME).missing(MissingProof::Anonymous);
    let manager = SessionManager::<Account>::from_env()
        .await?
        .device_bound(binding)
        .clear_site_data([SiteData::Cache, SiteData::Storage])
        .build()?;
    let app = Router::new().route("/", get(page)).route("/login", post(login)).route("/logout", post(logout));
    let app = app.route("/transfer", post(transfer)).layer(SessionLayer::new(manager));
    let app = app.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));

    let tls = tls()?;
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on https://localhost:{}", listener.local_addr()?.port());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many are open: some will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (tls, service) = (tls.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let _ended_early =
                Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
