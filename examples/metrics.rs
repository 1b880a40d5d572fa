//! The metrics of a service's sessions, for Prometheus, and `grafana-dashboard.json` to see them in.
//!
//! ```sh
//! SHOP_STATS_TOKEN=let-me-in SESSION_COOKIE_SECURE=false \
//!     cargo run --example metrics --features axum,redis,metrics
//! curl -H 'Authorization: Bearer let-me-in' http://localhost:3000/metrics
//! ```

use std::time::Duration;

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Router, serve};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use session_store::metrics::BUCKETS;
use session_store::{Error, Session, SessionLayer, SessionManager};
use tokio::time::sleep;
use tracing_subscriber::EnvFilter;

#[path = "operator/mod.rs"]
mod operator;

#[derive(Clone)]
struct Observed {
    sessions: SessionManager<u64>,
    metrics: PrometheusHandle,
}

async fn visit(session: Session<u64>) -> Result<String, Error> {
    let visits = session.update(|visits| {
        *visits += 1;
        *visits
    });
    Ok(format!("visit {}\n", visits.await?))
}

async fn leave(session: Session<u64>) -> Result<&'static str, Error> {
    session.destroy().await?;
    Ok("goodbye\n")
}

async fn metrics(State(observed): State<Observed>, headers: HeaderMap) -> Result<String, StatusCode> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    operator::admit(authorization).map_err(|status| StatusCode::from_u16(status).expect("it is a status"))?;
    // Sets the gauges.
    observed.sessions.stats().await;
    Ok(observed.metrics.render())
}

/// Without their buckets, histograms would come out as summaries, which no query can add up.
fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
    }
    builder.install_recorder()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let metrics_handle = install_recorder()?;
    let upkeep = metrics_handle.clone();
    tokio::spawn(async move {
        // The exporter keeps what histograms are told until it is asked, or this is called.
        loop {
            sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });

    let manager = SessionManager::<u64>::from_env().await?.build()?;
    let app = Router::new().route("/", get(visit)).route("/leave", post(leave));
    let app = app.layer(SessionLayer::new(manager.clone()));
    let app = app.route("/metrics", get(metrics));
    let app = app.with_state(Observed { sessions: manager, metrics: metrics_handle });
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}
