//! The manager that both of our servers have.

use std::error::Error;

use session_store::{Codec, Key, KeyRing, MemoryStore, RedisStore, SessionManager};

use super::{SECRET, unknown};
use crate::payload::Shopper;

pub async fn manager(
    mode: &str,
    redis: &str,
    codec: Codec,
) -> Result<SessionManager<Shopper>, Box<dyn Error>> {
    let keys = KeyRing::new(Key::new(SECRET)?);
    let builder = match mode {
        "redis" => SessionManager::builder(RedisStore::connect(redis).await?, keys),
        "memory" => SessionManager::builder(MemoryStore::new(), keys),
        other => return unknown(other),
    };
    Ok(builder.codec(codec).build()?)
}
