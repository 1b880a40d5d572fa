//! The manager that both of our servers have.

use std::error::Error;

use session_store::{
    Codec, ExpressLayout, Key, KeyRing, MemoryStore, RedisLayout, RedisStore, SessionCookie, SessionManager,
};

use super::{SECRET, unknown};
use crate::payload::Shopper;

pub async fn manager(
    mode: &str,
    redis: &str,
    codec: Codec,
) -> Result<SessionManager<Shopper>, Box<dyn Error>> {
    let keys = KeyRing::new(Key::new(SECRET)?);
    let builder = match mode {
        "express" => {
            let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
            let store = RedisStore::builder(redis).layout(RedisLayout::express(layout)).connect().await?;
            SessionManager::builder(store, KeyRing::express("a secret of the Express service")?)
        }
        "redis" => SessionManager::builder(RedisStore::connect(redis).await?, keys),
        "memory" => SessionManager::builder(MemoryStore::new(), keys),
        other => return unknown(other),
    };
    Ok(builder.codec(codec).build()?)
}
