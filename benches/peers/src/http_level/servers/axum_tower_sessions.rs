//! tower-sessions on axum, with its stores. Its cookie is not signed, as it is not by default.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::{CachingSessionStore, Expiry, MemoryStore, Session, SessionManagerLayer, SessionStore};
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::RedisStore;

use super::{Outcome, day, on_axum, unknown};
use crate::payload::{KEY, Shopper, greeting};
use crate::store_level::fred;

fn failed(_: tower_sessions::session::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn sign_in(session: Session) -> Result<&'static str, StatusCode> {
    session.insert(KEY, Shopper::ada()).await.map_err(failed)?;
    Ok("in")
}

async fn shopper(session: &Session) -> Result<Shopper, StatusCode> {
    session.get(KEY).await.map_err(failed)?.ok_or(StatusCode::UNAUTHORIZED)
}

async fn read(session: Session) -> Result<String, StatusCode> {
    greeting(&shopper(&session).await?).ok_or(StatusCode::UNAUTHORIZED)
}

async fn count(session: Session) -> Result<String, StatusCode> {
    let mut shopper = shopper(&session).await?;
    shopper.visits += 1;
    session.insert(KEY, &shopper).await.map_err(failed)?;
    greeting(&shopper).ok_or(StatusCode::UNAUTHORIZED)
}

pub fn serve(mode: &str, redis: &str) -> Outcome {
    on_axum::run(async {
        match mode {
            "read" | "rolling" => {
                let store = RedisStore::new(fred::connect(redis).await);
                Ok(router(store, mode == "rolling"))
            }
            "cached" | "cached-rolling" => {
                let store = RedisStore::new(fred::connect(redis).await);
                let cached = CachingSessionStore::new(MokaStore::new(Some(1_000_000)), store);
                Ok(router(cached, mode == "cached-rolling"))
            }
            "moka" => Ok(router(MokaStore::new(Some(1_000_000)), false)),
            "memory" => Ok(router(MemoryStore::default(), false)),
            other => unknown::<Router>(other),
        }
    })
}

fn router<S: SessionStore + Clone>(store: S, rolling: bool) -> Router {
    let layer = SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(day()));
    let router = Router::new().route("/sign_in", get(sign_in)).route("/read", get(read));
    router.route("/count", get(count)).layer(layer.with_always_save(rolling))
}
