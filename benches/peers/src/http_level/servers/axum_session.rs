//! `axum_session` on axum, with its Redis pool. Its cookie is not signed, as it is not by default.
//!
//! Encrypted, its sessions are so in Redis alone.
//!
//! By default it keeps each session in the process for an hour after a request, and answers from there:
//! an instance does not see what another one changed. So it is measured twice: like that, and with
//! nothing kept, which is what several instances need.

use std::error::Error;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum_session::{DatabasePool, Key, Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use time::Duration;

use super::{Outcome, SECRET, day, on_axum, unknown};
use crate::payload::{KEY, Shopper, greeting};
use crate::store_level::axum_session::pool;

async fn sign_in<P: Pool>(session: Session<P>) -> &'static str {
    session.set(KEY, Shopper::ada());
    "in"
}

async fn read<P: Pool>(session: Session<P>) -> Result<String, StatusCode> {
    session.get(KEY).as_ref().and_then(greeting).ok_or(StatusCode::UNAUTHORIZED)
}

async fn count<P: Pool>(session: Session<P>) -> Result<String, StatusCode> {
    let mut shopper: Shopper = session.get(KEY).ok_or(StatusCode::UNAUTHORIZED)?;
    shopper.visits += 1;
    session.set(KEY, &shopper);
    greeting(&shopper).ok_or(StatusCode::UNAUTHORIZED)
}

trait Pool: DatabasePool + Clone + std::fmt::Debug + Sync + Send + 'static {}

impl<P: DatabasePool + Clone + std::fmt::Debug + Sync + Send + 'static> Pool for P {}

pub fn serve(mode: &str, redis: &str) -> Outcome {
    on_axum::run(async {
        let config = SessionConfig::default().with_lifetime(day());
        match mode {
            "read" => router(Some(pool(redis)), config.with_memory_lifetime(Duration::ZERO)).await,
            "sealed" => {
                let config = config.with_database_key(Key::from(SECRET)).with_memory_lifetime(Duration::ZERO);
                router(Some(pool(redis)), config).await
            }
            "cached" => router(Some(pool(redis)), config).await,
            "memory" => router(None::<SessionNullPool>, config).await,
            other => unknown(other),
        }
    })
}

async fn router<P: Pool>(pool: Option<P>, config: SessionConfig) -> Result<Router, Box<dyn Error>> {
    let store = SessionStore::new(pool, config).await?;
    let router = Router::new().route("/sign_in", get(sign_in::<P>)).route("/read", get(read::<P>));
    Ok(router.route("/count", get(count::<P>)).layer(SessionLayer::new(store)))
}
