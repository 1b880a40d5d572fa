//! What our servers have in common: the manager, and the handlers of those on `http` 1.

use std::error::Error;

use axum::http::StatusCode;
use session_store::{
    ExpressLayout, Key, KeyRing, MemoryStore, NearCache, RedisLayout, RedisStore, Sealing, SessionCookie,
    SessionManager,
};

use super::{SECRET, unknown};
use crate::payload::{Shopper, greeting};

const SEAL_KEY: &str = "only for benchmarks: XwZ8Vt4u1oJ0q9sYpQmC3rLhBdKfGnTe5iAxUy7E";

pub type Session = session_store::Session<Shopper>;

pub async fn manager(mode: &str, redis: &str) -> Result<SessionManager<Shopper>, Box<dyn Error>> {
    let keys = KeyRing::new(Key::new(SECRET)?);
    let builder = match mode {
        "express" => {
            let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
            let store = RedisStore::builder(redis).layout(RedisLayout::express(layout)).connect().await?;
            SessionManager::builder(store, KeyRing::express("a secret of the Express service")?)
        }
        "redis" => SessionManager::builder(RedisStore::connect(redis).await?, keys),
        "sealed" => {
            let sealing = Sealing::new(&KeyRing::new(Key::new(SEAL_KEY)?))?.and_id();
            SessionManager::builder(RedisStore::connect(redis).await?, keys).seal(sealing)
        }
        "near" => {
            let store = RedisStore::builder(redis).near_cache(NearCache::new(64 << 20)).connect().await?;
            SessionManager::builder(store, keys)
        }
        "memory" => SessionManager::builder(MemoryStore::new(), keys),
        other => return unknown(other),
    };
    Ok(builder.build()?)
}

pub async fn sign_in(session: Session) -> Result<&'static str, session_store::Error> {
    session.write(|shopper| *shopper = Shopper::ada())?;
    Ok("in")
}

pub async fn read(session: Session) -> Result<String, StatusCode> {
    session.read(greeting).ok_or(StatusCode::UNAUTHORIZED)
}

pub async fn count(session: Session) -> Result<Result<String, StatusCode>, session_store::Error> {
    let answer = session.write(|shopper| {
        shopper.visits += 1;
        greeting(shopper)
    })?;
    Ok(answer.ok_or(StatusCode::UNAUTHORIZED))
}
